//! What a registry holds, whom it lets in, and where it answers otherwise than an honest one.

use std::collections::HashMap;

use bytes::Bytes;
use registry_types::digest::Digest;
use serde_json::{Value, json};

use super::{Arrived, Reply};
use crate::image::{Blob, BuiltImage};

const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Token,
    /// Under a tag or a digest.
    Manifest,
    Blob,
    Referrers,
    /// The tag that stands in for the referrers API.
    FallbackTag,
    /// `sha256-….sig` and `sha256-….att`.
    SignatureTag,
    Other,
}

/// A request, as a script sees it.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    pub request: &'a Arrived,
    /// How often the same was asked for before, with the same authorization.
    pub seen_before: usize,
}

impl Visit<'_> {
    #[must_use]
    pub fn place(&self) -> Place {
        let path = self.request.path();
        let name = self.last_segment();
        if path.starts_with("/token") {
            Place::Token
        } else if path.contains("/referrers/") {
            Place::Referrers
        } else if path.contains("/blobs/") {
            Place::Blob
        } else if !path.contains("/manifests/") {
            Place::Other
        } else if !name.starts_with("sha256-") {
            Place::Manifest
        } else if name.contains('.') {
            Place::SignatureTag
        } else {
            Place::FallbackTag
        }
    }

    /// The tag or digest that was asked for.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        self.request.path().rsplit('/').next().unwrap_or_default()
    }

    /// The credential or token that came with it, as sent.
    #[must_use]
    pub fn authorization(&self) -> &str {
        self.request.header("authorization").unwrap_or_default()
    }
}

type Rule = Box<dyn Fn(&Visit) -> Option<Reply> + Send + Sync>;

/// Who is let in.
enum Door {
    Open,
    /// Whoever brings the token that the registry's own token service gives for a credential.
    Token(String),
}

/// An honest registry, but for its rules.
pub struct Script {
    door: Door,
    /// Looked at before the door.
    outside: Vec<Rule>,
    inside: Vec<Rule>,
    manifests: HashMap<String, Reply>,
    blobs: HashMap<String, Bytes>,
    /// `None`: it does not know the referrers API.
    referrers: Option<Vec<Value>>,
}

impl Script {
    /// A registry that lets in whoever brings `token`, which its token service gives for any credential.
    #[must_use]
    pub fn behind_token(token: String) -> Self {
        Self {
            door: Door::Token(token),
            outside: Vec::new(),
            inside: Vec::new(),
            manifests: HashMap::new(),
            blobs: HashMap::new(),
            referrers: Some(Vec::new()),
        }
    }

    /// A registry that lets everybody in, and whose token service gives everybody a token.
    #[must_use]
    pub fn open() -> Self {
        Self { door: Door::Open, ..Self::behind_token(String::new()) }
    }

    /// With an image, under `tag` and its digest.
    #[must_use]
    pub fn image(mut self, tag: &str, image: &BuiltImage) -> Self {
        for blob in image.layers.iter().chain([&image.config]) {
            self = self.blob(blob.bytes.clone());
        }
        self.manifest(tag, &image.manifest)
    }

    /// With a manifest, under `tag` and its digest.
    #[must_use]
    pub fn manifest(mut self, tag: &str, manifest: &Blob) -> Self {
        let reply = Reply::new(200, manifest.bytes.clone()).header("Content-Type", manifest.media_type);
        self.manifests.insert(tag.to_owned(), reply.clone());
        self.manifests.insert(manifest.digest.to_string(), reply);
        self
    }

    #[must_use]
    pub fn blob(mut self, bytes: Bytes) -> Self {
        self.blobs.insert(Digest::sha256_of(&bytes).to_string(), bytes);
        self
    }

    /// Lists these descriptors as what refers to whatever is asked for.
    #[must_use]
    pub fn listing_referrers(mut self, descriptors: Vec<Value>) -> Self {
        self.referrers = Some(descriptors);
        self
    }

