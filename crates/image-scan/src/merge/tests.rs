//! Images of several layers.

use registry_types::component::Ecosystem;

use super::*;
use crate::archive::{LayerCompression, LayerLimits, LayerPass};

/// What a test layer holds: path and content, `Link` or `Directory`.
enum Item<'a> {
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
    HardLink(&'a str, &'a str),
    Directory(&'a str),
}
use Item::{Directory, File, HardLink, Link};

/// A layer as bytes, read as in an intake. Its digest stands for the blob's.
fn layer(items: &[Item<'_>]) -> (Digest, LayerCatalog) {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        match item {
            File(path, content) => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, *content).unwrap();
            }
            Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
            HardLink(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
            Directory(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, path, &b""[..]).unwrap();
            }
        }
    }
    let bytes = builder.into_inner().unwrap();
    let mut pass = LayerPass::new(LayerCompression::Plain, LayerLimits::default());
    pass.write(&bytes).unwrap();
    let catalog = pass.finish().unwrap();
    // As the worker reads it back from the database.
    let catalog = serde_json::from_value(serde_json::to_value(catalog).unwrap()).unwrap();
    (Digest::sha256_of(&bytes), catalog)
}

const DEBIAN: Item<'_> = File("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n");
const OS_RELEASE_LINK: Item<'_> = Link("etc/os-release", "../usr/lib/os-release");
const STATUS: &str = "var/lib/dpkg/status";
const CURL: &str = "Package: curl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.88.1-10\n\n";
const ZLIB: &str =
    "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib\nVersion: 1:1.2.13.dfsg-1\n\n";
const ZLIB_NEW: &str =
    "Package: zlib1g\nStatus: install ok installed\nArchitecture: amd64\nSource: zlib\nVersion: 1:1.2.13.dfsg-2\n\n";

fn purls(image: &MergedImage) -> Vec<&str> {
    image.components.iter().map(|component| component.purl.as_str()).collect()
}

fn reasons(image: &MergedImage) -> Vec<String> {
    image.incomplete.iter().map(|incomplete| incomplete.why.clone()).collect()
}

#[test]
fn a_package_belongs_to_the_layer_since_which_it_is_there() {
    let layers = [
        layer(&[DEBIAN, OS_RELEASE_LINK, File(STATUS, format!("{CURL}{ZLIB}").as_bytes())]),
        layer(&[File(STATUS, format!("{CURL}{ZLIB_NEW}").as_bytes())]),
        layer(&[File("app/x", b"")]),
        layer(&[File(STATUS, format!("{ZLIB_NEW}{CURL}").as_bytes())]),
    ];
    let image = merge(&layers);
    assert_eq!(image.incomplete, []);
    assert_eq!(image.distribution.as_ref().unwrap().release.as_deref(), Some("12"));
    let [curl, zlib] = &*image.components else { panic!("{:?}", image.components) };
    assert_eq!(curl.purl, "pkg:deb/debian/curl@7.88.1-10?arch=amd64&distro=debian-12");
    assert_eq!((curl.ecosystem, &*curl.ecosystem_release), (Ecosystem::Debian, "12"));
    assert_eq!(curl.layer, layers[0].0);
    assert_eq!((&*zlib.source_name, &*zlib.source_version), ("zlib", "1:1.2.13.dfsg-2"));
    assert_eq!(zlib.layer, layers[1].0);
    assert_eq!(zlib.path, STATUS);
}

#[test]
fn a_package_that_was_gone_belongs_to_the_layer_that_brought_it_back() {
    let layers = [
        layer(&[DEBIAN, OS_RELEASE_LINK, File(STATUS, format!("{CURL}{ZLIB}").as_bytes())]),
        layer(&[File(STATUS, ZLIB.as_bytes())]),
        layer(&[File(STATUS, format!("{CURL}{ZLIB}").as_bytes())]),
    ];
    let image = merge(&layers);
    assert_eq!(image.components[0].layer, layers[2].0, "curl");
    assert_eq!(image.components[1].layer, layers[0].0, "zlib");
}

