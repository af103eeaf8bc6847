//! The body of a publish: read strictly, with the package manifest kept as it was written.

use package_formats::json::parse_strict_up_to;
use package_formats::manifest_signature::CanonicalManifest;
use package_formats::{Descriptor, detect_format, parse_submitted};
use registry_types::image_reference::ImageReference;
use registry_types::limits::MAX_PACKAGE_MANIFEST_BYTES;
use registry_types::package::{PackageFormat, PackageKind, Visibility};
use registry_types::pointer::PointerError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::problem::{Problem, ProblemCode};

/// Room for what stands around the manifest.
const MAX_BYTES: usize = MAX_PACKAGE_MANIFEST_BYTES + 16 * 1024;

/// A publish by image reference. Unknown members are ignored: the clients' versions send more.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PublishRequest {
    /// Image in the author's registry, with tag or digest.
    #[serde(default)]
    #[schema(value_type = String, example = "ghcr.io/my-org/app:1.2.0")]
    image_ref: Option<String>,
    /// The package manifest, exactly as it lies in the image.
    #[serde(default)]
    #[schema(value_type = Object)]
    manifest: Option<Box<RawValue>>,
    /// `org` or `public`.
    #[serde(default)]
    scope: Option<String>,
    /// `private`, `org` or `public`; goes before `scope`.
    #[serde(default)]
    visibility: Option<String>,
    /// Organization, by id or slug; goes before the header `X-Organization-Id`. Else the caller's primary one.
    #[serde(default)]
    org_id: Option<String>,
    /// The manifest's format; recognised if not given.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "hla-compass.module")]
    format: Option<PackageFormat>,
    /// Only judge what can be judged at once; nothing is stored.
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    source_upload: Option<Box<RawValue>>,
    #[serde(default)]
    source_zip_base64: Option<String>,
}

/// What is to be published, parsed.
pub(super) struct Publish {
    pub(super) image: ImageReference,
    pub(super) manifest: Box<RawValue>,
    pub(super) manifest_value: Value,
    pub(super) canonical: CanonicalManifest,
    pub(super) visibility: Visibility,
    /// As it was sent.
    pub(super) organization: Option<String>,
    pub(super) dry_run: bool,
    format: Option<PackageFormat>,
}

impl Publish {
    /// Reads a publish's body.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
        PublishRequest::read(bytes)?.parse()
    }
}

impl PublishRequest {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        // Duplicate keys and the like: refused before anything is taken from the body.
        parse_strict_up_to(bytes, MAX_BYTES).map_err(not_json)?;
        serde_json::from_slice(bytes).map_err(|e| Problem::bad_request(format!("the body is not as expected: {e}")))
    }

    fn parse(self) -> Result<Publish, Problem> {
        if self.source_upload.is_some() || self.source_zip_base64.is_some() {
            return Err(source_unsupported());
        }
        let visibility = visibility(self.visibility.as_deref(), self.scope.as_deref())?;
        let image = self.image_ref.as_deref().filter(|image| !image.is_empty());
        let image = image.ok_or_else(|| Problem::bad_request("imageRef is missing"))?;
        let image = image.parse().map_err(|e| Problem::bad_request(format!("imageRef: {e}")))?;
        let manifest = self.manifest.ok_or_else(|| Problem::bad_request("manifest is missing"))?;
        let manifest_value =
            parse_strict_up_to(manifest.get().as_bytes(), MAX_PACKAGE_MANIFEST_BYTES).map_err(manifest_invalid)?;
        let canonical = CanonicalManifest::of(&manifest)
            .map_err(|_| manifest_invalid(vec![PointerError::new("", "type", "must be an object")]))?;
        Ok(Publish {
            image,
            manifest,
            manifest_value,
            canonical,
            visibility,
            organization: self.org_id,
            dry_run: self.dry_run,
            format: self.format,
        })
    }
}

impl Publish {
    /// The manifest by the rules of its format.
    pub(super) fn descriptor(&self) -> Result<Descriptor, Problem> {
        let format = self.format.or_else(|| detect_format(&self.manifest_value)).ok_or_else(|| {
            let message = "is in none of the formats that the store knows";
            manifest_invalid(vec![PointerError::new("", "format_unknown", message)])
        })?;
        if format.kind() == PackageKind::Template {
            return Err(Problem::bad_request("templates are published at /v1/templates/publish"));
        }
        parse_submitted(format, &self.manifest_value).map_err(manifest_invalid)
    }
}

