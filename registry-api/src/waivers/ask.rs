//! Ask for a waiver.

use std::fmt::Display;
use std::str::FromStr;

use actix_web::{HttpResponse, post, web};
use registry_db::waivers::{self, NewWaiver, Waiver};
use registry_db::{store_settings, transaction};
use registry_types::pointer::PointerError;
use registry_types::waiver::{ComponentRange, WaiverDays, WaiverReason};
use serde::Deserialize;
use utoipa::ToSchema;

use super::wire::{ComponentBody, WaiverItem, items};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

/// Longest version range that people write, in characters.
const MAX_RANGE: usize = 200;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskWaiver {
    /// Name part of a package of the organization; all of them if not given.
    #[serde(default)]
    #[schema(example = "ranker")]
    package: Option<String>,
    /// A range of its versions in Cargo's form (`^1.2`, `=1.0.3`, `>=1.0, <2`); all of them if not given.
    #[serde(default)]
    #[schema(example = "^1.2")]
    versions: Option<String>,
    /// Id of an advisory, or one of its aliases.
    #[schema(example = "CVE-2024-22195")]
    advisory: String,
    component: ComponentBody,
    /// See [`WaiverItem`]'s.
    #[schema(example = "vulnerable_code_not_in_execute_path")]
    reason: String,
    /// Why, for those who decide and for everybody who reads a verdict that rests on it.
    statement: String,
    /// How long it lasts from now on, 1 to 30 days.
    #[schema(minimum = 1, maximum = 30)]
    days: i32,
}

/// Ask for a waiver (developer)
///
/// It counts for nothing until another person approves it.
#[utoipa::path(
    tag = "waivers",
    operation_id = "askWaiver",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = AskWaiver,
    responses(
        (status = 201, description = "Asked for", body = WaiverItem),
        (status = 422, description = "`WAIVER_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/waivers")]
pub(crate) async fn ask(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<AskWaiver>,
) -> Result<HttpResponse, Problem> {
    let new = parse(body.into_inner(), &member)?;
    let mut conn = state.pool.get().await?;
    let asked = transaction(&mut conn, async |conn| -> Result<Waiver, Problem> {
        let most = store_settings::quota(conn, member.organization.trust_tier).await?.open_waivers;
        if waivers::count_open(conn, new.organization).await? >= i64::from(most) {
            let detail = format!("an organization has at most {most} waivers that wait or are in force");
            return Err(Problem::new(ProblemCode::QuotaExceeded, detail));
        }
        Ok(waivers::ask(conn, &new).await?)
    })
    .await?;
    let location = format!("/v1/orgs/{}/waivers/{}", member.organization.id, asked.id);
    let item = items(&mut conn, vec![asked]).await?.pop();
    Ok(HttpResponse::Created().insert_header(("Location", location)).json(item))
}

/// With all that is wrong at once.
fn parse(body: AskWaiver, member: &Member) -> Result<NewWaiver, Problem> {
    let mut errors = Vec::new();
    let package = body.package.and_then(|text| field(&mut errors, "/package", text.parse()));
    let versions = body.versions.and_then(|text| field(&mut errors, "/versions", version_range(&text)));
    let advisory = field(&mut errors, "/advisory", body.advisory.parse());
    let component = component(&mut errors, body.component);
    let reason: Option<WaiverReason> = field(&mut errors, "/reason", FromStr::from_str(&body.reason));
    let statement = field(&mut errors, "/statement", body.statement.parse());
    let days = field(&mut errors, "/days", WaiverDays::try_from(body.days));
    match (advisory, component, reason, statement, days) {
        (Some(advisory), Some(component), Some(reason), Some(statement), Some(days)) if errors.is_empty() => {
            Ok(NewWaiver {
                organization: member.organization.id,
                package,
                versions,
                advisory,
                component,
                reason,
                statement,
                asked_by: member.identity.user,
                actor: member.identity.actor(),
                days,
            })
        }
        _ => {
            Err(Problem::new(ProblemCode::WaiverInvalid, "the waiver is not one that can be asked for")
                .with_errors(errors))
        }
    }
}

fn field<T, E: Display>(errors: &mut Vec<PointerError>, pointer: &str, parsed: Result<T, E>) -> Option<T> {
    parsed.map_err(|error| errors.push(PointerError::new(pointer, "invalid", error.to_string()))).ok()
}

pub(super) fn version_range(text: &str) -> Result<semver::VersionReq, String> {
    if text.len() > MAX_RANGE {
        return Err(format!("a range has at most {MAX_RANGE} characters"));
    }
    semver::VersionReq::parse(text).map_err(|error| error.to_string())
}

fn component(errors: &mut Vec<PointerError>, body: ComponentBody) -> Option<ComponentRange> {
    let package = field(errors, "/component/package", body.package.parse())?;
    field(errors, "/component", ComponentRange::new(package, body.version, body.from, body.before))
}
