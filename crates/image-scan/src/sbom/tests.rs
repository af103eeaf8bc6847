use registry_types::component::{Component, Ecosystem};
use registry_types::digest::Digest;
use serde_json::Value;

use super::*;

fn component(purl: &str, name: &str, version: &str, license: Option<&str>, path: &str) -> Component {
    Component {
        purl: purl.to_owned(),
        ecosystem: Ecosystem::PyPi,
        ecosystem_release: String::new(),
        name: name.to_owned(),
        version: version.to_owned(),
        source_name: name.to_owned(),
        source_version: version.to_owned(),
        license: license.map(str::to_owned),
        layer: Digest::sha256_of(b"upper layer"),
        path: path.to_owned(),
    }
}

fn small_image() -> Vec<Component> {
    let libc = Component {
        ecosystem: Ecosystem::Debian,
        ecosystem_release: "12".to_owned(),
        source_name: "glibc".to_owned(),
        source_version: "2.36-9+deb12u9".to_owned(),
        layer: Digest::sha256_of(b"base layer"),
        ..component(
            "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12",
            "libc6",
            "2.36-9+deb12u9",
            None,
            "var/lib/dpkg/status",
        )
    };
    vec![
        component(
            "pkg:pypi/jinja2@3.1.4",
            "Jinja2",
            "3.1.4",
            Some("BSD"),
            "usr/lib/python3/Jinja2-3.1.4.dist-info/METADATA",
        ),
        component("pkg:npm/lodash@4.17.21", "lodash", "4.17.21", Some("MIT"), "app/node_modules/lodash/package.json"),
        component(
            "pkg:npm/lodash@4.17.21",
            "lodash",
            "4.17.21",
            Some("MIT"),
            "app/node_modules/x/node_modules/lodash/package.json",
        ),
        component("pkg:cargo/time@0.3.36", "time", "0.3.36", Some("MIT OR Apache-2.0"), "usr/bin/tool"),
        libc,
    ]
}

fn documents(components: &[Component], is_fully_read: bool) -> (Value, Value) {
    let digest = Digest::sha256_of(b"manifest");
    let input = SbomInput {
        image: ImageIdentity {
            name: "my-org/pdf-extract",
            version: "1.2.3",
            repository: "ghcr.io/my-org/modules/pdf-extract",
            digest: &digest,
        },
        operating_system: Some(OperatingSystem {
            id: "debian",
            version_id: Some("12"),
            pretty_name: Some("Debian GNU/Linux 12 (bookworm)"),
        }),
        components,
        is_fully_read,
        created: DateTime::from_timestamp(1_700_000_000, 123_456_789).unwrap(),
    };
    (cyclonedx(&input), spdx(&input))
}

// The interop test `sbom_schemas` validates these snapshots against the official schemas.

#[test]
fn cyclonedx_of_a_small_image() {
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(documents(&small_image(), true).0) });
}

#[test]
fn spdx_of_a_small_image() {
    insta::with_settings!({sort_maps => true}, { insta::assert_json_snapshot!(documents(&small_image(), true).1) });
}

#[test]
fn the_order_of_components_changes_only_the_id() {
    let mut components = small_image();
    let first = documents(&components, true);
    assert_eq!(documents(&components, true), first);
    components.reverse();
    let mut second = documents(&components, true);
    second.0["serialNumber"] = first.0["serialNumber"].clone();
    second.1["documentNamespace"] = first.1["documentNamespace"].clone();
    assert_eq!(second, first);
}

#[test]
fn every_component_appears_once_in_both() {
    let mut components = small_image();
    components.push(components[0].clone());
    let (cyclonedx, spdx) = documents(&components, true);
    let listed = cyclonedx["components"].as_array().unwrap();
    assert_eq!(listed.len(), 1 + 5, "the operating system and each component");
    let mut references: Vec<_> = listed.iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    references.sort_unstable();
    references.dedup();
    assert_eq!(references.len(), 6, "references are unique");
    assert_eq!(spdx["packages"].as_array().unwrap().len(), 2 + 5, "and the image itself");
}

#[test]
fn unread_parts_are_said() {
    let (cyclonedx, spdx) = documents(&[], false);
    assert_eq!(cyclonedx["compositions"][0]["aggregate"], "incomplete");
    assert!(spdx["comment"].as_str().unwrap().contains("incomplete"));
    assert_ne!(cyclonedx["serialNumber"], documents(&[], true).0["serialNumber"]);
}
