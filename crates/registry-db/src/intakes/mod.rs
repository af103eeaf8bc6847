//! Intakes: what the worker reads and writes while it carries one out, how one ends, and what people see of it.

mod cancel;
mod decide;
mod read;
mod work;

pub use cancel::cancel;
pub(crate) use cancel::job_key;
pub(crate) use decide::replace_findings;
pub use decide::{Document, Ending, NewContent, decide, fail};
pub use read::{Event, Intake, IntakeSummary, StepTiming, checks, events_after, get, latest_of_version, list, steps};
pub(crate) use work::insert_event;
pub use work::{EventKind, IntakeWork, StepRecord, append_event, load, longest_running, record_steps, start};
