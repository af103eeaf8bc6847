//! Why a submission was not accepted, for people.

use registry_db::publish::{NewSubmission, Refusal};
use registry_db::quotas::Exceeded;

use crate::problem::{Problem, ProblemCode};

pub(crate) fn refused(refusal: Refusal, new: &NewSubmission) -> Problem {
    let NewSubmission { name, version, .. } = new;
    match refusal {
        Refusal::VersionExists { state } => {
            let detail = format!("{name} {version} is {state}; a version number is used once, publish the next one");
            Problem::new(ProblemCode::VersionExists, detail)
        }
        Refusal::IntakeInProgress { intake } => {
            let which = intake.map(|intake| format!(" (intake {intake})")).unwrap_or_default();
            Problem::new(ProblemCode::IntakeInProgress, format!("{name} {version} waits for its verdict{which}"))
        }
        Refusal::OtherFormat { format } => {
            Problem::new(ProblemCode::Conflict, format!("{name} is a package of the format {format}"))
        }
        Refusal::Quota(exceeded) => Problem::new(ProblemCode::QuotaExceeded, quota(exceeded)),
    }
}

fn quota(exceeded: Exceeded) -> String {
    match exceeded {
        Exceeded::OpenIntakes(most) => {
            format!("at most {most} intakes may be under way in an organization; wait for one to end")
        }
        Exceeded::VersionsPerDay(most) => {
            format!("at most {most} versions may be submitted by an organization within 24 hours")
        }
        Exceeded::Packages(most) => format!("the organization has as many packages as it may ({most})"),
        Exceeded::StoredBytes(most) => format!("the organization's versions take up what they may ({most} bytes)"),
    }
}
