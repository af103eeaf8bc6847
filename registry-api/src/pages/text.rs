//! How times, sizes, words and digests read on a page.

use chrono::{DateTime, TimeDelta, Utc};

pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

pub(super) fn date(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

/// In decimal units, as registries and disks count.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.into_iter().find(|(unit, _)| bytes >= *unit) {
        // Sizes of images are far below the numbers that a double cannot hold.
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// How long something took.
pub(super) fn duration(took: TimeDelta) -> String {
    let millis = took.num_milliseconds().max(0);
    if millis < 1_000 { format!("{millis} ms") } else { format!("{}.{} s", millis / 1_000, millis % 1_000 / 100) }
}

/// `not_applicable` → `not applicable`.
pub(super) fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// A digest's beginning: enough to tell the layers of one image apart.
pub(super) fn short_digest(digest: &str) -> String {
    match digest.split_once(':') {
        Some((algorithm, hex)) if hex.len() > 12 => format!("{algorithm}:{}…", &hex[..12]),
        Some(_) | None => digest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_times_and_digests_are_short() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(1_500), "1.5 kB");
        assert_eq!(size(162_340_000), "162.3 MB");
        assert_eq!(size(16_000_000_000), "16.0 GB");
        assert_eq!(short_digest("sha256:0123456789abcdef"), "sha256:0123456789ab…");
        assert_eq!(duration(TimeDelta::milliseconds(740)), "740 ms");
        assert_eq!(duration(TimeDelta::milliseconds(12_340)), "12.3 s");
        assert_eq!(short_digest("not a digest"), "not a digest");
    }
}
