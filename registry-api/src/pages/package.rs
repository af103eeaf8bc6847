//! The page of a package: what one version is, may do, was checked for and by whom signed, and which versions there are.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::packages::{self, PackageSummary, Version, VersionSummary, Viewer};
use registry_db::{Connection, evidence, manifest_signatures};
use registry_types::advisory::Finding;
use registry_types::component::Component;
use registry_types::intake::CheckName;
use registry_types::names::{OrganizationSlug, PackageName, PackageSlug};
use registry_types::package::{PackageFormat, VersionState};
use registry_types::template::Template as CompanyTemplate;
use semver::Version as SemVer;
use serde::Deserialize;

use super::check_view::{CheckView, ReasonView};
use super::company_view::CompanyView;
use super::frame::{Frame, Section, render};
use super::signature_view::{ManifestSignatureView, SignatureView, signatures};
use super::text;
use crate::packages::wire::pull_reference;
use crate::problem::Problem;
use crate::rights::MaybeAuthenticated;
use crate::state::AppState;

/// Rows shown on the page; the rest is behind the API and in the SBOM.
const SHOWN_VERSIONS: usize = 50;
const SHOWN_FINDINGS: usize = 100;
const SHOWN_COMPONENTS: usize = 100;

#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    frame: Frame,
    package: PackageSummary,
    name: String,
    title: String,
    /// `None` while the package has no version that this viewer may see.
    version: Option<VersionView>,
    versions: Vec<VersionRow>,
    has_more_versions: bool,
}

struct VersionRow {
    number: String,
    state: &'static str,
    state_words: String,
    is_shown: bool,
    is_deprecated: bool,
    since: String,
    size: String,
}

struct VersionView {
    number: String,
    state: &'static str,
    state_words: String,
    /// What there is to know first about a version that is not simply active.
    warning: Option<&'static str>,
    /// Why it was quarantined; for others the checks say it.
    reasons: Vec<ReasonView>,
    deprecated: Option<String>,
    pull: Option<String>,
    digest: Option<String>,
    size: Option<String>,
    since: String,
    image_reference: Option<String>,
    entrypoint: Option<String>,
    author: Option<String>,
    rights: Vec<(&'static str, String)>,
    checks: Vec<CheckView>,
    signatures: SignatureView,
    manifest_signature: Option<ManifestSignatureView>,
    findings: Vec<Finding>,
    has_more_findings: bool,
    components: Vec<Component>,
    component_count: i64,
    has_image: bool,
    may_have_content: bool,
    /// For templates.
    company: Option<CompanyView>,
}

#[derive(Deserialize)]
struct PackagePath {
    publisher: OrganizationSlug,
    name: PackageSlug,
}

#[derive(Deserialize)]
struct VersionPath {
    publisher: OrganizationSlug,
    name: PackageSlug,
    version: SemVer,
}

#[get("/packages/{publisher}/{name}")]
pub(super) async fn package_page(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<PackagePath>,
) -> Result<HttpResponse, Problem> {
    let PackagePath { publisher, name } = path.into_inner();
    show(&state, &caller, PackageName { publisher, name }, None).await
}

#[get("/packages/{publisher}/{name}/{version}")]
pub(super) async fn version_page(
    state: web::Data<AppState>,
    caller: MaybeAuthenticated,
    path: web::Path<VersionPath>,
) -> Result<HttpResponse, Problem> {
    let VersionPath { publisher, name, version } = path.into_inner();
    show(&state, &caller, PackageName { publisher, name }, Some(version)).await
}

/// Without `number` the newest active version, or the last one that was submitted.
async fn show(
    state: &AppState,
    caller: &MaybeAuthenticated,
    name: PackageName,
    number: Option<SemVer>,
) -> Result<HttpResponse, Problem> {
    let viewer = Viewer::of(caller.0.as_ref());
    let mut conn = state.pool.get().await?;
    let package = packages::package(&mut conn, &viewer, &name).await?;
    let versions = packages::versions(&mut conn, &viewer, &package, None, SHOWN_VERSIONS).await?;
    let shown = number
        .or_else(|| package.latest_version.clone())
        .or_else(|| versions.items.first().map(|version| version.number.clone()));
    let version = match &shown {
        Some(number) => {
            let version = packages::version(&mut conn, &viewer, &name, number).await?;
            Some(version_view(&mut conn, version, state).await?)
        }
        None => None,
    };
    let page = PackagePage {
        frame: Frame::new(state, caller.0.as_ref(), Section::Store),
        name: name.to_string(),
        title: if package.title.is_empty() { package.name.to_string() } else { package.title.clone() },
        version,
        has_more_versions: versions.next.is_some(),
        versions: versions.items.into_iter().map(|version| version_row(version, shown.as_ref())).collect(),
        package,
    };
    Ok(render(StatusCode::OK, &page))
}

fn version_row(version: VersionSummary, shown: Option<&SemVer>) -> VersionRow {
    VersionRow {
        is_shown: shown == Some(&version.number),
        number: version.number.to_string(),
        state: version.state.as_str(),
        state_words: text::words(version.state.as_str()),
        is_deprecated: version.deprecated.is_some(),
        since: text::date(version.activated_at.unwrap_or(version.created_at)),
        size: version.size_bytes.map(text::size).unwrap_or_default(),
    }
}

async fn version_view(conn: &mut Connection, version: Version, state: &AppState) -> Result<VersionView, Problem> {
    let findings = evidence::findings(conn, &version, None, SHOWN_FINDINGS).await?;
    let components = evidence::components(conn, &version, None, SHOWN_COMPONENTS).await?;
    let component_count = evidence::component_count(conn, &version).await?;
    let checks = evidence::checks(conn, &version).await?;
    let manifest_signature = manifest_signatures::of_version(conn, version.summary.id).await?;
    let reasons = match version.summary.state {
        VersionState::Quarantined => evidence::reasons(conn, &version).await?,
        VersionState::Pending
        | VersionState::Active
        | VersionState::Rejected
        | VersionState::InReview
        | VersionState::Yanked => Vec::new(),
    };
    let signature = checks.iter().find(|check| check.name == CheckName::Signature);
    let about = About::of(&version);
    let summary = &version.summary;
    Ok(VersionView {
        number: summary.number.to_string(),
        state: summary.state.as_str(),
        state_words: text::words(summary.state.as_str()),
        warning: warning(summary.state),
        reasons: reasons.into_iter().map(Into::into).collect(),
        deprecated: summary.deprecated.clone(),
        pull: pull_reference(summary, &version.package.full_name(), &state.public_url),
        digest: summary.digest.as_ref().map(|digest| digest.to_string()),
        size: summary.size_bytes.map(text::size),
        since: text::time(summary.activated_at.unwrap_or(summary.created_at)),
        entrypoint: about.entrypoint,
        author: about.author,
        rights: about.rights,
        signatures: signatures(signature),
        manifest_signature: manifest_signature.map(Into::into),
        checks: checks.into_iter().map(Into::into).collect(),
        has_more_findings: findings.next.is_some(),
        findings: findings.items,
        components: components.items,
        component_count,
        has_image: summary.digest.is_some(),
        may_have_content: version.package_manifest.is_some(),
        company: company(&version),
        image_reference: version.image_reference,
    })
}

const fn warning(state: VersionState) -> Option<&'static str> {
    match state {
        VersionState::Active => None,
        VersionState::Pending => Some("This version is being checked. Nobody but your organization sees it yet."),
        VersionState::InReview => {
            Some("A person has to decide about this version. Nobody but your organization sees it yet.")
        }
        VersionState::Rejected => Some("This version was refused. Nobody but your organization sees it."),
        VersionState::Quarantined => {
            Some("This version fell below the policy after it was published. It cannot be pulled any more.")
        }
        VersionState::Yanked => Some("Its publisher took this version back. It cannot be pulled any more."),
    }
}

