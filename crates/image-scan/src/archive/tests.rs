//! Layers as builders write them, and hostile ones, each with the rule that refuses it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use registry_types::digest::Digest;
use registry_types::rejection_code::RejectionCode;

use super::*;
use crate::catalog::{FileKind, LayerCatalog};

const BLOCK: usize = 512;

fn read(compression: LayerCompression, limits: LayerLimits, pieces: &[&[u8]]) -> Result<LayerCatalog, ArchiveError> {
    let mut pass = LayerPass::new(compression, limits);
    for piece in pieces {
        pass.write(piece)?;
    }
    pass.finish()
}

fn read_plain(archive: &[u8]) -> Result<LayerCatalog, ArchiveError> {
    read(LayerCompression::Plain, LayerLimits::default(), &[archive])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

/// A raw header that a test may then damage.
#[derive(Clone)]
struct Raw([u8; BLOCK]);

impl Raw {
    fn new(flag: u8, name: &str, size: usize) -> Self {
        let mut block = [0; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..108].copy_from_slice(b"0000644\0");
        block[108..116].copy_from_slice(b"0000000\0");
        block[116..124].copy_from_slice(b"0000000\0");
        block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
        block[136..148].copy_from_slice(b"00000000000\0");
        block[156] = flag;
        block[257..265].copy_from_slice(b"ustar\x0000");
        Self(block)
    }

    fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn gnu(self) -> Self {
        self.with(257, b"ustar  \0")
    }

    fn link(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    fn sealed(mut self) -> [u8; BLOCK] {
        self.0[148..156].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.0[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

fn padded(body: &[u8]) -> Vec<u8> {
    let mut padded = body.to_vec();
    padded.resize(body.len().next_multiple_of(BLOCK), 0);
    padded
}

/// Header and body.
fn entry(header: Raw, body: &[u8]) -> Vec<u8> {
    [header.sealed().to_vec(), padded(body)].concat()
}

fn file(name: &str, body: &[u8]) -> Vec<u8> {
    entry(Raw::new(b'0', name, body.len()), body)
}

fn pax(flag: u8, records: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len();
        while format!("{length}{rest}").len() != length {
            length += 1;
        }
        body.extend(format!("{length}{rest}").into_bytes());
    }
    entry(Raw::new(flag, "PaxHeaders/x", body.len()), &body)
}

fn long(flag: u8, name: &str) -> Vec<u8> {
    let body = format!("{name}\0");
    entry(Raw::new(flag, "././@LongLink", body.len()).gnu(), body.as_bytes())
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 2 * BLOCK]].concat()
}

fn ambiguity(archive: &[u8]) -> Ambiguity {
    match read_plain(archive) {
        Err(error @ ArchiveError::Ambiguous { .. }) => {
            assert_eq!(error.code(), RejectionCode::ArchiveAmbiguous);
            let ArchiveError::Ambiguous { problem, .. } = error else { unreachable!() };
            problem
        }
        other => panic!("expected an ambiguity, got {other:?}"),
    }
}

fn defect(archive: &[u8]) -> Defect {
    match read_plain(archive) {
        Err(ArchiveError::Invalid { problem, .. }) => problem,
        other => panic!("expected a defect, got {other:?}"),
    }
}

#[test]
fn reads_what_builders_write() {
    let deep = format!("app/{}/end.txt", "directory/".repeat(30).trim_end_matches('/'));
    let layer = archive(&[
        pax(b'g', &[("comment", "made by git archive")]),
        entry(Raw::new(b'5', "./", 0), b""),
        entry(Raw::new(b'5', "app/", 0), b""),
        entry(Raw::new(0, "app/old/", 0), b""),
        pax(b'x', &[("mtime", "1700000000.25"), ("SCHILY.xattr.user.x", "1"), ("LIBARCHIVE.creationtime", "1")]),
        file("app/run.py", b"print()\n"),
        pax(b'x', &[("path", &deep)]),
        file("app/shortened", b"x"),
        long(b'L', "app/gnu-long-name"),
        entry(Raw::new(b'0', "app/gnu-lo", 3).gnu(), b"abc"),
        entry(Raw::new(b'2', "app/link", 0).link("/opt/elsewhere"), b""),
        entry(Raw::new(b'1', "app/second", 0).link("/app/run.py"), b""),
        entry(Raw::new(b'1', "app/elsewhere", 0).link("usr/bin/perl"), b""),
        entry(Raw::new(b'3', "dev/null", 0).with(329, b"0000001\0").with(337, b"0000003\0"), b""),
        entry(Raw::new(b'6', "run/pipe", 0), b""),
        file("app/.wh.gone", b""),
        file("app/cache/.wh..wh..opq", b""),
        file("with-prefix", b"").into_iter().collect(),
        entry(Raw::new(b'0', "end", 0).with(345, b"app/prefix"), b""),
    ]);
    let catalog = read_plain(&layer).unwrap();
    assert_eq!(catalog.diff_id, Digest::sha256_of(&layer));
    assert_eq!(catalog.unpacked_bytes, layer.len() as u64);
    assert_eq!(catalog.entries, 15);
    let kind = |path: &str| catalog.tracked.get(path).map(|entry| entry.kind.clone());
    assert_eq!(kind("app/run.py"), Some(FileKind::File { size: 8, executable: false }));
    assert_eq!(kind(&deep), Some(FileKind::File { size: 1, executable: false }));
    assert_eq!(kind("app/gnu-long-name"), Some(FileKind::File { size: 3, executable: false }));
    assert_eq!(kind("app/old"), Some(FileKind::Directory));
    assert_eq!(kind("app/link"), Some(FileKind::Symlink { target: "/opt/elsewhere".to_owned() }));
    assert_eq!(kind("app/second"), Some(FileKind::File { size: 8, executable: false }), "a second name of the file");
    assert_eq!(kind("app/elsewhere"), Some(FileKind::HardLink { target: "usr/bin/perl".to_owned() }));
    assert_eq!(kind("app/prefix/end"), Some(FileKind::File { size: 0, executable: false }));
    assert!(catalog.whiteouts.contains("app/gone"));
    assert!(catalog.opaque_directories.contains("app/cache"));
}

#[test]
fn the_end_of_an_archive_may_be_bare() {
    for layer in [&b""[..], &[0; BLOCK], &[0; 10240], &file("app/x", b"y")] {
        assert!(read_plain(layer).is_ok(), "{} bytes", layer.len());
    }
}

#[test]
fn refuses_sizes_that_readers_disagree_on() {
    let with_pax_size = |size: &str, header: usize| {
        archive(&[pax(b'x', &[("size", size)]), entry(Raw::new(b'0', "a", header), &vec![b'x'; header])])
    };
    assert!(read_plain(&with_pax_size("3", 3)).is_ok());
    assert_eq!(ambiguity(&with_pax_size("1024", 3)), Ambiguity::PaxSize { header: 3, pax: 1024 });
    // A header without size hides the body's blocks from readers that do not heed the PAX record.
    assert_eq!(ambiguity(&with_pax_size("1024", 0)), Ambiguity::PaxSize { header: 0, pax: 1024 });
    for flag in *b"1256" {
        let link = entry(Raw::new(flag, "a", 512).link("b"), &[b'x'; 512]);
        assert_eq!(ambiguity(&archive(&[link])), Ambiguity::BodyWithoutFile(512), "{flag}");
    }
}

#[test]
fn refuses_extended_headers_that_readers_disagree_on() {
    let x = file("a", b"");
    let link = entry(Raw::new(b'2', "a", 0).link("d"), b"");
    for (layer, problem) in [
        (vec![pax(b'x', &[("path", "b"), ("path", "c")]), x.clone()], Ambiguity::DuplicatePaxKey("path".into())),
        (vec![pax(b'g', &[("path", "b")]), x.clone()], Ambiguity::GlobalPaxKey("path".into())),
        (vec![pax(b'g', &[("size", "9")]), x.clone()], Ambiguity::GlobalPaxKey("size".into())),
        (vec![pax(b'x', &[("linkpath", "")]), x.clone()], Ambiguity::EmptyPaxValue("linkpath".into())),
        (vec![pax(b'x', &[("GNU.sparse.major", "1")]), x.clone()], Ambiguity::VendorPaxKey("GNU.sparse.major".into())),
        (vec![long(b'L', "b"), pax(b'x', &[("path", "c")]), x.clone()], Ambiguity::LongNameAndPax),
        (vec![pax(b'x', &[("linkpath", "c")]), long(b'K', "b"), link.clone()], Ambiguity::LongNameAndPax),
        (vec![long(b'K', "b"), x.clone()], Ambiguity::LinkTargetAlone),
        (vec![pax(b'x', &[("path", "b")]), pax(b'x', &[("path", "c")]), x.clone()], Ambiguity::RepeatedExtension),
        (vec![long(b'L', "b"), long(b'L', "c"), x.clone()], Ambiguity::RepeatedExtension),
        (vec![pax(b'x', &[("path", "b")]), pax(b'g', &[("comment", "c")]), x.clone()], Ambiguity::RepeatedExtension),
        (vec![x.clone(), pax(b'x', &[("path", "b")])], Ambiguity::DanglingExtension),
    ] {
        assert_eq!(ambiguity(&archive(&layer)), problem);
    }
    assert_eq!(ambiguity(&pax(b'x', &[("path", "b")])), Ambiguity::DanglingExtension, "at the bare end");
}

#[test]
fn refuses_headers_that_readers_disagree_on() {
    let one = |header: Raw| archive(&[entry(header, b"")]);
    let raw = |flag, name| Raw::new(flag, name, 0);
    for (layer, problem) in [
        (one(raw(b'S', "a").gnu()), Ambiguity::Sparse),
        (one(raw(b'0', "a").with(508, b"tar\0")), Ambiguity::StarFormat),
        (one(raw(b'0', "a").gnu().with(345, b"etc/passwd.d")), Ambiguity::GnuFields),
        (one(raw(b'0', "a").with(124, b"0\x00777")), Ambiguity::NumberTail("size")),
        (one(raw(b'0', "a/")), Ambiguity::DirectoryName),
        (one(raw(b'0', "/etc/passwd")), Ambiguity::AbsolutePath),
        (one(raw(b'0', "a/../../b")), Ambiguity::ParentInPath),
        (one(raw(b'0', "").with(0, b"a\xff")), Ambiguity::PathEncoding),
        (one(raw(b'0', "")), Ambiguity::EmptyPath),
        (one(raw(b'0', ".")), Ambiguity::EmptyPath),
        (one(raw(b'1', "a").link("../../etc/shadow")), Ambiguity::HardLinkOutside),
        (one(raw(b'2', "a")), Ambiguity::EmptyPath),
        (one(raw(b'3', "usr/bin/curl")), Ambiguity::OverlayWhiteout),
        (one(raw(b'3', "dev/x")), Ambiguity::OverlayWhiteout),
        (one(raw(b'5', "a/.wh.b")), Ambiguity::Whiteout),
        (one(raw(b'0', "a/.wh.")), Ambiguity::Whiteout),
        (one(raw(b'0', "a/.wh...")), Ambiguity::Whiteout),
        (one(raw(b'0', "a/.wh.b/c")), Ambiguity::Whiteout),
        (archive(&[file("a/.wh.b", b"x")]), Ambiguity::Whiteout),
        (archive(&[pax(b'x', &[("path", "a\0b")]), file("c", b"")]), Ambiguity::PathNul),
        (archive(&[long(b'L', "a\0b"), file("c", b"")]), Ambiguity::PathNul),
    ] {
        assert_eq!(ambiguity(&layer), problem);
    }
}

#[test]
fn refuses_broken_headers_and_what_images_do_not_hold() {
    let one = |header: Raw| archive(&[entry(header, b"")]);
    let mut damaged = file("a", b"");
    damaged[0] ^= 1;
    assert_eq!(defect(&damaged), Defect::Checksum);
    assert_eq!(defect(&one(Raw::new(b'0', "a", 0).with(257, &[0; 8]))), Defect::Magic);
    assert_eq!(defect(&one(Raw::new(b'0', "a", 0).with(100, b"rw-r--r-"))), Defect::Number("mode"));
    assert_eq!(defect(&one(Raw::new(b'0', "a", 0).with(124, &[0xff; 12]))), Defect::Number("size"));
    assert_eq!(defect(&one(Raw::new(b'V', "label", 0))), Defect::EntryType('V'));
    assert_eq!(defect(&one(Raw::new(b'7', "contiguous", 0))), Defect::EntryType('7'));
    assert_eq!(
        defect(&one(Raw::new(b'4', "app/disk", 0).with(329, b"0000008\0").with(329, b"0000010\0"))),
        Defect::DeviceNode
    );
    assert_eq!(defect(&archive(&[entry(Raw::new(b'x', "p", 5), b"9 a=b"), file("a", b"")])), Defect::Pax);
    let whole = file("a", &[b'x'; 700]);
    for end in [1, BLOCK - 1, BLOCK + 1, BLOCK + 700, whole.len() - 1] {
        assert_eq!(defect(&whole[..end]), Defect::Truncated, "{end}");
    }
}

#[test]
fn refuses_data_after_the_end() {
    let hidden = [archive(&[file("a", b"")]), file("b", b"")].concat();
    assert_eq!(ambiguity(&hidden), Ambiguity::DataAfterArchive);
    // One zero block ends the archive for Python, two for others.
    let lone_zero_block = [file("a", b""), vec![0; BLOCK], file("b", b""), vec![0; BLOCK]].concat();
    assert_eq!(ambiguity(&lone_zero_block), Ambiguity::DataAfterArchive);
}

#[test]
fn a_path_is_one_thing_in_a_layer() {
    let link = entry(Raw::new(b'2', "a", 0).link("b"), b"");
    for second in [link.clone(), entry(Raw::new(b'5', "./a", 0), b""), entry(Raw::new(b'1', "a", 0).link("c"), b"")] {
        assert!(matches!(ambiguity(&archive(&[file("a", b"1"), second])), Ambiguity::ConflictingEntries("file", _)));
    }
    assert_eq!(ambiguity(&archive(&[file("a", b""), file("a/b", b"")])), Ambiguity::BelowFile("a".to_owned()));
    // Appended again, as `tar -r` does: the later one counts for every reader.
    let twice = read_plain(&archive(&[file("app/x", b"1"), file("app/x", b"22")])).unwrap();
    assert_eq!(twice.tracked["app/x"].kind, FileKind::File { size: 2, executable: false });
    assert!(read_plain(&archive(&[link, file("a/b", b"")])).is_ok());
}

#[test]
fn refuses_what_follows_or_contradicts_the_compressed_stream() {
    let layer = archive(&[file("app/a", b"hello")]);
    let packed = gzip(&layer);
    let gz = |bytes: &[u8]| read(LayerCompression::Gzip, LayerLimits::default(), &[bytes]);
    assert!(gz(&packed).is_ok());
    let ambiguous = |bytes: &[u8]| match gz(bytes).unwrap_err() {
        ArchiveError::Ambiguous { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(ambiguous(&[packed.clone(), gzip(&layer)].concat()), Ambiguity::SeveralGzipMembers);
    assert_eq!(ambiguous(&[packed.clone(), vec![0]].concat()), Ambiguity::DataAfterCompressed);
    for at in [packed.len() - 1, packed.len() - 8] {
        let mut wrong = packed.clone();
        wrong[at] ^= 1;
        assert_eq!(ambiguous(&wrong), Ambiguity::GzipTrailer);
    }
    let broken = |bytes: &[u8]| match gz(bytes).unwrap_err() {
        ArchiveError::Invalid { problem, .. } => problem,
        other => panic!("{other}"),
    };
    assert_eq!(broken(&packed[..packed.len() - 1]), Defect::Truncated);
    assert_eq!(broken(&packed[..12]), Defect::Truncated);
    assert_eq!(broken(b""), Defect::Truncated);
    assert!(matches!(broken(&layer), Defect::Gzip(_)), "the media type decides, not the bytes");
    assert!(matches!(broken(&[&packed[..3], &[0x80], &packed[4..]].concat()), Defect::Gzip(_)), "reserved flag");
    assert!(matches!(broken(&[&packed[..10], &[0xff; 40]].concat()), Defect::Compressed(_)));
}

#[test]
fn reads_gzip_headers_with_all_fields() {
    let layer = archive(&[file("app/a", b"hello")]);
    let builder = flate2::GzBuilder::new().filename("layer.tar").comment("a comment").extra(vec![1, 2, 3]);
    let mut encoder = builder.write(Vec::new(), Compression::fast());
    encoder.write_all(&layer).unwrap();
    let packed = encoder.finish().unwrap();
    for size in [1, 2, 7, packed.len()] {
        let pieces: Vec<&[u8]> = packed.chunks(size).collect();
        assert!(read(LayerCompression::Gzip, LayerLimits::default(), &pieces).is_ok(), "{size}");
    }
}

#[test]
fn zstd_frames_are_one_stream_and_nothing_else_follows() {
    let layer = archive(&[file("app/a", b"hello"), file("app/b", b"world")]);
    let (first, second) = layer.split_at(700);
    let skippable = [&[0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"toc"].concat();
    let packed = [zstd(first), skippable, zstd(second)].concat();
    let read_in = |bytes: &[u8], size: usize| {
        let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
        read(LayerCompression::Zstd, LayerLimits::default(), &pieces)
    };
    for size in [1, 5, packed.len()] {
        assert_eq!(read_in(&packed, size).unwrap().diff_id, Digest::sha256_of(&layer));
        for tail in [&b"x"[..], b"\x28\xb5\x2f\xfe and more", &[0; 100]] {
            let error = read_in(&[&packed, tail].concat(), size).unwrap_err();
            assert!(
                matches!(error, ArchiveError::Ambiguous { problem: Ambiguity::DataAfterCompressed, .. }),
                "{size}: {error}"
            );
        }
        for end in [0, 3, packed.len() - 1] {
            let error = read_in(&packed[..end], size).unwrap_err();
            assert!(matches!(error, ArchiveError::Invalid { problem: Defect::Truncated, .. }), "{size}: {error}");
        }
    }
}

#[test]
fn limits_have_their_own_code() {
    let exceeded = |limits: LayerLimits, compression, bytes: &[u8]| match read(compression, limits, &[bytes]) {
        Err(error @ ArchiveError::LimitExceeded { .. }) => {
            assert_eq!(error.code(), RejectionCode::ArchiveLimitExceeded);
            let ArchiveError::LimitExceeded { limit, .. } = error else { unreachable!() };
            limit
        }
        other => panic!("{other:?}"),
    };
    let limits = LayerLimits::default();
    let plain = LayerCompression::Plain;
    let two = archive(&[file("a", b""), file("b", b"")]);
    assert_eq!(exceeded(LayerLimits { entries: 1, ..limits }, plain, &two), ExceededLimit::Entries(1));
    assert_eq!(
        exceeded(LayerLimits { unpacked_bytes: 1024, ..limits }, plain, &two),
        ExceededLimit::UnpackedBytes(1024)
    );
    assert_eq!(
        exceeded(LayerLimits { path_bytes: 3, ..limits }, plain, &archive(&[file("four", b"")])),
        ExceededLimit::PathBytes(3)
    );
    assert_eq!(
        exceeded(LayerLimits { path_depth: 2, ..limits }, plain, &archive(&[file("a/b/c", b"")])),
        ExceededLimit::PathDepth(2)
    );
    assert_eq!(
        exceeded(LayerLimits { extension_bytes: 4, ..limits }, plain, &archive(&[long(b'L', "longer")])),
        ExceededLimit::ExtensionBytes(4)
    );
    assert_eq!(
        exceeded(
            LayerLimits { catalog_file_bytes: 10, ..limits },
            plain,
            &archive(&[file("var/lib/dpkg/status", &[b'x'; 11])])
        ),
        ExceededLimit::CatalogFileBytes(10)
    );
    let bomb = gzip(&archive(&[file("zeros", &vec![0; 1 << 20])]));
    let strict = LayerLimits { ratio: 100, ratio_from_bytes: 1 << 16, ..limits };
    assert_eq!(exceeded(strict, LayerCompression::Gzip, &bomb), ExceededLimit::Ratio(100));
    assert!(read(LayerCompression::Gzip, limits, &[&bomb]).is_ok(), "small ones may be dense");
}

#[test]
fn what_is_kept_about_a_layer_is_bounded() {
    let whiteouts: Vec<_> = (0..9000)
        .flat_map(|at| [pax(b'x', &[("path", &format!("{}/.wh.{at}", "d".repeat(4000)))]), file("short", b"")])
        .collect();
    let error = read_plain(&archive(&whiteouts)).unwrap_err();
    assert!(matches!(error, ArchiveError::LimitExceeded { limit: ExceededLimit::FactBytes(_), .. }), "{error}");
    let directories: Vec<_> = (0..20).map(|at| file(&format!("{at}/a/b/c/d/e"), b"")).collect();
    let few = LayerLimits { entries: 30, ..LayerLimits::default() };
    let error = read(LayerCompression::Plain, few, &[&archive(&directories)]).unwrap_err();
    assert!(matches!(error, ArchiveError::LimitExceeded { limit: ExceededLimit::Entries(30), .. }), "{error}");
    let authors: Vec<_> = (0..50_001).map(|at| file(&format!("app/{at}"), b"")).collect();
    let catalog = read_plain(&archive(&authors)).unwrap();
    assert!(catalog.is_file_list_cut && catalog.tracked.len() == 50_000);
}

#[test]
fn the_first_error_stays_the_answer_on_either_thread() {
    for padding in [0_usize, 3 << 20] {
        let bad =
            archive(&[file("app/zeros", &vec![0; padding]), file("/absolute", b""), file("x", &vec![1; padding])]);
        let mut pass = LayerPass::new(LayerCompression::Plain, LayerLimits::default());
        let results: Vec<_> = bad.chunks(10_000).map(|piece| pass.write(piece)).collect();
        let last = pass.finish().unwrap_err();
        assert!(matches!(last, ArchiveError::Ambiguous { problem: Ambiguity::AbsolutePath, .. }), "{last}");
        let first = results.iter().position(Result::is_err).unwrap_or(results.len());
        assert!(results[first..].iter().all(|result| result.as_ref() == Err(&last)));
    }
}

#[test]
fn a_pass_can_be_given_up() {
    let layer = archive(&[file("app/x", &vec![7; 4 << 20])]);
    let mut pass = LayerPass::new(LayerCompression::Plain, LayerLimits::default());
    pass.write(&layer[..3 << 20]).unwrap();
    drop(pass);
}

/// Files, directories and links in a random tree, written with a library that is not ours.
fn generated_layer() -> impl Strategy<Value = Vec<u8>> {
    let name = "[a-z]{1,8}(/[a-zA-Z0-9_.-]{1,40}){0,6}";
    let entry = (name, 0_u8..4, prop::collection::vec(any::<u8>(), 0..1500), any::<bool>());
    prop::collection::vec(entry, 0..20).prop_map(|entries| {
        let mut builder = tar::Builder::new(Vec::new());
        for (at, (name, kind, body, gnu)) in entries.into_iter().enumerate() {
            // Each below its own directory, so that no two entries are in each other's way.
            let path = format!("app/{at}/{name}");
            let mut header = if gnu { tar::Header::new_gnu() } else { tar::Header::new_ustar() };
            header.set_mode(0o644);
            header.set_size(0);
            match kind {
                0 => {
                    header.set_entry_type(tar::EntryType::Directory);
                    drop(builder.append_data(&mut header, path, &b""[..]));
                }
                1 => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    drop(builder.append_link(&mut header, path, "../target"));
                }
                _ => {
                    header.set_size(body.len() as u64);
                    drop(builder.append_data(&mut header, path, &*body));
                }
            }
        }
        builder.into_inner().unwrap()
    })
}

/// What an independent reader finds.
fn listed(layer: &[u8]) -> Vec<(String, char, u64)> {
    let mut archive = tar::Archive::new(layer);
    let mut entries: Vec<_> = archive
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let kind = match entry.header().entry_type() {
                tar::EntryType::Directory => 'd',
                tar::EntryType::Symlink => 'l',
                _ => 'f',
            };
            let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
            (path.split('/').filter(|c| !matches!(*c, "" | ".")).collect::<Vec<_>>().join("/"), kind, entry.size())
        })
        .collect();
    entries.sort();
    entries
}

fn cataloged(catalog: &LayerCatalog) -> Vec<(String, char, u64)> {
    let fact = |kind: &FileKind| match kind {
        FileKind::File { size, .. } => ('f', *size),
        FileKind::Directory => ('d', 0),
        FileKind::Symlink { .. } => ('l', 0),
        FileKind::HardLink { .. } | FileKind::Special => ('?', 0),
    };
    let entries = catalog.tracked.iter().map(|(path, entry)| (path.clone(), fact(&entry.kind)));
    entries.map(|(path, (kind, size))| (path, kind, size)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reads_what_another_library_wrote_in_any_compression(layer in generated_layer()) {
        let catalog = read_plain(&layer);
        // The generator may make a component "..", which is refused.
        prop_assume!(catalog.is_ok());
        let catalog = catalog.unwrap();
        prop_assert_eq!(&catalog.diff_id, &Digest::sha256_of(&layer));
        prop_assert_eq!(cataloged(&catalog), listed(&layer));
        let limits = LayerLimits::default();
        prop_assert_eq!(&read(LayerCompression::Gzip, limits, &[&gzip(&layer)]).unwrap(), &catalog);
        prop_assert_eq!(&read(LayerCompression::Zstd, limits, &[&zstd(&layer)]).unwrap(), &catalog);
        let stored = serde_json::to_value(&catalog).unwrap();
        prop_assert_eq!(&serde_json::from_value::<LayerCatalog>(stored).unwrap(), &catalog);
    }

    #[test]
    fn the_result_does_not_depend_on_how_the_bytes_arrive(
        layer in generated_layer(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..3),
        sizes in prop::collection::vec(1_usize..3000, 1..12),
    ) {
        let mut layer = layer;
        if !layer.is_empty() {
            for (at, bits) in flips {
                let at = at.index(layer.len());
                layer[at] ^= bits;
            }
        }
        for (compression, bytes) in [
            (LayerCompression::Plain, layer.clone()),
            (LayerCompression::Gzip, gzip(&layer)),
            (LayerCompression::Zstd, zstd(&layer)),
        ] {
            let whole = read(compression, LayerLimits::default(), &[&bytes]);
            let mut pieces = Vec::new();
            let mut rest = bytes.as_slice();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, after) = rest.split_at(rest.len().min(*size));
                pieces.push(piece);
                rest = after;
            }
            prop_assert_eq!(&read(compression, LayerLimits::default(), &pieces), &whole);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..4096)) {
        for compression in [LayerCompression::Plain, LayerCompression::Gzip, LayerCompression::Zstd] {
            drop(read(compression, LayerLimits::default(), &[&bytes]));
        }
    }
}