pub(super) fn source_unsupported() -> Problem {
    let detail = "this store takes images, not sources; push an image to your registry and publish it with --image-ref";
    Problem::new(ProblemCode::SourcePublishUnsupported, detail)
}

fn visibility(visibility: Option<&str>, scope: Option<&str>) -> Result<Visibility, Problem> {
    match visibility.or(scope) {
        None | Some("private" | "org" | "organization") => Ok(Visibility::Organization),
        Some("public") => Ok(Visibility::Public),
        Some("licensed") => Ok(Visibility::Licensed),
        Some(_) => Err(Problem::bad_request("scope must be org or public")),
    }
}

fn not_json(errors: Vec<PointerError>) -> Problem {
    if errors.iter().any(|error| error.code == "too_large") {
        return Problem::new(ProblemCode::PayloadTooLarge, "the body is too large").with_errors(errors);
    }
    let detail = told("the body is not the JSON that is expected", &errors);
    Problem::bad_request(detail).with_errors(errors)
}

pub(super) fn manifest_invalid(errors: Vec<PointerError>) -> Problem {
    Problem::new(ProblemCode::ManifestInvalid, told("the package manifest is not valid", &errors)).with_errors(errors)
}

/// Clients that show only one text show the first errors with it.
fn told(what: &str, errors: &[PointerError]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<_> = errors
        .iter()
        .take(SHOWN)
        .map(|error| {
            if error.pointer.is_empty() {
                error.message.clone()
            } else {
                format!("{} {}", error.pointer, error.message)
            }
        })
        .collect();
    let more = errors.len().saturating_sub(SHOWN);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{what}: {}{more}", shown.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Publish, Problem> {
        Publish::read(body.as_bytes())
    }

    fn refusal(body: &str) -> Problem {
        match parse(body) {
            Err(problem) => problem,
            Ok(_) => panic!("accepted {body}"),
        }
    }

    #[test]
    fn every_client_version_s_body_is_read() {
        for (members, visibility) in [
            (r#""visibility":"private","orgId":"acme""#, Visibility::Organization),
            (r#""scope":"org""#, Visibility::Organization),
            (r#""scope":"public","orgId":null"#, Visibility::Public),
            (r#""scope":"org","orgId":null,"dryRun":true,"somethingNew":1"#, Visibility::Organization),
        ] {
            let publish =
                parse(&format!(r#"{{"imageRef":"ghcr.io/a/b:1","manifest":{{"a":1.0}},{members}}}"#)).unwrap();
            assert_eq!(publish.visibility, visibility);
            assert_eq!(publish.manifest.get(), r#"{"a":1.0}"#);
        }
    }

    #[test]
    fn what_cannot_be_published_is_refused_with_its_code() {
        let code = |body: &str| refusal(body).code;
        assert_eq!(code("{"), ProblemCode::BadRequest);
        assert_eq!(code(r#"{"manifest":{}}"#), ProblemCode::BadRequest);
        assert_eq!(code(r#"{"imageRef":"https://x/y","manifest":{}}"#), ProblemCode::BadRequest);
        assert_eq!(code(r#"{"imageRef":"a/b","manifest":{"x":1,"x":2}}"#), ProblemCode::BadRequest);
        assert_eq!(code(r#"{"imageRef":"a/b","manifest":[]}"#), ProblemCode::ManifestInvalid);
        assert_eq!(code(r#"{"manifest":{},"sourceZipBase64":"UEs="}"#), ProblemCode::SourcePublishUnsupported);
        assert_eq!(code(r#"{"imageRef":"a/b","manifest":{},"scope":"world"}"#), ProblemCode::BadRequest);
    }

    #[test]
    fn all_manifest_errors_come_at_once() {
        let publish = parse(r#"{"imageRef":"ghcr.io/a/b:1","manifest":{"type":"no-ui","name":"X"}}"#).unwrap();
        let problem = publish.descriptor().unwrap_err();
        assert_eq!(problem.code, ProblemCode::ManifestInvalid);
        assert!(problem.errors.len() >= 3, "{:?}", problem.errors);
        assert!(problem.errors.iter().any(|error| error.pointer == "/name"));
    }
}
