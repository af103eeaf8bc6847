//! Registries that hide, invent or withhold what refers to an image, where the namespace demands a signature.
//!
//! What could not be looked for is neither "unsigned" nor a pass: a person decides.

use bytes::Bytes;
use chrono::Utc;
use intake_worker::verdict::{Subject, VerdictReferrer, attach};
use registry_types::digest::Digest;
use registry_types::limits;
use serde_json::{Value, json};
use store_tests::hostile_registry::{Place, Reply, Script};
use store_tests::image::Blob;

use super::case::Expected::{Active, InReview, InReviewAtLast, Rejected};
use super::case::{Case, Expected, IMAGE_MANIFEST, Scene, TAG, case};

const UNSIGNED: Expected = Rejected("SIGNATURE_REQUIRED");
const DENIED: Expected = InReview("REGISTRY_ACCESS_DENIED");
const TOO_MUCH: Expected = InReview("IMAGE_LIMIT_EXCEEDED");
const OUTAGE: Expected = InReviewAtLast("INTAKE_FAILED");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = answers();
    cases.extend(pages());
    cases.extend(fallback_tags());
    cases.extend(signatures());
    let mut cases: Vec<Case> = cases.into_iter().map(Case::wanting_signature).collect();
    cases.push(case("referrers-down-where-no-signature-is-demanded", Active, |s| {
        s.honest().at(Place::Referrers, Reply::error(500, "UNKNOWN"))
    }));
    cases
}

/// The whole list of referrers answered so.
fn answers() -> Vec<Case> {
    let answered = [
        ("401", Reply::error(401, "UNAUTHORIZED"), DENIED),
        ("403", Reply::error(403, "DENIED"), DENIED),
        ("429", Reply::error(429, "TOOMANYREQUESTS"), OUTAGE),
        ("500", Reply::error(500, "UNKNOWN"), OUTAGE),
        ("503-later", Reply::error(503, "UNAVAILABLE").header("Retry-After", "86400"), OUTAGE),
        ("silent", Reply::silence(), OUTAGE),
        ("stalled", Reply::stalled("{"), OUTAGE),
        ("dripping", Reply::dripping(), OUTAGE),
        ("reset", Reply::reset("{", 1_000), OUTAGE),
        ("cut-off", Reply::new(200, "{").length(1_000), OUTAGE),
        ("web-page", Reply::html(200), OUTAGE),
        ("no-index", Reply::json(200, &json!({"referrers": []})), OUTAGE),
        ("not-json", Reply::new(200, "none").header("Content-Type", INDEX), OUTAGE),
        ("without-end", Reply::endless(200), TOO_MUCH),
        ("sent-to-metadata", Reply::redirect("https://169.254.169.254/"), InReview("REGISTRY_HOST_FORBIDDEN")),
    ];
    let case = |(name, reply, expected): (&str, Reply, Expected)| {
        case(format!("referrers-{name}"), expected, move |s| s.honest().at(Place::Referrers, reply))
    };
    answered.into_iter().map(case).collect()
}

fn pages() -> Vec<Case> {
    let linking = |to: String| list(Vec::new()).header("Link", format!("<{to}>; rel=\"next\""));
    let any = |number: usize| json!({"mediaType": IMAGE_MANIFEST, "digest": Digest::sha256_of(&number.to_le_bytes()), "size": 7});
    vec![
        case("referrers-paged-without-end", TOO_MUCH, move |s| {
            s.honest().rule(move |visit| {
                let next = format!("{}?{}", visit.request.path(), "p".repeat(visit.request.target.len()));
                (visit.place() == Place::Referrers).then(|| linking(next))
            })
        }),
        case("referrers-paged-in-a-circle", TOO_MUCH, move |s| {
            s.honest().rule(move |visit| {
                let page = if visit.request.target.ends_with("?page=1") { 2 } else { 1 };
                let next = format!("{}?page={page}", visit.request.path());
                (visit.place() == Place::Referrers).then(|| linking(next))
            })
        }),
        case("referrers-paged-onto-themselves", OUTAGE, move |s| {
            s.honest().rule(move |v| (v.place() == Place::Referrers).then(|| linking(v.request.target.clone())))
        }),
        case("referrers-paged-to-another-host", OUTAGE, move |s| {
            let next = s.elsewhere_url("/v2/x/referrers/y");
            s.honest().at(Place::Referrers, linking(next))
        })
        .leaving_elsewhere_untouched(),
        case("referrers-more-than-allowed", TOO_MUCH, move |s| {
            s.honest().listing_referrers((0..=limits::MAX_SIGNATURE_CANDIDATES).map(any).collect())
        }),
        case("referrers-that-are-not-there", UNSIGNED, move |s| s.honest().listing_referrers(vec![any(1)])),
        case("referrer-not-to-be-had", OUTAGE, move |s| {
            let listed = any(1);
            let digest = listed["digest"].as_str().unwrap().to_owned();
            s.honest().listing_referrers(vec![listed]).under(digest, Reply::error(503, "UNAVAILABLE"))
        }),
        case("referrer-of-forged-bytes", UNSIGNED, move |s| {
            let listed = any(1);
            let digest = listed["digest"].as_str().unwrap().to_owned();
            s.honest().listing_referrers(vec![listed]).under(digest, s.manifest_reply())
        }),
    ]
}

