//! Companies: a template becomes one, one becomes a template again, and what people see of it.
//!
//! Rights are the caller's: every read names the organizations whose companies may be seen.

mod export;
mod import;
mod read;

pub use export::export;
pub use import::{Imported, NewCompany, import};
pub use read::{
    Activity, Company, CompanyCursor, CompanySummary, activity, agents, find, goals, issues, list, projects,
};
pub use read::{CompanyAgent, CompanyGoal, CompanyIssue, CompanyProject};
