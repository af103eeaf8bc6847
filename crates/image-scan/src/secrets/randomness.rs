//! Whether a text of the right form was made by a random generator.

/// Shannon entropy in bits per byte.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length).map(|p| -p * p.log2()).sum()
}

/// Words that people write in documentation in the place of a secret.
pub(super) fn has_placeholder_word(text: &[u8]) -> bool {
    const WORDS: [&[u8]; 11] = [
        b"example",
        b"sample",
        b"placeholder",
        b"redacted",
        b"changeme",
        b"your",
        b"dummy",
        b"xxxx",
        b"1234567890",
        b"0123456789",
        b"abcdefgh",
    ];
    let lower = text.to_ascii_lowercase();
    WORDS.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

fn has_long_run(text: &[u8]) -> bool {
    text.windows(8).any(|run| run.iter().all(|byte| *byte == run[0]))
}

/// Whether a text looks random: no placeholder, no run of one character, and at least `bits` of entropy per byte.
pub(super) fn is_random(text: &[u8], bits: f64) -> bool {
    !has_placeholder_word(text) && !has_long_run(text) && entropy(text) >= bits
}

/// The checksum of GitHub's tokens: the last six characters are the CRC-32 of those before, in base 62.
/// Source: "Behind GitHub's new authentication token formats", GitHub engineering blog, 2021.
pub(super) fn has_github_checksum(body: &[u8]) -> bool {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let Some((random, checksum)) = body.split_last_chunk::<6>() else { return false };
    let mut crc = flate2::Crc::new();
    crc.update(random);
    let mut rest = crc.sum();
    checksum.iter().rev().all(|have| {
        let digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
        *have == digit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_random_from_written() {
        assert!(is_random(b"q7XwZp2LmK9vRt4NbC8yGh3J", 3.5));
        for written in
            [&b"AKIAIOSFODNN7EXAMPLE"[..], b"xxxxxxxxxxxxxxxxxxxx", b"your_token_goes_here", b"aaaaaaaabbbbbbbb"]
        {
            assert!(!is_random(written, 3.5), "{}", String::from_utf8_lossy(written));
        }
        assert!((entropy(b"aabb") - 1.0).abs() < 1e-9);
    }

    #[test]
    fn knows_githubs_checksum() {
        assert!(has_github_checksum(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"));
        assert!(!has_github_checksum(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"));
        assert!(!has_github_checksum(b"short"));
    }
}
