//! `GET /v1/modules/publish/{id}`: an intake in the words of the HLA-Compass client.

use actix_web::{get, web};
use chrono::{DateTime, Utc};
use registry_db::intakes::IntakeSummary;
use registry_types::ids::IntakeId;
use registry_types::intake::IntakeState;
use registry_types::package::VersionState;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::intakes::own_intake;
use crate::problem::{Problem, Problems};
use crate::rights::Authenticated;
use crate::state::AppState;

/// How a publish stands. `status` and `state` say the same in the words of two client generations.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishStatus {
    publish_id: Uuid,
    module_id: Uuid,
    /// `publisher/name`.
    package: String,
    version: String,
    /// `in_progress`, `completed` or `failed`.
    status: &'static str,
    /// `SUBMITTED`, `APPROVED` or `REJECTED`.
    state: &'static str,
    /// The step that is being carried out.
    current_phase: Option<&'static str>,
    /// The step that failed.
    failure_phase: Option<&'static str>,
    /// `CODE: text`.
    failure_reason: Option<String>,
    message: String,
    image: Option<String>,
    digest: Option<String>,
    start_time: DateTime<Utc>,
    end_time: Option<DateTime<Utc>>,
    /// The intake with every check and its evidence.
    intake_url: String,
}

impl From<IntakeSummary> for PublishStatus {
    fn from(intake: IntakeSummary) -> Self {
        let standing = Standing::of(&intake);
        let step = intake.step.map(registry_types::intake::IntakeStep::as_str);
        let failure_reason = match standing {
            Standing::Failed => Some(failure_reason(&intake)),
            Standing::UnderWay | Standing::InReview | Standing::Active => None,
        };
        Self {
            publish_id: intake.id.0,
            module_id: intake.package.0,
            package: intake.package_name.to_string(),
            version: intake.version_number,
            status: standing.status(),
            state: standing.state(),
            current_phase: match standing {
                Standing::UnderWay => Some(step.unwrap_or("queued")),
                Standing::InReview => Some("review"),
                Standing::Active | Standing::Failed => None,
            },
            failure_phase: match standing {
                Standing::Failed => Some(step.unwrap_or("decide")),
                Standing::UnderWay | Standing::InReview | Standing::Active => None,
            },
            message: failure_reason.clone().unwrap_or_else(|| standing.message().to_owned()),
            failure_reason,
            image: intake.image_reference,
            digest: intake.digest.map(|digest| digest.to_string()),
            start_time: intake.created_at,
            // A publish that waits for a person has not ended.
            end_time: intake.finished_at.filter(|_| standing != Standing::InReview),
            intake_url: format!("/v1/intakes/{}", intake.id),
        }
    }
}

/// The four ways in which a publish can stand, as its author sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    UnderWay,
    InReview,
    Active,
    Failed,
}

impl Standing {
    fn of(intake: &IntakeSummary) -> Self {
        match intake.state {
            IntakeState::Queued | IntakeState::Running => Self::UnderWay,
            IntakeState::Failed => Self::Failed,
            IntakeState::Decided => match decided_state(intake) {
                Some(VersionState::Active) => Self::Active,
                Some(VersionState::InReview) => Self::after_review(intake.version_state),
                // An outcome that cannot be read is no success.
                Some(
                    VersionState::Rejected | VersionState::Pending | VersionState::Quarantined | VersionState::Yanked,
                )
                | None => Self::Failed,
            },
        }
    }

    /// The intake left the decision open; how the version stands now tells whether it was made.
    const fn after_review(version: VersionState) -> Self {
        match version {
            VersionState::InReview => Self::InReview,
            // What happened to it once it was accepted is no longer a matter of the publish.
            VersionState::Active | VersionState::Quarantined | VersionState::Yanked => Self::Active,
            VersionState::Rejected | VersionState::Pending => Self::Failed,
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::UnderWay | Self::InReview => "in_progress",
            Self::Active => "completed",
            Self::Failed => "failed",
        }
    }

    const fn state(self) -> &'static str {
        match self {
            Self::UnderWay | Self::InReview => "SUBMITTED",
            Self::Active => "APPROVED",
            Self::Failed => "REJECTED",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::UnderWay => "the intake is under way",
            Self::InReview => "the version waits for a person's review",
            Self::Active => "the version is active",
            Self::Failed => "the version was not accepted",
        }
    }
}

fn decided_state(intake: &IntakeSummary) -> Option<VersionState> {
    intake.outcome.as_deref().and_then(|outcome| outcome.parse().ok())
}

