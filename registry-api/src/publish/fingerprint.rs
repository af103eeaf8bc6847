//! Whether two publishes ask for the same.

use registry_types::ids::OrganizationId;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::request::Publish;

/// Hash of what is asked. The manifest's `signature` does not count: it is made anew, with fresh randomness, each time the
/// same manifest is sent.
pub(super) fn fingerprint(publish: &Publish, organization: OrganizationId) -> [u8; 32] {
    let mut manifest = publish.manifest_value.clone();
    if let Value::Object(members) = &mut manifest {
        members.remove("signature");
    }
    let mut asked = json!({
        "image": publish.image.to_string(),
        "manifest": manifest,
        "organization": organization,
        "visibility": publish.visibility,
    });
    asked.sort_all_objects();
    Sha256::digest(asked.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::super::request::PublishRequest;
    use super::*;

    fn of(manifest: &str, image: &str, organization: OrganizationId) -> [u8; 32] {
        let body = format!(r#"{{"imageRef":"{image}","manifest":{manifest}}}"#);
        let publish = PublishRequest::read(body.as_bytes()).ok().unwrap().parse().ok().unwrap();
        fingerprint(&publish, organization)
    }

    #[test]
    fn only_the_signature_and_the_order_do_not_count() {
        let acme = OrganizationId::new();
        let first = of(r#"{"a":1,"b":2,"signature":"x"}"#, "ghcr.io/a/b:1", acme);
        assert_eq!(first, of(r#"{"b":2,"signature":"y","a":1}"#, "ghcr.io/a/b:1", acme));
        assert_ne!(first, of(r#"{"a":1,"b":3,"signature":"x"}"#, "ghcr.io/a/b:1", acme));
        assert_ne!(first, of(r#"{"a":1,"b":2,"signature":"x"}"#, "ghcr.io/a/b:2", acme));
        assert_ne!(first, of(r#"{"a":1,"b":2,"signature":"x"}"#, "ghcr.io/a/b:1", OrganizationId::new()));
    }
}
