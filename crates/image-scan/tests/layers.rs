//! Layers made by the tar programs that people use, read here and listed by them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use image_scan::archive::{LayerCompression, LayerLimits, LayerPass};
use image_scan::catalog::{FileKind, LayerCatalog};
use registry_types::digest::Digest;

/// What an author's folder may hold: long and odd names, links, modes, empty and large files.
fn make_tree(root: &Path) {
    let app = root.join("app");
    let deep = app.join("a-rather-long-directory-name/".repeat(12));
    fs::create_dir_all(&deep).unwrap();
    fs::create_dir_all(app.join("empty")).unwrap();
    fs::write(app.join("empty.txt"), "").unwrap();
    fs::write(app.join("large.bin"), vec![7; 700_001]).unwrap();
    fs::write(app.join("Főtanúsítvány =Class.crt"), "ü").unwrap();
    fs::write(app.join(format!("{}.txt", "n".repeat(101))), "one more than the name field holds").unwrap();
    fs::write(deep.join("n".repeat(200)), "beyond the prefix").unwrap();
    fs::hard_link(app.join("large.bin"), app.join("large.again")).unwrap();
    symlink("/absolute/target", app.join("link")).unwrap();
    symlink("long-target/".repeat(20), app.join("long-link")).unwrap();
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn read(compression: LayerCompression, blob: &[u8]) -> LayerCatalog {
    let mut pass = LayerPass::new(compression, LayerLimits::default());
    blob.chunks(50_000).for_each(|piece| pass.write(piece).unwrap());
    pass.finish().unwrap()
}

/// The paths as GNU tar lists them, with the letter of their type; hard links count as files.
fn listed_by_gnu_tar(archive: &Path) -> BTreeMap<String, char> {
    let mut list = Command::new("tar");
    let names = run(list.args(["--quoting-style=literal", "-tf"]).arg(archive));
    let mut verbose = Command::new("tar");
    let details = run(verbose.args(["--quoting-style=literal", "-tvf"]).arg(archive));
    let (names, details) = (String::from_utf8(names).unwrap(), String::from_utf8(details).unwrap());
    let letters = details.lines().map(|line| match line.chars().next().unwrap() {
        'd' => 'd',
        'l' => 'l',
        _ => 'f',
    });
    let paths = names.lines().map(|name| name.trim_start_matches("./").trim_end_matches('/').to_owned());
    paths.zip(letters).filter(|(path, _)| path.starts_with("app")).collect()
}

fn cataloged(catalog: &LayerCatalog) -> BTreeMap<String, char> {
    let letter = |kind: &FileKind| match kind {
        FileKind::File { .. } => 'f',
        FileKind::Directory => 'd',
        FileKind::Symlink { .. } => 'l',
        FileKind::HardLink { .. } | FileKind::Special => '?',
    };
    catalog.tracked.iter().map(|(path, entry)| (path.clone(), letter(&entry.kind))).collect()
}

/// Reads the archive and compares it with GNU tar's listing.
fn agree(archive: &Path) {
    let bytes = fs::read(archive).unwrap();
    let catalog = read(LayerCompression::Plain, &bytes);
    assert_eq!(catalog.diff_id, Digest::sha256_of(&bytes));
    let listed = listed_by_gnu_tar(archive);
    assert!(listed.len() >= 20, "{listed:?}");
    assert_eq!(cataloged(&catalog), listed, "{}", archive.display());
}

#[test]
fn gnu_tar_and_we_see_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    make_tree(&tree);
    for (name, options) in [
        ("gnu", &["--format=gnu"][..]),
        ("oldgnu", &["--format=oldgnu"]),
        ("pax", &["--format=pax"]),
        ("pax-times", &["--format=pax", "--pax-option=atime:=1,ctime:=2,globexthdr.name=g,comment=x"]),
        ("numeric", &["--format=gnu", "--owner=:3000000", "--group=:3000000", "--mtime=1960-01-01"]),
        (
            "reproducible",
            &["--format=pax", "--sort=name", "--numeric-owner", "--mtime=@0", "--pax-option=delete=atime"],
        ),
        ("concatenated", &["--format=gnu", "--blocking-factor=1"]),
    ] {
        let archive = folder.path().join(format!("{name}.tar"));
        run(Command::new("tar").args(options).arg("-C").arg(&tree).arg("-cf").arg(&archive).arg("./"));
        agree(&archive);
    }
}

#[test]
fn gzip_writes_one_member() {
    let folder = tempfile::tempdir().unwrap();
    make_tree(folder.path());
    let plain = run(Command::new("tar").arg("-C").arg(folder.path()).args(["-cf", "-", "app"]));
    let packed = run(Command::new("tar").arg("-C").arg(folder.path()).args(["-czf", "-", "app"]));
    let catalog = read(LayerCompression::Gzip, &packed);
    assert_eq!(catalog.diff_id, Digest::sha256_of(&plain));
}

#[test]
#[ignore = "interop: needs bsdtar"]
fn bsdtar_and_we_see_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    make_tree(&tree);
    for format in ["pax", "gnutar"] {
        let archive = folder.path().join(format!("{format}.tar"));
        let mut bsdtar = Command::new("bsdtar");
        run(bsdtar.args(["--format", format, "-C"]).arg(&tree).arg("-cf").arg(&archive).arg("."));
        agree(&archive);
    }
    // To a file: on a pipe it pads the compressed stream with zeros, which no zstd reader accepts.
    let packed = folder.path().join("packed.tar.zst");
    run(Command::new("bsdtar").args(["--zstd", "-C"]).arg(&tree).arg("-cf").arg(&packed).arg("app"));
    assert!(read(LayerCompression::Zstd, &fs::read(&packed).unwrap()).entries >= 20);
}

#[test]
#[ignore = "interop: needs umoci"]
fn umoci_layers_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let umoci = |arguments: &[&str]| {
        run(Command::new("umoci").args(arguments).current_dir(folder.path()));
    };
    umoci(&["init", "--layout", "image"]);
    umoci(&["new", "--image", "image:latest"]);
    umoci(&["unpack", "--rootless", "--image", "image:latest", "bundle"]);
    make_tree(&folder.path().join("bundle/rootfs"));
    umoci(&["repack", "--refresh-bundle", "--image", "image:latest", "bundle"]);
    fs::remove_dir_all(folder.path().join("bundle/rootfs/app/empty")).unwrap();
    umoci(&["repack", "--refresh-bundle", "--image", "image:latest", "bundle"]);
    let catalogs: Vec<_> = layer_blobs(&folder.path().join("image"))
        .iter()
        .map(|blob| read(LayerCompression::Gzip, &fs::read(blob).unwrap()))
        .collect();
    let [first, second] = &*catalogs else { panic!("{} layers", catalogs.len()) };
    assert!(first.tracked.contains_key("app/large.bin"));
    assert!(second.whiteouts.contains("app/empty"));
}

/// The layers of the only image of an OCI layout.
fn layer_blobs(layout: &Path) -> Vec<std::path::PathBuf> {
    let json = |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let blob = |descriptor: &serde_json::Value| {
        let digest = descriptor["digest"].as_str().unwrap().parse::<Digest>().unwrap();
        layout.join("blobs/sha256").join(digest.hex())
    };
    let manifest = json(&blob(&json(&layout.join("index.json"))["manifests"][0]));
    manifest["layers"].as_array().unwrap().iter().map(blob).collect()
}