#[test]
fn reads_all_ecosystems() {
    let image = merge(&[layer(&[
        File("etc/os-release", b"ID=alpine\nVERSION_ID=3.20.1\n"),
        File("lib/apk/db/installed", b"P:libcurl\nV:8.7.1-r0\nA:x86_64\nL:curl\no:curl\n\n"),
        File(
            "usr/lib/python3.12/site-packages/Flask_Login-0.6.dist-info/METADATA",
            b"Name: Flask_Login\nVersion: 0.6\n",
        ),
        File("opt/x/old.egg-info", b"Name: old\nVersion: 1\nLicense: MIT\n"),
        File("app/node_modules/@babel/core/package.json", b"{\"name\":\"@babel/core\",\"version\":\"7.0.0\"}"),
    ])]);
    assert_eq!(
        purls(&image),
        [
            "pkg:apk/alpine/libcurl@8.7.1-r0?arch=x86_64&distro=alpine-3.20.1",
            "pkg:npm/%40babel/core@7.0.0",
            "pkg:pypi/flask-login@0.6",
            "pkg:pypi/old@1",
        ]
    );
    assert_eq!(image.incomplete, []);
    assert_eq!(image.components[0].source_name, "curl");
    assert_eq!(image.components[0].ecosystem_release, "v3.20");
}

#[test]
fn reads_the_status_parts_of_distroless_images() {
    let image = merge(&[
        layer(&[DEBIAN, OS_RELEASE_LINK]),
        layer(&[File("var/lib/dpkg/status.d/tzdata", b"Package: tzdata\nVersion: 2024a\nArchitecture: all\n")]),
        layer(&[File("var/lib/dpkg/status.d/tzdata.md5sums", b"00  usr/share/zoneinfo\n")]),
    ]);
    assert_eq!(purls(&image), ["pkg:deb/debian/tzdata@2024a?arch=all&distro=debian-12"]);
    assert_eq!(image.incomplete, []);
}

#[test]
fn whiteouts_and_opaque_directories_remove_what_is_below_only() {
    let metadata = "usr/local/lib/python3.12/site-packages/a-1.dist-info/METADATA";
    let python = layer(&[File(metadata, b"Name: a\nVersion: 1\n")]);
    for remover in [
        File("usr/local/lib/python3.12/site-packages/.wh.a-1.dist-info", b""),
        File("usr/local/lib/.wh.python3.12", b""),
        File("usr/local/lib/.wh..wh..opq", b""),
        Link("usr/local/lib/python3.12", "python3"),
    ] {
        assert_eq!(purls(&merge(&[python.clone(), layer(&[remover])])), [""; 0]);
    }
    // In one layer a whiteout never concerns the layer's own files, wherever it stands.
    let both = [File("usr/local/.wh.lib", b""), File(metadata, b"Name: a\nVersion: 1\n")];
    let readded = [python, layer(&both)];
    let image = merge(&readded);
    assert_eq!(purls(&image), ["pkg:pypi/a@1"]);
    assert_eq!(image.components[0].layer, readded[0].0, "never gone from any image");
    let lib = layer(&[File("usr/local/libx/b-2.dist-info/METADATA", b"Name: b\nVersion: 2\n")]);
    assert_eq!(purls(&merge(&[lib, layer(&[File("usr/local/.wh.lib", b"")])])), ["pkg:pypi/b@2"]);
}

#[test]
fn packages_that_the_distribution_owns_are_counted_once() {
    let metadata = "usr/lib/python3/dist-packages/yaml-6.0.dist-info/METADATA";
    let own = "usr/local/lib/python3.11/dist-packages/own-1.dist-info/METADATA";
    let list = format!("/.\n/{metadata}\n");
    let status = "Package: python3-yaml\nStatus: install ok installed\nArchitecture: amd64\nVersion: 6.0-3\n";
    let files = |status: &'static str| {
        layer(&[
            DEBIAN,
            OS_RELEASE_LINK,
            File(STATUS, status.as_bytes()),
            File("var/lib/dpkg/info/python3-yaml.list", list.as_bytes()),
            File(metadata, b"Name: PyYAML\nVersion: 6.0\n"),
            File(own, b"Name: own\nVersion: 1\n"),
        ])
    };
    let image = merge(&[files(status)]);
    assert_eq!(purls(&image), ["pkg:deb/debian/python3-yaml@6.0-3?arch=amd64&distro=debian-12", "pkg:pypi/own@1"]);
    // A list without its package proves nothing.
    assert_eq!(purls(&merge(&[files(CURL)]))[1..], ["pkg:pypi/own@1", "pkg:pypi/pyyaml@6.0"]);
    let alpine = merge(&[layer(&[
        File("etc/os-release", b"ID=alpine\nVERSION_ID=3.20.1\n"),
        File(
            "lib/apk/db/installed",
            b"P:py3-six\nV:1-r0\nF:usr/lib/python3.12/site-packages/six-1.dist-info\nR:METADATA\n\n",
        ),
        File("usr/lib/python3.12/site-packages/six-1.dist-info/METADATA", b"Name: six\nVersion: 1\n"),
    ])]);
    assert_eq!(purls(&alpine), ["pkg:apk/alpine/py3-six@1-r0?distro=alpine-3.20.1"]);
}

