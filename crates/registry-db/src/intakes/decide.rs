//! How an intake ends: one transaction by compare-and-set, under the job's lease.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::advisory::Finding;
use registry_types::audit::AuditAction;
use registry_types::component::Component;
use registry_types::digest::Digest;
use registry_types::ids::{VerdictId, VersionId};
use registry_types::intake::{CheckName, CheckResult, IntakeState};
use registry_types::package::VersionState;
use registry_types::rejection_code::RejectionCode;
use registry_types::verdict::Decision;
use serde_json::json;

use super::work::{EventKind, IntakeWork, StepRecord, insert_event, record_checks, upsert_steps};
use crate::audit::{self, Actor, Entry};
use crate::content::{self, LinkedManifest, NewManifest};
use crate::evidence::SbomFormat;
use crate::jobs::{self, ClaimedJob, Lease};
use crate::reviews::{self, NewReview};
use crate::schema::{components, findings, intake_checks, intakes, version_documents, versions};
use crate::verdicts::{self, NewVerdict};
use crate::waivers::{self, UsedWaiver};
use crate::{Connection, DbError, DbResult, durable, listing, rejudgement};

/// A document of the version that already lies in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub kind: SbomFormat,
    pub digest: Digest,
    pub media_type: String,
    pub size: u64,
}

/// What of a decided version `/v2` may serve once it is active; what is not in `new_manifests` and `new_blobs` is recorded
/// before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewContent {
    /// Digest and media type of the top manifest; `None` for packages without an image.
    pub top: Option<(Digest, String)>,
    /// All distinct blobs and manifests together, in bytes.
    pub size: u64,
    pub manifests: Vec<LinkedManifest>,
    pub blobs: Vec<Digest>,
    pub new_manifests: Vec<NewManifest>,
    /// With their sizes in bytes; they lie in the object store.
    pub new_blobs: Vec<(Digest, u64)>,
}

/// Everything that a decided intake leaves behind.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub verdict: NewVerdict,
    /// Steps that only compute, and their checks: they were not recorded before.
    pub steps: Vec<StepRecord>,
    pub checks: Vec<CheckResult>,
    /// Checks that were recorded with their step.
    pub recorded: Vec<CheckName>,
    pub content: NewContent,
    pub components: Vec<Component>,
    pub findings: Vec<Finding>,
    /// The advisory snapshot that the findings rest on; `None` when nothing was matched.
    pub advisory_snapshot: Option<i64>,
    /// The waivers that the verdict rests on.
    pub waivers: Vec<UsedWaiver>,
    pub documents: Vec<Document>,
    /// What a reviewer is shown, should the decision be left to one.
    pub entry: reviews::Entry,
}

/// Ends an intake with its decision. Call in a transaction; nothing of it is visible before.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost, when the version or the intake is no longer in the state it was worked on in,
/// when a waiver is over that the verdict rests on, or when a crash of the database has forgotten a step: another attempt
/// takes it again.
pub async fn decide(conn: &mut Connection, lease: Lease, work: &IntakeWork, ending: &Ending) -> DbResult<()> {
    durable(conn).await?;
    jobs::finish(conn, lease).await?;
    if !waivers::hold(conn, &ending.waivers).await? {
        return Err(DbError::Stale);
    }
    settle_version(conn, work, ending).await?;
    settle_intake(conn, work, ending).await?;
    demand_recorded(conn, work, &ending.recorded).await?;
    replace_scan_results(conn, work.version, ending).await?;
    replace_content(conn, work, ending).await?;
    upsert_steps(conn, work.id, &ending.steps).await?;
    record_checks(conn, work.id, &ending.checks.iter().collect::<Vec<_>>()).await?;
    let verdict = verdicts::insert(conn, &ending.verdict).await?;
    open_review(conn, work, ending, verdict).await?;
    waivers::note_used(conn, work.version, &ending.waivers).await?;
    note(conn, work, Actor::Worker, AuditAction::VersionDecided, decided_details(&ending.verdict.decision)).await?;
    insert_event(conn, work.id, EventKind::Decided, outcome_details(&ending.verdict.decision)).await?;
    rejudgement::note_scan(conn, work.version, ending.advisory_snapshot).await?;
    match &ending.verdict.decision {
        // Last: it holds locks that other packages' decisions wait for.
        Decision::Active { .. } => listing::refresh_listing(conn, work.package).await,
        Decision::Rejected { .. } | Decision::InReview { .. } => Ok(()),
    }
}

async fn open_review(conn: &mut Connection, work: &IntakeWork, ending: &Ending, verdict: VerdictId) -> DbResult<()> {
    match &ending.verdict.decision {
        Decision::InReview { .. } => {
            let digest = ending.content.top.as_ref().map(|(digest, _)| digest);
            let (version, organization, intake, entry) = (work.version, work.organization, work.id, &ending.entry);
            reviews::open(conn, &NewReview { version, organization, intake, verdict, digest, entry }).await?;
            Ok(())
        }
        Decision::Active { .. } | Decision::Rejected { .. } => Ok(()),
    }
}

