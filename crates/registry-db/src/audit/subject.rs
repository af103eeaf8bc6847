//! What an entry is about, and the digest of how that stands.

use std::fmt;

use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{
    ApiKeyId, CompanyId, JobId, ManifestKeyId, OrganizationId, PackageId, PublishTokenId, RegistryNamespaceId,
    ReviewId, TrustedPublisherId, UserId, VersionId, WaiverId, WebhookId,
};
use registry_types::names::PackageSlug;
use serde::Serialize;

use crate::prepared::prepared;
use crate::{Connection, DbResult};

/// The thing that an entry is about; shown as `thing:<id>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    ApiKey(ApiKeyId),
    Company(CompanyId),
    Job(JobId),
    ManifestKey(ManifestKeyId),
    /// That a user belongs to an organization, and in which role: the account is [`Self::User`], and other organizations'.
    Member(OrganizationId, UserId),
    Organization(OrganizationId),
    Package(PackageId),
    /// A package of the organization that there need not be.
    PackageName(PackageSlug),
    Policy,
    PublishToken(PublishTokenId),
    Registry(RegistryNamespaceId),
    Review(ReviewId),
    TrustedPublisher(TrustedPublisherId),
    User(UserId),
    /// An imported `OpenVEX` document.
    Vex(Digest),
    Version(VersionId),
    Waiver(WaiverId),
    Webhook(WebhookId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(id) => write!(f, "api_key:{id}"),
            Self::Company(id) => write!(f, "company:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::ManifestKey(id) => write!(f, "manifest_key:{id}"),
            Self::Member(organization, user) => write!(f, "member:{organization}/{user}"),
            Self::Organization(id) => write!(f, "organization:{id}"),
            Self::Package(id) => write!(f, "package:{id}"),
            Self::PackageName(name) => write!(f, "package_name:{name}"),
            Self::Policy => f.write_str("store:policy"),
            Self::PublishToken(id) => write!(f, "publish_token:{id}"),
            Self::Registry(id) => write!(f, "registry:{id}"),
            Self::Review(id) => write!(f, "review:{id}"),
            Self::TrustedPublisher(id) => write!(f, "trusted_publisher:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
            Self::Vex(digest) => write!(f, "vex:{digest}"),
            Self::Version(id) => write!(f, "version:{id}"),
            Self::Waiver(id) => write!(f, "waiver:{id}"),
            Self::Webhook(id) => write!(f, "webhook:{id}"),
        }
    }
}

/// How a subject stood when the log last told of it, and how it stands now. `None` where there was or is nothing.
///
/// It is kept in the entry's details and not beside them, so that the chain covers it in the form in which every entry has been
/// chained since the first.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName, Serialize)]
pub(super) struct States {
    #[diesel(sql_type = Nullable<Text>)]
    before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    after: Option<String>,
}

impl Subject {
    /// `None` for what has no state of its own.
    pub(super) async fn states(&self, conn: &mut Connection) -> DbResult<Option<States>> {
        let Some((state, ids)) = self.state() else { return Ok(None) };
        let sql = format!(
            "SELECT (SELECT details #>> '{{state,after}}' FROM audit_entries WHERE subject = $1 ORDER BY id DESC LIMIT 1) AS before, \
                    (SELECT 'sha256:' || encode(sha256(convert_to(state::text, 'UTF8')), 'hex') FROM ({state}) s (state)) AS after"
        );
        let states = diesel::sql_query(sql).bind::<Text, _>(self.to_string()).bind::<Array<Uuid>, _>(ids);
        Ok(Some(prepared(states).get_result(conn).await?))
    }

    /// A query for the state: all that only changes together with an entry, and nothing else. Secrets are in it as hashes, times as
    /// numbers, which no setting of a connection writes otherwise.
    fn state(&self) -> Option<(&'static str, Vec<uuid::Uuid>)> {
        let (sql, id) = match self {
            Self::Job(_) | Self::PackageName(_) | Self::Vex(_) => return None,
            Self::Policy => (POLICY, None),
            Self::Member(organization, user) => return Some((MEMBER, vec![organization.0, user.0])),
            Self::ApiKey(id) => (API_KEY, Some(id.0)),
            Self::Company(id) => (COMPANY, Some(id.0)),
            Self::ManifestKey(id) => (MANIFEST_KEY, Some(id.0)),
            Self::Organization(id) => (ORGANIZATION, Some(id.0)),
            Self::Package(id) => (PACKAGE, Some(id.0)),
            Self::PublishToken(id) => (PUBLISH_TOKEN, Some(id.0)),
            Self::Registry(id) => (REGISTRY, Some(id.0)),
            Self::Review(id) => (REVIEW, Some(id.0)),
            Self::TrustedPublisher(id) => (TRUSTED_PUBLISHER, Some(id.0)),
            Self::User(id) => (USER, Some(id.0)),
            Self::Version(id) => (VERSION, Some(id.0)),
            Self::Waiver(id) => (WAIVER, Some(id.0)),
            Self::Webhook(id) => (WEBHOOK, Some(id.0)),
        };
        Some((sql, id.into_iter().collect()))
    }
}

