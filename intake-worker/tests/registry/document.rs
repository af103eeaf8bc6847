//! A document at a fixed place, as an identity provider's: under the rules of registries, and without redirects.

use intake_worker::source::{SourceClient, SourceError, SourceSettings};
use registry_types::profile::Profile;

#[tokio::test]
async fn production_reads_documents_from_public_addresses_only() {
    let client = SourceClient::new(SourceSettings::new(Profile::Production)).unwrap();
    for place in [
        "https://127.0.0.1:1/keys",
        "https://10.0.0.1/keys",
        "https://169.254.169.254/keys",
        "https://[::1]/keys",
        "https://localhost:1/keys",
        "http://ci.example.org/keys",
        "http://127.0.0.1:1/keys",
    ] {
        let read = client.document(place.parse().unwrap(), 1024, "key set").await;
        assert!(matches!(read, Err(SourceError::HostForbidden { .. })), "{place}: {read:?}");
    }
}
