//! Submissions: a version to be taken in.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, RegistryNamespaceId, UserId, VersionId};
use registry_types::image_reference::ImageReference;
use registry_types::intake::IntakeState;
use registry_types::job::JobPayload;
use registry_types::names::{OrganizationSlug, PackageName, PackageSlug};
use registry_types::package::{PackageFormat, VersionState, Visibility};
use registry_types::people::TrustTier;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::audit::{self, Actor, Entry};
use crate::error::stored;
use crate::intakes::{EventKind, insert_event, job_key};
use crate::jobs::{self, Enqueue};
use crate::manifest_signatures::{self, NewManifestSignature};
use crate::prepared::prepared;
use crate::quotas::{self, Exceeded};
use crate::schema::{intakes, organizations, packages, versions};
use crate::{Connection, DbResult, listing, store_settings};

/// A version that an author asks the store to take in.
#[derive(Debug, Clone)]
pub struct NewSubmission {
    pub organization: OrganizationId,
    pub name: PackageSlug,
    pub format: PackageFormat,
    pub version: semver::Version,
    /// Of a new package. An existing one only becomes more visible: `organization` is what clients send by default.
    pub visibility: Visibility,
    /// The package manifest or template document, byte for byte.
    pub package_manifest: Box<RawValue>,
    /// `package-formats`' description of it.
    pub descriptor: Value,
    /// `None` for packages without an image.
    pub image: Option<ImageReference>,
    pub namespace: Option<RegistryNamespaceId>,
    pub requested_by: UserId,
    pub actor: Actor,
    /// Of the publish call: it stands in the log of all that follows.
    pub request_id: String,
    /// How the manifest is signed; `None` for formats that are not.
    pub manifest_signature: Option<NewManifestSignature>,
    /// Of the organization; it chooses the quota.
    pub tier: TrustTier,
}

/// What a submission became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submitted {
    pub package: PackageId,
    pub version: VersionId,
    pub intake: IntakeId,
}

/// Why a submission was not accepted; nothing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The version number was used up.
    VersionExists { state: VersionState },
    /// The version waits for its verdict.
    IntakeInProgress { intake: Option<IntakeId> },
    /// The name belongs to a package of another format.
    OtherFormat { format: PackageFormat },
    /// The organization has as much as it may.
    Quota(Exceeded),
}

