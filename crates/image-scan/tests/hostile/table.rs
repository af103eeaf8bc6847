//! The hostile layers, each with how it is made and what has to become of it.

use image_scan::archive::{LayerCompression, LayerLimits};
use registry_types::rejection_code::RejectionCode;

use super::layer::{
    BLOCK, PREFIX, Raw, SIZE, archive, directory, entry, file, gzip, hard_link, long, pax, pax_body, record, skippable,
    symlink, zstd, zstd_frame,
};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) compression: LayerCompression,
    pub(crate) limits: LayerLimits,
    pub(crate) layer: Vec<u8>,
    pub(crate) expected: Expected,
    /// Readers that differ from us, and why that does no harm.
    pub(crate) unlike: Option<(&'static [&'static str], &'static str)>,
}

pub(crate) enum Expected {
    /// The code, and a part of the reason that only this rule gives.
    Refused(RejectionCode, &'static str),
    /// The listing: type, name, size or target.
    Accepted(&'static [&'static str]),
}

impl Case {
    fn new(name: &'static str, compression: LayerCompression, layer: Vec<u8>, expected: Expected) -> Self {
        Self { name, compression, limits: LayerLimits::default(), layer, expected, unlike: None }
    }

    fn within(mut self, limits: LayerLimits) -> Self {
        self.limits = limits;
        self
    }
}

fn ambiguous(name: &'static str, layer: Vec<u8>, why: &'static str) -> Case {
    Case::new(name, LayerCompression::Plain, layer, Expected::Refused(RejectionCode::ArchiveAmbiguous, why))
}

fn invalid(name: &'static str, layer: Vec<u8>, why: &'static str) -> Case {
    Case::new(name, LayerCompression::Plain, layer, Expected::Refused(RejectionCode::ArchiveInvalid, why))
}

fn exceeding(name: &'static str, layer: Vec<u8>, why: &'static str) -> Case {
    Case::new(name, LayerCompression::Plain, layer, Expected::Refused(RejectionCode::ArchiveLimitExceeded, why))
}

