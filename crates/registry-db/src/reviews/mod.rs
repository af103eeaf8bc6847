//! Reviews: what waits for a person, who looks at it, and what was decided.
//!
//! Each review is about one verdict, which left the decision open. A later verdict supersedes it. A person's decision is
//! recorded here with the job that writes the verdict which it leads to: only the worker signs.

mod baseline;
mod decide;
mod open;
mod read;
mod settle;
mod work;

pub use baseline::{Baseline, baseline};
pub use decide::{Choice, PersonDecision, Refused, claim, decide};
pub use open::{Entry, open_missing};
pub(crate) use open::{NewReview, open, supersede, supersede_package};
pub use read::{Filter, Review, get, list, plan};
pub use settle::{Settlement, reopen, settle};
pub(crate) use work::accepted;
pub use work::{PinnedManifest, ReviewedVersion, load};
