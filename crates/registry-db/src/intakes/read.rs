//! What people see of intakes. Whether the caller may see one is the caller's question: each carries its organization.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, VersionId};
use registry_types::intake::{CheckResult, IntakeState, IntakeStep};
use registry_types::names::PackageName;
use registry_types::package::VersionState;
use registry_types::profile::Profile;
use registry_types::rejection_code::RejectionCode;
use serde_json::Value;

use super::work::EventKind;
use crate::error::stored;
use crate::schema::{intake_checks, intake_events, intake_steps, intakes, organizations, packages, versions};
use crate::{Connection, DbError, DbResult};

/// One intake in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct IntakeSummary {
    pub id: IntakeId,
    pub organization: OrganizationId,
    pub package: PackageId,
    pub package_name: PackageName,
    pub version: VersionId,
    pub version_number: String,
    /// What the author wrote; `None` for packages without an image.
    pub image_reference: Option<String>,
    pub state: IntakeState,
    pub step: Option<IntakeStep>,
    /// What the store pinned.
    pub digest: Option<Digest>,
    pub profile: Option<Profile>,
    /// `active`, `rejected` or `in_review` once decided.
    pub outcome: Option<String>,
    /// How the version stands now, which is more than the intake's outcome when it was decided again since.
    pub version_state: VersionState,
    /// Why the version is rejected or quarantined.
    pub version_code: Option<RejectionCode>,
    pub failure_code: Option<RejectionCode>,
    pub failure_reason: Option<String>,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

/// One intake with its checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Intake {
    pub summary: IntakeSummary,
    pub checks: Vec<CheckResult>,
}

/// When a finished step was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepTiming {
    pub step: IntakeStep,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
}

/// One event of an intake; ids grow.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub id: i64,
    pub kind: EventKind,
    pub data: Value,
    pub at: DateTime<Utc>,
}

/// # Errors
/// [`DbError::NotFound`] when there is no such intake.
pub async fn get(conn: &mut Connection, id: IntakeId) -> DbResult<Intake> {
    let row: SummaryRow = summaries().filter(intakes::id.eq(id.0)).select(SummaryRow::as_select()).first(conn).await?;
    Ok(Intake { summary: row.try_into()?, checks: checks(conn, id).await? })
}

/// The newest intake of a version: the one that explains its state.
///
/// # Errors
/// When the database does not answer.
pub async fn latest_of_version(conn: &mut Connection, version: VersionId) -> DbResult<Option<Intake>> {
    let id: Option<uuid::Uuid> = intakes::table
        .filter(intakes::version_id.eq(version.0))
        .order((intakes::created_at.desc(), intakes::id.desc()))
        .select(intakes::id)
        .first(conn)
        .await
        .optional()?;
    match id {
        Some(id) => get(conn, id.into()).await.map(Some),
        None => Ok(None),
    }
}

/// An organization's intakes, newest first, those after `cursor` (the last seen one's time and id).
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    cursor: Option<(DateTime<Utc>, IntakeId)>,
    limit: i64,
) -> DbResult<Vec<IntakeSummary>> {
    let rows: Vec<SummaryRow> = match cursor {
        None => {
            summaries()
                .filter(intakes::organization_id.eq(organization.0))
                .order((intakes::created_at.desc(), intakes::id.desc()))
                .limit(limit)
                .select(SummaryRow::as_select())
                .load(conn)
                .await?
        }
        Some((at, id)) => {
            summaries()
                .filter(intakes::organization_id.eq(organization.0))
                .filter(intakes::created_at.lt(at).or(intakes::created_at.eq(at).and(intakes::id.lt(id.0))))
                .order((intakes::created_at.desc(), intakes::id.desc()))
                .limit(limit)
                .select(SummaryRow::as_select())
                .load(conn)
                .await?
        }
    };
    rows.into_iter().map(TryInto::try_into).collect()
}