    /// Without the referrers API.
    #[must_use]
    pub fn without_referrers_api(mut self) -> Self {
        self.referrers = None;
        self
    }

    /// Answers those who were let in by `rule`, where it answers at all. Earlier rules come first.
    #[must_use]
    pub fn rule(mut self, rule: impl Fn(&Visit) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.inside.push(Box::new(rule));
        self
    }

    /// As [`Script::rule`], for everybody, let in or not.
    #[must_use]
    pub fn rule_outside(mut self, rule: impl Fn(&Visit) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.outside.push(Box::new(rule));
        self
    }

    /// Always answers so there.
    #[must_use]
    pub fn at(self, place: Place, reply: Reply) -> Self {
        self.rule(move |visit| (visit.place() == place).then(|| reply.clone()))
    }

    /// Always answers so what ends with this tag or digest.
    #[must_use]
    pub fn under(self, name: impl ToString, reply: Reply) -> Self {
        let name = name.to_string();
        self.rule(move |visit| (visit.last_segment() == name).then(|| reply.clone()))
    }

    /// Answers so there when it is asked for the first time.
    #[must_use]
    pub fn first_under(self, name: impl ToString, reply: Reply) -> Self {
        let name = name.to_string();
        self.rule(move |visit| (visit.last_segment() == name && visit.seen_before == 0).then(|| reply.clone()))
    }

    pub(super) fn answer(&self, visit: &Visit) -> Reply {
        let first = |rules: &[Rule]| rules.iter().find_map(|rule| rule(visit));
        if let Some(reply) = first(&self.outside) {
            return reply;
        }
        let is_inside = match &self.door {
            Door::Open => true,
            Door::Token(token) => visit.place() == Place::Token || visit.authorization() == format!("Bearer {token}"),
        };
        if !is_inside {
            return challenge(&format!("http://{}/token", visit.request.header("host").unwrap_or_default()));
        }
        first(&self.inside).unwrap_or_else(|| self.honest(visit))
    }

    fn honest(&self, visit: &Visit) -> Reply {
        match visit.place() {
            Place::Token => self.token(visit),
            Place::Manifest | Place::FallbackTag | Place::SignatureTag => {
                let held = self.manifests.get(visit.last_segment());
                held.cloned().unwrap_or_else(|| Reply::error(404, "MANIFEST_UNKNOWN"))
            }
            Place::Blob => match self.blobs.get(visit.last_segment()) {
                Some(bytes) => from_where_asked(bytes, visit.request),
                None => Reply::error(404, "BLOB_UNKNOWN"),
            },
            Place::Referrers => match &self.referrers {
                Some(listed) => referrers(listed),
                None => Reply::new(404, "404 page not found").header("Content-Type", "text/plain"),
            },
            Place::Other => Reply::error(404, "NAME_UNKNOWN"),
        }
    }

    fn token(&self, visit: &Visit) -> Reply {
        match &self.door {
            Door::Open => Reply::json(200, &json!({"token": "for-anybody"})),
            Door::Token(_) if !visit.authorization().starts_with("Basic ") => Reply::error(401, "UNAUTHORIZED"),
            Door::Token(token) => Reply::json(200, &json!({"token": token, "expires_in": 300})),
        }
    }
}

/// The answer at a door whose token service is `realm`.
#[must_use]
pub fn challenge(realm: &str) -> Reply {
    let asked = format!(r#"Bearer realm="{realm}",service="scripted",scope="repository:somebody/else:push""#);
    Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", asked)
}

/// An honest list of referrers.
fn referrers(descriptors: &[Value]) -> Reply {
    let index = json!({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": descriptors});
    Reply::new(200, index.to_string()).header("Content-Type", IMAGE_INDEX)
}

fn from_where_asked(bytes: &Bytes, request: &Arrived) -> Reply {
    let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    match range.and_then(|from| from.parse::<usize>().ok()) {
        Some(from) if from < bytes.len() => Reply::new(206, bytes.slice(from..))
            .header("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len())),
        Some(_) | None => Reply::new(200, bytes.clone()),
    }
}
