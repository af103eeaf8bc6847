//! Statuses at each of token, manifest, config and layer, and what `Retry-After` adds to them.

use store_tests::hostile_registry::{Place, Reply, Script};

use super::case::Expected::{Active, Failed, Rejected};
use super::case::{Case, Expected, Scene, TAG, case};

const DENIED: Expected = Rejected("REGISTRY_ACCESS_DENIED");
const MISSING: Expected = Rejected("IMAGE_NOT_FOUND");

/// Status, code in the body, and how the intake ends where an image is asked for.
const STATUSES: [(u16, &str, Expected); 8] = [
    (401, "UNAUTHORIZED", DENIED),
    (403, "DENIED", DENIED),
    (404, "MANIFEST_UNKNOWN", MISSING),
    (410, "BLOB_UNKNOWN", MISSING),
    (418, "TEAPOT", Failed),
    (429, "TOOMANYREQUESTS", Failed),
    (500, "UNKNOWN", Failed),
    (503, "UNAVAILABLE", Failed),
];

/// Values of `Retry-After`: soon, in a day, dates, and such as mean nothing.
const RETRY_AFTER: [(&str, &str); 8] = [
    ("now", "0"),
    ("in-a-day", "86400"),
    ("long-ago", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("far-off", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("negative", "-120"),
    ("huge", "18446744073709551615"),
    ("beyond-numbers", "99999999999999999999999999"),
    ("nonsense", "after lunch"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (status, code, expected) in STATUSES {
        let reply = Reply::error(status, code);
        cases.extend(at_each_place(&format!("status-{status}"), &reply, expected));
    }
    for (index, (name, value)) in RETRY_AFTER.into_iter().enumerate() {
        let status = [429, 503][index % 2];
        let reply = Reply::error(status, "UNKNOWN").header("Retry-After", value);
        cases.push(case(format!("{status}-retry-{name}"), Failed, |scene| scene.honest().at(Place::Manifest, reply)));
    }
    cases.extend(combinations());
    cases
}

fn at_each_place(name: &str, reply: &Reply, expected: Expected) -> Vec<Case> {
    let at = |place: &str, expected, play: fn(&Scene, Reply) -> Script| {
        let reply = reply.clone();
        case(format!("{place}-{name}"), expected, move |scene| play(scene, reply))
    };
    // The token service knows nothing of images: that it is missing says nothing about them.
    let at_token = if expected == MISSING { Failed } else { expected };
    vec![
        at("token", at_token, |scene, reply| scene.honest().at(Place::Token, reply)),
        at("manifest", expected, |scene, reply| scene.honest().at(Place::Manifest, reply)),
        at("config", expected, |scene, reply| scene.honest().under(&scene.image.config.digest, reply)),
        at("layer", expected, |scene, reply| scene.honest().under(&scene.layer().digest, reply)),
    ]
}

fn combinations() -> Vec<Case> {
    vec![
        case("honest", Active, Scene::honest),
        case("manifest-503-once", Active, |s| s.honest().first_under(TAG, Reply::error(503, "UNAVAILABLE"))),
        case("layer-429-once", Active, |s| {
            let busy = Reply::error(429, "TOOMANYREQUESTS").header("Retry-After", "0");
            s.honest().first_under(&s.layer().digest, busy)
        }),
        // A limit in the clothes of a refusal.
        case("403-too-many-requests", Failed, |s| {
            s.honest().at(Place::Manifest, Reply::error(403, "TOOMANYREQUESTS").header("Retry-After", "0"))
        }),
        case("403-with-retry-after", DENIED, |s| {
            s.honest().at(Place::Manifest, Reply::error(403, "DENIED").header("Retry-After", "0"))
        }),
        case("404-web-page", Failed, |s| s.honest().at(Place::Manifest, Reply::html(404))),
        case("405-unsupported", Failed, |s| s.honest().at(Place::Manifest, Reply::error(405, "UNSUPPORTED"))),
        case("200-with-an-error", Rejected("IMAGE_MANIFEST_INVALID"), |s| {
            s.honest().at(Place::Manifest, Reply::error(200, "MANIFEST_UNKNOWN"))
        }),
        case("204-without-a-manifest", Failed, |s| s.honest().at(Place::Manifest, Reply::new(204, ""))),
        case("206-nobody-asked-for", Failed, |s| {
            let layer = s.layer();
            s.honest().under(&layer.digest, Reply::new(206, layer.bytes.clone()))
        }),
        // The token is honoured by nobody.
        case("challenged-for-ever", DENIED, |s| {
            let realm = format!("http://{}/token", s.here);
            s.honest().at(Place::Manifest, store_tests::hostile_registry::challenge(&realm))
        }),
        case("basic-and-refused", DENIED, |s| {
            let asks = Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"scripted\"");
            s.honest().rule_outside(move |_| Some(asks.clone()))
        }),
    ]
}