fn failure_reason(intake: &IntakeSummary) -> String {
    if let (Some(VersionState::InReview), Some(code)) = (decided_state(intake), intake.version_code) {
        return format!("{code}: the version was refused after its intake; its page says why");
    }
    let code = intake.failure_code.map_or("INTAKE_FAILED", registry_types::rejection_code::RejectionCode::as_str);
    let reason = intake.failure_reason.as_deref().unwrap_or("no reason was recorded");
    format!("{code}: {reason}")
}

/// How a publish stands
#[utoipa::path(
    tag = "modules",
    operation_id = "getPublishStatus",
    params(("id" = Uuid, Path, description = "`publishId`")),
    responses((status = 200, description = "How it stands", body = PublishStatus), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/modules/publish/{id}")]
pub(crate) async fn get(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
) -> Result<web::Json<PublishStatus>, Problem> {
    let mut conn = state.pool.get().await?;
    let intake = own_intake(&mut conn, &identity, IntakeId(path.into_inner())).await?;
    Ok(web::Json(intake.summary.into()))
}

/// How a publish stands (the path that the HLA-Compass client uses with an API key)
#[utoipa::path(
    tag = "modules",
    operation_id = "getPublishStatusByApiKey",
    params(("id" = Uuid, Path, description = "`publishId`")),
    responses((status = 200, description = "How it stands", body = PublishStatus), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/api/modules/publish/{id}")]
pub(crate) async fn get_by_key(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    path: web::Path<Uuid>,
) -> Result<web::Json<PublishStatus>, Problem> {
    let mut conn = state.pool.get().await?;
    let intake = own_intake(&mut conn, &identity, IntakeId(path.into_inner())).await?;
    Ok(web::Json(intake.summary.into()))
}

#[cfg(test)]
mod tests {
    use registry_types::ids::{OrganizationId, PackageId, VersionId};
    use registry_types::intake::IntakeStep;
    use registry_types::rejection_code::RejectionCode;

    use super::*;

    fn intake(state: IntakeState, outcome: Option<&str>) -> IntakeSummary {
        IntakeSummary {
            id: IntakeId::new(),
            organization: OrganizationId::new(),
            package: PackageId::new(),
            package_name: "acme/app".parse().unwrap(),
            version: VersionId::new(),
            version_number: "1.0.0".to_owned(),
            image_reference: None,
            state,
            step: Some(IntakeStep::Scan),
            digest: None,
            profile: None,
            outcome: outcome.map(str::to_owned),
            version_state: outcome.map_or(VersionState::Pending, |outcome| outcome.parse().unwrap()),
            version_code: None,
            failure_code: Some(RejectionCode::SecurityScanFailed),
            failure_reason: Some("a HIGH finding".to_owned()),
            created_at: Utc::now(),
            started_at: None,
            finished_at: Some(Utc::now()),
        }
    }

    #[test]
    fn both_client_generations_read_the_same() {
        for (state, outcome, status, word) in [
            (IntakeState::Queued, None, "in_progress", "SUBMITTED"),
            (IntakeState::Running, None, "in_progress", "SUBMITTED"),
            (IntakeState::Decided, Some("active"), "completed", "APPROVED"),
            (IntakeState::Decided, Some("rejected"), "failed", "REJECTED"),
            (IntakeState::Decided, Some("in_review"), "in_progress", "SUBMITTED"),
            (IntakeState::Decided, None, "failed", "REJECTED"),
            (IntakeState::Failed, None, "failed", "REJECTED"),
        ] {
            let shown = PublishStatus::from(intake(state, outcome));
            assert_eq!((shown.status, shown.state), (status, word), "{state} {outcome:?}");
        }
    }

    #[test]
    fn a_publish_that_was_left_open_ends_with_the_later_decision() {
        let later = |version_state, version_code| {
            let open = intake(IntakeState::Decided, Some("in_review"));
            PublishStatus::from(IntakeSummary { version_state, version_code, ..open })
        };
        assert_eq!(later(VersionState::InReview, None).status, "in_progress");
        for accepted in [VersionState::Active, VersionState::Quarantined, VersionState::Yanked] {
            assert_eq!(later(accepted, None).status, "completed", "{accepted}");
        }
        let refused = later(VersionState::Rejected, Some(RejectionCode::SecurityScanFailed));
        assert_eq!(refused.status, "failed");
        assert!(refused.failure_reason.unwrap().starts_with("SECURITY_SCAN_FAILED: "));
    }

    #[test]
    fn the_code_stands_in_the_reason() {
        let shown = PublishStatus::from(intake(IntakeState::Decided, Some("rejected")));
        assert_eq!(shown.failure_reason.as_deref(), Some("SECURITY_SCAN_FAILED: a HIGH finding"));
        assert!(PublishStatus::from(intake(IntakeState::Decided, Some("active"))).failure_reason.is_none());
    }
}
