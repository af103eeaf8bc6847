//! The bundle cases of the sigstore-conformance suite, through the verifier module.

use std::path::{Path, PathBuf};

use intake_worker::signatures::verifier::{Signed, SignedBundle, Signer, TrustRoots, Who};
use registry_types::digest::Digest;
use registry_types::signature_policy::{IdentityRule, PublicKeyPem, SubjectRule};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
    .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// `SIGSTORE_CONFORMANCE_DIR`, or the folder beside the checkout.
fn cases() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sigstore-conformance");
    let folder = std::env::var_os("SIGSTORE_CONFORMANCE_DIR").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn verify(case: &Path, by_digest: bool) -> Result<Signer, String> {
    let read = |name: &str| std::fs::read_to_string(case.join(name)).ok();
    let artifact = std::fs::read(case.join("artifact"));
    let artifact = artifact.unwrap_or_else(|_| std::fs::read(case.parent().unwrap().join("a.txt")).unwrap());
    let digest = Digest::sha256_of(&artifact);
    let signed = if by_digest { Signed::Digest(&digest) } else { Signed::Bytes(&artifact) };
    let roots = match read("trusted_root.json") {
        Some(root) => TrustRoots::from_documents(&[&root]),
        None => TrustRoots::public_good(),
    };
    let roots = roots.map_err(|error| error.to_string())?;
    let bundle = SignedBundle::read(&read("bundle.sigstore.json").unwrap()).map_err(|error| error.to_string())?;
    if let Some(key) = read("key.pub") {
        let key = PublicKeyPem::try_from(key).map_err(|error| error.to_string())?;
        return roots.with_key(&bundle, signed, &key).map_err(|error| error.to_string());
    }
    let rule = IdentityRule {
        issuer: read("issuer").map_or(ISSUER.to_owned(), |text| text.trim().to_owned()),
        subject: SubjectRule::Exact(read("identity").map_or(IDENTITY.to_owned(), |text| text.trim().to_owned())),
    };
    let signer = roots.keyless(&bundle, signed).map_err(|error| error.to_string())?;
    match &signer.who {
        Who::Identity { subject, issuer, .. } if rule.matches(issuer, subject) => Ok(signer),
        other => Err(format!("signed by {other:?}")),
    }
}

#[test]
fn every_case_gets_its_verdict() {
    let Some(folder) = cases() else {
        eprintln!("SKIPPED: no sigstore-conformance cases; set SIGSTORE_CONFORMANCE_DIR to run them");
        return;
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        let name = entry.file_name().unwrap().to_string_lossy().into_owned();
        for by_digest in [false, true] {
            let verdict = verify(&entry, by_digest);
            if verdict.is_ok() == name.ends_with("_fail") {
                wrong.push(format!("{name} (by digest: {by_digest}): {verdict:?}"));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 112, "only {seen} verdicts");
}
