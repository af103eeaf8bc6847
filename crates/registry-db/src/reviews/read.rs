//! The queue, and single reviews.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Bool, Jsonb, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, OrganizationId, ReviewId, UserId, VerdictId, VersionId};
use registry_types::intake::Reason;
use registry_types::names::PackageName;
use registry_types::package::VersionState;
use registry_types::people::TrustTier;
use registry_types::review::{Change, ReviewState};
use registry_types::verdict::Decision;
use serde_json::Value;

use crate::advisories::PlanLine;
use crate::error::stored;
use crate::packages::Viewer;
use crate::paging::{Page, one_more};
use crate::{Connection, DbError, DbResult};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    pub id: ReviewId,
    pub version: VersionId,
    pub organization: OrganizationId,
    pub tier: TrustTier,
    pub package_name: PackageName,
    pub version_number: semver::Version,
    pub version_state: VersionState,
    pub image_reference: Option<String>,
    pub intake: IntakeId,
    /// The verdict that it is about.
    pub verdict: VerdictId,
    /// `None` for packages without an image.
    pub digest: Option<Digest>,
    /// Who published the version: none of them reviews it.
    pub published_by: Vec<UserId>,
    /// Why a person is asked, and what else the verdict tells.
    pub reasons: Vec<Reason>,
    pub warnings: Vec<Reason>,
    pub compared_with: Option<String>,
    pub changes: Vec<Change>,
    pub state: ReviewState,
    pub created_at: DateTime<Utc>,
    pub claimed_by: Option<UserId>,
    pub claimed_at: Option<DateTime<Utc>>,
    pub decided_by: Option<UserId>,
    pub decided_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub settled_at: Option<DateTime<Utc>>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    version_id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    organization_id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    trust_tier: String,
    #[diesel(sql_type = Text)]
    publisher: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    version_state: String,
    #[diesel(sql_type = Nullable<Text>)]
    image_reference: Option<String>,
    #[diesel(sql_type = Uuid)]
    intake_id: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    verdict_id: uuid::Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    digest: Option<String>,
    #[diesel(sql_type = Uuid)]
    published_by: uuid::Uuid,
    #[diesel(sql_type = Uuid)]
    requested_by: uuid::Uuid,
    #[diesel(sql_type = Jsonb)]
    decision: Value,
    #[diesel(sql_type = Nullable<Text>)]
    compared_with: Option<String>,
    #[diesel(sql_type = Jsonb)]
    changes: Value,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    created_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Uuid>)]
    claimed_by: Option<uuid::Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    claimed_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Uuid>)]
    decided_by: Option<uuid::Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    decided_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    settled_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Review {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let decision = serde_json::from_value(row.decision).map_err(|e| DbError::corrupt("decision")(Box::new(e)))?;
        let (reasons, warnings) = match decision {
            Decision::InReview { reasons, warnings } | Decision::Rejected { reasons, warnings, .. } => {
                (reasons, warnings)
            }
            Decision::Active { warnings } => (Vec::new(), warnings),
        };
        Ok(Self {
            id: row.id.into(),
            version: row.version_id.into(),
            organization: row.organization_id.into(),
            tier: stored("trust tier", &row.trust_tier)?,
            package_name: stored("package name", &format!("{}/{}", row.publisher, row.name))?,
            version_number: stored("version", &row.version)?,
            version_state: stored("version state", &row.version_state)?,
            image_reference: row.image_reference,
            intake: row.intake_id.into(),
            verdict: row.verdict_id.into(),
            digest: row.digest.map(|digest| stored("digest", &digest)).transpose()?,
            published_by: vec![row.published_by.into(), row.requested_by.into()],
            reasons,
            warnings,
            compared_with: row.compared_with,
            changes: serde_json::from_value(row.changes).map_err(|e| DbError::corrupt("changes")(Box::new(e)))?,
            state: stored("review state", &row.state)?,
            created_at: row.created_at,
            claimed_by: row.claimed_by.map(Into::into),
            claimed_at: row.claimed_at,
            decided_by: row.decided_by.map(Into::into),
            decided_at: row.decided_at,
            reason: row.reason,
            settled_at: row.settled_at,
        })
    }
}

