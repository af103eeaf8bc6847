//! Waivers asked for by an OpenVEX document of somebody whom the policy names.

use actix_web::{HttpResponse, post, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use package_formats::{Claim, LeftOut, MAX_OPENVEX_BYTES, OpenVex, parse_openvex};
use registry_db::audit::{self, Entry};
use registry_db::waivers::{self, NewWaiver, Waiver};
use registry_db::{Connection, store_settings, transaction};
use registry_types::audit::AuditAction;
use registry_types::digest::Digest;
use registry_types::names::PackageSlug;
use registry_types::policy::VexAuthor;
use registry_types::waiver::WaiverDays;
use semver::VersionReq;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::ask::version_range;
use super::wire::{WaiverItem, items};
use crate::problem::{Problem, ProblemBody, ProblemCode, Problems};
use crate::rights::Member;
use crate::state::AppState;

const DAYS: i32 = 30;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportVex {
    /// The file's text, byte by byte as it was signed; at most 512 KiB.
    document: String,
    /// Base64 of the signature over it: ECDSA on P-256 with SHA-256, as `cosign sign-blob` and `openssl dgst -sha256 -sign` make it.
    signature: String,
    /// Name part of the package that the waivers are for; all of the organization's if not given.
    #[serde(default)]
    #[schema(example = "ranker")]
    package: Option<String>,
    /// A range of its versions in Cargo's form; all of them if not given.
    #[serde(default)]
    #[schema(example = "^1.2")]
    versions: Option<String>,
    /// How long the waivers last, 1 to 30 days; 30 if not given.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 30)]
    days: Option<i32>,
}

/// What became of a document.
#[derive(Serialize, ToSchema)]
pub(crate) struct ImportedVex {
    /// `@id` of the document.
    document: String,
    /// Who signed it, as the policy names the author.
    author: String,
    /// Asked for; another person approves them.
    asked: Vec<WaiverItem>,
    /// Claims for which an open waiver was there already.
    already_asked: usize,
    left_out: Vec<LeftOutItem>,
}

/// What no waiver was made of.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeftOutItem {
    /// Of the statement, in the document.
    pointer: String,
    why: String,
}

impl From<LeftOut> for LeftOutItem {
    fn from(left: LeftOut) -> Self {
        Self { pointer: left.pointer, why: left.why }
    }
}

/// Ask for waivers by an OpenVEX document (developer)
///
/// The document must be signed by somebody whom the policy names (`vex_authors`). Each `not_affected` with a justification asks
/// for a waiver, which counts for nothing until another person approves it. Importing a document again asks for nothing new.
#[utoipa::path(
    tag = "waivers",
    operation_id = "importVex",
    params(("org" = String, Path, description = "Id or slug")),
    request_body = ImportVex,
    responses(
        (status = 200, description = "Imported", body = ImportedVex),
        (status = 403, description = "`VEX_AUTHOR_UNKNOWN`, `QUOTA_EXCEEDED`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 422, description = "`VEX_INVALID`", body = ProblemBody, content_type = "application/problem+json"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[post("/v1/orgs/{org}/vex")]
pub(crate) async fn import(
    state: web::Data<AppState>,
    member: Member,
    body: web::Json<ImportVex>,
) -> Result<HttpResponse, Problem> {
    let body = body.into_inner();
    let scope = Scope::of(&body)?;
    let signature = STANDARD.decode(body.signature.trim()).map_err(|_| invalid("the signature is no base64"))?;
    let mut conn = state.pool.get().await?;
    let policy = store_settings::policy(&mut conn).await?;
    let open_waivers = policy.limits.quotas.of(member.organization.trust_tier).open_waivers;
    let authors = policy.vex_authors;
    drop(conn);
    let judged = web::block(move || judge(&authors, body.document.as_bytes(), &signature)).await;
    let Judged { author, vex, digest } = judged.map_err(|e| Problem::unavailable(e.to_string()))??;
    let mut conn = state.pool.get().await?;
    let most = usize::try_from(open_waivers).unwrap_or(usize::MAX);
    let (asked, already_asked) = transaction(&mut conn, async |conn| -> Result<_, Problem> {
        let import = Import { member: &member, scope: &scope, author: &author, vex: &vex, digest: &digest };
        import.carry_out(conn, most).await
    })
    .await?;
    let answer = ImportedVex {
        author: author.name,
        asked: items(&mut conn, asked).await?,
        already_asked,
        left_out: vex.left_out.into_iter().map(Into::into).collect(),
        document: vex.id,
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// What the importer says the document is about; it does not know of the organization's packages.
struct Scope {
    package: Option<PackageSlug>,
    versions: Option<VersionReq>,
    days: WaiverDays,
}

impl Scope {
    fn of(body: &ImportVex) -> Result<Self, Problem> {
        let package = body.package.as_deref().map(str::parse).transpose();
        let versions = body.versions.as_deref().map(version_range).transpose();
        Ok(Self {
            package: package.map_err(|error| invalid(format!("package: {error}")))?,
            versions: versions.map_err(|error| invalid(format!("versions: {error}")))?,
            days: WaiverDays::try_from(body.days.unwrap_or(DAYS)).map_err(|error| invalid(error.to_string()))?,
        })
    }
}

/// A document whose author is allowed.
struct Judged {
    author: VexAuthor,
    vex: OpenVex,
    digest: Digest,
}

/// Not on the runtime's threads: there may be many keys to try, and the document is large.
fn judge(authors: &[VexAuthor], document: &[u8], signature: &[u8]) -> Result<Judged, Problem> {
    let author = author_of(authors, document, signature)?.clone();
    Ok(Judged { author, vex: read(document)?, digest: Digest::sha256_of(document) })
}

/// Before anything of it is believed, who signed it.
fn author_of<'a>(authors: &'a [VexAuthor], document: &[u8], signature: &[u8]) -> Result<&'a VexAuthor, Problem> {
    if document.len() > MAX_OPENVEX_BYTES {
        return Err(Problem::new(ProblemCode::PayloadTooLarge, "an OpenVEX document has at most 512 KiB"));
    }
    authors.iter().find(|author| author.key.verifies(document, signature)).ok_or_else(|| {
        let detail = "nobody whom the policy names under vex_authors signed exactly this document";
        Problem::new(ProblemCode::VexAuthorUnknown, detail)
    })
}

fn read(document: &[u8]) -> Result<OpenVex, Problem> {
    parse_openvex(document).map_err(|errors| invalid("the document is no OpenVEX").with_errors(errors))
}

fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::VexInvalid, detail)
}

