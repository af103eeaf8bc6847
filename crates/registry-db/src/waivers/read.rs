//! Waivers as they stand.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::advisory::Finding;
use registry_types::digest::Digest;
use registry_types::ids::{OrganizationId, UserId, VersionId, WaiverId};
use registry_types::names::PackageSlug;
use registry_types::package::VersionState;
use registry_types::waiver::{AdvisoryId, ComponentRange, ComponentVersions, Statement, WaiverReason, WaiverState};
use semver::VersionReq;

use crate::error::stored;
use crate::paging::{Page, one_more};
use crate::schema::{packages, version_waivers, versions, waivers};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiver {
    pub id: WaiverId,
    pub organization: OrganizationId,
    /// `None`: every package of the organization.
    pub package: Option<PackageSlug>,
    /// `None`: every version.
    pub versions: Option<VersionReq>,
    pub advisory: AdvisoryId,
    pub component: ComponentRange,
    pub reason: WaiverReason,
    pub statement: Statement,
    /// As it was settled last; see [`Waiver::is_in_force`].
    pub state: WaiverState,
    pub asked_by: UserId,
    pub asked_at: DateTime<Utc>,
    /// Who approved or refused it.
    pub decided_by: Option<UserId>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decision_note: Option<String>,
    pub withdrawn_by: Option<UserId>,
    pub withdrawn_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub warned_at: Option<DateTime<Utc>>,
}

impl Waiver {
    /// Whether it counts at this moment: approved, and before its expiry, not at it.
    #[must_use]
    pub fn is_in_force(&self, at: DateTime<Utc>) -> bool {
        self.state == WaiverState::Approved && at < self.expires_at
    }

    /// Whether it speaks about this version of this package of its organization.
    #[must_use]
    pub fn concerns(&self, package: &PackageSlug, version: &semver::Version) -> bool {
        self.package.as_ref().is_none_or(|own| own == package)
            && self.versions.as_ref().is_none_or(|range| range.matches(version))
    }

    /// Whether the finding is about its advisory, under whichever id. The component is another question.
    #[must_use]
    pub fn names(&self, finding: &Finding) -> bool {
        self.advisory.names(finding)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = waivers)]
pub(super) struct Row {
    id: uuid::Uuid,
    organization_id: uuid::Uuid,
    package_name: Option<String>,
    version_range: Option<String>,
    advisory: String,
    component: String,
    component_version: Option<String>,
    component_from: Option<String>,
    component_before: Option<String>,
    reason: String,
    statement: String,
    state: String,
    asked_by: uuid::Uuid,
    asked_at: DateTime<Utc>,
    decided_by: Option<uuid::Uuid>,
    decided_at: Option<DateTime<Utc>>,
    decision_note: Option<String>,
    withdrawn_by: Option<uuid::Uuid>,
    withdrawn_at: Option<DateTime<Utc>>,
    expires_at: DateTime<Utc>,
    warned_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Waiver {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let package = stored("component", &row.component)?;
        let component = ComponentRange::new(package, row.component_version, row.component_from, row.component_before)
            .map_err(|e| DbError::corrupt("component range")(Box::new(e)))?;
        Ok(Self {
            id: row.id.into(),
            organization: row.organization_id.into(),
            package: row.package_name.map(|name| stored("package name", &name)).transpose()?,
            versions: row.version_range.map(|range| stored("version range", &range)).transpose()?,
            advisory: stored("advisory", &row.advisory)?,
            component,
            reason: stored("waiver reason", &row.reason)?,
            statement: stored("statement", &row.statement)?,
            state: stored("waiver state", &row.state)?,
            asked_by: row.asked_by.into(),
            asked_at: row.asked_at,
            decided_by: row.decided_by.map(Into::into),
            decided_at: row.decided_at,
            decision_note: row.decision_note,
            withdrawn_by: row.withdrawn_by.map(Into::into),
            withdrawn_at: row.withdrawn_at,
            expires_at: row.expires_at,
            warned_at: row.warned_at,
        })
    }
}

pub(super) fn parsed(rows: Vec<Row>) -> DbResult<Vec<Waiver>> {
    rows.into_iter().map(TryInto::try_into).collect()
}

/// The columns of a component range: version, from, before.
pub(super) fn bounds(versions: &ComponentVersions) -> (Option<&str>, Option<&str>, Option<&str>) {
    match versions {
        ComponentVersions::All => (None, None, None),
        ComponentVersions::Exactly(version) => (Some(version), None, None),
        ComponentVersions::Between { from, before } => (None, from.as_deref(), before.as_deref()),
    }
}

