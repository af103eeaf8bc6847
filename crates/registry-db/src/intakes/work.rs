//! The worker's side: load, start, record steps. Every write proves the job's lease first, so that a worker that lost it
//! cannot write any more.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Double, Jsonb, Nullable, Timestamptz, Uuid as SqlUuid};
use diesel::upsert::excluded;
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, RegistryNamespaceId, VersionId};
use registry_types::image_reference::ImageReference;
use registry_types::intake::{CheckResult, IntakeState, IntakeStep};
use registry_types::names::PackageName;
use registry_types::package::PackageFormat;
use registry_types::people::TrustTier;
use registry_types::profile::Profile;
use registry_types::text_enum;
use serde_json::{Value, json};

use crate::error::stored;
use crate::jobs::{self, Lease};
use crate::manifest_signatures::{self, VersionSignature};
use crate::prepared::prepared;
use crate::schema::{intake_checks, intake_steps, intakes, organizations, packages, versions};
use crate::{Connection, DbError, DbResult, durable};

text_enum! {
    /// Kinds of an intake's events, in the words of the server-sent events.
    pub enum EventKind {
        /// `{"state": …}`, with `code` and `reason` when it failed.
        State = "state",
        /// `{"step": …}`: the step that begins.
        Step = "step",
        /// `{"name": …, "outcome": …, "reasons": […]}`.
        Check = "check",
        /// `{"step": "transfer", "done_bytes": n, "total_bytes": n}`.
        Progress = "progress",
        /// `{"decision": "active" | "rejected" | "in_review", "code": …}`: the last event.
        Decided = "decided",
    }
}

/// All that the pipeline must know of an intake.
#[derive(Debug, Clone, PartialEq)]
pub struct IntakeWork {
    pub id: IntakeId,
    pub organization: OrganizationId,
    pub package: PackageId,
    pub package_name: PackageName,
    /// Of its organization; it chooses the path.
    pub tier: TrustTier,
    pub format: PackageFormat,
    pub version: VersionId,
    pub version_number: semver::Version,
    /// The submitted package manifest.
    pub package_manifest: Value,
    /// Who signed it; `None` for formats that are not signed.
    pub manifest_signature: Option<VersionSignature>,
    /// `None` for packages without an image.
    pub image: Option<ImageReference>,
    pub namespace: Option<RegistryNamespaceId>,
    pub state: IntakeState,
    /// Results of the steps that an earlier attempt finished.
    pub steps: HashMap<IntakeStep, Value>,
}

/// What one finished step learned.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRecord {
    pub step: IntakeStep,
    pub started_at: DateTime<Utc>,
    pub finished_at: DateTime<Utc>,
    /// Enough for a restarted intake to go on behind this step.
    pub result: Value,
    pub checks: Vec<CheckResult>,
}

#[derive(Queryable)]
struct WorkRow {
    organization: uuid::Uuid,
    namespace: Option<uuid::Uuid>,
    image: Option<String>,
    state: String,
    version: uuid::Uuid,
    version_number: String,
    package_manifest: Value,
    package: uuid::Uuid,
    name: String,
    format: String,
    publisher: String,
    trust_tier: String,
}

