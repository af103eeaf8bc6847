//! The review queue: what waits for a person, and what persons decide.

mod decide;
mod read;
mod wire;

use registry_db::reviews::Refused;

use crate::problem::{Problem, ProblemCode};

pub(crate) use decide::{ReviewDecision, claim_as, decide_as};
pub(crate) use read::{ReviewQuery, waiting};
pub(crate) use registry_db::reviews::Choice;
pub(crate) use wire::ReviewItem;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(read::list).service(read::get).service(decide::claim).service(decide::approve).service(decide::reject);
}

/// A refusal in the words of the API.
pub(crate) fn refusal(refused: Refused) -> Problem {
    match refused {
        Refused::NotOpen { state } => Problem::new(ProblemCode::ReviewNotOpen, format!("the review is {state}")),
        Refused::ClaimedByAnother => {
            Problem::new(ProblemCode::ReviewNotOpen, "somebody else has claimed the review within the last day")
        }
        Refused::Outdated => {
            let detail = "a later verdict stands, or another one was reviewed than the queue shows now";
            Problem::new(ProblemCode::ReviewOutdated, detail)
        }
        Refused::OwnPublish => {
            let detail = "another person than the one who published a version reviews it";
            Problem::new(ProblemCode::AnotherPersonRequired, detail)
        }
        Refused::BeyondPeople { reasons } => {
            let why = reasons.into_iter().map(|reason| reason.message).collect::<Vec<_>>().join("; ");
            Problem::new(ProblemCode::ReviewNotDecidable, format!("no person can accept that: {why}"))
        }
    }
}