struct Import<'a> {
    member: &'a Member,
    scope: &'a Scope,
    author: &'a VexAuthor,
    vex: &'a OpenVex,
    digest: &'a Digest,
}

impl Import<'_> {
    /// The waivers that were asked for, and for how many claims there was one already. Call in a transaction.
    async fn carry_out(&self, conn: &mut Connection, most: usize) -> Result<(Vec<Waiver>, usize), Problem> {
        let organization = self.member.organization.id;
        let open = waivers::open(conn, organization).await?;
        let mut new: Vec<NewWaiver> = Vec::new();
        for claim in &self.vex.claims {
            let is_there = open.iter().any(|waiver| self.is_asked_by(waiver, claim));
            let is_repeated = new.iter().any(|new| new.advisory == claim.advisory && new.component == claim.component);
            if !is_there && !is_repeated {
                new.push(self.waiver(claim)?);
            }
        }
        if open.len() + new.len() > most {
            let detail = format!("an organization has at most {most} waivers that wait or are in force");
            return Err(Problem::new(ProblemCode::QuotaExceeded, detail));
        }
        let asked = waivers::ask_all(conn, &new).await?;
        audit::append(conn, self.entry(&asked)).await?;
        let already_asked = self.vex.claims.len() - asked.len();
        Ok((asked, already_asked))
    }

    fn is_asked_by(&self, waiver: &Waiver, claim: &Claim) -> bool {
        waiver.advisory == claim.advisory
            && waiver.component == claim.component
            && waiver.package == self.scope.package
            && waiver.versions == self.scope.versions
    }

    fn waiver(&self, claim: &Claim) -> Result<NewWaiver, Problem> {
        let told = format!("{} says: {}", self.author.name, claim.statement);
        let told: String = told.chars().take(registry_types::waiver::MAX_STATEMENT).collect();
        Ok(NewWaiver {
            organization: self.member.organization.id,
            package: self.scope.package.clone(),
            versions: self.scope.versions.clone(),
            advisory: claim.advisory.clone(),
            component: claim.component.clone(),
            reason: claim.reason,
            statement: told.parse().map_err(Problem::internal)?,
            asked_by: self.member.identity.user,
            actor: self.member.identity.actor(),
            days: self.scope.days,
        })
    }

    fn entry(&self, asked: &[Waiver]) -> Entry {
        let waivers: Vec<String> = asked.iter().map(|waiver| waiver.id.to_string()).collect();
        Entry {
            organization: Some(self.member.organization.id),
            actor: self.member.identity.actor(),
            action: AuditAction::VexImported,
            subject: audit::Subject::Vex(self.digest.clone()),
            details: json!({ "document": self.vex.id, "author": self.author.name, "waivers": waivers }),
        }
    }
}