/// # Errors
/// [`DbError::NotFound`] when there is no such intake.
pub async fn load(conn: &mut Connection, id: IntakeId) -> DbResult<IntakeWork> {
    let row: WorkRow = intakes::table
        .inner_join(versions::table.on(versions::id.eq(intakes::version_id)))
        .inner_join(packages::table.on(packages::id.eq(versions::package_id)))
        .inner_join(organizations::table.on(organizations::id.eq(packages::organization_id)))
        .filter(intakes::id.eq(uuid::Uuid::from(id)))
        .select((
            intakes::organization_id,
            intakes::registry_namespace_id,
            intakes::image_reference,
            intakes::state,
            versions::id,
            versions::version,
            versions::package_manifest,
            packages::id,
            packages::name,
            packages::format,
            organizations::slug,
            organizations::trust_tier,
        ))
        .first(conn)
        .await?;
    let steps: Vec<(String, Value)> = intake_steps::table
        .filter(intake_steps::intake_id.eq(uuid::Uuid::from(id)))
        .select((intake_steps::step, intake_steps::result))
        .load(conn)
        .await?;
    let image = row.image.map(|text| stored("image reference", &text));
    let manifest_signature = manifest_signatures::of_version(conn, row.version.into()).await?;
    Ok(IntakeWork {
        manifest_signature,
        id,
        organization: row.organization.into(),
        package: row.package.into(),
        package_name: stored("package name", &format!("{}/{}", row.publisher, row.name))?,
        tier: stored("trust tier", &row.trust_tier)?,
        format: stored("package format", &row.format)?,
        version: row.version.into(),
        version_number: stored("version", &row.version_number)?,
        package_manifest: row.package_manifest,
        image: image.transpose()?,
        namespace: row.namespace.map(Into::into),
        state: stored("intake state", &row.state)?,
        // A step that this program doesn't know is one that it doesn't resume.
        steps: steps.into_iter().filter_map(|(step, result)| Some((step.parse().ok()?, result))).collect(),
    })
}

/// Marks the intake as running, by this worker and under this profile; again after a restart. Call in a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost or the intake has ended.
pub async fn start(conn: &mut Connection, lease: Lease, id: IntakeId, profile: Profile) -> DbResult<()> {
    jobs::assert_held(conn, lease).await?;
    let in_state =
        |state: IntakeState| intakes::table.filter(intakes::id.eq(id.0)).filter(intakes::state.eq(state.as_str()));
    let is_running = diesel::update(in_state(IntakeState::Running)).set(intakes::profile.eq(profile.as_str()));
    if is_running.execute(conn).await? == 1 {
        // An earlier attempt told of it.
        return Ok(());
    }
    let started = diesel::update(in_state(IntakeState::Queued))
        .set((
            intakes::state.eq(IntakeState::Running.as_str()),
            intakes::profile.eq(profile.as_str()),
            intakes::started_at.eq(diesel::dsl::now.into_sql::<Nullable<Timestamptz>>()),
        ))
        .execute(conn)
        .await?;
    if started == 0 {
        return Err(DbError::Stale);
    }
    insert_event(conn, id, EventKind::State, json!({ "state": IntakeState::Running })).await
}

/// For how long the oldest intake under way has been so; `None` when none is.
///
/// # Errors
/// When the database does not answer.
pub async fn longest_running(conn: &mut Connection) -> DbResult<Option<Duration>> {
    #[derive(QueryableByName)]
    struct Age {
        #[diesel(sql_type = Nullable<Double>)]
        seconds: Option<f64>,
    }
    let oldest = "SELECT extract(epoch FROM now() - min(started_at))::float8 AS seconds FROM intakes \
                  WHERE state = 'running'";
    let age: Age = diesel::sql_query(oldest).get_result(conn).await?;
    Ok(age.seconds.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))
}

/// Records finished steps with their checks, and the steps that begin now. Call in a transaction.
///
/// `digest` is the pinned digest, when it has just become known. Its commit waits for the disk: forgotten and pinned anew it
/// could be another one, and what later steps learned would not be about it.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn record_steps(
    conn: &mut Connection,
    lease: Lease,
    id: IntakeId,
    records: &[StepRecord],
    beginning: &[IntakeStep],
    digest: Option<&Digest>,
) -> DbResult<()> {
    jobs::assert_held(conn, lease).await?;
    if digest.is_some() {
        durable(conn).await?;
    }
    upsert_steps(conn, id, records).await?;
    let checks: Vec<_> = records.iter().flat_map(|record| &record.checks).collect();
    record_checks(conn, id, &checks).await?;
    if let Some(step) = beginning.last() {
        diesel::update(intakes::table.filter(intakes::id.eq(id.0)))
            .set((intakes::step.eq(step.as_str()), digest.map(|digest| intakes::digest.eq(digest.to_string()))))
            .execute(conn)
            .await?;
    }
    let events = beginning.iter().map(|step| (EventKind::Step, json!({ "step": step })));
    insert_events(conn, id, events).await
}

