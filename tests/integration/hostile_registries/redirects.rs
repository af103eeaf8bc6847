//! Where a registry sends its reader: other hosts, forbidden places, endless chains, token services that are not its own.

use std::sync::Arc;

use store_tests::hostile_registry::{Place, Reply, Script, challenge};

use super::case::Expected::{Active, Failed, Rejected};
use super::case::{Case, Expected, Scene, TAG, case};

const FORBIDDEN: Expected = Rejected("REGISTRY_HOST_FORBIDDEN");

/// Places that nobody may be sent to, whatever the profile.
const FORBIDDEN_PLACES: [(&str, &str); 19] = [
    ("plain-http", "http://registry.example.org/v2/"),
    ("metadata", "http://169.254.169.254/latest/meta-data/iam/security-credentials/"),
    ("metadata-by-tls", "https://169.254.169.254/latest/meta-data/"),
    ("metadata-by-number", "https://2852039166/latest/meta-data/"),
    ("metadata-by-octal", "https://0251.0376.0251.0376/latest/meta-data/"),
    ("metadata-by-ipv6", "https://[::ffff:169.254.169.254]/latest/meta-data/"),
    ("metadata-by-nat64", "https://[64:ff9b::a9fe:a9fe]/latest/meta-data/"),
    ("metadata-of-ec2-by-ipv6", "https://[fd00:ec2::254]/latest/meta-data/"),
    ("metadata-of-alibaba", "https://100.100.100.200/latest/meta-data/"),
    ("link-local", "https://[fe80::1]/v2/"),
    ("private", "https://10.0.0.1/v2/"),
    ("private-by-http", "http://192.168.0.1/v2/"),
    ("shared", "https://100.64.0.1/v2/"),
    ("unspecified", "https://0.0.0.0/v2/"),
    ("multicast", "https://224.0.0.1/v2/"),
    ("file", "file:///etc/passwd"),
    ("ftp", "ftp://ftp.example.org/blob"),
    ("data", "data:application/json,{}"),
    ("user", "https://user:word@registry.example.org/v2/"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, target) in FORBIDDEN_PLACES {
        cases.push(case(format!("manifest-sent-to-{name}"), FORBIDDEN, move |s| {
            s.honest().at(Place::Manifest, Reply::redirect(target))
        }));
    }
    for (name, target) in FORBIDDEN_PLACES {
        cases.push(case(format!("token-from-{name}"), FORBIDDEN, move |s| realm(s, target)));
    }
    cases.extend(places_for_layers());
    cases.extend(chains());
    cases.extend(realms());
    cases.extend(echoes());
    cases
}

/// A registry that names this token service.
fn realm(scene: &Scene, realm: &str) -> Script {
    let challenge = challenge(realm);
    scene.honest().rule_outside(move |visit| {
        (visit.place() == Place::Manifest && visit.authorization().is_empty()).then(|| challenge.clone())
    })
}

/// A registry that sends the readers of its layer there.
fn layer_at(scene: &Scene, target: impl Into<String>) -> Script {
    scene.honest().under(&scene.layer().digest, Reply::redirect(target))
}

