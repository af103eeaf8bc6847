//! `POST /api/templates/import`: a template becomes a company.

use std::collections::BTreeMap;
use std::str::FromStr;

use actix_web::{HttpResponse, post, web};
use package_formats::json::parse_strict;
use registry_db::companies::{self, Imported, NewCompany};
use registry_db::packages::{self, Viewer};
use registry_db::users::{Identity, Membership};
use registry_db::{Connection, DbError};
use registry_types::ids::VersionId;
use registry_types::names::PackageName;
use registry_types::package::PackageFormat;
use registry_types::template::Template;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body;
use super::plan::Plan;
use crate::problem::{Problem, ProblemCode, Problems};
use crate::rights::{Authenticated, MemberOrganization, Operation, organization_of};
use crate::state::AppState;

/// What is to be imported, and where to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = ImportTemplate)]
pub(crate) struct ImportRequest {
    /// Organization, by id or slug; the caller's primary one if not given.
    organization: Option<String>,
    /// A published template: `publisher/name` (its newest version) or `publisher/name@version`.
    #[schema(example = "acme/software-studio@1.0.0")]
    package: Option<String>,
    /// The template itself, instead of `package`.
    #[schema(value_type = Option<Object>)]
    template: Option<Value>,
    /// Name of the company; the template's name if not given.
    name: Option<String>,
    /// Only say what would be made.
    #[serde(default)]
    #[schema(required = false)]
    dry_run: bool,
}

/// What was made, or would be.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ImportedTemplate)]
pub(crate) struct ImportAnswer {
    dry_run: bool,
    organization: String,
    name: String,
    /// `id` of the template.
    template: String,
    version: String,
    pub(crate) plan: Plan,
    /// Absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) company: Option<Uuid>,
    /// Absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    ids: Option<Ids>,
}

/// What became of the template's refs.
#[derive(Serialize, ToSchema)]
#[schema(as = ImportedIds)]
pub(crate) struct Ids {
    /// By ref.
    agents: BTreeMap<String, Uuid>,
    /// By ref.
    goals: BTreeMap<String, Uuid>,
    /// By ref.
    projects: BTreeMap<String, Uuid>,
    /// In the order of the template.
    issues: Vec<Uuid>,
}

impl From<Imported> for Ids {
    fn from(imported: Imported) -> Self {
        Self {
            agents: imported.agents.into_iter().map(|(local_ref, id)| (local_ref.to_string(), id.0)).collect(),
            goals: imported.goals.into_iter().map(|(local_ref, id)| (local_ref.to_string(), id.0)).collect(),
            projects: imported.projects.into_iter().map(|(local_ref, id)| (local_ref.to_string(), id.0)).collect(),
            issues: imported.issues.into_iter().map(|id| id.0).collect(),
        }
    }
}

/// Make a company of a template
///
/// All of it or nothing. With `dryRun` nothing is stored and the plan is answered.
#[utoipa::path(
    tag = "templates",
    operation_id = "importTemplate",
    request_body(content = ImportRequest, content_type = "application/json"),
    responses(
        (status = 201, description = "The company was made", body = ImportAnswer),
        (status = 200, description = "Dry run: what would be made", body = ImportAnswer),
        (status = 422, description = "TEMPLATE_INVALID, with all errors and their pointers"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/api/templates/import")]
pub(super) async fn import_template(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    body: web::Bytes,
) -> Result<HttpResponse, Problem> {
    let request: ImportRequest = body::read(&body)?;
    let organization = target(&state, &identity, request.organization.as_deref(), Operation::ImportTemplate).await?;
    let source = Source::of(request.package.as_deref(), request.template)?;
    let mut conn = state.pool.get().await?;
    let chosen = choose(&mut conn, &Viewer::of(Some(&identity)), source).await?;
    let name = company_name(request.name, &chosen.template)?;
    let answer = carry_out(&mut conn, &identity, &organization, &chosen, name, request.dry_run).await?;
    Ok(if answer.dry_run {
        HttpResponse::Ok().json(answer)
    } else {
        let place = format!("/v1/companies/{}", answer.company.unwrap_or_default());
        HttpResponse::Created().insert_header(("Location", place)).json(answer)
    })
}

/// A template and, if it was published here, its version.
pub(crate) struct Chosen {
    pub(crate) template: Template,
    version: Option<VersionId>,
}

/// Where the template comes from.
pub(crate) enum Source {
    Package(PackageReference),
    Inline(Value),
}

impl Source {
    fn of(package: Option<&str>, template: Option<Value>) -> Result<Self, Problem> {
        match (package, template) {
            (Some(package), None) => package.parse().map(Self::Package).map_err(Problem::bad_request),
            (None, Some(template)) => Ok(Self::Inline(template)),
            (None, None) | (Some(_), Some(_)) => Err(Problem::bad_request("give either package or template")),
        }
    }
}

/// `publisher/name[@version]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageReference {
    name: PackageName,
    version: Option<semver::Version>,
}

impl FromStr for PackageReference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let name = name.parse().map_err(|error| format!("package: {error}"))?;
        let version = version
            .map(|version| version.parse().map_err(|error| format!("package: the version is not one: {error}")))
            .transpose()?;
        Ok(Self { name, version })
    }
}

