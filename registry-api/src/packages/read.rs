//! Lists of packages and versions, and single ones.

use actix_web::http::header;
use actix_web::{HttpResponse, get, web};
use registry_db::packages::{self, PackageSummary, Viewer};
use registry_db::{Connection, evidence, manifest_signatures, search};
use registry_types::names::{OrganizationSlug, PackageName, PackageSlug};
use semver::Version as SemVer;
use serde::Deserialize;

use super::query::ListQuery;
use super::wire::{PackageDetail, PackageItem, VersionDetail, VersionItem};
use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::MaybeAuthenticated;
use crate::state::AppState;

#[derive(Deserialize)]
pub(crate) struct PackagePath {
    publisher: OrganizationSlug,
    name: PackageSlug,
}

impl From<PackagePath> for PackageName {
    fn from(path: PackagePath) -> Self {
        Self { publisher: path.publisher, name: path.name }
    }
}

#[derive(Deserialize)]
pub(crate) struct VersionPath {
    publisher: OrganizationSlug,
    name: PackageSlug,
    pub(crate) version: SemVer,
}

impl VersionPath {
    pub(crate) fn package(&self) -> PackageName {
        PackageName { publisher: self.publisher.clone(), name: self.name.clone() }
    }
}

/// The version that a path names, if the caller may see it.
pub(crate) async fn seen_version(
    conn: &mut Connection,
    caller: &MaybeAuthenticated,
    path: &VersionPath,
) -> Result<packages::Version, Problem> {
    Ok(packages::version(conn, &Viewer::of(caller.0.as_ref()), &path.package(), &path.version).await?)
}

/// Search and browse packages
///
/// Without `q` the newest first; with `q` the best match first, or, when nothing holds all its words, what is spelled alike.
#[utoipa::path(
    tag = "packages",
    operation_id = "listPackages",
    params(ListQuery, PageQuery),
    responses((status = 200, description = "One page of packages", body = List<PackageItem>), Problems)
)]
#[get("/v1/packages")]
pub(crate) async fn list_packages(
    state: web::Data<AppState>,
    MaybeAuthenticated(caller): MaybeAuthenticated,
    query: web::Query<ListQuery>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<PackageItem>>, Problem> {
    let (filter, after) = (query.filter()?, page.after()?);
    let mut conn = state.pool.get().await?;
    let found = search::search(&mut conn, &Viewer::of(caller.as_ref()), &filter, after, page.size()).await?;
    Ok(web::Json(List::of(found.map(PackageItem::from))?))
}

/// One package
#[utoipa::path(
    tag = "packages",
    operation_id = "getPackage",
    params(("publisher" = String, Path), ("name" = String, Path)),
    responses((status = 200, description = "The package and its newest active version", body = PackageDetail), Problems)
)]
#[get("/v1/packages/{publisher}/{name}")]
pub(crate) async fn get_package(
    state: web::Data<AppState>,
    MaybeAuthenticated(caller): MaybeAuthenticated,
    path: web::Path<PackagePath>,
) -> Result<web::Json<PackageDetail>, Problem> {
    let mut conn = state.pool.get().await?;
    let viewer = Viewer::of(caller.as_ref());
    let package = packages::package(&mut conn, &viewer, &path.into_inner().into()).await?;
    let latest = latest(&mut conn, &viewer, &package).await?;
    let latest = latest.map(|version| VersionItem::new(version, &package.full_name(), &state.public_url));
    Ok(web::Json(PackageDetail { package: package.into(), latest }))
}

async fn latest(
    conn: &mut Connection,
    viewer: &Viewer,
    package: &PackageSummary,
) -> Result<Option<packages::VersionSummary>, Problem> {
    let Some(number) = &package.latest_version else { return Ok(None) };
    Ok(Some(packages::version(conn, viewer, &package.full_name(), number).await?.summary))
}

/// The versions of a package
///
/// The newest submission first. Strangers see those that were active once, with their state: also the yanked and the
/// quarantined ones, so that their users learn of it.
#[utoipa::path(
    tag = "packages",
    operation_id = "listVersions",
    params(("publisher" = String, Path), ("name" = String, Path), PageQuery),
    responses((status = 200, description = "One page of versions", body = List<VersionItem>), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions")]
pub(crate) async fn list_versions(
    state: web::Data<AppState>,
    MaybeAuthenticated(caller): MaybeAuthenticated,
    path: web::Path<PackagePath>,
    query: web::Query<PageQuery>,
) -> Result<web::Json<List<VersionItem>>, Problem> {
    let after = query.after()?;
    let mut conn = state.pool.get().await?;
    let viewer = Viewer::of(caller.as_ref());
    let package = packages::package(&mut conn, &viewer, &path.into_inner().into()).await?;
    let page = packages::versions(&mut conn, &viewer, &package, after, query.size()).await?;
    let name = package.full_name();
    Ok(web::Json(List::of(page.map(|version| VersionItem::new(version, &name, &state.public_url)))?))
}

/// One version, with every check and its evidence
#[utoipa::path(
    tag = "packages",
    operation_id = "getVersion",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, description = "The version", body = VersionDetail), Problems)
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}")]
pub(crate) async fn get_version(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
) -> Result<web::Json<VersionDetail>, Problem> {
    let mut conn = state.pool.get().await?;
    let version = seen_version(&mut conn, &caller, &path).await?;
    let checks = evidence::checks(&mut conn, &version).await?;
    let reasons = evidence::reasons(&mut conn, &version).await?;
    let signature = manifest_signatures::of_version(&mut conn, version.summary.id).await?;
    Ok(web::Json(VersionDetail::new(version, reasons, checks, signature, &state.public_url)))
}

/// The package manifest, or the template document, of a version
#[utoipa::path(
    tag = "packages",
    operation_id = "getPackageManifest",
    params(("publisher" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses(
        (status = 200, description = "As it was submitted", content_type = "application/json", body = Object),
        Problems
    )
)]
#[get("/v1/packages/{publisher}/{name}/versions/{version}/manifest")]
pub(crate) async fn get_manifest(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
) -> Result<HttpResponse, Problem> {
    let version = seen_version(&mut *state.pool.get().await?, &caller, &path).await?;
    let text =
        version.package_manifest.ok_or_else(|| Problem::forbidden("the content of this version is not open to you"))?;
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(text))
}