fn places_for_layers() -> Vec<Case> {
    vec![
        // As registries do that keep their blobs in a bucket.
        case("layer-at-another-host", Active, |s| {
            layer_at(s, s.elsewhere_url(&format!("/bucket/blobs/{}?signature=x", s.layer().digest)))
        }),
        case("manifest-at-another-host", Active, |s| {
            s.honest().at(Place::Manifest, Reply::redirect(s.elsewhere_url(&format!("/v2/x/manifests/{TAG}"))))
        }),
        case("layer-at-the-same-port-by-name", Active, |s| {
            let port = s.elsewhere.rsplit(':').next().unwrap();
            layer_at(s, format!("http://localhost:{port}/blobs/{}", s.layer().digest))
        }),
        case("layer-sent-to-metadata", FORBIDDEN, |s| layer_at(s, "https://169.254.169.254/latest/meta-data/")),
        case("layer-sent-to-private", FORBIDDEN, |s| layer_at(s, "https://10.0.0.1/blob")),
        case("layer-sent-to-metadata-by-detour", FORBIDDEN, |s| layer_at(s, s.elsewhere_url("/detour")))
            .elsewhere(|_| Script::open().rule(|_| Some(Reply::redirect("https://169.254.169.254/latest/meta-data/")))),
        case("layer-at-another-host-that-asks-for-a-password", Rejected("REGISTRY_ACCESS_DENIED"), |s| {
            layer_at(s, s.elsewhere_url("/blob"))
        })
        .elsewhere(|_| {
            let asks = Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", "Basic realm=\"your password\"");
            Script::open().rule(move |_| Some(asks.clone()))
        }),
        case("layer-at-another-host-that-asks-for-a-token", Rejected("REGISTRY_ACCESS_DENIED"), |s| {
            layer_at(s, s.elsewhere_url("/blob"))
        })
        .elsewhere(|s| {
            let asks = challenge(&format!("http://{}/token", s.here));
            Script::open().rule(move |_| Some(asks.clone()))
        }),
        case("layer-by-tls-where-none-is", Failed, |s| layer_at(s, format!("https://{}/blob", s.elsewhere))),
        case("layer-of-nowhere", Failed, |s| s.honest().under(&s.layer().digest, Reply::new(307, ""))),
        case("layer-of-no-url", Failed, |s| layer_at(s, "http://[::")),
        // Never resolves (RFC 6761).
        case("layer-at-a-name-that-is-none", Failed, |s| layer_at(s, "https://registry.invalid/blob")),
    ]
}

fn chains() -> Vec<Case> {
    vec![
        case("redirects-without-end", Failed, |s| {
            s.honest().rule(|visit| {
                let next = format!("/v2/hop/manifests/{}", visit.request.target.len());
                (visit.place() == Place::Manifest).then(|| Reply::redirect(format!("{next}{}", visit.request.target)))
            })
        }),
        case("redirect-to-itself", Failed, |s| {
            s.honest().rule(|v| (v.place() == Place::Manifest).then(|| Reply::redirect(v.request.target.clone())))
        }),
        case("redirects-to-and-fro", Failed, |s| {
            let there = Reply::redirect(s.elsewhere_url("/bounce"));
            layer_at(s, s.elsewhere_url("/bounce"))
                .rule_outside(move |visit| visit.request.target.starts_with("/landing").then(|| there.clone()))
        })
        .elsewhere(|s| {
            let back = format!("http://{}/landing", s.here);
            Script::open().rule(move |_| Some(Reply::redirect(back.clone())))
        }),
        // What was dropped at the first hop stays dropped: the checks of the whole table look at `/landing`.
        case("redirect-there-and-back", Active, |s| {
            let bytes = s.layer().bytes.clone();
            layer_at(s, s.elsewhere_url("/bounce")).rule_outside(move |visit| {
                visit.request.target.starts_with("/landing").then(|| Reply::new(200, bytes.clone()))
            })
        })
        .elsewhere(|s| {
            let back = format!("http://{}/landing", s.here);
            Script::open().rule(move |_| Some(Reply::redirect(back.clone())))
        }),
        case("token-service-that-redirects", Failed, |s| {
            s.honest().at(Place::Token, Reply::redirect(s.elsewhere_url("/token")))
        })
        .leaving_elsewhere_untouched(),
    ]
}