fn fallback_tags() -> Vec<Case> {
    let tag = |s: &Scene| format!("sha256-{}", s.image.manifest.digest.hex());
    vec![
        // As GitLab does.
        case("fallback-tag-that-is-the-image", UNSIGNED, move |s| {
            s.honest().without_referrers_api().manifest(&tag(s), &s.image.manifest)
        }),
        case("fallback-tag-that-is-the-index", UNSIGNED, move |s| {
            let index = index(vec![s.image.manifest.descriptor()]);
            let fallback = format!("sha256-{}", index.digest.hex());
            s.honest().manifest(TAG, &index).without_referrers_api().manifest(&fallback, &index)
        }),
        case("fallback-tag-of-the-image-s-own-children", UNSIGNED, move |s| {
            let index = index(vec![s.image.manifest.descriptor()]);
            s.honest().without_referrers_api().manifest(&tag(s), &index)
        }),
        case("fallback-tag-403", DENIED, |s| {
            s.honest().without_referrers_api().at(Place::FallbackTag, Reply::error(403, "DENIED"))
        }),
        case("fallback-tag-503", OUTAGE, |s| {
            s.honest().without_referrers_api().at(Place::FallbackTag, Reply::error(503, "UNAVAILABLE"))
        }),
        case("fallback-tag-web-page", OUTAGE, |s| {
            s.honest().without_referrers_api().at(Place::FallbackTag, Reply::html(200))
        }),
        case("fallback-tag-that-is-missing", UNSIGNED, |s| s.honest().without_referrers_api()),
        case("signature-tag-403", DENIED, |s| s.honest().at(Place::SignatureTag, Reply::error(403, "DENIED"))),
        case("signature-tag-500", OUTAGE, |s| s.honest().at(Place::SignatureTag, Reply::error(500, "UNKNOWN"))),
        case("signature-tag-that-is-the-image", UNSIGNED, |s| s.honest().at(Place::SignatureTag, s.manifest_reply())),
    ]
}

/// Signatures by the demanded key, each spoilt in one way.
fn signatures() -> Vec<Case> {
    vec![
        case("signature-honest", Active, |s| {
            let signature = Signature::of(s, &s.image.manifest.digest);
            signature.in_registry(s.honest())
        }),
        case("signature-under-another-subject", UNSIGNED, |s| {
            let signature = Signature::about(s, &s.image.manifest.digest, &Digest::sha256_of(b"another image"));
            signature.in_registry(s.honest())
        }),
        case("signature-of-another-image", Rejected("SIGNATURE_INVALID"), |s| {
            let signature = Signature::of(s, &Digest::sha256_of(b"another image"));
            signature.in_registry(s.honest())
        }),
        case("signature-of-forged-bytes", Rejected("SIGNATURE_INVALID"), |s| {
            let signature = Signature::of(s, &s.image.manifest.digest);
            let (digest, bytes) = &signature.0.blobs[0];
            let forged = Reply::new(200, vec![b' '; bytes.len()]);
            signature.in_registry(s.honest()).under(digest, forged)
        }),
        case("signature-without-end", Rejected("SIGNATURE_INVALID"), |s| {
            let signature = Signature::of(s, &s.image.manifest.digest);
            let digest = signature.0.blobs[0].0.clone();
            signature.in_registry(s.honest()).under(digest, Reply::endless(200))
        }),
        case("signature-stalled", OUTAGE, |s| {
            let signature = Signature::of(s, &s.image.manifest.digest);
            let digest = signature.0.blobs[0].0.clone();
            signature.in_registry(s.honest()).under(digest, Reply::stalled("{"))
        }),
        case("signature-403", DENIED, |s| {
            let signature = Signature::of(s, &s.image.manifest.digest);
            let digest = signature.0.blobs[0].0.clone();
            signature.in_registry(s.honest()).under(digest, Reply::error(403, "DENIED"))
        }),
    ]
}

/// A sigstore bundle by the demanded key, in a manifest that refers to an image.
struct Signature(VerdictReferrer);

impl Signature {
    /// Signs `digest`, attached to the good image.
    fn of(scene: &Scene, digest: &Digest) -> Self {
        Self::about(scene, digest, &scene.image.manifest.digest)
    }

    /// Signs `digest`, attached to `subject`.
    fn about(scene: &Scene, digest: &Digest, subject: &Digest) -> Self {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "", "digest": {"sha256": digest.hex()}}],
            "predicateType": "https://sigstore.dev/cosign/sign/v1",
            "predicate": {},
        });
        let envelope = scene.key.sign("application/vnd.in-toto+json", statement.to_string().into_bytes());
        let size = scene.image.manifest.bytes.len();
        let subject = Subject { media_type: IMAGE_MANIFEST, digest: subject, size };
        Self(attach(&envelope, &scene.key, subject, Utc::now()))
    }

    fn in_registry(&self, mut script: Script) -> Script {
        let manifest = Blob::new(IMAGE_MANIFEST, Bytes::from(self.0.manifest.bytes.clone()));
        for (_, bytes) in &self.0.blobs {
            script = script.blob(bytes.clone());
        }
        let listed = vec![manifest.descriptor()];
        script.manifest(&manifest.digest.to_string(), &manifest).listing_referrers(listed)
    }
}

fn index(entries: Vec<Value>) -> Blob {
    Blob::new(INDEX, json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string().into())
}

fn list(entries: Vec<Value>) -> Reply {
    Reply::new(200, index(entries).bytes).header("Content-Type", INDEX)
}