/// Adds one event. Call in a transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost.
pub async fn append_event(
    conn: &mut Connection,
    lease: Lease,
    id: IntakeId,
    kind: EventKind,
    data: Value,
) -> DbResult<()> {
    jobs::assert_held(conn, lease).await?;
    insert_event(conn, id, kind, data).await
}

pub(super) async fn upsert_steps(conn: &mut Connection, id: IntakeId, records: &[StepRecord]) -> DbResult<()> {
    let rows: Vec<_> = records
        .iter()
        .map(|record| {
            (
                intake_steps::intake_id.eq(id.0),
                intake_steps::step.eq(record.step.as_str()),
                intake_steps::result.eq(&record.result),
                intake_steps::started_at.eq(record.started_at),
                intake_steps::finished_at.eq(record.finished_at),
            )
        })
        .collect();
    diesel::insert_into(intake_steps::table)
        .values(rows)
        .on_conflict((intake_steps::intake_id, intake_steps::step))
        .do_update()
        .set((
            intake_steps::result.eq(excluded(intake_steps::result)),
            intake_steps::started_at.eq(excluded(intake_steps::started_at)),
            intake_steps::finished_at.eq(excluded(intake_steps::finished_at)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes check results and tells of them.
pub(super) async fn record_checks(conn: &mut Connection, id: IntakeId, checks: &[&CheckResult]) -> DbResult<()> {
    upsert_checks(conn, id, checks).await?;
    insert_events(conn, id, checks.iter().map(|check| (EventKind::Check, check_event(check)))).await
}

async fn upsert_checks(conn: &mut Connection, id: IntakeId, checks: &[&CheckResult]) -> DbResult<()> {
    let rows = checks
        .iter()
        .map(|check| {
            let reasons =
                serde_json::to_value(&check.reasons).map_err(|e| DbError::corrupt("check reasons")(Box::new(e)))?;
            Ok((
                intake_checks::intake_id.eq(id.0),
                intake_checks::name.eq(check.name.as_str()),
                intake_checks::outcome.eq(check.outcome.as_str()),
                intake_checks::reasons.eq(reasons),
                intake_checks::evidence.eq(&check.evidence),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    diesel::insert_into(intake_checks::table)
        .values(rows)
        .on_conflict((intake_checks::intake_id, intake_checks::name))
        .do_update()
        .set((
            intake_checks::outcome.eq(excluded(intake_checks::outcome)),
            intake_checks::reasons.eq(excluded(intake_checks::reasons)),
            intake_checks::evidence.eq(excluded(intake_checks::evidence)),
            intake_checks::recorded_at.eq(diesel::dsl::now),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

fn check_event(check: &CheckResult) -> Value {
    json!({ "name": check.name, "outcome": check.outcome, "reasons": check.reasons })
}

pub(crate) async fn insert_event(conn: &mut Connection, id: IntakeId, kind: EventKind, data: Value) -> DbResult<()> {
    insert_events(conn, id, [(kind, data)]).await
}

/// The intake's row is locked first, until the caller commits: ids then grow in the order of the commits, and whoever has read
/// up to an id has missed nothing below it.
const INSERT_EVENTS: &str = "\
    WITH intake AS (SELECT id FROM intakes WHERE id = $1 FOR NO KEY UPDATE) \
    INSERT INTO intake_events (intake_id, kind, data) \
    SELECT intake.id, event->>'kind', event->'data' \
    FROM intake, jsonb_array_elements($2) WITH ORDINALITY AS events (event, position) ORDER BY position";

async fn insert_events(
    conn: &mut Connection,
    id: IntakeId,
    events: impl IntoIterator<Item = (EventKind, Value)>,
) -> DbResult<()> {
    let events: Vec<_> =
        events.into_iter().map(|(kind, data)| json!({ "kind": kind.as_str(), "data": data })).collect();
    if events.is_empty() {
        return Ok(());
    }
    let insert = diesel::sql_query(INSERT_EVENTS).bind::<SqlUuid, _>(id.0).bind::<Jsonb, _>(Value::from(events));
    prepared(insert).execute(conn).await?;
    Ok(())
}