fn realms() -> Vec<Case> {
    vec![
        case("token-from-another-host", FORBIDDEN, |s| realm(s, &s.elsewhere_url("/token")))
            .leaving_elsewhere_untouched(),
        case("token-from-the-same-port-by-name", FORBIDDEN, |s| {
            let port = s.here.rsplit(':').next().unwrap();
            realm(s, &format!("http://localhost:{port}/token"))
        }),
        case("token-from-a-host-behind-a-user", FORBIDDEN, |s| {
            realm(s, &format!("http://{}@{}/token", s.here, s.elsewhere))
        })
        .leaving_elsewhere_untouched(),
        case("token-from-a-host-behind-a-backslash", FORBIDDEN, |s| {
            realm(s, &format!("http://{}\\\\@{}/token", s.elsewhere, s.here))
        })
        .leaving_elsewhere_untouched(),
        case("token-from-no-url", Failed, |s| realm(s, "somewhere")),
        case("token-from-nowhere", Failed, |s| realm(s, "")),
        case("token-from-control-characters", Failed, |s| {
            raw_challenge(s, format!("Bearer realm=\"http://{}/to\u{1}ken\"", s.here))
        }),
        case("token-from-escaped-control-characters", Active, |s| {
            realm(s, &format!("http://{}/token?a=%0d%0aX-Injected:%20b%00", s.here))
        }),
        case("token-from-an-endless-realm", Failed, |s| {
            realm(s, &format!("http://{}/token?{}", s.here, "x".repeat(200_000)))
        }),
        case("token-from-a-long-realm", Failed, |s| {
            realm(s, &format!("http://{}/token?{}", s.here, "x".repeat(5_000)))
        }),
        case("challenge-without-a-realm", Failed, |s| raw_challenge(s, "Bearer service=\"x\"".to_owned())),
        case("challenge-that-cannot-be-read", Failed, |s| raw_challenge(s, "Bearer realm=\"".to_owned())),
        case("challenge-of-an-unknown-kind", Rejected("REGISTRY_ACCESS_DENIED"), |s| {
            raw_challenge(s, "Negotiate".to_owned())
        }),
    ]
}

fn raw_challenge(scene: &Scene, challenge: String) -> Script {
    let asks = Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", challenge);
    scene.honest().rule_outside(move |visit| (visit.place() == Place::Manifest).then(|| asks.clone()))
}

/// A registry that repeats the credential wherever its words might be kept.
fn echoes() -> Vec<Case> {
    let echo = |name: &str, expected, play: fn(&Scene, &str) -> Script| {
        case(format!("credential-repeated-in-{name}"), expected, move |s| play(s, &s.secret))
    };
    vec![
        echo("an-error", Rejected("REGISTRY_ACCESS_DENIED"), |s, secret| {
            let secret: Arc<str> = secret.into();
            s.honest().rule(move |visit| {
                let said = format!("{secret} {}", visit.authorization());
                let body = serde_json::json!({"errors": [{"code": said, "message": said, "detail": said}]});
                (visit.place() == Place::Manifest).then(|| Reply::json(403, &body))
            })
        }),
        echo("a-token-error", Rejected("REGISTRY_ACCESS_DENIED"), |s, _| {
            s.honest().rule(|visit| {
                let said = Reply::error(401, visit.authorization());
                (visit.place() == Place::Token).then_some(said)
            })
        }),
        echo("a-location", Failed, |s, secret| {
            s.honest().at(Place::Manifest, Reply::redirect(format!("https://{secret}.example.org/")))
        }),
        echo("a-path", Failed, |s, secret| {
            s.honest().at(Place::Manifest, Reply::redirect(format!("https://registry.invalid/{secret}")))
        }),
        echo("a-realm", Failed, |s, secret| realm(s, &format!("https://{secret}.example.org/token"))),
        echo("a-content-type", Failed, |s, secret| {
            s.honest().at(Place::Manifest, s.bare_manifest().header("Content-Type", format!("application/{secret}")))
        }),
        echo("a-media-type", Failed, |s, secret| {
            s.with_manifest(|m| m["layers"][1]["mediaType"] = format!("application/{secret}").into())
        }),
        echo("an-annotation", Failed, |s, secret| {
            s.with_manifest(|m| m["annotations"] = serde_json::json!({"org.example": secret}))
        }),
        echo("a-digest-header", Failed, |s, secret| {
            s.honest().at(Place::Manifest, s.manifest_reply().header("Docker-Content-Digest", secret))
        }),
    ]
}
