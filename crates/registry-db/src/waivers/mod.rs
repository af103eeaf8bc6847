//! Waivers: asked for by one person, approved by another, in force until their date.
//!
//! Only time says whether an approved waiver is in force; its state follows when the job `waivers` comes by. Whatever makes
//! waivers come or go asks for a judgement of the versions that it concerns, in the same transaction.

mod ask;
mod decide;
mod due;
mod in_force;
mod read;

pub use ask::{NewWaiver, ask, ask_all};
pub use decide::{Decided, NotOpen, approve, refuse, withdraw};
pub use due::{Due, plan, settle_due};
pub use in_force::{Standing, UsedWaiver, hold, in_force, note_used, of_organizations};
pub use read::{Filter, RestingVersion, Waiver, count_open, get, list, open, resting_on, versions_using};

/// Constraint that keeps a person from deciding about an own request.
pub const ANOTHER_PERSON: &str = "waivers_another_person_check";