/// Accepts a submission: package, version `pending`, intake `queued`, job, audit entry, event. Call in a transaction, and
/// roll back when it is refused.
///
/// Submissions of one organization wait for each other, so that quota and version number are judged on what is there.
///
/// # Errors
/// When the database refuses.
pub async fn submit(conn: &mut Connection, new: &NewSubmission) -> DbResult<Result<Submitted, Refusal>> {
    let publisher = lock_organization(conn, new.organization).await?;
    let name = PackageName { publisher, name: new.name.clone() };
    let quota = store_settings::quota(conn, new.tier).await?;
    if let Some(exceeded) = quotas::exceeded(conn, new.organization, &new.name, &quota).await? {
        return Ok(Err(Refusal::Quota(exceeded)));
    }
    let package = match package(conn, new, &name).await? {
        Ok(package) => package,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let version = match pending_version(conn, new, package).await? {
        Ok(version) => version,
        Err(refusal) => return Ok(Err(refusal)),
    };
    manifest_signatures::record(conn, version, new.manifest_signature).await?;
    let intake = queue_intake(conn, new, version).await?;
    let entry = Entry {
        organization: Some(new.organization),
        actor: new.actor,
        action: AuditAction::VersionSubmitted,
        subject: audit::Subject::Version(version),
        details: json!({
            "intake": intake,
            "package": name.to_string(),
            "version": new.version,
            "image": new.image.as_ref().map(ImageReference::to_string),
            "manifest_key": new.manifest_signature.and_then(|signature| signature.key),
        }),
    };
    audit::append(conn, entry).await?;
    Ok(Ok(Submitted { package, version, intake }))
}

/// Returns its slug: the publisher's part of its packages' names.
pub(crate) async fn lock_organization(
    conn: &mut Connection,
    organization: OrganizationId,
) -> DbResult<OrganizationSlug> {
    let slug: String =
        organizations::table.find(organization.0).select(organizations::slug).for_no_key_update().first(conn).await?;
    stored("organization slug", &slug)
}

/// The package of that name, made if it is new, and made more visible if that is asked.
async fn package(
    conn: &mut Connection,
    new: &NewSubmission,
    name: &PackageName,
) -> DbResult<Result<PackageId, Refusal>> {
    let existing: Option<(uuid::Uuid, String, String, bool)> = packages::table
        .filter(packages::organization_id.eq(new.organization.0))
        .filter(packages::name.eq(new.name.as_str()))
        .select((packages::id, packages::format, packages::visibility, packages::withdrawn_at.is_not_null()))
        .first(conn)
        .await
        .optional()?;
    let Some((id, format, visibility, is_withdrawn)) = existing else {
        let id = insert_package(conn, new).await?;
        let details = json!({ "package": name.to_string(), "format": new.format, "visibility": new.visibility });
        note(conn, new, id, AuditAction::PackageCreated, details).await?;
        return Ok(Ok(id));
    };
    let format: PackageFormat = stored("package format", &format)?;
    if format != new.format {
        return Ok(Err(Refusal::OtherFormat { format }));
    }
    let id = PackageId::from(id);
    if is_withdrawn {
        diesel::update(packages::table.find(id.0))
            .set(packages::withdrawn_at.eq(None::<DateTime<Utc>>))
            .execute(conn)
            .await?;
        note(conn, new, id, AuditAction::PackageReopened, json!({ "package": name.to_string() })).await?;
    }
    if is_wider(new.visibility, stored("visibility", &visibility)?) {
        diesel::update(packages::table.find(id.0))
            .set(packages::visibility.eq(new.visibility.as_str()))
            .execute(conn)
            .await?;
        let details = json!({ "package": name.to_string(), "from": visibility, "to": new.visibility });
        note(conn, new, id, AuditAction::PackageVisibilityChanged, details).await?;
        listing::refresh_listing(conn, id).await?;
    }
    Ok(Ok(id))
}

async fn note(
    conn: &mut Connection,
    new: &NewSubmission,
    package: PackageId,
    action: AuditAction,
    details: serde_json::Value,
) -> DbResult<()> {
    let subject = audit::Subject::Package(package);
    let (organization, actor) = (Some(new.organization), new.actor);
    audit::append(conn, Entry { organization, actor, action, subject, details }).await
}

const fn is_wider(asked: Visibility, current: Visibility) -> bool {
    const fn reach(visibility: Visibility) -> u8 {
        match visibility {
            Visibility::Organization => 0,
            Visibility::Licensed => 1,
            Visibility::Public => 2,
        }
    }
    reach(asked) > reach(current)
}

async fn insert_package(conn: &mut Connection, new: &NewSubmission) -> DbResult<PackageId> {
    let id = PackageId::new();
    diesel::insert_into(packages::table)
        .values((
            packages::id.eq(id.0),
            packages::organization_id.eq(new.organization.0),
            packages::name.eq(new.name.as_str()),
            packages::kind.eq(new.format.kind().as_str()),
            packages::format.eq(new.format.as_str()),
            packages::visibility.eq(new.visibility.as_str()),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// The version in state `pending`: a new one, or a rejected one that is tried again.
async fn pending_version(
    conn: &mut Connection,
    new: &NewSubmission,
    package: PackageId,
) -> DbResult<Result<VersionId, Refusal>> {
    let number = new.version.to_string();
    let existing: Option<(uuid::Uuid, String)> = versions::table
        .filter(versions::package_id.eq(package.0))
        .filter(versions::version.eq(&number))
        .select((versions::id, versions::state))
        .for_update()
        .first(conn)
        .await
        .optional()?;
    let manifest = diesel::dsl::sql::<sql_types::Json>("")
        .bind::<sql_types::Text, _>(new.package_manifest.get().to_owned())
        .sql("::json");
    let content = (
        versions::state.eq(VersionState::Pending.as_str()),
        versions::package_manifest.eq(manifest),
        versions::descriptor.eq(&new.descriptor),
        versions::image_reference.eq(new.image.as_ref().map(ImageReference::to_string)),
        versions::published_by.eq(new.requested_by.0),
    );
    let Some((id, state)) = existing else {
        let id = VersionId::new();
        let insert = diesel::insert_into(versions::table).values((
            versions::id.eq(id.0),
            versions::package_id.eq(package.0),
            versions::version.eq(number),
            content,
        ));
        prepared(insert).execute(conn).await?;
        return Ok(Ok(id));
    };
    let state: VersionState = stored("version state", &state)?;
    if state == VersionState::Pending {
        return Ok(Err(Refusal::IntakeInProgress { intake: open_intake(conn, id).await? }));
    }
    if !state.may_be_republished() {
        return Ok(Err(Refusal::VersionExists { state }));
    }
    diesel::update(versions::table.find(id))
        .set((
            content,
            versions::rejection_code.eq(None::<String>),
            versions::digest.eq(None::<String>),
            versions::media_type.eq(None::<String>),
            versions::size_bytes.eq(None::<i64>),
        ))
        .execute(conn)
        .await?;
    Ok(Ok(id.into()))
}

async fn open_intake(conn: &mut Connection, version: uuid::Uuid) -> DbResult<Option<IntakeId>> {
    let open = [IntakeState::Queued.as_str(), IntakeState::Running.as_str()];
    let id: Option<uuid::Uuid> = intakes::table
        .filter(intakes::version_id.eq(version))
        .filter(intakes::state.eq_any(open))
        .select(intakes::id)
        .first(conn)
        .await
        .optional()?;
    Ok(id.map(Into::into))
}

async fn queue_intake(conn: &mut Connection, new: &NewSubmission, version: VersionId) -> DbResult<IntakeId> {
    let id = IntakeId::new();
    diesel::insert_into(intakes::table)
        .values((
            intakes::id.eq(id.0),
            intakes::version_id.eq(version.0),
            intakes::organization_id.eq(new.organization.0),
            intakes::registry_namespace_id.eq(new.namespace.map(uuid::Uuid::from)),
            intakes::image_reference.eq(new.image.as_ref().map(ImageReference::to_string)),
            intakes::state.eq(IntakeState::Queued.as_str()),
            intakes::requested_by.eq(new.requested_by.0),
        ))
        .execute(conn)
        .await?;
    let how = Enqueue {
        organization: Some(new.organization),
        source_host: new.image.as_ref().map(|image| image.host.clone()),
        request_id: Some(new.request_id.clone()),
        dedup_key: Some(job_key(id)),
        ..Enqueue::default()
    };
    jobs::enqueue(conn, &JobPayload::Intake { intake: id }, how).await?;
    let queued = json!({ "state": IntakeState::Queued, "request_id": new.request_id });
    insert_event(conn, id, EventKind::State, queued).await?;
    Ok(id)
}