const API_KEY: &str = "SELECT jsonb_build_array(organization_id, user_id, label, prefix, extract(epoch FROM expires_at), \
    extract(epoch FROM revoked_at)) FROM api_keys WHERE id = $2[1]";
const COMPANY: &str = "SELECT jsonb_build_array(organization_id, name, description, template_version_id, \
    encode(sha256(convert_to(template::text, 'UTF8')), 'hex')) FROM companies WHERE id = $2[1]";
const MANIFEST_KEY: &str = "SELECT jsonb_build_array(organization_id, label, encode(fingerprint, 'hex'), enrolled_by, \
    extract(epoch FROM revoked_from), revoked_by, revocation_reason) FROM manifest_keys WHERE id = $2[1]";
const MEMBER: &str =
    "SELECT jsonb_build_array(role) FROM memberships WHERE organization_id = $2[1] AND user_id = $2[2]";
const ORGANIZATION: &str =
    "SELECT jsonb_build_array(slug, display_name, trust_tier) FROM organizations WHERE id = $2[1]";
const PACKAGE: &str = "SELECT jsonb_build_array(organization_id, name, format, visibility, withdrawn_at IS NOT NULL) \
    FROM packages WHERE id = $2[1]";
const POLICY: &str = "SELECT value FROM store_settings WHERE key = 'policy' AND cardinality($2) = 0";
const PUBLISH_TOKEN: &str = "SELECT jsonb_build_array(trusted_publisher_id, claims, extract(epoch FROM expires_at), \
    extract(epoch FROM revoked_at)) FROM publish_tokens WHERE id = $2[1]";
/// The time of the last change stands for the credential, which a new master key seals anew without a change.
const REGISTRY: &str = "SELECT jsonb_build_array(n.organization_id, n.host, n.path, n.is_wildcard, n.provider, n.state, n.refusal, \
    n.signature_policy, n.confirmed_token_hosts, n.credential_key_id IS NOT NULL, extract(epoch FROM n.updated_at), \
    encode(sha256(convert_to(p.nonce, 'UTF8')), 'hex')) \
    FROM registry_namespaces n LEFT JOIN namespace_proofs p ON p.namespace_id = n.id WHERE n.id = $2[1]";
const REVIEW: &str = "SELECT jsonb_build_array(version_id, verdict_id, digest, state, claimed_by, decided_by, reason) \
    FROM reviews WHERE id = $2[1]";
const TRUSTED_PUBLISHER: &str = "SELECT jsonb_build_array(organization_id, package_name, provider, issuer, repository_id, \
    owner_id, workflow, environment, reference, repository, removed_by) FROM trusted_publishers WHERE id = $2[1]";
const USER: &str = "SELECT jsonb_build_array(email, is_superuser, encode(sha256(convert_to(password_hash, 'UTF8')), 'hex')) \
    FROM users WHERE id = $2[1]";
const VERSION: &str = "SELECT jsonb_build_array(package_id, version, state, image_reference, digest, rejection_code, deprecated, \
    encode(sha256(convert_to(package_manifest::text, 'UTF8')), 'hex')) FROM versions WHERE id = $2[1]";
const WAIVER: &str = "SELECT jsonb_build_array(organization_id, package_name, version_range, advisory, component, \
    component_version, component_from, component_before, reason, statement, state, asked_by, decided_by, decision_note, \
    withdrawn_by, extract(epoch FROM expires_at), warned_at IS NOT NULL) FROM waivers WHERE id = $2[1]";
const WEBHOOK: &str = "SELECT jsonb_build_array(organization_id, url, description, event_types, disabled_reason, \
    extract(epoch FROM disabled_at), ARRAY(SELECT jsonb_build_array(id, extract(epoch FROM expires_at)) FROM webhook_secrets \
        WHERE webhook_id = webhooks.id ORDER BY id)) FROM webhooks WHERE id = $2[1]";
