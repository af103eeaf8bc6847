//! Manifests and configs that contradict themselves, break the rules, or mean different things to different readers.

use bytes::Bytes;
use registry_types::digest::Digest;
use registry_types::limits;
use serde_json::{Value, json};
use store_tests::hostile_registry::{Place, Script};
use store_tests::image::Blob;

use super::case::Expected::{Failed, Rejected};
use super::case::{Case, Expected, IMAGE_MANIFEST, Scene, TAG, case};

const INVALID: Expected = Rejected("IMAGE_MANIFEST_INVALID");
const TOO_MUCH: Expected = Rejected("IMAGE_LIMIT_EXCEEDED");
const FOREIGN: Expected = Rejected("FOREIGN_LAYER");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = media_types();
    cases.extend(texts());
    cases.extend(layers());
    cases.extend(configs());
    cases
}

fn media_types() -> Vec<Case> {
    let served_as = |name: &str, expected, content_type: &'static str| {
        case(format!("manifest-served-as-{name}"), expected, move |s: &Scene| {
            s.honest().at(Place::Manifest, s.bare_manifest().header("Content-Type", content_type))
        })
    };
    let says = |name: &str, media_type: &'static str| {
        case(format!("manifest-saying-{name}"), INVALID, move |s| {
            s.with_manifest(|m| m["mediaType"] = json!(media_type))
        })
    };
    vec![
        served_as("index", INVALID, INDEX),
        served_as("docker", INVALID, "application/vnd.docker.distribution.manifest.v2+json"),
        served_as("picture", INVALID, "image/png"),
        served_as("web-page", Failed, "text/html"),
        says("index", INDEX),
        says("artifact", "application/vnd.oci.artifact.manifest.v1+json"),
        case("manifest-of-schema-1", INVALID, |s| {
            s.with_manifest_text(r#"{"schemaVersion":1,"name":"a","fsLayers":[],"history":[],"signatures":[]}"#)
        }),
        case("manifest-and-index-at-once", INVALID, |s| s.with_manifest(|m| m["manifests"] = json!([]))),
    ]
}

