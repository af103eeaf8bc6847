//! The chain of the audit log: each entry's hash covers the hash before it and everything that the entry says, so that an
//! altered, inserted or removed entry changes every hash behind it.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;

use crate::digest::Digest;
use crate::text_enum;

text_enum! {
    /// What is written to the audit log, `thing.verb`. Never renamed. What of it others are told of is
    /// [`crate::event::Event::of`]'s to say.
    pub enum AuditAction {
        VersionSubmitted = "version.submitted",
        VersionDecided = "version.decided",
        VersionRejudged = "version.rejudged",
        VersionReviewed = "version.reviewed",
        /// With its package.
        VersionWithdrawn = "version.withdrawn",
        VersionYanked = "version.yanked",
        VersionDeprecated = "version.deprecated",
        PackageCreated = "package.created",
        PackageReopened = "package.reopened",
        PackageVisibilityChanged = "package.visibility_changed",
        PackageWithdrawn = "package.withdrawn",
        IntakeFailed = "intake.failed",
        IntakeCancelled = "intake.cancelled",
        ReviewOpened = "review.opened",
        ReviewSuperseded = "review.superseded",
        ReviewClaimed = "review.claimed",
        ReviewApproved = "review.approved",
        ReviewRejected = "review.rejected",
        ReviewReopened = "review.reopened",
        WaiverAsked = "waiver.asked",
        WaiverApproved = "waiver.approved",
        WaiverRefused = "waiver.refused",
        WaiverWithdrawn = "waiver.withdrawn",
        WaiverExpiring = "waiver.expiring",
        WaiverExpired = "waiver.expired",
        /// Of an `OpenVEX` document; the waivers that it asks for have entries of their own.
        VexImported = "vex.imported",
        RegistryCreated = "registry.created",
        RegistryChanged = "registry.changed",
        RegistryRemoved = "registry.removed",
        RegistryApproved = "registry.approved",
        RegistrySuspended = "registry.suspended",
        RegistryChallenged = "registry.challenged",
        RegistryRefused = "registry.refused",
        RegistryReopened = "registry.reopened",
        ManifestKeyEnrolled = "manifest_key.enrolled",
        ManifestKeyRevoked = "manifest_key.revoked",
        TrustedPublisherAdded = "trusted_publisher.added",
        TrustedPublisherRemoved = "trusted_publisher.removed",
        PublishTokenIssued = "publish_token.issued",
        PublishTokenRefused = "publish_token.refused",
        PublishTokenRevoked = "publish_token.revoked",
        OrganizationCreated = "organization.created",
        OrganizationTrustTierChanged = "organization.trust_tier_changed",
        MemberSet = "member.set",
        MemberRemoved = "member.removed",
        UserCreated = "user.created",
        UserLoggedIn = "user.logged_in",
        UserPasswordChanged = "user.password_changed",
        UserPasswordReset = "user.password_reset",
        UserRefreshTokenReused = "user.refresh_token_reused",
        SuperuserAdded = "superuser.added",
        SuperuserRemoved = "superuser.removed",
        ApiKeyCreated = "api_key.created",
        ApiKeyRevoked = "api_key.revoked",
        CompanyImported = "company.imported",
        StoreBootstrapped = "store.bootstrapped",
        JobFailed = "job.failed",
        WebhookCreated = "webhook.created",
        WebhookChanged = "webhook.changed",
        WebhookRemoved = "webhook.removed",
        WebhookSecretRotated = "webhook.secret_rotated",
        WebhookDisabled = "webhook.disabled",
        PolicyChanged = "policy.changed",
    }
}

/// Names the form of what is hashed; another form gets another name.
const FORM: &[u8] = b"company-store audit entry 1";

/// What an entry says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChainedEntry<'a> {
    /// Place in the chain, from 1.
    pub sequence: i64,
    pub id: i64,
    /// Microseconds since 1970.
    pub at_micros: i64,
    pub organization: Option<Uuid>,
    pub actor: &'a str,
    pub credential: Option<&'a str>,
    pub address: Option<&'a str>,
    pub action: &'a str,
    pub subject: &'a str,
    pub details: &'a Value,
}

