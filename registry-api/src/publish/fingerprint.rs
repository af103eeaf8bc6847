//! Whether two publishes ask for the same.

use registry_types::ids::OrganizationId;
use registry_types::package::PackageFormat;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::request::Publish;

/// Hash of what is asked: of the manifest's canonical form and the key that it is signed with, not of the bytes that were
/// sent. The same manifest that is sent again has another signature, because signing is randomised.
pub(super) fn fingerprint(publish: &Publish, format: PackageFormat, organization: OrganizationId) -> [u8; 32] {
    let asked = json!({
        "dry_run": publish.dry_run,
        "format": format,
        "image": publish.image.to_string(),
        "manifest": hex::encode(publish.canonical.sha256()),
        "organization": organization,
        "public_key": publish.manifest_value.get("publicKey"),
        "visibility": publish.visibility,
    });
    Sha256::digest(asked.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(manifest: &str, more: &str, organization: OrganizationId) -> [u8; 32] {
        let body = format!(r#"{{"imageRef":"ghcr.io/a/b:1","manifest":{manifest}{more}}}"#);
        let publish = Publish::read(body.as_bytes()).ok().unwrap();
        fingerprint(&publish, PackageFormat::HlaCompassModule, organization)
    }

    #[test]
    fn only_the_signature_and_the_order_do_not_count() {
        let acme = OrganizationId::new();
        let first = of(r#"{"a":1,"b":2,"publicKey":"k","signature":"x"}"#, "", acme);
        let same = |manifest: &str, more: &str, organization| first == of(manifest, more, organization);
        assert!(same(
            r#"{ "b": 2, "signature": "y", "publicKey": "k", "a": 1 }"#,
            r#","scope":"org","orgId":null"#,
            acme
        ));
        let again = r#"{"a":1,"b":2,"publicKey":"k","signature":"z"}"#;
        assert!(same(again, "", acme));
        assert!(!same(again, "", OrganizationId::new()));
        assert!(!same(again, r#","scope":"public""#, acme));
        assert!(!same(again, r#","dryRun":true"#, acme));
        assert!(!same(r#"{"a":1,"b":2,"publicKey":"other","signature":"z"}"#, "", acme));
        assert!(!same(r#"{"a":1,"b":3,"publicKey":"k","signature":"z"}"#, "", acme));
    }

    /// The numbers are the same as 64-bit floats.
    #[test]
    fn manifests_that_differ_beyond_a_float_are_two() {
        let acme = OrganizationId::new();
        let of = |number: &str| of(&format!(r#"{{"n":{number}}}"#), "", acme);
        assert_ne!(of("123456789012345678901234567890"), of("123456789012345678901234567891"));
    }
}
