//! The fuzz targets on their seeds, and on seeds with a few bytes changed: `scripts/fuzz` goes on from there.

use std::path::Path;

#[path = "../../fuzz/src/targets/mod.rs"]
mod targets;
#[path = "../../fuzz/src/worker_targets.rs"]
mod worker_targets;

/// Of each seed.
const MUTATIONS: u64 = 500;

#[test]
fn every_target_holds_on_its_seeds() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds");
    let targets: Vec<_> = targets::TARGETS.iter().chain(worker_targets::TARGETS).collect();
    assert_eq!(std::fs::read_dir(&seeds).unwrap().count(), targets.len(), "a folder of seeds for each target");
    for (name, target) in targets {
        let mut files: Vec<_> = std::fs::read_dir(seeds.join(name)).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no seed");
        for file in files {
            let seed = std::fs::read(&file).unwrap();
            target(&seed);
            for number in 0..MUTATIONS {
                let input = mutated(&seed, number);
                let outcome = std::panic::catch_unwind(|| target(&input));
                assert!(outcome.is_ok(), "{name} on {} changed {number}: {}", file.display(), input.escape_ascii());
            }
        }
    }
}

/// The seed with up to four changes; the same number gives the same bytes.
fn mutated(seed: &[u8], number: u64) -> Vec<u8> {
    const TELLING: &[u8] = b"\0\x01\x7f\x80\xff 019-+.:/\\\"'{}[]=\n";
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed.len() as u64);
    let mut below = |limit: usize| {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed >> 33) % limit.max(1) as u64).unwrap()
    };
    let mut bytes = seed.to_vec();
    for _ in 0..=below(4) {
        let (at, other) = (below(bytes.len()), below(bytes.len()));
        match below(6) {
            _ if bytes.is_empty() => bytes.push(TELLING[below(TELLING.len())]),
            0 => bytes[at] ^= 1 << below(8),
            1 => bytes[at] = TELLING[below(TELLING.len())],
            2 => bytes.insert(at, TELLING[below(TELLING.len())]),
            3 => drop(bytes.remove(at)),
            4 => bytes.truncate(at),
            // A part again, elsewhere.
            _ => {
                let part = bytes[at..(at + below(40)).min(bytes.len())].to_vec();
                bytes.splice(other..other, part);
            }
        }
    }
    bytes
}
