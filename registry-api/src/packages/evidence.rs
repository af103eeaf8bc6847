//! What the store found out about a version: SBOM, components, findings, signatures, verdict.

use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use blob_store::ObjectKey;
use registry_db::evidence::{self, SbomFormat};
use registry_db::verdicts;
use registry_types::intake::CheckName;
use serde::Deserialize;
use utoipa::IntoParams;

use super::read::{VersionPath, seen_version};
use super::wire::{CheckItem, ComponentItem, FindingItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::MaybeAuthenticated;
use crate::state::AppState;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct SbomQuery {
    /// `cyclonedx` (1.6) or `spdx` (2.3).
    #[param(value_type = String, default = "cyclonedx")]
    format: Option<SbomFormat>,
}

/// The SBOM of a version
#[utoipa::path(
    tag = "packages",
    operation_id = "getSbom",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path), SbomQuery),
    responses((status = 200, description = "CycloneDX 1.6 or SPDX 2.3, JSON", content_type = "application/json", body = Object), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/sbom")]
pub(crate) async fn get_sbom(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
    query: web::Query<SbomQuery>,
) -> Result<HttpResponse, Problem> {
    let format = query.format.unwrap_or(SbomFormat::CycloneDx);
    let document = {
        let mut conn = state.pool.get().await?;
        let version = seen_version(&mut conn, &caller, &path).await?;
        evidence::sbom(&mut conn, &version, format).await?
    };
    let etag = format!("\"{}\"", document.digest);
    let object = state.blobs.get(&ObjectKey::Document(document.digest), None).await.map_err(Problem::internal)?;
    let package = path.package();
    let file = format!("{}-{}-{}.{format}.json", package.publisher, package.name, path.version);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, document.media_type))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file}\"")))
        .insert_header((header::ETAG, etag))
        .body(SizedStream::new(object.size, object.stream)))
}

/// The components of a version
#[utoipa::path(
    tag = "packages",
    operation_id = "listComponents",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path), PageQuery),
    responses((status = 200, description = "One page of components", body = List<ComponentItem>), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/components")]
pub(crate) async fn list_components(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<ComponentItem>>, Problem> {
    let after = query.after()?;
    let mut conn = state.pool.get().await?;
    let version = seen_version(&mut conn, &caller, &path).await?;
    let page = evidence::components(&mut conn, &version, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(ComponentItem::from))?))
}

/// The findings of a version: advisories that apply to its components
///
/// Empty means that nothing was found, not that everything was looked at: the check `vulnerabilities` says that.
#[utoipa::path(
    tag = "packages",
    operation_id = "listFindings",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path), PageQuery),
    responses((status = 200, description = "One page of findings", body = List<FindingItem>), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/findings")]
pub(crate) async fn list_findings(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<FindingItem>>, Problem> {
    let after = query.after()?;
    let mut conn = state.pool.get().await?;
    let version = seen_version(&mut conn, &caller, &path).await?;
    let page = evidence::findings(&mut conn, &version, after, query.size()).await?;
    Ok(web::Json(List::of(page.map(FindingItem::from))?))
}

/// The signature check of a version: who signed, or each candidate and why it did not count
#[utoipa::path(
    tag = "packages",
    operation_id = "getSignatures",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The check with its evidence", body = CheckItem), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/signatures")]
pub(crate) async fn get_signatures(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
) -> Result<web::Json<CheckItem>, Problem> {
    let mut conn = state.pool.get().await?;
    let version = seen_version(&mut conn, &caller, &path).await?;
    let checks = evidence::checks(&mut conn, &version).await?;
    let signature = checks.into_iter().find(|check| check.name == CheckName::Signature);
    signature.map(|check| web::Json(check.into())).ok_or_else(|| Problem::not_found("result of the signature check"))
}

/// The signed verdict on a version
///
/// A DSSE envelope around an in-toto statement with the SLSA verification summary predicate, byte for byte as it was signed.
#[utoipa::path(
    tag = "packages",
    operation_id = "getVerdict",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, description = "DSSE envelope", content_type = "application/vnd.dsse.envelope.v1+json", body = Object),
        Problems
    )
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/verdict")]
pub(crate) async fn get_verdict(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
) -> Result<HttpResponse, Problem> {
    let mut conn = state.pool.get().await?;
    let version = seen_version(&mut conn, &caller, &path).await?;
    let verdict = verdicts::latest(&mut conn, version.summary.id).await?;
    let verdict = verdict.ok_or_else(|| Problem::not_found("verdict"))?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/vnd.dsse.envelope.v1+json"))
        .body(verdict.envelope))
}
