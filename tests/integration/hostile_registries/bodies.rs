//! Bodies that come slowly, never, without end, cut off, or as something else.

use bytes::Bytes;
use store_tests::hostile_registry::{Place, Reply, Script};

use super::case::Expected::{Active, Failed, Rejected, RejectedLater};
use super::case::{Case, Expected, Scene, TAG, case};

const MISMATCH: Expected = Rejected("DIGEST_MISMATCH");
const TOO_MUCH: Expected = Rejected("IMAGE_LIMIT_EXCEEDED");

/// Answers that end as an outage wherever they are given.
fn outages() -> Vec<(&'static str, Reply)> {
    vec![
        ("silent", Reply::silence()),
        ("stalled", Reply::stalled("{")),
        ("dripping", Reply::dripping()),
        ("reset", Reply::reset("{", 1_000)),
        ("cut-off", Reply::new(200, "{").length(1_000)),
        ("web-page", Reply::html(200)),
        ("encoded", Reply::new(200, "{}").header("Content-Encoding", "gzip")),
        ("not-http", Reply::raw("220 mail.example.org ESMTP ready\r\n")),
        ("headers-without-end", Reply::raw_without_end("HTTP/1.1 200 OK\r\nX: ")),
        ("soon-without-end", Reply::raw_without_end("HTTP/1.1 100 Continue\r\n\r\n")),
    ]
}

type Put = fn(&Scene, Reply) -> Script;

pub(super) fn cases() -> Vec<Case> {
    let places: [(&str, Put); 3] = [
        ("token", |scene, reply| scene.honest().at(Place::Token, reply)),
        ("manifest", |scene, reply| scene.honest().at(Place::Manifest, reply)),
        ("layer", |scene, reply| scene.honest().under(&scene.layer().digest, reply)),
    ];
    let mut cases = Vec::new();
    for (place, put) in places {
        for (name, reply) in outages() {
            cases.push(case(format!("{place}-{name}"), Failed, move |scene| put(scene, sized(scene, place, reply))));
        }
    }
    cases.extend(tokens());
    cases.extend(manifests());
    cases.extend(blobs());
    cases
}

/// A layer's length is known: another one said would be the fault that is found.
fn sized(scene: &Scene, place: &str, reply: Reply) -> Reply {
    if place == "layer" { reply.length(scene.layer().bytes.len()) } else { reply }
}