/// Ends an intake that could not be carried out; its version number may be published again. Gives up the job. Call in a
/// transaction.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost or the intake has already ended.
pub async fn fail(
    conn: &mut Connection,
    job: &ClaimedJob,
    work: &IntakeWork,
    code: RejectionCode,
    reason: &str,
    error: &str,
) -> DbResult<()> {
    durable(conn).await?;
    jobs::fail(conn, job, error).await?;
    let audit_details = json!({ "state": IntakeState::Failed, "code": code, "reason": reason });
    let end = End { code, reason, action: AuditAction::IntakeFailed, actor: Actor::Worker, audit_details };
    end_without_verdict(conn, work, end).await
}

/// Why an intake ends without a verdict, and who ended it.
pub(super) struct End<'a> {
    pub(super) code: RejectionCode,
    /// For people.
    pub(super) reason: &'a str,
    pub(super) action: AuditAction,
    pub(super) actor: Actor,
    pub(super) audit_details: serde_json::Value,
}

/// The version's number may be published again. The intake's job must have been taken from the queue before, in the same
/// transaction.
///
/// # Errors
/// [`DbError::Stale`] when the intake has already ended.
pub(super) async fn end_without_verdict(conn: &mut Connection, work: &IntakeWork, end: End<'_>) -> DbResult<()> {
    let version = versions::table
        .filter(versions::id.eq(work.version.0))
        .filter(versions::state.eq(VersionState::Pending.as_str()));
    changed(
        diesel::update(version)
            .set((
                versions::state.eq(VersionState::Rejected.as_str()),
                versions::rejection_code.eq(Some(end.code.as_str())),
            ))
            .execute(conn)
            .await?,
    )?;
    let open = [IntakeState::Queued.as_str(), IntakeState::Running.as_str()];
    let intake = intakes::table.filter(intakes::id.eq(work.id.0)).filter(intakes::state.eq_any(open));
    changed(
        diesel::update(intake)
            .set((
                intakes::state.eq(IntakeState::Failed.as_str()),
                intakes::failure_code.eq(Some(end.code.as_str())),
                intakes::failure_reason.eq(Some(end.reason)),
                intakes::finished_at.eq(nullable_now()),
            ))
            .execute(conn)
            .await?,
    )?;
    let event = json!({ "state": IntakeState::Failed, "code": end.code, "reason": end.reason });
    note(conn, work, end.actor, end.action, end.audit_details).await?;
    insert_event(conn, work.id, EventKind::State, event).await
}

/// The version's new state and, for a refusal, its code.
const fn state_of(decision: &Decision) -> (VersionState, Option<RejectionCode>) {
    match decision {
        Decision::Active { .. } => (VersionState::Active, None),
        Decision::Rejected { code, .. } => (VersionState::Rejected, Some(*code)),
        Decision::InReview { .. } => (VersionState::InReview, None),
    }
}

fn outcome_details(decision: &Decision) -> serde_json::Value {
    let (state, code) = state_of(decision);
    json!({ "decision": state, "code": code })
}

fn decided_details(decision: &Decision) -> serde_json::Value {
    let (state, code) = state_of(decision);
    json!({ "from": VersionState::Pending, "to": state, "code": code })
}

async fn settle_version(conn: &mut Connection, work: &IntakeWork, ending: &Ending) -> DbResult<()> {
    let (state, code) = state_of(&ending.verdict.decision);
    let activated_at: Option<DateTime<Utc>> = (state == VersionState::Active).then(Utc::now);
    let top = ending.content.top.as_ref();
    let size = i64::try_from(ending.content.size).map_err(|e| DbError::corrupt("size")(Box::new(e)))?;
    let version = versions::table
        .filter(versions::id.eq(work.version.0))
        .filter(versions::state.eq(VersionState::Pending.as_str()));
    changed(
        diesel::update(version)
            .set((
                versions::state.eq(state.as_str()),
                versions::rejection_code.eq(code.map(RejectionCode::as_str)),
                versions::digest.eq(top.map(|(digest, _)| digest.to_string())),
                versions::media_type.eq(top.map(|(_, media_type)| media_type.clone())),
                versions::size_bytes.eq(top.map(|_| size)),
                versions::activated_at.eq(activated_at),
            ))
            .execute(conn)
            .await?,
    )
}

async fn settle_intake(conn: &mut Connection, work: &IntakeWork, ending: &Ending) -> DbResult<()> {
    let (state, code) = state_of(&ending.verdict.decision);
    let reason = match &ending.verdict.decision {
        Decision::Active { .. } => None,
        Decision::Rejected { reasons, .. } | Decision::InReview { reasons, .. } => {
            reasons.as_slice().first().map(|reason| reason.message.clone())
        }
    };
    let intake =
        intakes::table.filter(intakes::id.eq(work.id.0)).filter(intakes::state.eq(IntakeState::Running.as_str()));
    changed(
        diesel::update(intake)
            .set((
                intakes::state.eq(IntakeState::Decided.as_str()),
                intakes::step.eq(None::<String>),
                intakes::outcome.eq(Some(state.as_str())),
                intakes::failure_code.eq(code.map(RejectionCode::as_str)),
                intakes::failure_reason.eq(reason),
                intakes::digest.eq(ending.content.top.as_ref().map(|(digest, _)| digest.to_string())),
                intakes::finished_at.eq(nullable_now()),
            ))
            .execute(conn)
            .await?,
    )
}

