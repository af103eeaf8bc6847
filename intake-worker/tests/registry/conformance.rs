//! The bundle cases of the sigstore-conformance suite, through the verifier module.

use std::path::{Path, PathBuf};

use intake_worker::signatures::verifier::{Signed, SignedBundle, Signer, Who};
use intake_worker::signatures::{self, CandidateOutcome, Subjects, TrustRoots};
use registry_types::digest::Digest;
use registry_types::public_key::PublicKeyPem;
use registry_types::rejection_code::RejectionCode;
use registry_types::signature_policy::{IdentityRule, SignaturePolicy, Signers, SubjectRule};

use crate::fixtures::{attach_bundle, push_image};
use crate::stub::{Registry, Stub};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
    .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// `SIGSTORE_CONFORMANCE_DIR`, or the folder beside the checkout.
fn cases() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/sigstore-conformance");
    let folder = std::env::var_os("SIGSTORE_CONFORMANCE_DIR").map_or(beside, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// The folders of the cases, or nothing and a word about it.
fn each_case() -> Vec<PathBuf> {
    let Some(folder) = cases() else {
        eprintln!("SKIPPED: no sigstore-conformance cases; set SIGSTORE_CONFORMANCE_DIR to run them");
        return Vec::new();
    };
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
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
    let cases = each_case();
    let mut wrong = Vec::new();
    for case in &cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        for by_digest in [false, true] {
            let verdict = verify(case, by_digest);
            if verdict.is_ok() == name.ends_with("_fail") {
                wrong.push(format!("{name} (by digest: {by_digest}): {verdict:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases.is_empty() || cases.len() >= 56, "only {} cases", cases.len());
}

/// All of them are about a file: however good the signature is, attached to an image it does not sign the image.
#[tokio::test]
async fn no_case_counts_for_an_image_that_it_is_attached_to() {
    let identity = IdentityRule { issuer: ISSUER.to_owned(), subject: SubjectRule::Pattern("https://**".to_owned()) };
    for case in each_case() {
        let read = |name: &str| std::fs::read_to_string(case.join(name)).ok();
        let keys: Vec<_> = read("key.pub").into_iter().filter_map(|key| PublicKeyPem::try_from(key).ok()).collect();
        let policy = SignaturePolicy::Required(Signers::new(keys, vec![identity.clone()]).unwrap());
        let roots = match read("trusted_root.json") {
            // Cases about trusted roots that do not load.
            Some(root) => TrustRoots::from_documents(&[&root]).unwrap_or_else(|_| TrustRoots::none()),
            None => TrustRoots::public_good().unwrap(),
        };
        let mut registry = Registry::with_referrers_api();
        let digest = push_image(&mut registry, "amd64", Some("v1"));
        attach_bundle(&mut registry, &digest, read("bundle.sigstore.json").unwrap());
        let stub = Stub::registry(registry).await;
        let session = stub.session();
        let subjects = Subjects { root: digest, platforms: Vec::new() };
        let report = signatures::verify(&session, &subjects, &policy, &roots).await.unwrap();
        let [candidate] = report.candidates.as_slice() else { panic!("{}: {report:#?}", case.display()) };
        let refused = (candidate.outcome, report.check.reasons[0].code);
        let expected = (CandidateOutcome::Invalid, RejectionCode::SignatureInvalid);
        assert_eq!(refused, expected, "{}: {candidate:#?}", case.display());
    }
}
