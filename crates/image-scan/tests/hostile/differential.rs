//! The same bytes read by us and by others: what they read differently we refuse, and what we accept they read as we do.

use std::cell::{Cell, RefCell};
use std::fmt;

use image_scan::archive::{LayerCompression, LayerLimits};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::layer::{BLOCK, Raw, archive, entry, long, pax, seal};
use crate::listing::{Item, ours};
use crate::readers::{Read, Readers};
use crate::table::{self, Case};

/// Whether each reader finds what the others find; an error is a finding too.
fn readers_agree(reads: &[(&str, Read)]) -> bool {
    let mut findings = reads.iter().filter(|(_, read)| *read != Read::Unsupported).map(|(_, read)| match read {
        Read::Items(items) => Some(items),
        Read::Refused(_) | Read::Unsupported => None,
    });
    let first = findings.next();
    findings.all(|finding| Some(finding) == first)
}

/// The readers that find something else than we do.
fn dissenters(items: &[Item], reads: Vec<(&'static str, Read)>) -> Vec<(&'static str, Read)> {
    let differs = |read: &Read| match read {
        Read::Items(theirs) => theirs != items,
        Read::Refused(_) => true,
        Read::Unsupported => false,
    };
    reads.into_iter().filter(|(_, read)| differs(read)).collect()
}

fn check(case: &Case, readers: &mut Readers) -> Result<bool, String> {
    let reads = readers.read(case.compression, &case.layer);
    let agree = readers_agree(&reads);
    let Ok(items) = ours(case.compression, case.limits, &case.layer) else { return Ok(agree) };
    let dissenters = dissenters(&items, reads);
    if !dissenters.iter().map(|(reader, _)| reader).eq(case.unlike.map_or(&[][..], |(readers, _)| readers)) {
        return Err(format!("{}: we {items:?}, but {dissenters:?}", case.name));
    }
    Ok(agree)
}

#[test]
#[ignore = "interop: needs GNU tar, bsdtar, zstd, Python and (for one reader more) Go"]
fn what_we_accept_of_the_table_all_read_alike() {
    let mut readers = Readers::start();
    let cases = table::all();
    let results: Vec<_> = cases.iter().map(|case| (case.name, check(case, &mut readers))).collect();
    let wrong: Vec<_> = results.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let split: Vec<_> = results.iter().filter(|(_, result)| *result == Ok(false)).map(|(name, _)| *name).collect();
    println!("readers disagree on {} of {} layers: {split:?}", split.len(), cases.len());
    // Else the comparison compares nothing.
    assert!(split.len() >= 30, "{split:?}");
}

/// Names with what tells programs apart.
fn name() -> impl Strategy<Value = String> {
    let component = prop_oneof![
        6 => "[a-c]{1,3}",
        1 => Just(".".to_owned()),
        1 => Just(String::new()),
        1 => Just("ü".to_owned()),
        1 => Just("a b\\".to_owned()),
    ];
    prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
}

fn record() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        3 => name().prop_map(|name| ("path", name)),
        1 => name().prop_map(|name| ("linkpath", name)),
        1 => (0_u32..600).prop_map(|size| ("size", size.to_string())),
        2 => prop_oneof!["-?[0-9]{1,3}(\\.[0-9]{0,3})?", "[0-9]{9,20}"].prop_map(|time| ("mtime", time)),
        1 => "[0-9]{1,11}".prop_map(|id| ("uid", id)),
        1 => "[a-z]{0,3}".prop_map(|name| ("gname", name)),
        1 => prop_oneof![Just("BINARY"), Just("ISO-IR 10646 2000 UTF-8"), Just("other")]
            .prop_map(|set| ("hdrcharset", set.to_owned())),
        1 => "[ -~]{0,9}".prop_map(|text| ("comment", text)),
        1 => "[ -~]{0,9}".prop_map(|text| ("SCHILY.xattr.user.x", text)),
        1 => "[0-9]{1,4}".prop_map(|number| ("SCHILY.ino", number)),
        1 => "[ -~]{0,9}".prop_map(|text| ("LIBARCHIVE.creationtime", text)),
    ]
}

/// A header of any kind with a fitting body.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let flag = prop_oneof![6 => Just(b'0'), 1 => Just(0_u8), 2 => Just(b'5'), 1 => Just(b'2'), 1 => Just(b'1')];
    let entry = (flag, name(), name(), prop::collection::vec(any::<u8>(), 0..600), any::<bool>()).prop_map(
        |(flag, name, target, body, gnu)| {
            let body = if matches!(flag, b'0' | 0) { body.as_slice() } else { &[] };
            let header = Raw::new(flag, &name, body.len());
            let header = if matches!(flag, b'1' | b'2') { header.link(&target) } else { header };
            entry(if gnu { header.gnu() } else { header }, body)
        },
    );
    let records = || prop::collection::vec(record(), 0..3);
    prop_oneof![
        8 => entry,
        3 => records().prop_map(|records| pax(b'x', &borrowed(&records))),
        1 => records().prop_map(|records| pax(b'g', &borrowed(&records))),
        1 => name().prop_map(|name| long(b'L', &name)),
        1 => name().prop_map(|name| long(b'K', &name)),
    ]
}