/// The organization that a request names, or the caller's primary one, if the caller may carry the operation out there.
pub(crate) async fn target(
    state: &AppState,
    identity: &Identity,
    organization: Option<&str>,
    operation: Operation,
) -> Result<MemberOrganization, Problem> {
    let key = match organization {
        Some(text) => text.parse().map_err(|_| Problem::not_found("organization"))?,
        None => {
            let primary = identity.memberships.iter().find(|membership: &&Membership| membership.is_primary);
            let primary = primary.ok_or_else(|| Problem::bad_request("name the organization"))?;
            registry_db::organizations::OrganizationKey::Id(primary.organization)
        }
    };
    let organization = organization_of(state, identity, &key).await?;
    operation.demand(identity, &organization)?;
    Ok(organization)
}

/// The template that is meant: validated, active, and open to this viewer.
pub(crate) async fn choose(conn: &mut Connection, viewer: &Viewer, source: Source) -> Result<Chosen, Problem> {
    let reference = match source {
        Source::Inline(document) => {
            return Ok(Chosen { template: body::parse_template(&document)?, version: None });
        }
        Source::Package(reference) => reference,
    };
    let no_package = |error| match error {
        DbError::NotFound => Problem::not_found("template"),
        other => other.into(),
    };
    let package = packages::package(conn, viewer, &reference.name).await.map_err(no_package)?;
    if package.format != PackageFormat::CompanyTemplate {
        return Err(Problem::bad_request(format!("{} is not a company template", reference.name)));
    }
    let number = reference.version.or(package.latest_version).ok_or_else(|| Problem::not_found("template"))?;
    let version = packages::version(conn, viewer, &reference.name, &number).await.map_err(no_package)?;
    if !version.summary.state.is_visible() {
        let detail = format!("{}@{number} is {}, not active", reference.name, version.summary.state);
        return Err(Problem::new(ProblemCode::Conflict, detail));
    }
    let document = version
        .package_manifest
        .ok_or_else(|| Problem::forbidden(format!("{} is licensed to others", reference.name)))?;
    // It was valid when it was published; if it is not now, that is our fault.
    let template = parse_strict(document.as_bytes())
        .and_then(|document| Template::parse(&document))
        .map_err(|errors| Problem::internal(format!("stored template does not parse: {errors:?}")))?;
    Ok(Chosen { template, version: Some(version.summary.id) })
}

pub(crate) fn company_name(own: Option<String>, template: &Template) -> Result<String, Problem> {
    let Some(name) = own else { return Ok(template.name.clone()) };
    match Template::check_name(&name, "/name") {
        Ok(()) => Ok(name),
        Err(error) => {
            let detail = format!("name {}", error.message);
            Err(Problem::bad_request(detail).with_errors(vec![error]))
        }
    }
}

/// The import itself, or only its plan.
pub(crate) async fn carry_out(
    conn: &mut Connection,
    identity: &Identity,
    organization: &MemberOrganization,
    chosen: &Chosen,
    name: String,
    dry_run: bool,
) -> Result<ImportAnswer, Problem> {
    let template = &chosen.template;
    let plan = Plan::of(template).map_err(Problem::internal)?;
    let imported = if dry_run {
        None
    } else {
        let new = NewCompany {
            organization: organization.id,
            name: &name,
            template,
            template_version: chosen.version,
            created_by: identity.user,
            actor: identity.actor(),
        };
        Some(registry_db::transaction(conn, async |conn| companies::import(conn, &new).await).await?)
    };
    Ok(ImportAnswer {
        dry_run,
        organization: organization.slug.to_string(),
        template: template.id.to_string(),
        version: template.version.to_string(),
        plan,
        company: imported.as_ref().map(|imported| imported.company.0),
        ids: imported.map(Into::into),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_references_read() {
        let reference: PackageReference = "acme/software-studio@1.2.0-rc.1".parse().unwrap();
        assert_eq!(reference.name.to_string(), "acme/software-studio");
        assert_eq!(reference.version.unwrap().to_string(), "1.2.0-rc.1");
        assert_eq!("acme/software-studio".parse::<PackageReference>().unwrap().version, None);
        for wrong in ["", "studio", "acme/software-studio@", "acme/software-studio@1", "a/b@1.0.0", "acme/x/y@1.0.0"] {
            assert!(wrong.parse::<PackageReference>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn exactly_one_source_is_named() {
        assert!(Source::of(None, None).is_err());
        assert!(Source::of(Some("acme/studio"), Some(Value::Null)).is_err());
        assert!(matches!(Source::of(None, Some(Value::Null)), Ok(Source::Inline(_))));
    }
}
