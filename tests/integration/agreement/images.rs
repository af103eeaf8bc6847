//! The images that are compared, of layers that `tests/interop/agreement/make-layers` makes.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use store_tests::image::Image;
use store_tests::registry::RegistryAddress;
use store_tests::store::module_manifest;

/// An image by its layers, the lowest first.
pub(super) struct Sample {
    pub(super) name: &'static str,
    layers: Vec<PathBuf>,
}

const SAMPLES: &[(&str, &[&str])] = &[
    ("debian", &["debian"]),
    ("alpine", &["alpine"]),
    ("alpine-database", &["alpine-database"]),
    ("python", &["debian", "python", "python-changes"]),
    ("node", &["debian", "node"]),
];

/// Those whose layers could be made; about the others a word on standard error.
pub(super) fn samples() -> Vec<Sample> {
    let folder = make_layers();
    let mut samples = Vec::new();
    for (name, layers) in SAMPLES {
        let layers: Vec<_> = layers.iter().map(|layer| folder.join(format!("{layer}.tar"))).collect();
        if layers.iter().all(|layer| layer.is_file()) {
            samples.push(Sample { name, layers });
        } else {
            // Written past the test harness, which would keep it to itself.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: the agreement over the image {name}: its layers are not made");
        }
    }
    assert!(!samples.is_empty(), "not one image could be made");
    samples
}

fn make_layers() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/agreement/make-layers");
    let made = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "{} failed", script.display());
    let printed = String::from_utf8(made.stdout).unwrap();
    printed.lines().last().unwrap().into()
}

impl Sample {
    /// The module that the image is has nothing that a package manager knows.
    pub(super) async fn push(&self, registry: &RegistryAddress) {
        let archives = self.layers.iter().map(|layer| std::fs::read(layer).unwrap());
        let image = archives.fold(Image::new(), |image, archive| image.archive_layer(archive.into()));
        let image = image.layer().hla_module(&module_manifest(self.name, "1.0.0"));
        image.push(registry, &format!("acme/{}", self.name), "1.0.0").await;
    }

    pub(super) fn reference(&self, registry: &RegistryAddress) -> String {
        format!("{}/acme/{}:1.0.0", registry.host, self.name)
    }
}