fn borrowed<'a>(records: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    records.iter().map(|(key, value)| (*key, value.as_str())).collect()
}

/// Bytes that mean something in a header.
fn telling_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        4 => prop::sample::select(&b"\0 0178/.=\n+-xgLKSDV\x80\x81\xff"[..]),
        1 => any::<u8>(),
    ]
}

#[derive(Debug, Clone)]
struct Mutation {
    block: prop::sample::Index,
    at: usize,
    bytes: Vec<u8>,
    /// So that what is behind the checksum is reached.
    reseal: bool,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let parts = (
        any::<prop::sample::Index>(),
        0..BLOCK,
        prop::collection::vec(telling_byte(), 1..5),
        prop::bool::weighted(0.95),
    );
    parts.prop_map(|(block, at, bytes, reseal)| Mutation { block, at, bytes, reseal })
}

#[derive(Clone)]
struct Layer(Vec<u8>);

/// Without the zeros, so that a failure can be read.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for block in self.0.chunks(BLOCK) {
            let fields = block.split(|byte| *byte == 0).filter(|field| !field.is_empty());
            let fields: Vec<_> = fields.map(|field| field.escape_ascii().to_string()).collect();
            writeln!(f, "[{}] {}", block.len(), fields.join(" "))?;
        }
        Ok(())
    }
}

/// An archive of random pieces, with random bytes in some of its blocks.
fn mutated_layer() -> impl Strategy<Value = Layer> {
    let end = prop_oneof![3 => Just(2 * BLOCK), 1 => Just(0), 1 => Just(BLOCK), 1 => 0..3 * BLOCK];
    let parts = (prop::collection::vec(piece(), 1..5), prop::collection::vec(mutation(), 0..3), end);
    parts.prop_map(|(pieces, mutations, end)| {
        let mut layer = pieces.concat();
        for Mutation { block, at, bytes, reseal } in mutations {
            let block = block.index(layer.len() / BLOCK) * BLOCK;
            let block = &mut layer[block..block + BLOCK];
            let is_header = &block[257..262] == b"ustar";
            let length = bytes.len().min(BLOCK - at);
            block[at..at + length].copy_from_slice(&bytes[..length]);
            if is_header && reseal {
                seal(block);
            }
        }
        layer.resize(layer.len() + end, 0);
        Layer(layer)
    })
}

/// `PROPTEST_CASES` and `PROPTEST_RNG_SEED` ask for more and for others.
#[test]
#[ignore = "interop: needs GNU tar, bsdtar, Python and (for one reader more) Go"]
fn what_we_accept_of_mutated_layers_all_read_alike() {
    let readers = RefCell::new(Readers::start());
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 1500;
    }
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(20_260_731);
    }
    let (cases, accepted) = (config.cases, Cell::new(0_u32));
    let result = TestRunner::new(config).run(&mutated_layer(), |Layer(layer)| {
        let Ok(items) = ours(LayerCompression::Plain, LayerLimits::default(), &layer) else { return Ok(()) };
        accepted.set(accepted.get() + 1);
        let dissenters = dissenters(&items, readers.borrow_mut().read(LayerCompression::Plain, &layer));
        prop_assert!(dissenters.is_empty(), "we {items:?}, but {dissenters:?}");
        Ok(())
    });
    let accepted = accepted.get();
    println!("{accepted} of {cases} mutated layers are accepted");
    if let Err(error) = result {
        panic!("{error}");
    }
    // Else the comparison compares nothing.
    assert!(accepted * 8 >= cases, "{accepted} of {cases} are accepted");
}

/// The comparison's own means: an entry that only some see is found out.
#[test]
#[ignore = "interop: needs GNU tar, bsdtar, Python and (for one reader more) Go"]
fn a_reader_that_sees_more_is_noticed() {
    let mut readers = Readers::start();
    let (shown, hidden) = (entry(Raw::new(b'0', "app/a", 1), b"1"), entry(Raw::new(b'0', "app/b", 1), b"2"));
    let items = ours(LayerCompression::Plain, LayerLimits::default(), &archive(std::slice::from_ref(&shown))).unwrap();
    let reads = readers.read(LayerCompression::Plain, &archive(&[shown, hidden]));
    assert!(readers_agree(&reads));
    let count = reads.len();
    assert_eq!(dissenters(&items, reads).len(), count);
}