fn accepted(name: &'static str, layer: Vec<u8>, listing: &'static [&'static str]) -> Case {
    Case::new(name, LayerCompression::Plain, layer, Expected::Accepted(listing))
}

fn packed(compression: LayerCompression, case: Case) -> Case {
    Case { compression, ..case }
}

pub(crate) fn all() -> Vec<Case> {
    [
        names(),
        links(),
        devices_and_types(),
        sizes(),
        extended_headers(),
        header_fields(),
        endings(),
        gzip_streams(),
        zstd_streams(),
        bombs(),
        repetitions(),
        whiteouts(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn names() -> Vec<Case> {
    let raw = |name: &[u8]| archive(&[entry(Raw::new(b'0', "", 0).with(0, name), b"")]);
    let with_path = |path: &str| archive(&[pax(b'x', &[("path", path)]), file("short", b"x")]);
    vec![
        ambiguous("parent in name", raw(b"app/../../etc/passwd"), "contains \"..\""),
        ambiguous("parent alone", raw(b".."), "contains \"..\""),
        ambiguous("parent in PAX path", with_path("../etc/passwd"), "contains \"..\""),
        ambiguous("parent in GNU long name", archive(&[long(b'L', "a/../b"), file("a", b"")]), "contains \"..\""),
        ambiguous("parent in prefix", archive(&[entry(Raw::new(b'0', "x", 0).with(PREFIX, b".."), b"")]), "\"..\""),
        ambiguous("absolute name", raw(b"/etc/passwd"), "absolute"),
        ambiguous("absolute by PAX path", with_path("/etc/passwd"), "absolute"),
        ambiguous("two slashes first", raw(b"//etc/passwd"), "absolute"),
        ambiguous("name not UTF-8", raw(b"app/\xff\xfe"), "not UTF-8"),
        ambiguous("overlong UTF-8 slash", raw(b"app\xc0\xafx"), "not UTF-8"),
        ambiguous("NUL in PAX path", with_path("app/a\0b"), "NUL"),
        ambiguous("NUL in GNU long name", archive(&[long(b'L', "app/a\0b"), file("a", b"")]), "NUL"),
        ambiguous("empty name", raw(b""), "path is empty"),
        ambiguous("empty name below a prefix", archive(&[entry(Raw::new(0, "", 0).with(PREFIX, b"d"), b"")]), "empty"),
        ambiguous("file named as a directory", raw(b"app/x/"), "ends as a directory"),
        ambiguous("file named with a final dot", raw(b"app/x/."), "ends as a directory"),
        ambiguous("link named as a directory", archive(&[symlink("app/x/", "y")]), "ends as a directory"),
        ambiguous(
            "old directory renamed by PAX",
            archive(&[pax(b'x', &[("path", "app/file")]), entry(Raw::new(0, "app/dir/", 0), b"")]),
            "ends as a directory",
        ),
        accepted("case twins", archive(&[file("app/A", b"1"), file("app/a", b"22")]), &["f app/A 1", "f app/a 2"]),
        accepted("spaces and quotes", archive(&[file("app/ a\"b\\c ", b"")]), &["f app/ a\"b\\c  0"]),
        accepted("newline in name", archive(&[file("app/a\nb", b"")]), &["f app/a\nb 0"]),
        accepted("dots in names", archive(&[file("./app//./..a/b..", b"")]), &["f app/..a/b.. 0"]),
        Case {
            unlike: Some((
                &["bsdtar"],
                "it composes the names of extended headers to NFC; what unpacks images does not",
            )),
            ..accepted("decomposed letters", with_path("app/u\u{308}"), &["f app/u\u{308} 1"])
        },
    ]
}

fn links() -> Vec<Case> {
    vec![
        ambiguous("hard link out of the root", archive(&[hard_link("app/a", "../../etc/shadow")]), "leads out"),
        ambiguous("hard link to nothing", archive(&[hard_link("app/a", "")]), "leads out"),
        ambiguous("hard link as to a directory", archive(&[hard_link("app/a", "app/b/")]), "ends as a directory"),
        ambiguous(
            "file through an absolute directory link",
            archive(&[symlink("app/d", "/etc"), file("app/d/passwd", b"x")]),
            "leads through \"app/d\"",
        ),
        ambiguous(
            "file through a climbing directory link",
            archive(&[symlink("d", "../.."), file("d/etc/passwd", b"x")]),
            "leads through \"d\"",
        ),
        ambiguous(
            "file through two links",
            archive(&[symlink("app/d", "/"), symlink("app/d/e", "etc"), file("app/d/e/passwd", b"x")]),
            "leads through \"app/d\"",
        ),
        ambiguous(
            "hard link through a directory link",
            archive(&[symlink("app/d", "/etc"), hard_link("app/a", "app/d/shadow")]),
            "leads through \"app/d\"",
        ),
        ambiguous(
            "whiteout through a directory link",
            archive(&[symlink("d", "/var/lib/dpkg"), file("d/.wh.status", b"")]),
            "leads through \"d\"",
        ),
        ambiguous("link with a body", archive(&[entry(Raw::new(b'2', "a", 512).link("b"), &[b'x'; 512])]), "512"),
        ambiguous("hard link with a body", archive(&[entry(Raw::new(b'1', "a", 3).link("b"), b"xyz")]), "body of 3"),
        ambiguous("link target not UTF-8", archive(&[entry(Raw::new(b'2', "a", 0).with(157, b"\xff"), b"")]), "UTF-8"),
        ambiguous("NUL in link target", archive(&[pax(b'x', &[("linkpath", "a\0b")]), symlink("app/a", "a")]), "NUL"),
        accepted(
            "link out of the root",
            archive(&[symlink("app/a", "../../../etc/passwd"), symlink("app/b", "/etc/passwd")]),
            &["l app/a -> ../../../etc/passwd", "l app/b -> /etc/passwd"],
        ),
        accepted(
            "merged directories",
            archive(&[symlink("lib", "usr/lib"), file("lib/x", b"1")]),
            &["l lib -> usr/lib", "f lib/x 1"],
        ),
    ]
}

fn devices_and_types() -> Vec<Case> {
    let one = |header: Raw| archive(&[entry(header, b"")]);
    let flag = |flag: u8| one(Raw::new(flag, "app/x", 0));
    vec![
        invalid("block device", one(Raw::new(b'4', "app/disk", 0).device(8, 0)), "device nodes"),
        invalid("character device", one(Raw::new(b'3', "app/mem", 0).device(1, 1)), "device nodes"),
        ambiguous("overlay whiteout", one(Raw::new(b'3', "usr/bin/curl", 0).device(0, 0)), "0/0"),
        ambiguous("old GNU sparse file", one(Raw::new(b'S', "app/x", 0).gnu()), "sparse"),
        ambiguous(
            "PAX sparse file 1.0",
            archive(&[
                pax(b'x', &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "app/real")]),
                file("app/shown", b"0\n"),
            ]),
            "GNU.sparse.major",
        ),
        ambiguous(
            "PAX sparse file 0.1",
            archive(&[pax(b'x', &[("GNU.sparse.map", "0,1"), ("GNU.sparse.size", "9")]), file("app/x", b"1")]),
            "GNU.sparse.map",
        ),
        ambiguous(
            "Solaris sparse file",
            archive(&[pax(b'x', &[("SUN.holesdata", " 0 1 9")]), file("app/x", b"1")]),
            "SUN.holesdata",
        ),
        ambiguous(
            "sparse files for all",
            archive(&[pax(b'g', &[("GNU.sparse.size", "9")]), file("app/x", b"1")]),
            "GNU.sparse.size",
        ),
        ambiguous("directory with a body", archive(&[entry(Raw::new(b'5', "d", 512), &file("a", b""))]), "512"),
        invalid("contiguous file", flag(b'7'), "'7'"),
        invalid("volume label", flag(b'V'), "'V'"),
        invalid("continued file", flag(b'M'), "'M'"),
        invalid("directory with a list of names", flag(b'D'), "'D'"),
        invalid("inode metadata", flag(b'I'), "'I'"),
        invalid("old PAX header", flag(b'X'), "'X'"),
        invalid("type of nobody", flag(b'!'), "'!'"),
        accepted("null device below dev", one(Raw::new(b'3', "dev/null", 0).device(1, 3)), &["s dev/null"]),
        accepted("pipe", one(Raw::new(b'6', "run/pipe", 0)), &["s run/pipe"]),
    ]
}

fn sizes() -> Vec<Case> {
    let sized = |field: &[u8], body: &[u8]| archive(&[entry(Raw::new(b'0', "app/a", 0).with(SIZE, field), body)]);
    let pax_size = |size: &str, header: usize| {
        // The body is another archive: whoever heeds the other size finds its entries.
        let inner = file("app/hidden", b"hidden");
        archive(&[pax(b'x', &[("size", size)]), entry(Raw::new(b'0', "app/a", header), &inner)])
    };
    vec![
        ambiguous("PAX size hides entries", pax_size("1024", 0), "PAX size 1024"),
        ambiguous("PAX size shows entries", pax_size("0", 1024), "PAX size 0"),
        ambiguous("PAX size a byte off", pax_size("1023", 1024), "PAX size 1023"),
        invalid("PAX size with a sign", pax_size("+1024", 1024), "extended header"),
        invalid("PAX size beyond 64 bits", pax_size("18446744073709552640", 1024), "extended header"),
        invalid("negative base-256 size", sized(&[0xff; 12], b""), "size"),
        invalid("base-256 size beyond 64 bits", sized(b"\x80\0\0\x01\0\0\0\0\0\0\0\x05", b"12345"), "size"),
        invalid("base-256 size with a low marker", sized(b"\x81\0\0\0\0\0\0\0\0\0\0\x05", b"12345"), "size"),
        invalid("size with a sign", sized(b"-0000000005\0", b"12345"), "size"),
        invalid("size not octal", sized(b"00000000008\0", b"12345678"), "size"),
        ambiguous("size with a tail", sized(b"5\x0077777777\0\0", b"12345"), "size"),
        ambiguous("size of spaces", sized(b"            ", b""), "size"),
        invalid("size beyond the end", sized(b"00000007777\0", b"12345"), "ends too early"),
        accepted("base-256 size", sized(b"\x80\0\0\0\0\0\0\0\0\0\0\x05", b"12345"), &["f app/a 5"]),
        accepted("size with spaces", sized(b"          5 ", b"12345"), &["f app/a 5"]),
    ]
}

fn extended_headers() -> Vec<Case> {
    let x = || file("app/x", b"1");
    let body = |body: &[u8]| archive(&[pax_body(b'x', body), x()]);
    let before = |extension: Vec<u8>| archive(&[extension, x()]);
    vec![
        ambiguous(
            "duplicate PAX path",
            before(pax(b'x', &[("path", "app/a"), ("path", "app/b")])),
            "\"path\" is given",
        ),
        ambiguous("duplicate PAX size", before(pax(b'x', &[("size", "1"), ("size", "1")])), "\"size\" is given"),
        ambiguous("PAX path for all", before(pax(b'g', &[("path", "app/a")])), "must not be set for all"),
        ambiguous("PAX size for all", before(pax(b'g', &[("size", "1")])), "must not be set for all"),
        ambiguous("PAX path deleted", before(pax(b'x', &[("path", "")])), "empty value"),
        ambiguous(
            "GNU long name before PAX path",
            archive(&[long(b'L', "app/a"), pax(b'x', &[("path", "app/b")]), x()]),
            "GNU long name",
        ),
        ambiguous(
            "GNU long name after PAX path",
            archive(&[pax(b'x', &[("path", "app/b")]), long(b'L', "app/a"), x()]),
            "GNU long name",
        ),
        ambiguous(
            "GNU long link and PAX link path",
            archive(&[long(b'K', "a"), pax(b'x', &[("linkpath", "b")]), symlink("app/l", "c")]),
            "GNU long name",
        ),
        ambiguous(
            "two PAX headers",
            archive(&[pax(b'x', &[("path", "a")]), pax(b'x', &[("uid", "1")]), x()]),
            "two ext",
        ),
        ambiguous("two GNU long names", archive(&[long(b'L', "app/a"), long(b'L', "app/b"), x()]), "two extended"),
        ambiguous(
            "PAX header for all between",
            archive(&[pax(b'x', &[("path", "app/a")]), pax(b'g', &[("comment", "c")]), x()]),
            "two extended",
        ),
        ambiguous("PAX header at the end", archive(&[x(), pax(b'x', &[("path", "app/a")])]), "no entry after"),
        ambiguous("GNU long name at the end", archive(&[x(), long(b'L', "app/a")]), "no entry after"),
        invalid("PAX record too long", body(b"99 path=app/a\n"), "malformed"),
        invalid("PAX record too short", body(b"8 path=app/a\n"), "malformed"),
        invalid("PAX record without newline", body(b"14 path=app/ab"), "malformed"),
        invalid("PAX length with a sign", body(b"+15 path=app/a\n"), "malformed"),
        invalid("PAX length in hexadecimal", body(b"0xf path=app/a\n"), "malformed"),
        invalid("zeros after PAX records", body(&[record("path", b"app/a"), vec![0; 4]].concat()), "malformed"),
        invalid("PAX time that is none", before(pax(b'x', &[("mtime", "now")])), "malformed"),
        invalid("PAX time beyond all calendars", before(pax(b'x', &[("mtime", "67800000000000000")])), "malformed"),
        invalid("PAX owner that is none", before(pax(b'x', &[("uid", "root")])), "malformed"),
        invalid("NUL in a PAX owner's name", before(pax(b'x', &[("uname", "a\0b")])), "malformed"),
        ambiguous("PAX path not UTF-8", body(&record("path", b"app/\xff")), "UTF-8"),
        ambiguous(
            "raw names by PAX character set",
            body(&[record("hdrcharset", b"BINARY"), record("path", b"app/\xfc")].concat()),
            "UTF-8",
        ),
        exceeding("large PAX header", before(pax(b'x', &[("comment", &"c".repeat(2 << 20))])), "extended header"),
        exceeding("long PAX path", before(pax(b'x', &[("path", &"p".repeat(4097))])), "longer than 4096"),
        accepted(
            "harmless PAX records",
            before(pax(
                b'x',
                &[("mtime", "-1.25"), ("comment", "a=b\nc"), ("SCHILY.xattr.user.x", "\0"), ("uid", "7")],
            )),
            &["f app/x 1"],
        ),
        accepted(
            "GNU long name beside PAX times",
            archive(&[long(b'L', "app/long"), pax(b'x', &[("mtime", "1")]), x()]),
            &["f app/long 1"],
        ),
    ]
}

fn header_fields() -> Vec<Case> {
    let one = |header: Raw| archive(&[entry(header, b"")]);
    let plain = || Raw::new(b'0', "app/a", 0);
    let mut wrong_sum = archive(&[file("app/a", b"1"), file("app/b", b"2"), file("app/c", b"3")]);
    wrong_sum[2 * BLOCK + 8] ^= 1;
    vec![
        invalid("wrong checksum amid an archive", wrong_sum, "checksum"),
        invalid("header of before POSIX", one(plain().with(257, &[0; 8])), "neither POSIX nor GNU"),
        invalid("magic without version", one(plain().with(263, b"  ")), "neither POSIX nor GNU"),
        ambiguous("star header", one(plain().with(508, b"tar\0")), "star format"),
        ambiguous(
            "star times without a mark",
            one(plain().with(PREFIX, b"d").with(476, b"00000000000 00000000000 ")),
            "star format",
        ),
        ambiguous("GNU header with a prefix", one(plain().gnu().with(PREFIX, b"etc")), "GNU header"),
        ambiguous("GNU header with times", one(plain().gnu().with(PREFIX, b"14000000000\0")), "GNU header"),
        ambiguous(
            "GNU header with a second size",
            archive(&[entry(Raw::new(b'0', "app/a", 512).gnu().with(483, b"00000000001\0"), &[b'x'; 512])]),
            "GNU header",
        ),
        ambiguous(
            "GNU header with a sparse map",
            archive(&[entry(Raw::new(b'0', "app/a", 1).gnu().with(386, b"00000000000\0"), b"x")]),
            "GNU header",
        ),
        invalid("mode in letters", one(plain().with(100, b"rw-r--r-")), "mode"),
        ambiguous("owner of spaces", one(plain().with(108, b"        ")), "uid"),
        invalid("owner beyond 32 bits", one(plain().with(108, b"\x80\0\0\x01\0\0\0\0")), "uid"),
        invalid("time with a low marker", one(plain().with(136, b"\x81\0\0\0\0\0\0\0\0\0\0\0")), "mtime"),
        invalid("time beyond 64 bits", one(plain().with(136, b"\x80\x01\0\0\0\0\0\0\0\0\0\0")), "mtime"),
        accepted("time before 1970", one(plain().with(136, &[0xff; 12])), &["f app/a 0"]),
        accepted("prefix", one(plain().with(PREFIX, b"opt/deep")), &["f opt/deep/app/a 0"]),
    ]
}

fn endings() -> Vec<Case> {
    let (a, b) = (|| file("app/a", b"1"), || file("app/b", b"2"));
    vec![
        ambiguous("archive after the end", [archive(&[a()]), archive(&[b()])].concat(), "after the end"),
        ambiguous("entry after one zero block", archive(&[a(), vec![0; BLOCK], b()]), "after the end"),
        ambiguous("text after the end", [archive(&[a()]), b"#!/bin/sh".to_vec()].concat(), "after the end"),
        invalid("half a header at the end", [a(), b()[..100].to_vec()].concat(), "ends too early"),
        invalid("half a zero block at the end", [a(), vec![0; BLOCK + 100]].concat(), "ends too early"),
        invalid("half a body", a()[..BLOCK + 1].to_vec(), "ends too early"),
        invalid("text instead of an archive", b"#!/bin/sh\n".repeat(100), "checksum"),
        accepted("no zero blocks", [a(), b()].concat(), &["f app/a 1", "f app/b 1"]),
        accepted("one zero block", [a(), vec![0; BLOCK]].concat(), &["f app/a 1"]),
        accepted("many zero blocks", [a(), vec![0; 40 * BLOCK]].concat(), &["f app/a 1"]),
        Case {
            unlike: Some((&["GNU tar", "Python tarfile"], "they call it no archive, and unpack nothing as others do")),
            ..accepted("no bytes at all", Vec::new(), &[])
        },
        ambiguous(
            "PAX header for all and nothing after it",
            archive(&[pax(b'g', &[("comment", "c")])]),
            "no entry after",
        ),
    ]
}

fn gzip_streams() -> Vec<Case> {
    let layer = archive(&[file("app/a", b"1")]);
    let whole = gzip(&layer);
    let changed = |at: usize, bits: u8| {
        let mut changed = whole.clone();
        changed[at] ^= bits;
        changed
    };
    let trailer = whole.len() - 8;
    // The table of contents of an eStargz layer is a member of its own, its place an empty one with an extra field.
    let footer = [
        &[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 26, 0][..],
        b"SG\x16\0",
        b"0000000000000000STARGZ",
        &[1, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let estargz = [gzip(&file("app/a", b"1")), gzip(&archive(&[file("stargz.index.json", b"{}")])), footer].concat();
    let endless_name = [&whole[..3], &[8][..], &whole[4..10], &[b'n'; 70_000], &whole[10..]].concat();
    let cases = vec![
        ambiguous("two gzip members", [whole.clone(), gzip(&layer)].concat(), "several gzip members"),
        ambiguous("a layer split over gzip members", [gzip(&layer[..700]), gzip(&layer[700..])].concat(), "several"),
        ambiguous("empty second gzip member", [whole.clone(), gzip(b"")].concat(), "several gzip members"),
        ambiguous("eStargz", estargz, "several gzip members"),
        ambiguous("zeros after gzip", [whole.clone(), vec![0; BLOCK]].concat(), "after the compressed stream"),
        ambiguous("archive after gzip", [whole.clone(), layer.clone()].concat(), "after the compressed stream"),
        ambiguous("wrong gzip checksum", changed(trailer, 1), "trailer"),
        ambiguous("wrong gzip length", changed(trailer + 4, 1), "trailer"),
        invalid("gzip cut before its trailer", whole[..trailer].to_vec(), "ends too early"),
        invalid("gzip cut amid its data", whole[..trailer - 5].to_vec(), "ends too early"),
        invalid("gzip with reserved flags", changed(3, 0x80), "reserved flags"),
        invalid("gzip of another method", changed(2, 1), "gzip header"),
        invalid("gzip header with an endless name", endless_name, "header is too long"),
        invalid(
            "gzip header with a wrong checksum",
            [&whole[..3], &[2][..], &whole[4..10], &[0; 2], &whole[10..]].concat(),
            "header checksum",
        ),
        invalid("gzip within gzip", gzip(&whole), "ends too early"),
        invalid("zstd instead of gzip", zstd(&layer), "gzip header"),
        invalid("plain instead of gzip", layer.clone(), "gzip header"),
        invalid("reserved deflate block", [&whole[..10], &[7], &whole[11..]].concat(), "cannot be read"),
    ];
    let gzipped = cases.into_iter().map(|case| packed(LayerCompression::Gzip, case));
    gzipped.chain([invalid("gzip instead of plain", whole.clone(), "")]).collect()
}

fn zstd_streams() -> Vec<Case> {
    let layer = archive(&[file("app/a", b"1")]);
    let whole = zstd(&layer);
    // A window descriptor's exponent is in the upper five bits, above 2^10.
    let window = |log: u8| zstd_frame(&[0, (log - 10) << 3], &layer);
    let cases = vec![
        invalid("zstd window of 256 MiB", window(28), "cannot be read"),
        invalid("zstd window of 2 TiB", window(41), "cannot be read"),
        invalid("zstd reserved header bit", zstd_frame(&[8, 0x50], &layer), "cannot be read"),
        invalid("zstd with a dictionary", zstd_frame(&[1, 0x50, 7], &layer), "cannot be read"),
        invalid("zstd with a wrong content size", zstd_frame(&[0x60, 0, 0], &layer), "cannot be read"),
        invalid("zstd cut", whole[..whole.len() - 1].to_vec(), "ends too early"),
        invalid("nothing instead of zstd", Vec::new(), "ends too early"),
        invalid("gzip instead of zstd", gzip(&layer), "cannot be read"),
        invalid("zstd within zstd", zstd(&whole), "ends too early"),
        ambiguous("zeros after zstd", [whole.clone(), vec![0; BLOCK]].concat(), "after the compressed stream"),
        ambiguous("gzip after zstd", [whole.clone(), gzip(&layer)].concat(), "after the compressed stream"),
        ambiguous("archive after zstd", [whole.clone(), layer.clone()].concat(), "after the compressed stream"),
        accepted("zstd window of 128 MiB", window(27), &["f app/a 1"]),
        accepted("several zstd frames", [zstd(&layer[..700]), zstd(&layer[700..])].concat(), &["f app/a 1"]),
        accepted(
            "skippable frames between and after",
            [zstd(&layer[..700]), skippable(b"toc"), zstd(&layer[700..]), skippable(b"")].concat(),
            &["f app/a 1"],
        ),
    ];
    cases.into_iter().map(|case| packed(LayerCompression::Zstd, case)).collect()
}

fn bombs() -> Vec<Case> {
    let limits = LayerLimits::default();
    let zeros = || archive(&[file("app/zeros", &vec![0; 20 << 20])]);
    let many = || archive(&(0..101).map(|at| file(&format!("app/{at}"), b"")).collect::<Vec<_>>());
    let deep = |depth: usize| archive(&[pax(b'x', &[("path", &"d/".repeat(depth))]), directory("d/")]);
    vec![
        packed(LayerCompression::Gzip, exceeding("gzip bomb", gzip(&zeros()), "200 times")),
        packed(LayerCompression::Zstd, exceeding("zstd bomb", zstd(&zeros()), "200 times")),
        packed(
            LayerCompression::Gzip,
            exceeding("unpacked size", gzip(&zeros()), "more than 1048576 bytes")
                .within(LayerLimits { unpacked_bytes: 1 << 20, ..limits }),
        ),
        exceeding("entries", many(), "more than 100 entries").within(LayerLimits { entries: 100, ..limits }),
        exceeding("extended headers", archive(&vec![pax(b'g', &[("comment", "c")]); 101]), "more than 100 entries")
            .within(LayerLimits { entries: 100, ..limits }),
        exceeding("unnamed directories", deep_files(), "more than 100 entries")
            .within(LayerLimits { entries: 100, ..limits }),
        exceeding("nesting", deep(129), "nested deeper than 128"),
        exceeding(
            "package database",
            archive(&[file("var/lib/dpkg/status", &[b'x'; 11])]),
            "package database is larger than 10 bytes",
        )
        .within(LayerLimits { catalog_file_bytes: 10, ..limits }),
        accepted("archive within an archive", archive(&[file("app/x.tar", &many()[..1024])]), &["f app/x.tar 1024"]),
    ]
}

/// Few entries that name many directories.
fn deep_files() -> Vec<u8> {
    archive(&(0..50).map(|at| file(&format!("{at}/a/b/c/d/e"), b"")).collect::<Vec<_>>())
}

fn repetitions() -> Vec<Case> {
    vec![
        ambiguous("file, then link", archive(&[file("app/a", b"1"), symlink("app/a", "b")]), "a file and a symbolic"),
        ambiguous("link, then file", archive(&[symlink("app/a", "b"), file("app/a", b"1")]), "a symbolic link and a"),
        ambiguous("file, then directory", archive(&[file("app/a", b"1"), directory("app/a/")]), "a file and a dir"),
        ambiguous(
            "directory, then file",
            archive(&[file("app/a/b", b"1"), file("app/a", b"1")]),
            "directory and a file",
        ),
        ambiguous(
            "file, then hard link",
            archive(&[file("app/a", b"1"), hard_link("app/a", "b")]),
            "a file and a hard",
        ),
        ambiguous("entry below a file", archive(&[file("app/a", b"1"), file("app/a/b", b"2")]), "not a directory"),
        ambiguous("directory, then link", archive(&[directory("app/d/"), symlink("app/d", "/etc")]), "a directory and"),
        accepted("file twice", archive(&[file("app/a", b"1"), file("app/a", b"22")]), &["f app/a 1", "f app/a 2"]),
    ]
}

fn whiteouts() -> Vec<Case> {
    vec![
        ambiguous("whiteout of the parent", archive(&[file("a/.wh...", b"")]), "whiteout is not"),
        ambiguous("whiteout of the directory itself", archive(&[file("a/.wh..", b"")]), "whiteout is not"),
        ambiguous("whiteout of nothing", archive(&[file("a/.wh.", b"")]), "whiteout is not"),
        ambiguous("whiteout with content", archive(&[file("a/.wh.b", b"x")]), "whiteout is not"),
        ambiguous("whiteout that is a directory", archive(&[directory("a/.wh.b/")]), "whiteout is not"),
        ambiguous("whiteout that is a link", archive(&[symlink("a/.wh.b", "c")]), "whiteout is not"),
        ambiguous("entry below a whiteout", archive(&[file("a/.wh.b/c", b"")]), "whiteout is not"),
        ambiguous("opaque mark with content", archive(&[file("a/.wh..wh..opq", b"x")]), "whiteout is not"),
        ambiguous("whiteout after its file", archive(&[file("a/b", b"1"), file("a/.wh.b", b"")]), "after \"a/b\""),
        ambiguous("whiteout after files below", archive(&[file("a/b/c", b"1"), file("a/.wh.b", b"")]), "after \"a/b\""),
        ambiguous("whiteout of the whole parent", archive(&[file("a/b/c", b"1"), file(".wh.a", b"")]), "after \"a\""),
        accepted(
            "whiteout before its file",
            archive(&[file("a/.wh.b", b""), file("a/b", b"1")]),
            &["f a/.wh.b 0", "f a/b 1"],
        ),
        accepted(
            "opaque directory with own files",
            archive(&[file("a/b", b"1"), file("a/.wh..wh..opq", b""), file("a/c", b"1")]),
            &["f a/b 1", "f a/.wh..wh..opq 0", "f a/c 1"],
        ),
        accepted("opaque root", archive(&[file(".wh..wh..opq", b"")]), &["f .wh..wh..opq 0"]),
    ]
}