async fn demand_recorded(conn: &mut Connection, work: &IntakeWork, names: &[CheckName]) -> DbResult<()> {
    let of_intake = intake_checks::table.filter(intake_checks::intake_id.eq(work.id.0));
    let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    let expected = names.len() as i64;
    let recorded: i64 = of_intake.filter(intake_checks::name.eq_any(names)).count().get_result(conn).await?;
    if recorded == expected { Ok(()) } else { Err(DbError::Stale) }
}

/// Components, findings and documents: those of an earlier, rejected intake of the same version go.
async fn replace_scan_results(conn: &mut Connection, version: VersionId, ending: &Ending) -> DbResult<()> {
    diesel::delete(components::table.filter(components::version_id.eq(version.0))).execute(conn).await?;
    diesel::delete(version_documents::table.filter(version_documents::version_id.eq(version.0))).execute(conn).await?;
    insert_components(conn, version, &ending.components).await?;
    replace_findings(conn, version, &ending.findings).await?;
    let documents = ending
        .documents
        .iter()
        .map(|document| {
            let size = i64::try_from(document.size).map_err(|e| DbError::corrupt("size")(Box::new(e)))?;
            Ok((
                version_documents::version_id.eq(version.0),
                version_documents::kind.eq(document.kind.as_str()),
                version_documents::digest.eq(document.digest.to_string()),
                version_documents::media_type.eq(&document.media_type),
                version_documents::size_bytes.eq(size),
            ))
        })
        .collect::<DbResult<Vec<_>>>()?;
    diesel::insert_into(version_documents::table).values(documents).execute(conn).await?;
    Ok(())
}

/// One statement with one bind for any number of rows: an image may hold more than a statement has parameters for.
async fn insert_components(conn: &mut Connection, version: VersionId, rows: &[Component]) -> DbResult<()> {
    let json = serde_json::to_value(rows).map_err(|e| DbError::corrupt("components")(Box::new(e)))?;
    diesel::sql_query(
        "INSERT INTO components (version_id, ordinal, purl, ecosystem, name, source_name, component) \
         SELECT $1, (position - 1)::int, c->>'purl', c->>'ecosystem', c->>'name', c->>'source_name', c \
         FROM jsonb_array_elements($2) WITH ORDINALITY AS rows (c, position)",
    )
    .bind::<sql_types::Uuid, _>(version.0)
    .bind::<sql_types::Jsonb, _>(json)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn replace_findings(conn: &mut Connection, version: VersionId, rows: &[Finding]) -> DbResult<()> {
    diesel::delete(findings::table.filter(findings::version_id.eq(version.0))).execute(conn).await?;
    let json = serde_json::to_value(rows).map_err(|e| DbError::corrupt("findings")(Box::new(e)))?;
    diesel::sql_query(
        "INSERT INTO findings (version_id, ordinal, advisory, severity, purl, finding) \
         SELECT $1, (position - 1)::int, f->>'advisory', f->>'severity', f->>'purl', f \
         FROM jsonb_array_elements($2) WITH ORDINALITY AS rows (f, position)",
    )
    .bind::<sql_types::Uuid, _>(version.0)
    .bind::<sql_types::Jsonb, _>(json)
    .execute(conn)
    .await?;
    Ok(())
}

/// A rejected version serves nothing, and its bytes may be removed when nobody else holds them.
async fn replace_content(conn: &mut Connection, work: &IntakeWork, ending: &Ending) -> DbResult<()> {
    let content = &ending.content;
    match &ending.verdict.decision {
        Decision::Active { .. } | Decision::InReview { .. } => {
            content::insert_blobs(conn, &content.new_blobs).await?;
            content::insert_manifests(conn, &content.new_manifests).await?;
            content::link_version(conn, work.version, &content.manifests, &content.blobs).await
        }
        Decision::Rejected { .. } => content::unlink_version(conn, work.version).await,
    }
}

async fn note(
    conn: &mut Connection,
    work: &IntakeWork,
    actor: Actor,
    action: AuditAction,
    details: serde_json::Value,
) -> DbResult<()> {
    let mut details = details;
    details["package"] = json!(work.package_name.to_string());
    details["version"] = json!(work.version_number);
    details["intake"] = json!(work.id);
    let subject = audit::Subject::Version(work.version);
    audit::append(conn, Entry { organization: Some(work.organization), actor, action, subject, details }).await
}

fn nullable_now() -> diesel::helper_types::AsExprOf<diesel::dsl::now, sql_types::Nullable<sql_types::Timestamptz>> {
    diesel::dsl::now.into_sql::<sql_types::Nullable<sql_types::Timestamptz>>()
}

const fn changed(rows: usize) -> DbResult<()> {
    if rows == 0 { Err(DbError::Stale) } else { Ok(()) }
}