fn tokens() -> Vec<Case> {
    let says = |name: &str, body: &'static str| {
        case(format!("token-{name}"), Failed, move |s| {
            s.honest().at(Place::Token, Reply::new(200, body).header("Content-Type", "application/json"))
        })
    };
    vec![
        case("token-without-end", Failed, |s| s.honest().at(Place::Token, Reply::endless(200))),
        case("token-too-long", Failed, |s| {
            let token = format!(r#"{{"token":"{}"}}"#, "t".repeat(100_000));
            s.honest().at(Place::Token, Reply::new(200, token))
        }),
        says("with-control-characters", r#"{"token":"a\r\nX-Injected: b"}"#),
        says("with-letters-beyond-ascii", r#"{"token":"tökén"}"#),
        says("empty", r#"{"token":""}"#),
        says("missing", r#"{"expires_in":300}"#),
        says("not-an-object", r#"["token"]"#),
        says("of-negative-life", r#"{"token":"t","expires_in":-1}"#),
    ]
}

fn manifests() -> Vec<Case> {
    vec![
        case("manifest-without-end", TOO_MUCH, |s| s.honest().at(Place::Manifest, Reply::endless(200))),
        case("manifest-of-a-terabyte", TOO_MUCH, |s| {
            s.honest().at(Place::Manifest, Reply::stalled("{").length(1_u64 << 40))
        }),
        case("error-without-end", Rejected("IMAGE_NOT_FOUND"), |s| s.honest().at(Place::Manifest, Reply::endless(404))),
        case("manifest-of-negative-length", Failed, |s| {
            s.honest().at(Place::Manifest, s.manifest_reply().length("-1"))
        }),
        case("manifest-of-two-lengths", Failed, |s| {
            let reply = s.manifest_reply().length(s.image.manifest.bytes.len()).header("Content-Length", "7");
            s.honest().at(Place::Manifest, reply)
        }),
        case("manifest-without-length", Active, |s| {
            s.honest().at(Place::Manifest, s.manifest_reply().without_length())
        }),
        case("manifest-of-another-digest-by-its-header", MISMATCH, |s| {
            let other = registry_types::digest::Digest::sha256_of(b"other");
            s.honest().at(Place::Manifest, s.manifest_reply().header("Docker-Content-Digest", other.to_string()))
        }),
        case("interim-answers-without-end", Failed, |s| {
            s.honest().at(Place::Manifest, Reply::raw_without_end("HTTP/1.1 103 Early Hints\r\n\r\n"))
        }),
    ]
}

fn blobs() -> Vec<Case> {
    let bytes = |s: &Scene| s.layer().bytes.clone();
    let forged = |s: &Scene| Bytes::from(vec![b'x'; s.layer().bytes.len()]);
    vec![
        case("layer-without-end", MISMATCH, |s| s.honest().under(&s.layer().digest, Reply::endless(200))),
        case("layer-longer", MISMATCH, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, [&bytes(s)[..], b"more"].concat()))
        }),
        case("layer-shorter", MISMATCH, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, bytes(s).slice(1..)))
        }),
        case("layer-of-another-digest", MISMATCH, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, forged(s)))
        }),
        case("layer-of-another-digest-without-length", MISMATCH, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, forged(s)).without_length())
        }),
        case("layer-without-length", Active, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, bytes(s)).without_length())
        }),
        case("layer-without-length-cut-off", Failed, move |s| {
            s.honest().under(&s.layer().digest, Reply::new(200, bytes(s).slice(..100)).without_length())
        }),
        case("layer-cut-off-once", Active, move |s| {
            let half = Reply::new(200, bytes(s).slice(..100)).length(bytes(s).len());
            s.honest().first_under(&s.layer().digest, half)
        }),
        case("layer-resumed-elsewhere", Failed, move |s| {
            let (layer, all) = (s.layer().digest.to_string(), bytes(s));
            s.honest().rule(move |visit| {
                let is_resumed = visit.request.header("range").is_some();
                let range = format!("bytes 1-{}/{}", all.len() - 1, all.len());
                let reply = if is_resumed {
                    Reply::new(206, all.slice(1..)).header("Content-Range", range)
                } else {
                    Reply::new(200, all.slice(..100)).length(all.len())
                };
                (visit.last_segment() == layer).then_some(reply)
            })
        }),
        case("config-without-end", TOO_MUCH, |s| s.honest().under(&s.image.config.digest, Reply::endless(200))),
        case("config-of-another-digest", MISMATCH, |s| {
            let forged = vec![b' '; s.image.config.bytes.len()];
            s.honest().under(&s.image.config.digest, Reply::new(200, forged))
        }),
        case("config-shorter", MISMATCH, |s| s.honest().under(&s.image.config.digest, Reply::new(200, "{}"))),
        case("config-stalled", Failed, |s| s.honest().under(&s.image.config.digest, Reply::stalled("{"))),
        case("config-web-page", Failed, |s| s.honest().under(&s.image.config.digest, Reply::html(200))),
        case("tag-that-moves", Active, |s| moving_tag(s, false)),
        case("tag-that-moves-and-leaves-nothing", RejectedLater("IMAGE_NOT_FOUND"), |s| moving_tag(s, true)),
    ]
}

/// The first request finds the good image, whose layer then cannot be had for the first attempt; later ones find another
/// image under the tag. An intake judges the first and no other.
fn moving_tag(scene: &Scene, forgets: bool) -> Script {
    let other = Scene::image_of(&store_tests::store::module_manifest("another", "9.9.9"), "another");
    let moved = Reply::new(200, other.manifest.bytes.clone()).header("Content-Type", other.manifest.media_type);
    let pinned = scene.image.manifest.digest.to_string();
    let layer = scene.layer().digest.to_string();
    scene.honest().image("another", &other).rule(move |visit| {
        let name = visit.last_segment();
        if name == TAG {
            (visit.seen_before > 0).then(|| moved.clone())
        } else if name == pinned {
            forgets.then(|| Reply::error(404, "MANIFEST_UNKNOWN"))
        } else if name == layer {
            (visit.seen_before < 2).then(|| Reply::error(503, "UNAVAILABLE"))
        } else {
            None
        }
    })
}
