//! Indexes: deep, huge, circular, and lying about what is in them.

use registry_types::digest::Digest;
use registry_types::limits;
use serde_json::{Value, json};
use store_tests::hostile_registry::{Reply, Script};
use store_tests::image::Blob;

use super::case::Expected::{Active, Failed, Rejected};
use super::case::{Case, Expected, IMAGE_MANIFEST, Scene, TAG, case};

const INVALID: Expected = Rejected("IMAGE_MANIFEST_INVALID");
const TOO_MUCH: Expected = Rejected("IMAGE_LIMIT_EXCEEDED");
const MISMATCH: Expected = Rejected("DIGEST_MISMATCH");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = shapes();
    cases.extend(lies());
    cases
}

fn shapes() -> Vec<Case> {
    vec![
        case("index-honest", Active, |s| under_tag(s.honest(), &index(vec![entry(s)]))),
        case("index-empty", INVALID, |s| under_tag(s.honest(), &index(Vec::new()))),
        case("index-too-deep", TOO_MUCH, |s| {
            let mut script = s.honest();
            let mut top = index(vec![entry(s)]);
            for _ in 0..limits::MAX_INDEX_DEPTH {
                script = script.manifest(&top.digest.to_string(), &top);
                top = index(vec![top.descriptor()]);
            }
            under_tag(script, &top)
        }),
        case("index-too-wide", TOO_MUCH, |s| {
            under_tag(s.honest(), &index((0..=limits::MAX_PLATFORMS).map(other).collect()))
        }),
        case("index-of-the-same-a-thousand-times", Active, |s| under_tag(s.honest(), &index(vec![entry(s); 1_000]))),
        // No digest can lie in a document that it is made from: what goes in circles must be forged.
        case("index-naming-itself", MISMATCH, |s| {
            let named = Digest::sha256_of(b"the index itself");
            let itself = index(vec![json!({"mediaType": INDEX, "digest": named, "size": 100})]);
            under_tag(s.honest(), &itself).under(named, as_index(&itself))
        }),
        case("indexes-in-a-circle", MISMATCH, |s| {
            let (first, second) = (Digest::sha256_of(b"first"), Digest::sha256_of(b"second"));
            let naming = |digest: &Digest| index(vec![json!({"mediaType": INDEX, "digest": digest, "size": 100})]);
            let script = under_tag(s.honest(), &naming(&first));
            script.under(&first, as_index(&naming(&second))).under(&second, as_index(&naming(&first)))
        }),
        case("index-of-unknown-things", INVALID, |s| {
            under_tag(s.honest(), &index(vec![changed(s, "mediaType", json!("application/vnd.example.thing"))]))
        }),
        case("index-with-a-key-twice", INVALID, |s| {
            let text = String::from_utf8(index(vec![entry(s)]).bytes.to_vec()).unwrap();
            let twice = text.replacen('{', r#"{"manifests":[],"#, 1);
            under_tag(s.honest(), &Blob::new(INDEX, twice.into()))
        }),
    ]
}

fn lies() -> Vec<Case> {
    vec![
        case("index-of-another-size", INVALID, |s| under_tag(s.honest(), &index(vec![changed(s, "size", json!(7))]))),
        case("index-of-another-type", INVALID, |s| {
            under_tag(s.honest(), &index(vec![changed(s, "mediaType", json!(INDEX))]))
        }),
        case("index-of-two-sizes", INVALID, |s| {
            under_tag(s.honest(), &index(vec![entry(s), changed(s, "size", json!(7))]))
        }),
        case("index-of-a-terabyte", TOO_MUCH, |s| {
            under_tag(s.honest(), &index(vec![changed(s, "size", json!(1_u64 << 40))]))
        }),
        case("index-of-what-lies-elsewhere", Rejected("FOREIGN_LAYER"), |s| {
            let url = s.elsewhere_url(&format!("/v2/x/manifests/{}", s.image.manifest.digest));
            under_tag(s.honest(), &index(vec![changed(s, "urls", json!([url]))]))
        })
        .leaving_elsewhere_untouched(),
        case("index-of-what-is-missing", Rejected("IMAGE_NOT_FOUND"), |s| {
            under_tag(s.honest(), &index(vec![entry(s), other(1)]))
        }),
        case("index-of-what-is-not-to-be-had", Failed, |s| {
            let script = under_tag(s.honest(), &index(vec![entry(s)]));
            script.under(&s.image.manifest.digest, Reply::error(503, "UNAVAILABLE"))
        }),
        case("index-of-forged-bytes", MISMATCH, |s| {
            let forged = Reply::new(200, s.manifest_text() + " ").header("Content-Type", IMAGE_MANIFEST);
            under_tag(s.honest(), &index(vec![entry(s)])).under(&s.image.manifest.digest, forged)
        }),
        // Nobody looks into what calls itself an attestation, unless it can be run.
        case("index-hiding-an-image-as-an-attestation", INVALID, |s| {
            let hidden = json!({
                "schemaVersion": 2,
                "mediaType": IMAGE_MANIFEST,
                "config": s.image.config.descriptor(),
                "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": s.layer().digest,
                            "size": s.layer().bytes.len()}],
            });
            let hidden = Blob::new(IMAGE_MANIFEST, hidden.to_string().into());
            let mut named = hidden.descriptor();
            named["platform"] = json!({"os": "linux", "architecture": "arm64"});
            let script = s.honest().manifest(&hidden.digest.to_string(), &hidden);
            under_tag(script, &index(vec![entry(s), named]))
        }),
    ]
}

fn index(entries: Vec<Value>) -> Blob {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    Blob::new(INDEX, index.to_string().into())
}

fn as_index(index: &Blob) -> Reply {
    Reply::new(200, index.bytes.clone()).header("Content-Type", INDEX)
}

fn under_tag(script: Script, index: &Blob) -> Script {
    script.manifest(TAG, index)
}

/// The good image, as an index names it.
fn entry(scene: &Scene) -> Value {
    let mut entry = scene.image.manifest.descriptor();
    entry["platform"] = json!({"os": "linux", "architecture": "amd64"});
    entry
}

fn changed(scene: &Scene, key: &str, value: Value) -> Value {
    let mut entry = entry(scene);
    entry[key] = value;
    entry
}

/// Something that the registry does not have.
fn other(number: usize) -> Value {
    json!({"mediaType": IMAGE_MANIFEST, "digest": Digest::sha256_of(&number.to_le_bytes()), "size": 7})
}