#[test]
fn what_cannot_be_read_or_matched_is_said() {
    let base = || layer(&[DEBIAN, OS_RELEASE_LINK, File(STATUS, CURL.as_bytes())]);
    for (upper, why) in [
        (File(STATUS, b"garbage"), "the dpkg database cannot be read: line 1"),
        (Link(STATUS, "elsewhere"), "a symbolic link takes the place"),
        (HardLink(STATUS, "app/x"), "a hard link takes the place"),
        (Directory(STATUS), "a directory takes the place"),
        (File("var/lib/dpkg/status/x", b""), "a directory takes the place"),
        (Link("var/lib/dpkg", "../../opt/dpkg"), "leads the package database \"var/lib/dpkg/status\" elsewhere"),
        (File("var/lib/dpkg/.wh.status", b""), "removes the package database"),
        (File("var/lib/.wh.dpkg", b""), "removes the package database"),
        (File("var/lib/rpm/rpmdb.sqlite", b"x"), "rpm databases are not supported"),
        (File("etc/os-release", b"ID=kali\nVERSION_ID=2026.1\n"), "distribution kali 2026.1"),
        (File("etc/os-release", b"ID=debian\n"), "distribution debian without a version"),
        (File("etc/os-release", b"ID=alpine\nVERSION_ID=3.20.1\n"), "distribution alpine 3.20.1"),
        (File("usr/lib/.wh.os-release", b""), "no os-release file"),
        (File("x/node_modules/a/package.json", b"{"), "the npm manifest cannot be read"),
        (File("x/a.egg-info/PKG-INFO", b""), "the Python metadata cannot be read"),
    ] {
        let image = merge(&[base(), layer(&[upper])]);
        assert!(reasons(&image).iter().any(|reason| reason.contains(why)), "{why}: {:?}", image.incomplete);
    }
    assert_eq!(reasons(&merge(&[base()])), [""; 0]);
    let nothing_installed = merge(&[layer(&[File("app/main.py", b"print()")])]);
    assert_eq!(nothing_installed.incomplete, [], "an image without a distribution is whole");
}

/// The directory has no entry of its own, and the file of the lower layer once stayed in the image.
#[test]
fn an_entry_below_a_file_of_a_lower_layer_takes_its_place() {
    let lower = layer(&[File("app/manifest.json", b"{}"), File("app/run", b"x"), Link("app/link", "run")]);
    let upper = layer(&[File("app/manifest.json/x/y", b""), File("app/link/z", b"")]);
    let image = merge(&[lower, upper]);
    assert_eq!(image.file("app/manifest.json"), None);
    assert!(image.package_manifests.is_empty());
    assert!(image.file("app/run").is_some() && image.file("app/link").is_some());
}

#[test]
fn merged_usr_is_not_an_incomplete_database() {
    let image = merge(&[layer(&[
        Link("lib", "usr/lib"),
        File("usr/lib/os-release", b"ID=alpine\nVERSION_ID=3.22.0\n"),
        OS_RELEASE_LINK,
        File("usr/lib/apk/db/installed", b"P:musl\nV:1.2.5-r10\nA:x86_64\n\n"),
    ])]);
    assert_eq!(image.incomplete, []);
    assert_eq!(image.components.len(), 1);
}

#[test]
fn hard_linked_manifests_are_read_where_their_content_is_known() {
    let store = format!("root/.local/share/pnpm/store/v3/files/00/{}", "a1".repeat(63));
    let image = merge(&[layer(&[
        File(&store, b"{\"name\":\"lodash\",\"version\":\"4.17.15\"}"),
        HardLink("usr/src/app/node_modules/lodash/package.json", &store),
        File("cache/six-1.dist-info/METADATA", b"Name: six\nVersion: 1\n"),
        HardLink("venv/lib/six-1.dist-info/METADATA", "cache/six-1.dist-info/METADATA"),
    ])]);
    assert_eq!(purls(&image), ["pkg:npm/lodash@4.17.15", "pkg:pypi/six@1", "pkg:pypi/six@1"]);
    let unknown = merge(&[layer(&[HardLink("x/node_modules/a/package.json", "store/a")])]);
    assert_eq!(unknown.incomplete.len(), 1);
}