const REVIEWS: &str = "\
    SELECT r.id, r.version_id, r.organization_id, o.trust_tier, o.slug AS publisher, p.name, v.version, \
        v.state AS version_state, i.image_reference, r.intake_id, r.verdict_id, r.digest, v.published_by, i.requested_by, \
        d.decision, r.compared_with, r.changes, r.state, r.created_at, r.claimed_by, r.claimed_at, r.decided_by, \
        r.decided_at, r.reason, r.settled_at \
    FROM reviews r JOIN versions v ON v.id = r.version_id JOIN packages p ON p.id = v.package_id \
    JOIN organizations o ON o.id = r.organization_id JOIN intakes i ON i.id = r.intake_id \
    JOIN verdicts d ON d.id = r.verdict_id ";

/// What a list is narrowed to; `None` = everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Empty: what waits for a decision.
    pub states: Vec<ReviewState>,
    pub organization: Option<OrganizationId>,
    pub tier: Option<TrustTier>,
    pub package: Option<PackageName>,
    pub claimed_by: Option<UserId>,
}

/// The reviews of versions that this viewer's organizations publish (a superuser's are all), the oldest first, behind the one
/// `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    viewer: &Viewer,
    filter: &Filter,
    after: Option<ReviewId>,
    size: usize,
) -> DbResult<Page<Review, ReviewId>> {
    let rows: Vec<Row> = listed("", viewer, filter, after, size).load(conn).await?;
    let reviews = rows.into_iter().map(TryInto::try_into).collect::<DbResult<Vec<Review>>>()?;
    Ok(Page::from_rows(reviews, size, |last| last.id))
}

fn listed<'a>(
    prefix: &str,
    viewer: &Viewer,
    filter: &'a Filter,
    after: Option<ReviewId>,
    size: usize,
) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    let (all, organizations) = viewer.binds();
    let waiting = [ReviewState::Open, ReviewState::Claimed];
    let states = if filter.states.is_empty() { &waiting[..] } else { &filter.states };
    let states: Vec<&'static str> = states.iter().map(|state| state.as_str()).collect();
    let package = filter.package.as_ref();
    let sql = format!(
        "{prefix}{REVIEWS} WHERE r.state = ANY($1) AND ($2 OR r.organization_id = ANY($3)) \
           AND ($4 IS NULL OR r.organization_id = $4) AND ($5 IS NULL OR o.trust_tier = $5) \
           AND ($6 IS NULL OR (o.slug = $6 AND p.name = $7)) AND ($8 IS NULL OR r.claimed_by = $8) \
           AND ($9 IS NULL OR r.id > $9) ORDER BY r.id LIMIT $10"
    );
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Array<Text>, _>(states)
        .bind::<Bool, _>(all)
        .bind::<Array<Uuid>, _>(organizations)
        .bind::<Nullable<Uuid>, _>(filter.organization.map(|id| id.0))
        .bind::<Nullable<Text>, _>(filter.tier.map(TrustTier::as_str))
        .bind::<Nullable<Text>, _>(package.map(|name| name.publisher.as_str()))
        .bind::<Nullable<Text>, _>(package.map(|name| name.name.as_str()))
        .bind::<Nullable<Uuid>, _>(filter.claimed_by.map(|id| id.0))
        .bind::<Nullable<Uuid>, _>(after.map(|id| id.0))
        .bind::<BigInt, _>(one_more(size))
}

/// How the database carries out [`list`]: one line per step. For the test that holds it to its index.
///
/// # Errors
/// When the database refuses.
pub async fn plan(conn: &mut Connection, viewer: &Viewer, filter: &Filter) -> DbResult<Vec<String>> {
    let lines: Vec<PlanLine> = listed("EXPLAIN (COSTS OFF) ", viewer, filter, None, 50).load(conn).await?;
    Ok(lines.into_iter().map(|line| line.text).collect())
}

/// # Errors
/// [`DbError::NotFound`] when there is no such review, or this viewer may not see it.
pub async fn get(conn: &mut Connection, viewer: &Viewer, id: ReviewId) -> DbResult<Review> {
    let (all, organizations) = viewer.binds();
    let sql = format!("{REVIEWS} WHERE r.id = $1 AND ($2 OR r.organization_id = ANY($3))");
    let row: Row = diesel::sql_query(sql)
        .bind::<Uuid, _>(id.0)
        .bind::<Bool, _>(all)
        .bind::<Array<Uuid>, _>(organizations)
        .get_result(conn)
        .await?;
    row.try_into()
}