/// What the descriptor says, in words.
#[derive(Default)]
struct About {
    entrypoint: Option<String>,
    author: Option<String>,
    rights: Vec<(&'static str, String)>,
}

impl About {
    fn of(version: &Version) -> Self {
        // Written by an older store in another form, it says nothing; the rest of the page stands without it.
        let Ok(descriptor) = serde_json::from_value::<package_formats::Descriptor>(version.descriptor.clone()) else {
            return Self::default();
        };
        let author = descriptor.author.map(|author| match author.organization {
            Some(organization) => format!("{} ({organization})", author.name),
            None => author.name,
        });
        Self {
            entrypoint: descriptor.entrypoint.map(|entry| format!("{}:{}", entry.module, entry.class)),
            author,
            rights: rights(&descriptor.permissions),
        }
    }
}

fn rights(permissions: &package_formats::Permissions) -> Vec<(&'static str, String)> {
    use package_formats::NetworkAccess;
    let network = match &permissions.network {
        NetworkAccess::None => "none".to_owned(),
        NetworkAccess::Any => "any host".to_owned(),
        NetworkAccess::Hosts(hosts) => hosts.join(", "),
    };
    let database = permissions.database.iter().map(|right| right.as_str()).collect::<Vec<_>>().join(", ");
    let listed = [
        ("Network", network),
        ("Database", if database.is_empty() { "none".to_owned() } else { database }),
        ("Storage", if permissions.storage { "yes".to_owned() } else { "none".to_owned() }),
        ("Data sets", permissions.data_access.join(", ")),
        ("Runs for", permissions.required_roles.join(", ")),
        ("Listens to", permissions.hooks.join(", ")),
    ];
    listed.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// A template's agents and goals, where the viewer may have the document.
fn company(version: &Version) -> Option<CompanyView> {
    match version.package.format {
        PackageFormat::CompanyTemplate => {
            let document: serde_json::Value = serde_json::from_str(version.package_manifest.as_deref()?).ok()?;
            CompanyTemplate::parse(&document).ok().map(|template| CompanyView::of_template(&template))
        }
        PackageFormat::HlaCompassModule
        | PackageFormat::PaperclipModule
        | PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::Agentcompanies => None,
    }
}