/// The hash of `entry` behind `previous`, which only the first entry does not have.
#[must_use]
pub fn chain_hash(previous: Option<&Digest>, entry: &ChainedEntry<'_>) -> Digest {
    let previous = previous.map(ToString::to_string);
    let organization = entry.organization.map(|id| id.to_string());
    let details = canonical(entry.details);
    let mut hashed = Vec::with_capacity(512 + details.len());
    for field in [
        Some(FORM),
        previous.as_deref().map(str::as_bytes),
        Some(&entry.sequence.to_be_bytes()),
        Some(&entry.id.to_be_bytes()),
        Some(&entry.at_micros.to_be_bytes()),
        organization.as_deref().map(str::as_bytes),
        Some(entry.actor.as_bytes()),
        entry.credential.map(str::as_bytes),
        entry.address.map(str::as_bytes),
        Some(entry.action.as_bytes()),
        Some(entry.subject.as_bytes()),
        Some(details.as_bytes()),
    ] {
        append(&mut hashed, field);
    }
    Digest::sha256_of(&hashed)
}

/// A field with its length before it, so that no two rows of fields have the same bytes; `u64::MAX` stands for none.
fn append(hashed: &mut Vec<u8>, field: Option<&[u8]>) {
    let length = field.map_or(u64::MAX, |field| field.len() as u64);
    hashed.extend_from_slice(&length.to_be_bytes());
    hashed.extend_from_slice(field.unwrap_or_default());
}

/// JSON with sorted keys and without spaces: the same for the database, the API and whoever verifies.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<_> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(details: &Value) -> ChainedEntry<'_> {
        ChainedEntry {
            sequence: 7,
            id: 9,
            at_micros: 1_700_000_000_123_456,
            organization: Some(Uuid::nil()),
            actor: "user:1",
            credential: Some("session:2"),
            address: Some("192.0.2.1"),
            action: "registry.approved",
            subject: "registry:3",
            details,
        }
    }

    #[test]
    fn the_form_of_a_hash_never_changes() {
        let details = json!({ "b": [1, null, "x\n"], "a": { "z": true, "y": 1.5 } });
        assert_eq!(canonical(&details), r#"{"a":{"y":1.5,"z":true},"b":[1,null,"x\n"]}"#);
        let first = chain_hash(None, &entry(&details));
        let second = chain_hash(Some(&first), &entry(&details));
        assert_eq!(first.to_string(), "sha256:5ef935e9870b9a66f4016223b3d4681b758ec7f13b88573eb73d1c66c8545563");
        assert_eq!(second.to_string(), "sha256:310c50bfab9aca3cf428ee4b1ba62603dfa391870aa6e52e33951534171ceaa5");
    }

    #[test]
    fn every_field_is_covered() {
        let (details, other) = (json!({ "a": 1 }), json!({ "a": 2 }));
        let before = Digest::sha256_of(b"before");
        let whole = entry(&details);
        let hash = chain_hash(Some(&before), &whole);
        for (what, altered) in [
            ("sequence", ChainedEntry { sequence: 8, ..whole }),
            ("id", ChainedEntry { id: 8, ..whole }),
            ("at", ChainedEntry { at_micros: whole.at_micros + 1, ..whole }),
            ("organization", ChainedEntry { organization: None, ..whole }),
            ("actor", ChainedEntry { actor: "user:2", ..whole }),
            ("credential", ChainedEntry { credential: None, ..whole }),
            ("no credential and an empty one", ChainedEntry { credential: Some(""), ..whole }),
            ("address", ChainedEntry { address: None, ..whole }),
            ("action", ChainedEntry { action: "registry.removed", ..whole }),
            ("subject", ChainedEntry { subject: "registry:4", ..whole }),
            ("details", ChainedEntry { details: &other, ..whole }),
            (
                "a byte moved to the next field",
                ChainedEntry { action: "registry.approvedr", subject: "egistry:3", ..whole },
            ),
        ] {
            assert_ne!(chain_hash(Some(&before), &altered), hash, "{what}");
        }
        assert_ne!(chain_hash(None, &whole), hash);
    }
}