/// # Errors
/// [`DbError::NotFound`] when the organization has no such waiver.
pub async fn get(conn: &mut Connection, organization: OrganizationId, id: WaiverId) -> DbResult<Waiver> {
    let row: Row = waivers::table
        .filter(waivers::id.eq(id.0))
        .filter(waivers::organization_id.eq(organization.0))
        .select(Row::as_select())
        .first(conn)
        .await?;
    row.try_into()
}

/// What a list is narrowed to; `None` = everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub state: Option<WaiverState>,
    pub package: Option<PackageSlug>,
    pub advisory: Option<AdvisoryId>,
}

/// The organization's waivers, the newest first, behind the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    filter: &Filter,
    after: Option<WaiverId>,
    size: usize,
) -> DbResult<Page<Waiver, WaiverId>> {
    // Ids are time-ordered.
    let mut query = waivers::table.filter(waivers::organization_id.eq(organization.0)).into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(waivers::state.eq(state.as_str()));
    }
    if let Some(package) = &filter.package {
        query = query.filter(waivers::package_name.eq(package.as_str()));
    }
    if let Some(advisory) = &filter.advisory {
        query = query.filter(waivers::advisory.eq(advisory.as_str()));
    }
    if let Some(after) = after {
        query = query.filter(waivers::id.lt(after.0));
    }
    let rows: Vec<Row> =
        query.order(waivers::id.desc()).limit(one_more(size)).select(Row::as_select()).load(conn).await?;
    Ok(Page::from_rows(parsed(rows)?, size, |last| last.id))
}

/// The organization's waivers that wait or are in force.
///
/// # Errors
/// When the database does not answer.
pub async fn open(conn: &mut Connection, organization: OrganizationId) -> DbResult<Vec<Waiver>> {
    let open = [WaiverState::Asked.as_str(), WaiverState::Approved.as_str()];
    let rows: Vec<Row> = waivers::table
        .filter(waivers::organization_id.eq(organization.0))
        .filter(waivers::state.eq_any(open))
        .select(Row::as_select())
        .load(conn)
        .await?;
    parsed(rows)
}

/// How many of the organization's waivers wait or are in force.
///
/// # Errors
/// When the database does not answer.
pub async fn count_open(conn: &mut Connection, organization: OrganizationId) -> DbResult<i64> {
    let open = [WaiverState::Asked.as_str(), WaiverState::Approved.as_str()];
    Ok(waivers::table
        .filter(waivers::organization_id.eq(organization.0))
        .filter(waivers::state.eq_any(open))
        .count()
        .get_result(conn)
        .await?)
}

/// The versions whose newest verdict rests on a waiver.
///
/// # Errors
/// When the database does not answer.
pub async fn versions_using(conn: &mut Connection, waiver: WaiverId) -> DbResult<Vec<VersionId>> {
    let ids: Vec<uuid::Uuid> = version_waivers::table
        .filter(version_waivers::waiver_id.eq(waiver.0))
        .order(version_waivers::version_id)
        .select(version_waivers::version_id)
        .load(conn)
        .await?;
    Ok(ids.into_iter().map(Into::into).collect())
}

/// A version whose newest verdict rests on a waiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestingVersion {
    pub waiver: WaiverId,
    pub package: PackageSlug,
    pub number: semver::Version,
    pub digest: Digest,
}

/// The active versions of an organization whose newest verdict rests on a waiver.
///
/// # Errors
/// When the database does not answer.
pub async fn resting_on(conn: &mut Connection, organization: OrganizationId) -> DbResult<Vec<RestingVersion>> {
    let rows: Vec<(uuid::Uuid, String, String, Option<String>)> = version_waivers::table
        .inner_join(versions::table.on(versions::id.eq(version_waivers::version_id)))
        .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
        .filter(packages::organization_id.eq(organization.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .filter(versions::digest.is_not_null())
        .order((packages::name, versions::id))
        .select((version_waivers::waiver_id, packages::name, versions::version, versions::digest))
        .load(conn)
        .await?;
    let resting = |(waiver, package, number, digest): (uuid::Uuid, String, String, Option<String>)| {
        Ok(RestingVersion {
            waiver: waiver.into(),
            package: stored("package name", &package)?,
            number: stored("version", &number)?,
            digest: stored("digest", &digest.unwrap_or_default())?,
        })
    };
    rows.into_iter().map(resting).collect()
}
