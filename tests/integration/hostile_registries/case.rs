//! A line of the table: a script, and what must come of a publish from a registry that plays it.

use std::sync::Arc;

use intake_worker::verdict::VerdictKey;
use serde_json::Value;
use store_tests::hostile_registry::{Reply, Script};
use store_tests::image::{Blob, BuiltImage, Image};

/// The tag that every case publishes.
pub(super) const TAG: &str = "1.0.0";
pub(super) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// How an intake must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Active,
    /// The package's fault: at the first attempt, with this code.
    Rejected(&'static str),
    /// The same, at the second attempt: the first met an outage.
    RejectedLater(&'static str),
    /// Anybody's outage: with `INTAKE_FAILED`, when all attempts are used up.
    Failed,
    /// Left to a person at the first attempt, because of this.
    InReview(&'static str),
    /// The same when all attempts are used up.
    InReviewAtLast(&'static str),
}

/// One line of the table.
pub(super) struct Case {
    /// Also the package's name and the repository's folder.
    pub(super) name: String,
    pub(super) expected: Expected,
    /// The namespace demands a signature by [`Scene::key`].
    pub(super) wants_signature: bool,
    /// The host that the registry points to must not be asked for anything.
    pub(super) elsewhere_untouched: bool,
    play: Box<dyn FnOnce(&Scene) -> Script + Send>,
    play_elsewhere: Box<dyn FnOnce(&Scene) -> Script + Send>,
}

/// A case in which the registry plays `play`. Elsewhere lies the same image, open to everybody.
pub(super) fn case(
    name: impl Into<String>,
    expected: Expected,
    play: impl FnOnce(&Scene) -> Script + Send + 'static,
) -> Case {
    Case {
        name: name.into(),
        expected,
        wants_signature: false,
        elsewhere_untouched: false,
        play: Box::new(play),
        play_elsewhere: Box::new(|scene| Script::open().image(TAG, &scene.image)),
    }
}

impl Case {
    pub(super) fn wanting_signature(mut self) -> Self {
        self.wants_signature = true;
        self
    }

    pub(super) fn leaving_elsewhere_untouched(mut self) -> Self {
        self.elsewhere_untouched = true;
        self
    }

    pub(super) fn elsewhere(mut self, play: impl FnOnce(&Scene) -> Script + Send + 'static) -> Self {
        self.play_elsewhere = Box::new(play);
        self
    }

    /// The scripts of the registry and of the other host.
    pub(super) fn scripts(self, scene: &Scene) -> (Script, Script) {
        ((self.play)(scene), (self.play_elsewhere)(scene))
    }
}

/// What a script may speak of.
pub(super) struct Scene {
    /// `127.0.0.1:port` of the registry, whose namespace is the publisher's.
    pub(super) here: String,
    /// Of another host, which is nobody's.
    pub(super) elsewhere: String,
    /// A good image: a base layer, and the module's.
    pub(super) image: BuiltImage,
    /// The namespace's credential: this token of the user `robot`.
    pub(super) secret: String,
    /// Who must sign where a signature is demanded.
    pub(super) key: Arc<VerdictKey>,
}

impl Scene {
    /// A good image of the package, with layers that no other package has.
    pub(super) fn image_of(manifest: &Value, variant: &str) -> BuiltImage {
        let marked = |image: Image, layer: &str| image.file(layer, format!("{variant} of {}", manifest["name"]));
        marked(marked(Image::new().debian_12(), "usr/share/base").layer().hla_module(manifest), "app/NOTES").build()
    }

    /// What the registry's token service gives for the credential.
    pub(super) fn issued_token(&self) -> String {
        format!("{}.issued", self.secret)
    }

    /// An honest registry that holds nothing.
    pub(super) fn empty(&self) -> Script {
        Script::behind_token(self.issued_token())
    }

    /// An honest registry with the good image.
    pub(super) fn honest(&self) -> Script {
        self.empty().image(TAG, &self.image)
    }

    /// An honest registry with the good image, whose manifest was changed.
    pub(super) fn with_manifest(&self, change: impl FnOnce(&mut Value)) -> Script {
        let mut manifest: Value = serde_json::from_slice(&self.image.manifest.bytes).unwrap();
        change(&mut manifest);
        self.honest().manifest(TAG, &Blob::new(IMAGE_MANIFEST, manifest.to_string().into()))
    }

    /// An honest registry with the good image, whose manifest is this text.
    pub(super) fn with_manifest_text(&self, text: impl AsRef<[u8]>) -> Script {
        let bytes = bytes::Bytes::copy_from_slice(text.as_ref());
        self.honest().manifest(TAG, &Blob::new(IMAGE_MANIFEST, bytes))
    }

    /// The good image's manifest as text.
    pub(super) fn manifest_text(&self) -> String {
        String::from_utf8(self.image.manifest.bytes.to_vec()).unwrap()
    }

    /// The layer with the module.
    pub(super) fn layer(&self) -> &Blob {
        &self.image.layers[1]
    }

    /// The manifest, without saying what it is.
    pub(super) fn bare_manifest(&self) -> Reply {
        Reply::new(200, self.image.manifest.bytes.clone())
    }

    /// The honest answer that gives the manifest.
    pub(super) fn manifest_reply(&self) -> Reply {
        self.bare_manifest().header("Content-Type", IMAGE_MANIFEST)
    }

    /// The same path at the other host.
    pub(super) fn elsewhere_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.elsewhere)
    }
}
