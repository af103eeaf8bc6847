//! Signatures of package manifests: those that `signatures/make.py` made, and those recorded from the real client.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails at once")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

use package_formats::json::parse_strict;
use package_formats::manifest_signature::{CanonicalManifest, ManifestSignature};
use registry_types::manifest_key::ManifestKey;
use serde_json::value::RawValue;

/// A signed manifest, and the bytes that were signed.
struct Signed {
    manifest: Box<RawValue>,
    canonical: Vec<u8>,
}

impl Signed {
    fn read(folder: &Path, name: &str) -> Self {
        let manifest = serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        Self { manifest, canonical: std::fs::read(folder.join(format!("{name}.canonical"))).unwrap() }
    }

    fn made_here(name: &str) -> Self {
        Self::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signatures"), name)
    }

    fn canonical(&self) -> CanonicalManifest {
        CanonicalManifest::of(&self.manifest).unwrap()
    }

    fn signature(&self) -> (ManifestSignature, ManifestKey) {
        let signature = ManifestSignature::read(&parse_strict(self.manifest.get().as_bytes()).unwrap());
        let signature = signature.unwrap().unwrap();
        let key = signature.key.clone().unwrap();
        (signature, key)
    }

    #[track_caller]
    fn assert_verifies(&self) {
        let canonical = self.canonical();
        assert_eq!(String::from_utf8_lossy(canonical.as_bytes()), String::from_utf8_lossy(&self.canonical));
        let (signature, key) = self.signature();
        assert!(signature.is_by(&key, canonical.as_bytes()));
    }
}

/// Where the vectors recorded from the real client lie, if they are on this machine.
fn recorded() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hla-signature-vectors");
    if folder.is_dir() {
        return Some(folder);
    }
    let _ = writeln!(std::io::stderr(), "SKIPPED: no recorded signatures of the HLA-Compass client on this machine");
    None
}

/// A publish's body as it was sent.
#[derive(serde::Deserialize)]
struct Body {
    manifest: Box<RawValue>,
}

fn recorded_signatures(folder: &Path) -> Vec<Signed> {
    let read = |name: &str| {
        let body: Body =
            serde_json::from_slice(&std::fs::read(folder.join(format!("{name}.body.json"))).unwrap()).unwrap();
        let canonical = std::fs::read(folder.join(format!("{name}.canonical"))).unwrap();
        Signed { manifest: body.manifest, canonical }
    };
    ["plain-2.0.5", "plain-6.0.2", "tricky-2.0.5"].map(read).into()
}

#[test]
fn what_is_signed_as_the_client_signs_verifies() {
    for name in ["plain", "tricky", "rsa-2048", "rsa-2049"] {
        Signed::made_here(name).assert_verifies();
    }
}

#[test]
fn the_recorded_signatures_of_the_client_verify() {
    let Some(folder) = recorded() else { return };
    recorded_signatures(&folder).iter().for_each(Signed::assert_verifies);
}

#[test]
fn a_salt_of_the_digest_s_length_is_not_this_client_s() {
    let signed = Signed::made_here("salt-32");
    let (signature, key) = signed.signature();
    assert!(!signature.is_by(&key, signed.canonical().as_bytes()));
}

#[test]
fn another_key_s_signature_is_not_this_key_s() {
    let (one, other) = (Signed::made_here("plain"), Signed::made_here("rsa-2048"));
    assert_eq!(one.canonical(), other.canonical());
    assert!(!one.signature().0.is_by(&other.signature().1, one.canonical().as_bytes()));
}

/// Each byte of the manifest's text, changed in its lowest bit: no longer JSON, or another manifest that is not signed, or
/// the same manifest in another spelling.
#[test]
fn a_change_of_any_byte_of_the_manifest_is_found() {
    let mut all = vec![Signed::made_here("tricky")];
    all.extend(recorded().iter().flat_map(|folder| recorded_signatures(folder)));
    for signed in all {
        let (original, text) = (signed.canonical(), signed.manifest.get());
        let mut refused = 0;
        for at in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[at] ^= 1;
            let Ok(value) = parse_strict(&changed) else { continue };
            let manifest: Box<RawValue> = serde_json::from_slice(&changed).unwrap();
            let canonical = CanonicalManifest::of(&manifest).unwrap();
            let verifies = match ManifestSignature::read(&value) {
                Ok(Some(signature)) => {
                    signature.key.clone().is_some_and(|key| signature.is_by(&key, canonical.as_bytes()))
                }
                Ok(None) | Err(_) => false,
            };
            assert!(!verifies || canonical == original, "a change at byte {at} was not found: {text}");
            refused += usize::from(!verifies);
        }
        assert!(refused > text.len() / 2, "{refused} of {} changes gave JSON that was refused", text.len());
    }
}

/// The canonical bytes themselves are JSON again: each of them counts.
#[test]
fn a_change_of_any_canonical_byte_is_found() {
    let signed = Signed::made_here("tricky");
    let (signature, key) = signed.signature();
    for at in 0..signed.canonical.len() {
        for bit in [1, 0x80] {
            let mut changed = signed.canonical.clone();
            changed[at] ^= bit;
            assert!(!signature.is_by(&key, &changed), "byte {at}, bit {bit}");
        }
    }
}
