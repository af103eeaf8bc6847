//! Whether a submitted package manifest is signed as the store demands of its publisher.

use actix_web::web;
use chrono::Utc;
use package_formats::manifest_signature::{CanonicalManifest, ManifestSignature, may_be_signed};
use registry_db::Connection;
use registry_db::manifest_keys::{self, KeyStanding};
use registry_db::manifest_signatures::NewManifestSignature;
use registry_db::users::{Credential, Identity};
use registry_types::manifest_key::{KeyFingerprint, ManifestKey};
use registry_types::package::PackageFormat;
use registry_types::policy::{ManifestSignatureDemand, Policy};

use super::request::{Publish, manifest_invalid};
use crate::problem::{Problem, ProblemCode};
use crate::rights::MemberOrganization;

/// Who submits a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Submitter {
    /// A person, or a program with a person's key.
    Person,
    /// A job that an administrator bound to the package.
    TrustedJob,
}

impl Submitter {
    pub(super) const fn of(identity: &Identity) -> Self {
        match identity.credential {
            Credential::Session(_) | Credential::ApiKey(_) => Self::Person,
            Credential::PublishToken(_) => Self::TrustedJob,
        }
    }
}

/// Judges the signature, in a format that has one, by the organization's keys and by what the policy demands of its tier. A signature that does not
/// verify, or is by a revoked key, is refused whatever is demanded.
///
/// # Errors
/// `MANIFEST_UNSIGNED`, `MANIFEST_SIGNATURE_INVALID`, `MANIFEST_KEY_NOT_ENROLLED`, `MANIFEST_KEY_REVOKED`.
pub(super) async fn judge(
    conn: &mut Connection,
    policy: &Policy,
    organization: &MemberOrganization,
    submitter: Submitter,
    asked: &Publish,
    format: PackageFormat,
) -> Result<Option<NewManifestSignature>, Problem> {
    if !may_be_signed(format) {
        return Ok(None);
    }
    let demand = policy.manifest_signatures.of(organization.trust_tier);
    let stands_in = match submitter {
        Submitter::Person => false,
        Submitter::TrustedJob => policy.trusted_publishing.stands_for_manifest_signature,
    };
    let manifest_sha256 = asked.canonical.sha256();
    let Some(signature) = ManifestSignature::read(&asked.manifest_value).map_err(manifest_invalid)? else {
        let is_demanded = match demand {
            ManifestSignatureDemand::Recorded => false,
            ManifestSignatureDemand::Enrolled | ManifestSignatureDemand::Signed => !stands_in,
        };
        let recorded = NewManifestSignature { manifest_sha256, key: None, enrolled: None };
        return if is_demanded { Err(unsigned(organization)) } else { Ok(Some(recorded)) };
    };
    let fingerprint = signature.key.as_ref().map(ManifestKey::fingerprint);
    let known = manifest_keys::standings(conn, organization.id, fingerprint).await?;
    let names_its_key = signature.key.is_some();
    let signer = signer(signature, known, asked.canonical.clone()).await?.ok_or_else(|| invalid(names_its_key))?;
    let enrolled = match signer.enrolled {
        Some(key) if key.is_revoked_at(Utc::now()) => return Err(revoked(signer.fingerprint)),
        Some(key) => Some(key.id),
        None if demand == ManifestSignatureDemand::Enrolled => {
            return Err(not_enrolled(organization, signer.fingerprint));
        }
        None => None,
    };
    Ok(Some(NewManifestSignature { manifest_sha256, key: Some(signer.fingerprint), enrolled }))
}

struct Signer {
    fingerprint: KeyFingerprint,
    enrolled: Option<KeyStanding>,
}

/// Whose signature it is: of the key that it names, else of the one among `known` with which it verifies; `None` when it
/// verifies with none. Old clients send no key, so that there can be many to try; a large manifest takes its time, too.
async fn signer(
    signature: ManifestSignature,
    known: Vec<KeyStanding>,
    canonical: CanonicalManifest,
) -> Result<Option<Signer>, Problem> {
    let verified = web::block(move || {
        let bytes = canonical.as_bytes();
        match &signature.key {
            Some(key) if signature.is_by(key, bytes) => {
                let fingerprint = key.fingerprint();
                let enrolled = known.into_iter().find(|enrolled| enrolled.key.fingerprint() == fingerprint);
                Some(Signer { fingerprint, enrolled })
            }
            Some(_) => None,
            None => {
                let enrolled = known.into_iter().find(|enrolled| signature.is_by(&enrolled.key, bytes))?;
                Some(Signer { fingerprint: enrolled.key.fingerprint(), enrolled: Some(enrolled) })
            }
        }
    });
    verified.await.map_err(|stopping| Problem::unavailable(stopping.to_string()))
}

fn invalid(names_its_key: bool) -> Problem {
    let detail = if names_its_key {
        "the manifest is not what was signed, or the signature is not by the key that it names; sign it again, and change \
         nothing afterwards"
    } else {
        "the signature names no key, and none that the organization has enrolled made it of this manifest; sign it with a \
         current client"
    };
    Problem::new(ProblemCode::ManifestSignatureInvalid, detail)
}

fn unsigned(organization: &MemberOrganization) -> Problem {
    let detail = format!(
        "package manifests of {} publishers must be signed; publish without --no-sign, with a key that your organization \
         has enrolled",
        organization.trust_tier
    );
    Problem::new(ProblemCode::ManifestUnsigned, detail)
}

fn not_enrolled(organization: &MemberOrganization, key: KeyFingerprint) -> Problem {
    let detail = format!(
        "the manifest is signed by the key {key}, which {} has not enrolled; an administrator enrols it with \
         `company-store key enrol`",
        organization.slug
    );
    Problem::new(ProblemCode::ManifestKeyNotEnrolled, detail)
}

fn revoked(key: KeyFingerprint) -> Problem {
    let detail = format!("the manifest is signed by the key {key}, which is revoked; sign it with another key");
    Problem::new(ProblemCode::ManifestKeyRevoked, detail)
}
