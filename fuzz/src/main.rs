//! One program for all targets: `FUZZ_TARGET` names the one that it runs.
#![no_main]

mod targets;
#[cfg(feature = "worker")]
mod worker_targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    let target = targets::TARGETS.iter().chain(WORKER_TARGETS).find(|(other, _)| *other == name);
    target.unwrap_or_else(|| panic!("no target {name}")).1
});

#[cfg(feature = "worker")]
const WORKER_TARGETS: &[targets::Target] = worker_targets::TARGETS;
#[cfg(not(feature = "worker"))]
const WORKER_TARGETS: &[targets::Target] = &[];

fuzz_target!(|data: &[u8]| TARGET(data));
