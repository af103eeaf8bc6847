//! How reviews come to be, and how later verdicts take their place.

use diesel::prelude::*;
use diesel::sql_types::Uuid;
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, PackageId, ReviewId, VerdictId, VersionId};
use registry_types::review::Change;
use serde_json::json;

use crate::audit::{self, Actor, Subject};
use crate::schema::reviews;
use crate::{Connection, DbError, DbResult};

/// What a reviewer is shown of a version beside its checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The active version that it was compared with; `None` for a first one.
    pub compared_with: Option<semver::Version>,
    pub changes: Vec<Change>,
}

pub(crate) struct NewReview<'a> {
    pub(crate) version: VersionId,
    pub(crate) organization: OrganizationId,
    pub(crate) intake: IntakeId,
    pub(crate) verdict: VerdictId,
    pub(crate) digest: Option<&'a Digest>,
    pub(crate) entry: &'a Entry,
}

/// In the transaction that writes the verdict.
pub(crate) async fn open(conn: &mut Connection, new: &NewReview<'_>) -> DbResult<ReviewId> {
    let id = ReviewId::new();
    let changes = serde_json::to_value(&new.entry.changes).map_err(|e| DbError::corrupt("changes")(Box::new(e)))?;
    diesel::insert_into(reviews::table)
        .values((
            reviews::id.eq(id.0),
            reviews::version_id.eq(new.version.0),
            reviews::organization_id.eq(new.organization.0),
            reviews::intake_id.eq(new.intake.0),
            reviews::verdict_id.eq(new.verdict.0),
            reviews::digest.eq(new.digest.map(ToString::to_string)),
            reviews::compared_with.eq(new.entry.compared_with.as_ref().map(ToString::to_string)),
            reviews::changes.eq(changes),
        ))
        .execute(conn)
        .await?;
    let details = json!({ "version": new.version, "verdict": new.verdict });
    note(conn, new.organization, id, Actor::Worker, AuditAction::ReviewOpened, details).await?;
    Ok(id)
}

/// What was touched of a review.
#[derive(QueryableByName)]
struct Touched {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    version_id: uuid::Uuid,
}

/// A later verdict stands in the place of the one that the version's review is about, whatever a person has decided that is
/// not written yet: it was decided about another verdict.
pub(crate) async fn supersede(conn: &mut Connection, version: VersionId) -> DbResult<()> {
    let sql = "UPDATE reviews SET state = 'superseded' WHERE version_id = $1 AND settled_at IS NULL AND state <> 'superseded' \
               RETURNING id, organization_id, version_id";
    let superseded: Vec<Touched> = diesel::sql_query(sql).bind::<Uuid, _>(version.0).load(conn).await?;
    note_all(conn, superseded, Actor::Worker, AuditAction::ReviewSuperseded).await
}

/// Nothing of the package waits for a person any more.
pub(crate) async fn supersede_package(conn: &mut Connection, package: PackageId, actor: Actor) -> DbResult<()> {
    let sql = "UPDATE reviews SET state = 'superseded' FROM versions v WHERE v.id = reviews.version_id AND v.package_id = $1 \
               AND reviews.settled_at IS NULL AND reviews.state <> 'superseded' \
               RETURNING reviews.id, reviews.organization_id, reviews.version_id";
    let superseded: Vec<Touched> = diesel::sql_query(sql).bind::<Uuid, _>(package.0).load(conn).await?;
    note_all(conn, superseded, actor, AuditAction::ReviewSuperseded).await
}

async fn note_all(conn: &mut Connection, touched: Vec<Touched>, actor: Actor, action: AuditAction) -> DbResult<()> {
    for review in touched {
        let details = json!({ "version": review.version_id });
        note(conn, review.organization_id.into(), review.id.into(), actor, action, details).await?;
    }
    Ok(())
}

async fn note(
    conn: &mut Connection,
    organization: OrganizationId,
    review: ReviewId,
    actor: Actor,
    action: AuditAction,
    details: serde_json::Value,
) -> DbResult<()> {
    let subject = Subject::Review(review);
    audit::append(conn, audit::Entry { organization: Some(organization), actor, action, subject, details }).await
}

/// Versions that wait for a person without a review: an earlier version of the program left them so.
const OPEN_MISSING: &str = "\
    INSERT INTO reviews (id, version_id, organization_id, intake_id, verdict_id, digest) \
    SELECT gen_random_uuid(), v.id, p.organization_id, d.intake_id, d.id, v.digest \
    FROM versions v JOIN packages p ON p.id = v.package_id \
    JOIN LATERAL (SELECT id, intake_id FROM verdicts WHERE version_id = v.id ORDER BY created_at DESC, id DESC LIMIT 1) d \
        ON true \
    WHERE v.state = 'in_review' \
      AND NOT EXISTS (SELECT FROM reviews r WHERE r.version_id = v.id AND r.settled_at IS NULL AND r.state <> 'superseded') \
    ON CONFLICT DO NOTHING RETURNING id, organization_id, version_id";

/// Opens a review for each version that waits for one and has none. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn open_missing(conn: &mut Connection) -> DbResult<()> {
    let opened: Vec<Touched> = diesel::sql_query(OPEN_MISSING).load(conn).await?;
    note_all(conn, opened, Actor::Worker, AuditAction::ReviewOpened).await
}