fn texts() -> Vec<Case> {
    let text = |name: &str, text: &'static [u8]| case(name, INVALID, move |s| s.with_manifest_text(text));
    vec![
        text("manifest-empty", b""),
        text("manifest-not-json", b"schemaVersion: 2"),
        text("manifest-not-text", &[0xff, 0xfe, 0, 1]),
        text("manifest-a-list", b"[]"),
        text("manifest-null", b"null"),
        case("manifest-with-a-key-twice", INVALID, |s| {
            s.with_manifest_text(s.manifest_text().replacen('{', r#"{"layers":[],"#, 1))
        }),
        case("manifest-with-a-key-twice-by-escape", INVALID, |s| {
            s.with_manifest_text(s.manifest_text().replacen('{', r#"{"l\u0061yers":[],"#, 1))
        }),
        case("manifest-with-a-key-in-another-case", INVALID, |s| s.with_manifest(|m| m["Layers"] = json!([]))),
        case("manifest-with-more-behind-it", INVALID, |s| s.with_manifest_text(s.manifest_text() + "{}")),
        case("manifest-of-deep-json", INVALID, |s| {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            s.with_manifest_text(s.manifest_text().replacen('{', &format!(r#"{{"x":{deep},"#), 1))
        }),
        case("manifest-over-the-limit", TOO_MUCH, |s| {
            let padding = usize::try_from(limits::MAX_MANIFEST_BYTES).unwrap();
            s.with_manifest_text(s.manifest_text() + &" ".repeat(padding))
        }),
    ]
}

/// A layer descriptor changed so.
fn layer(name: &str, expected: Expected, change: impl FnOnce(&mut Value) + Send + 'static) -> Case {
    case(format!("layer-{name}"), expected, move |s| s.with_manifest(|m| change(&mut m["layers"][1])))
}

fn layers() -> Vec<Case> {
    vec![
        layer("of-negative-size", INVALID, |l| l["size"] = json!(-1)),
        layer("of-half-a-size", INVALID, |l| l["size"] = json!(1.5)),
        layer("of-a-petabyte", TOO_MUCH, |l| l["size"] = json!(1_u64 << 50)),
        layer("of-no-size", INVALID, |l| {
            l.as_object_mut().unwrap().remove("size");
        }),
        layer("of-another-size", Rejected("DIGEST_MISMATCH"), |l| l["size"] = json!(1)),
        layer("of-no-digest", INVALID, |l| l["digest"] = json!("sha256:")),
        layer("of-md5", INVALID, |l| l["digest"] = json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        layer("of-a-path", INVALID, |l| l["digest"] = json!("sha256:../../../../v2/somebody/else/blobs/x")),
        layer("foreign-by-type", FOREIGN, |l| {
            l["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        }),
        layer("non-distributable", FOREIGN, |l| {
            l["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        }),
        layer("of-a-type-nobody-knows", INVALID, |l| l["mediaType"] = json!("application/vnd.example.layer")),
        case("layer-to-be-had-elsewhere", FOREIGN, |s| {
            let url = s.elsewhere_url(&format!("/v2/x/blobs/{}", s.layer().digest));
            s.with_manifest(|m| m["layers"][1]["urls"] = json!([url]))
        })
        .leaving_elsewhere_untouched(),
        case("layer-of-two-sizes", INVALID, |s| {
            s.with_manifest(|m| {
                let mut again = m["layers"][1].clone();
                again["size"] = json!(7);
                m["layers"].as_array_mut().unwrap().push(again);
            })
        }),
        case("layer-of-two-types", INVALID, |s| {
            s.with_manifest(|m| {
                let mut again = m["layers"][1].clone();
                again["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar");
                m["layers"].as_array_mut().unwrap().push(again);
            })
        }),
        case("more-layers-than-allowed", TOO_MUCH, |s| {
            let layer =
                |n: usize| json!({"mediaType": LAYER, "digest": Digest::sha256_of(&n.to_le_bytes()), "size": 8});
            s.with_manifest(|m| m["layers"] = (0..=limits::MAX_LAYERS).map(layer).collect())
        }),
    ]
}

fn configs() -> Vec<Case> {
    let config = |name: &str, expected, change: fn(&Scene) -> Bytes| {
        case(format!("config-{name}"), expected, move |s| with_config(s, CONFIG, change(s)))
    };
    vec![
        config("not-json", INVALID, |_| "not JSON".into()),
        config("a-list", INVALID, |_| "[]".into()),
        config("with-a-key-twice", INVALID, |s| text(s).replacen('{', r#"{"rootfs":{},"#, 1).into()),
        config("of-deep-json", INVALID, |_| ("[".repeat(50_000) + &"]".repeat(50_000)).into()),
        config("of-fewer-layers", INVALID, |s| with_diff_ids(s, |ids| ids.truncate(1))),
        config("of-other-layers", Rejected("DIGEST_MISMATCH"), |s| {
            with_diff_ids(s, |ids| ids[1] = json!(Digest::sha256_of(b"another layer")))
        }),
        config("of-layers-in-another-order", Rejected("DIGEST_MISMATCH"), |s| with_diff_ids(s, |ids| ids.swap(0, 1))),
        case("config-of-no-image", INVALID, |s| with_config(s, "application/vnd.example.config", text(s).into())),
        case("config-that-is-a-layer", INVALID, |s| {
            let layer = s.layer().descriptor();
            s.with_manifest(|m| {
                m["config"] = layer;
                m["config"]["mediaType"] = json!(CONFIG);
            })
        }),
        case("config-over-the-limit", TOO_MUCH, |s| {
            s.with_manifest(|m| m["config"]["size"] = json!(limits::MAX_MANIFEST_BYTES + 1))
        }),
    ]
}

fn text(scene: &Scene) -> String {
    String::from_utf8(scene.image.config.bytes.to_vec()).unwrap()
}

fn with_diff_ids(scene: &Scene, change: impl FnOnce(&mut Vec<Value>)) -> Bytes {
    let mut config: Value = serde_json::from_slice(&scene.image.config.bytes).unwrap();
    change(config["rootfs"]["diff_ids"].as_array_mut().unwrap());
    config.to_string().into()
}

/// The good image with another config.
fn with_config(scene: &Scene, media_type: &'static str, bytes: Bytes) -> Script {
    let config = Blob::new(media_type, bytes);
    let mut manifest: Value = serde_json::from_slice(&scene.image.manifest.bytes).unwrap();
    manifest["config"] = config.descriptor();
    scene.honest().blob(config.bytes).manifest(TAG, &Blob::new(IMAGE_MANIFEST, manifest.to_string().into()))
}
