//! Waivers as the API takes and shows them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use registry_db::waivers::Waiver;
use registry_db::{Connection, DbResult, clock, users};
use registry_types::ids::UserId;
use registry_types::names::Email;
use registry_types::waiver::{ComponentRange, ComponentVersions, WaiverState};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// Which components a waiver speaks about.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComponentBody {
    /// Package URL without a version.
    #[schema(example = "pkg:pypi/jinja2")]
    pub(crate) package: String,
    /// Exactly this version, letter by letter.
    #[serde(default)]
    pub(crate) version: Option<String>,
    /// This version and later ones, in the ecosystem's order.
    #[serde(default)]
    pub(crate) from: Option<String>,
    /// Earlier versions than this one. Versions that the ecosystem's rules cannot read are not covered by a range.
    #[serde(default)]
    pub(crate) before: Option<String>,
}

impl From<ComponentRange> for ComponentBody {
    fn from(range: ComponentRange) -> Self {
        let (version, from, before) = match range.versions {
            ComponentVersions::All => (None, None, None),
            ComponentVersions::Exactly(version) => (Some(version), None, None),
            ComponentVersions::Between { from, before } => (None, from, before),
        };
        Self { package: range.package.to_string(), version, from, before }
    }
}

/// A person, as those see them who may see what they did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Person {
    id: Uuid,
    /// Null for a person who is gone.
    pub(crate) email: Option<String>,
}

impl Person {
    pub(crate) fn of(id: UserId, emails: &HashMap<UserId, Email>) -> Self {
        Self { id: id.0, email: emails.get(&id).map(ToString::to_string) }
    }
}

/// A waiver.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WaiverItem {
    pub(crate) id: Uuid,
    /// Name part of a package of the organization; null for all of them.
    pub(crate) package: Option<String>,
    /// A range of the package's versions in Cargo's form; null for all of them.
    #[schema(example = "^1.2")]
    pub(crate) versions: Option<String>,
    /// Id of an advisory, or one of its aliases.
    pub(crate) advisory: String,
    pub(crate) component: ComponentBody,
    /// `component_not_present`, `vulnerable_code_not_present`, `vulnerable_code_not_in_execute_path`,
    /// `vulnerable_code_cannot_be_controlled_by_adversary`, `inline_mitigations_already_exist`, `fix_planned` or
    /// `risk_accepted`.
    pub(crate) reason: &'static str,
    pub(crate) statement: String,
    /// `asked`, `approved`, `refused`, `withdrawn` or `expired`.
    pub(crate) state: &'static str,
    /// Whether it counts in a judgement now.
    pub(crate) in_force: bool,
    pub(crate) asked_by: Person,
    pub(crate) asked_at: DateTime<Utc>,
    /// Who approved or refused it: another person.
    pub(crate) decided_by: Option<Person>,
    pub(crate) decided_at: Option<DateTime<Utc>>,
    pub(crate) note: Option<String>,
    pub(crate) withdrawn_by: Option<Person>,
    pub(crate) withdrawn_at: Option<DateTime<Utc>>,
    /// It counts before this moment, not at it.
    pub(crate) expires_at: DateTime<Utc>,
}

impl WaiverItem {
    fn new(waiver: Waiver, now: DateTime<Utc>, emails: &HashMap<UserId, Email>) -> Self {
        let person = |id: Option<UserId>| id.map(|id| Person::of(id, emails));
        let is_over = now >= waiver.expires_at;
        let state = match waiver.state {
            // The worker notes it a moment later.
            WaiverState::Asked | WaiverState::Approved if is_over => WaiverState::Expired,
            state => state,
        };
        Self {
            id: waiver.id.0,
            in_force: waiver.is_in_force(now),
            state: state.as_str(),
            package: waiver.package.map(|package| package.to_string()),
            versions: waiver.versions.map(|range| range.to_string()),
            advisory: waiver.advisory.to_string(),
            component: waiver.component.into(),
            reason: waiver.reason.as_str(),
            statement: waiver.statement.to_string(),
            asked_by: Person::of(waiver.asked_by, emails),
            asked_at: waiver.asked_at,
            decided_by: person(waiver.decided_by),
            decided_at: waiver.decided_at,
            note: waiver.decision_note,
            withdrawn_by: person(waiver.withdrawn_by),
            withdrawn_at: waiver.withdrawn_at,
            expires_at: waiver.expires_at,
        }
    }
}

/// Waivers with the people of them, as they stand now.
pub(crate) async fn items(conn: &mut Connection, waivers: Vec<Waiver>) -> DbResult<Vec<WaiverItem>> {
    let people = waivers
        .iter()
        .flat_map(|waiver| [Some(waiver.asked_by), waiver.decided_by, waiver.withdrawn_by].into_iter().flatten());
    let emails = users::emails(conn, people).await?;
    let now = clock::now(conn).await?;
    Ok(waivers.into_iter().map(|waiver| WaiverItem::new(waiver, now, &emails)).collect())
}
