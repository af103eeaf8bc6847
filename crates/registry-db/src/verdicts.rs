//! Verdicts: append-only. A version's newest one explains its state.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{IntakeId, ReviewId, VerdictId, VersionId};
use registry_types::intake::CheckResult;
use registry_types::verdict::Decision;

use crate::schema::verdicts;
use crate::{Connection, DbError, DbResult};

/// A decision as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVerdict {
    pub version: VersionId,
    pub intake: IntakeId,
    pub decision: Decision,
    /// The DSSE envelope, exactly as it was signed.
    pub envelope: Vec<u8>,
    /// Which of the store's keys signed.
    pub key_id: String,
    /// `None` for the intake's own verdict.
    pub rejudged: Option<Rejudged>,
    /// The person's review that it rests on.
    pub review: Option<ReviewId>,
}

/// What is different in the verdict on a version that was judged anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejudged {
    pub advisory_snapshot: i64,
    /// Stands in for the intake's own check.
    pub vulnerabilities: CheckResult,
}

/// A stored verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub id: VerdictId,
    pub intake: IntakeId,
    pub decision: Decision,
    pub envelope: Vec<u8>,
    pub key_id: String,
    pub created_at: DateTime<Utc>,
}

/// # Errors
/// `verdicts_own_idx` when the intake already has one of its own.
pub async fn insert(conn: &mut Connection, new: &NewVerdict) -> DbResult<VerdictId> {
    let id = VerdictId::new();
    let decision = serde_json::to_value(&new.decision).map_err(|e| DbError::corrupt("decision")(Box::new(e)))?;
    let rejudged = new.rejudged.as_ref();
    let check = rejudged.map(|rejudged| serde_json::to_value(&rejudged.vulnerabilities));
    let check = check.transpose().map_err(|e| DbError::corrupt("check")(Box::new(e)))?;
    diesel::insert_into(verdicts::table)
        .values((
            verdicts::id.eq(id.0),
            verdicts::version_id.eq(new.version.0),
            verdicts::intake_id.eq(new.intake.0),
            verdicts::decision.eq(decision),
            verdicts::envelope.eq(&new.envelope),
            verdicts::key_id.eq(&new.key_id),
            verdicts::advisory_snapshot.eq(rejudged.map(|rejudged| rejudged.advisory_snapshot)),
            verdicts::vulnerabilities.eq(check),
            verdicts::review_id.eq(new.review.map(uuid::Uuid::from)),
        ))
        .execute(conn)
        .await?;
    Ok(id)
}

/// The newest verdict of a version, if it was ever decided.
///
/// # Errors
/// When the database does not answer.
pub async fn latest(conn: &mut Connection, version: VersionId) -> DbResult<Option<Verdict>> {
    let row: Option<VerdictRow> = verdicts::table
        .filter(verdicts::version_id.eq(version.0))
        .order((verdicts::created_at.desc(), verdicts::id.desc()))
        .select(VerdictRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(TryInto::try_into).transpose()
}

/// The verdict that one intake ended with, if it was decided; not those on its version by later advisories or by a person.
///
/// # Errors
/// When the database does not answer.
pub async fn of_intake(conn: &mut Connection, intake: IntakeId) -> DbResult<Option<Verdict>> {
    let row: Option<VerdictRow> = verdicts::table
        .filter(verdicts::intake_id.eq(intake.0))
        .filter(verdicts::advisory_snapshot.is_null())
        .filter(verdicts::review_id.is_null())
        .select(VerdictRow::as_select())
        .first(conn)
        .await
        .optional()?;
    row.map(TryInto::try_into).transpose()
}

/// The check `vulnerabilities` of the newest verdict by later advisories that rests on this intake, if there is one.
///
/// # Errors
/// When the database does not answer.
pub async fn rejudged_check(conn: &mut Connection, intake: IntakeId) -> DbResult<Option<CheckResult>> {
    let check: Option<Option<serde_json::Value>> = verdicts::table
        .filter(verdicts::intake_id.eq(intake.0))
        .filter(verdicts::advisory_snapshot.is_not_null())
        .order((verdicts::created_at.desc(), verdicts::id.desc()))
        .select(verdicts::vulnerabilities)
        .first(conn)
        .await
        .optional()?;
    let check = check.flatten().map(serde_json::from_value);
    check.transpose().map_err(|e| DbError::corrupt("check")(Box::new(e)))
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = verdicts)]
struct VerdictRow {
    id: uuid::Uuid,
    intake_id: uuid::Uuid,
    decision: serde_json::Value,
    envelope: Vec<u8>,
    key_id: String,
    created_at: DateTime<Utc>,
}

impl TryFrom<VerdictRow> for Verdict {
    type Error = DbError;

    fn try_from(row: VerdictRow) -> DbResult<Self> {
        Ok(Self {
            id: row.id.into(),
            intake: row.intake_id.into(),
            decision: serde_json::from_value(row.decision).map_err(|e| DbError::corrupt("decision")(Box::new(e)))?,
            envelope: row.envelope,
            key_id: row.key_id,
            created_at: row.created_at,
        })
    }
}
