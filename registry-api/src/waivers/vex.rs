//! The waivers in force as an OpenVEX document, for those who scan with other tools.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use chrono::SecondsFormat;
use registry_db::clock;
use registry_db::waivers::{self, RestingVersion, Waiver};
use registry_types::ids::WaiverId;
use registry_types::names::OrganizationSlug;
use registry_types::waiver::{ComponentVersions, WaiverReason};
use serde_json::{Value, json};

use crate::problem::{Problem, Problems};
use crate::rights::Member;
use crate::state::AppState;

const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";

/// The waivers in force as an OpenVEX document
///
/// One statement for each waiver on which a version's verdict rests now: about those versions by digest, `not_affected` with its
/// justification, or `affected` with what is done about it.
#[utoipa::path(
    tag = "waivers",
    operation_id = "exportVex",
    params(("org" = String, Path, description = "Id or slug")),
    responses((status = 200, description = "OpenVEX 0.2.0", body = Object, content_type = "application/json"), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/orgs/{org}/vex")]
pub(crate) async fn export(state: web::Data<AppState>, member: Member) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let standing = waivers::in_force(&mut conn, member.organization.id).await?;
    let mut resting: BTreeMap<WaiverId, Vec<RestingVersion>> = BTreeMap::new();
    for version in waivers::resting_on(&mut conn, member.organization.id).await? {
        resting.entry(version.waiver).or_default().push(version);
    }
    let now = clock::now(&mut conn).await?;
    let publisher = &member.organization.slug;
    let registry = state.public_url.authority();
    let statements: Vec<Value> = standing
        .waivers
        .iter()
        .filter_map(|waiver| Some(statement(waiver, registry, publisher, resting.get(&waiver.id)?)))
        .collect();
    let stamp = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(HttpResponse::Ok().json(json!({
        "@context": CONTEXT,
        "@id": format!("{}v1/orgs/{}/vex#{stamp}", state.public_url, member.organization.id),
        "author": state.public_url.as_str(),
        "timestamp": stamp,
        "version": 1,
        "statements": statements,
    })))
}

fn statement(waiver: &Waiver, registry: &str, publisher: &OrganizationSlug, versions: &[RestingVersion]) -> Value {
    let component = match &waiver.component.versions {
        ComponentVersions::Exactly(version) => format!("{}@{version}", waiver.component.package),
        ComponentVersions::All | ComponentVersions::Between { .. } => waiver.component.package.to_string(),
    };
    let products: Vec<Value> =
        versions.iter().map(|version| product(version, registry, publisher, &component)).collect();
    let mut statement = json!({
        "@id": format!("urn:uuid:{}", waiver.id),
        "vulnerability": { "name": waiver.advisory },
        "timestamp": waiver.decided_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true)),
        "products": products,
        "status": status(waiver.reason),
        "status_notes": format!("accepted until {}", waiver.expires_at.to_rfc3339_opts(SecondsFormat::Secs, true)),
    });
    if waiver.reason.is_not_affected() {
        statement["justification"] = json!(waiver.reason);
        statement["impact_statement"] = json!(waiver.statement);
    } else {
        statement["action_statement"] = json!(waiver.statement);
    }
    statement
}

const fn status(reason: WaiverReason) -> &'static str {
    if reason.is_not_affected() { "not_affected" } else { "affected" }
}

/// An image by its digest, as the purl specification writes it.
fn product(version: &RestingVersion, registry: &str, publisher: &OrganizationSlug, component: &str) -> Value {
    let (algorithm, hex) = (version.digest.algorithm().as_str(), version.digest.hex());
    let package = &version.package;
    let purl = format!(
        "pkg:oci/{package}@{algorithm}%3A{hex}?repository_url={registry}/{publisher}/{package}&tag={}",
        version.number
    );
    json!({
        "@id": purl,
        "identifiers": { "purl": purl },
        "hashes": { "sha-256": hex },
        "subcomponents": [{ "@id": component }],
    })
}