#[test]
fn secrets_of_hidden_files_still_count() {
    // Put together here, so that no scanner takes this file for a leak.
    let token = ["ghp", "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"].concat();
    let layers = [
        layer(&[File("usr/local/etc/a", token.as_bytes()), File("app/b", token.as_bytes())]),
        layer(&[File("usr/local/etc/.wh.a", b"")]),
    ];
    let image = merge(&layers);
    let facts: Vec<_> = image.secrets.iter().map(|s| (&*s.finding.path, s.is_visible, &s.layer)).collect();
    assert_eq!(facts, [("app/b", true, &layers[0].0), ("usr/local/etc/a", false, &layers[0].0)]);
}

#[test]
fn shows_files_and_manifests_of_the_topmost_layer() {
    let layers = [
        layer(&[
            File("app/manifest.json", b"{\"old\":1}"),
            File("app/ui/dist/bundle.js", b"old"),
            File("app/deep/er/still/manifest.json", b"{}"),
        ]),
        layer(&[
            File("app/manifest.json", b"{}"),
            Link("app/ui/dist/bundle.js", "../real.js"),
            File("app/ui/real.js", b"real"),
            Link("module", "app"),
        ]),
    ];
    let image = merge(&layers);
    let manifests: Vec<_> = image.package_manifests.iter().map(|(path, m)| (&**path, m.bytes.as_deref())).collect();
    assert_eq!(manifests, [("app/manifest.json", Some(&b"{}"[..]))]);
    assert_eq!(image.package_manifests["app/manifest.json"].layer, layers[1].0);
    assert!(matches!(image.file("app/ui/dist/bundle.js").unwrap().kind, FileKind::Symlink { .. }));
    let (path, file) = image.resolve("module/ui/dist/bundle.js").unwrap();
    assert_eq!(path, "app/ui/real.js");
    assert_eq!(file.kind, FileKind::File { size: 4, executable: false });
    assert_eq!(image.file("app/nowhere"), None);
}

#[test]
fn large_manifests_are_known_by_place_only() {
    let image = merge(&[layer(&[File("app/manifest.json", &vec![b' '; (1 << 20) + 1])])]);
    assert_eq!(image.package_manifests["app/manifest.json"].bytes, None);
}

/// Missed until the catalogs were compared with Syft's.
#[test]
fn packages_count_outside_the_usual_folders_too() {
    let manifest = |name: &str| format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}");
    let image = merge(&[layer(&[
        DEBIAN,
        File("app/package.json", manifest("own").as_bytes()),
        File("app/vendor/lodash/package.json", manifest("lodash").as_bytes()),
        File("srv/site/lib/deep/package.json", manifest("deep").as_bytes()),
        File("app/test/broken/package.json", b"{"),
        File("app/lib/package.json", b"{\"type\":\"module\"}"),
        File("usr/lib/python3/a-1.0-py3.11.egg/EGG-INFO/PKG-INFO", b"Name: a\nVersion: 1.0\n"),
    ])]);
    assert_eq!(reasons(&image), Vec::<String>::new());
    assert_eq!(purls(&image), ["pkg:npm/deep@1.0.0", "pkg:npm/lodash@1.0.0", "pkg:npm/own@1.0.0", "pkg:pypi/a@1.0"]);
}

#[test]
fn npm_packages_that_debian_owns_are_counted_once() {
    let node = "Package: node-inherits\nStatus: install ok installed\nArchitecture: all\nVersion: 2.0.4-6\n\n";
    let manifest: &[u8] = b"{\"name\":\"inherits\",\"version\":\"2.0.4\"}";
    let image = merge(&[layer(&[
        DEBIAN,
        OS_RELEASE_LINK,
        File(STATUS, node.as_bytes()),
        File("var/lib/dpkg/info/node-inherits.list", b"/.\n/usr/share/nodejs/inherits/package.json\n"),
        File("usr/share/nodejs/inherits/package.json", manifest),
        File("app/node_modules/inherits/package.json", manifest),
    ])]);
    assert_eq!(
        purls(&image),
        ["pkg:deb/debian/node-inherits@2.0.4-6?arch=all&distro=debian-12", "pkg:npm/inherits@2.0.4"]
    );
}
