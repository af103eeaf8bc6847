//! Reviews as the API shows them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use registry_db::reviews::Review;
use registry_db::users::Identity;
use registry_db::{Connection, DbResult, users};
use registry_types::ids::UserId;
use registry_types::intake::Reason;
use registry_types::names::Email;
use registry_types::review::Change;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::waivers::Person;

/// A version that waits for a person, or what a person decided about it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReviewItem {
    pub(crate) id: Uuid,
    /// `publisher/name`.
    pub(crate) package: String,
    pub(crate) version: String,
    /// How the version stands now.
    pub(crate) version_state: &'static str,
    /// Trust tier of the publisher.
    pub(crate) tier: &'static str,
    pub(crate) image: Option<String>,
    pub(crate) intake: Uuid,
    /// The verdict that the review is about; a decision names it.
    pub(crate) verdict: Uuid,
    /// The digest that the review is about; null for packages without an image. A decision names it.
    pub(crate) digest: Option<String>,
    /// Why a person is asked.
    #[schema(value_type = Vec<Object>)]
    pub(crate) reasons: Vec<Reason>,
    /// What else the verdict tells, waived findings among it.
    #[schema(value_type = Vec<Object>)]
    pub(crate) warnings: Vec<Reason>,
    /// The active version that it was compared with; null for a first one.
    pub(crate) compared_with: Option<String>,
    /// What differs from that version: `kind` (`network`, `permission`, `resource`, `hook`, `ui`, `signer`,
    /// `waived_finding`), `what`, `before`, `after`, and whether it `grows`.
    #[schema(value_type = Vec<Object>)]
    pub(crate) changes: Vec<Change>,
    /// `open`, `claimed`, `approved`, `rejected` or `superseded` (a later verdict stands).
    pub(crate) state: &'static str,
    pub(crate) created_at: DateTime<Utc>,
    /// Who reviews is shown to reviewers only.
    pub(crate) claimed_by: Option<Person>,
    pub(crate) claimed_at: Option<DateTime<Utc>>,
    pub(crate) decided_by: Option<Person>,
    pub(crate) decided_at: Option<DateTime<Utc>>,
    pub(crate) reason: Option<String>,
    /// When the verdict was written that the decision led to; null before.
    pub(crate) settled_at: Option<DateTime<Utc>>,
}

impl ReviewItem {
    fn new(review: Review, emails: &HashMap<UserId, Email>, shows_people: bool) -> Self {
        let person = |id: Option<UserId>| id.filter(|_| shows_people).map(|id| Person::of(id, emails));
        Self {
            id: review.id.0,
            package: review.package_name.to_string(),
            version: review.version_number.to_string(),
            version_state: review.version_state.as_str(),
            tier: review.tier.as_str(),
            image: review.image_reference,
            intake: review.intake.0,
            verdict: review.verdict.0,
            digest: review.digest.map(|digest| digest.to_string()),
            reasons: review.reasons,
            warnings: review.warnings,
            compared_with: review.compared_with,
            changes: review.changes,
            state: review.state.as_str(),
            created_at: review.created_at,
            claimed_by: person(review.claimed_by),
            claimed_at: review.claimed_at,
            decided_by: person(review.decided_by),
            decided_at: review.decided_at,
            reason: review.reason,
            settled_at: review.settled_at,
        }
    }
}

/// Reviews as this caller may see them.
pub(crate) async fn items(
    conn: &mut Connection,
    identity: &Identity,
    reviews: Vec<Review>,
) -> DbResult<Vec<ReviewItem>> {
    let people = reviews.iter().flat_map(|review| [review.claimed_by, review.decided_by].into_iter().flatten());
    let emails = users::emails(conn, people).await?;
    Ok(reviews.into_iter().map(|review| ReviewItem::new(review, &emails, identity.is_superuser)).collect())
}