/// An intake's check results, in the order of the pipeline.
///
/// # Errors
/// When the database does not answer.
pub async fn checks(conn: &mut Connection, id: IntakeId) -> DbResult<Vec<CheckResult>> {
    let rows: Vec<(String, String, Value, Value)> = intake_checks::table
        .filter(intake_checks::intake_id.eq(id.0))
        .select((intake_checks::name, intake_checks::outcome, intake_checks::reasons, intake_checks::evidence))
        .load(conn)
        .await?;
    let mut checks = rows
        .into_iter()
        .map(|(name, outcome, reasons, evidence)| {
            Ok(CheckResult {
                name: stored("check name", &name)?,
                outcome: stored("check outcome", &outcome)?,
                reasons: serde_json::from_value(reasons).map_err(|e| DbError::corrupt("check reasons")(Box::new(e)))?,
                evidence,
            })
        })
        .collect::<DbResult<Vec<_>>>()?;
    checks.sort_by_key(|check| check.name);
    Ok(checks)
}

/// The finished steps of an intake, in the order of the pipeline.
///
/// # Errors
/// When the database does not answer.
pub async fn steps(conn: &mut Connection, id: IntakeId) -> DbResult<Vec<StepTiming>> {
    let rows: Vec<(String, DateTime<Utc>, DateTime<Utc>)> = intake_steps::table
        .filter(intake_steps::intake_id.eq(id.0))
        .select((intake_steps::step, intake_steps::started_at, intake_steps::finished_at))
        .load(conn)
        .await?;
    let mut steps = rows
        .into_iter()
        .map(|(step, started_at, finished_at)| {
            Ok(StepTiming { step: stored("intake step", &step)?, started_at, finished_at })
        })
        .collect::<DbResult<Vec<_>>>()?;
    steps.sort_by_key(|timing| timing.step);
    Ok(steps)
}

/// Events with an id above `after`, oldest first.
///
/// # Errors
/// When the database does not answer.
pub async fn events_after(conn: &mut Connection, id: IntakeId, after: i64, limit: i64) -> DbResult<Vec<Event>> {
    let rows: Vec<(i64, String, Value, DateTime<Utc>)> = intake_events::table
        .filter(intake_events::intake_id.eq(id.0))
        .filter(intake_events::id.gt(after))
        .order(intake_events::id)
        .limit(limit)
        .select((intake_events::id, intake_events::kind, intake_events::data, intake_events::at))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(id, kind, data, at)| Ok(Event { id, kind: stored("event kind", &kind)?, data, at }))
        .collect()
}

#[diesel::dsl::auto_type]
fn summaries() -> _ {
    intakes::table
        .inner_join(versions::table.on(versions::id.eq(intakes::version_id)))
        .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
        .inner_join(organizations::table.on(organizations::id.eq(packages::organization_id)))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = intakes)]
struct SummaryRow {
    id: uuid::Uuid,
    organization_id: uuid::Uuid,
    #[diesel(select_expression = packages::id)]
    package_id: uuid::Uuid,
    #[diesel(select_expression = packages::name)]
    name: String,
    #[diesel(select_expression = organizations::slug)]
    publisher: String,
    version_id: uuid::Uuid,
    #[diesel(select_expression = versions::version)]
    version_number: String,
    image_reference: Option<String>,
    state: String,
    step: Option<String>,
    digest: Option<String>,
    profile: Option<String>,
    outcome: Option<String>,
    #[diesel(select_expression = versions::state)]
    version_state: String,
    #[diesel(select_expression = versions::rejection_code)]
    version_code: Option<String>,
    failure_code: Option<String>,
    failure_reason: Option<String>,
    created_at: DateTime<Utc>,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<SummaryRow> for IntakeSummary {
    type Error = DbError;

    fn try_from(row: SummaryRow) -> DbResult<Self> {
        Ok(Self {
            id: row.id.into(),
            organization: row.organization_id.into(),
            package: row.package_id.into(),
            package_name: stored("package name", &format!("{}/{}", row.publisher, row.name))?,
            version: row.version_id.into(),
            version_number: row.version_number,
            image_reference: row.image_reference,
            state: stored("intake state", &row.state)?,
            step: row.step.map(|text| stored("intake step", &text)).transpose()?,
            digest: row.digest.map(|text| stored("digest", &text)).transpose()?,
            profile: row.profile.map(|text| stored("profile", &text)).transpose()?,
            outcome: row.outcome,
            version_state: stored("version state", &row.version_state)?,
            version_code: row.version_code.map(|text| stored("rejection code", &text)).transpose()?,
            failure_code: row.failure_code.map(|text| stored("rejection code", &text)).transpose()?,
            failure_reason: row.failure_reason,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        })
    }
}
