//! Debian's version order (Debian Policy 5.6.12, as dpkg compares).

use std::cmp::Ordering;

/// `[epoch:]upstream[-revision]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Version<'a> {
    epoch: u32,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Version<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (parse_epoch(epoch)?, rest),
            None => (0, text),
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (rest, ""),
        };
        let allowed = |extra: &'static [u8]| move |b: u8| b.is_ascii_alphanumeric() || extra.contains(&b);
        let is_valid =
            !upstream.is_empty() && upstream.bytes().all(allowed(b".+-:~")) && revision.bytes().all(allowed(b".+~"));
        is_valid.then_some(Self { epoch, upstream, revision })
    }
}

/// dpkg keeps epochs in an `int`.
fn parse_epoch(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().ok().filter(|n| i32::try_from(*n).is_ok())).flatten()
}

impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| compare_part(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version<'_> {}

/// Alternates between runs of non-digits, by character weight, and runs of digits, by value; an absent number is zero.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_text, a_rest) = split_run(a, |c| !c.is_ascii_digit());
        let (b_text, b_rest) = split_run(b, |c| !c.is_ascii_digit());
        let (a_number, a_rest) = split_run(a_rest, |c| c.is_ascii_digit());
        let (b_number, b_rest) = split_run(b_rest, |c| c.is_ascii_digit());
        let order = compare_text(a_text, b_text).then_with(|| super::compare_digits(a_number, b_number));
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    Ordering::Equal
}

fn split_run(text: &[u8], belongs: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !belongs(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// `~` sorts before the end of the text, letters before all other characters.
fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |c: Option<&u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i16::from(*c),
        Some(c) => i16::from(*c) + 256,
    };
    (0..a.len().max(b.len()))
        .map(|i| weight(a.get(i)).cmp(&weight(b.get(i))))
        .find(|o| o.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;
    use registry_types::component::Ecosystem;

    use super::super::compare;
    use super::super::tests::assert_ascending;
    use super::*;

    #[test]
    fn known_order() {
        assert_ascending(
            Ecosystem::Debian,
            &[
                "0~~",
                "0~",
                "0",
                "1.0~beta1~svn1245-1",
                "1.0~beta1",
                "1.0~rc1-1",
                "1.0",
                "1.0-0.1",
                "1.0-1",
                "1.0-1+b1",
                "1.0-1+deb12u1",
                "1.0-1.1",
                "1.0-2",
                "1.0a",
                "1.0+dfsg",
                "1.0.1",
                "1.2",
                "1.10",
                "2.36-9+deb12u3",
                "2.36-9+deb12u10",
                "1:0.1",
                "10:0",
            ],
        );
    }

    #[test]
    fn absent_numbers_revisions_and_epochs_are_zero() {
        for (a, b) in
            [("1.0", "1.0-0"), ("1.0", "0:1.0"), ("1.0a", "1.0a0"), ("1.", "1.0"), ("1.02", "1.2"), ("007", "7")]
        {
            assert_eq!(compare(Ecosystem::Debian, a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(compare(Ecosystem::Debian, "99999999999999999999", "100000000000000000000"), Some(Ordering::Less));
    }

    #[test]
    fn malformed_versions() {
        for text in ["", ":1", "a:1", "-1:1", "4294967296:1", "1-", "1_2", "1 2", "1.0-1_2", "é", "-1"] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    fn dpkg(a: &str, relation: &str, b: &str) -> Option<bool> {
        let status = Command::new("dpkg")
            .args(["--compare-versions", a, relation, b])
            .stderr(std::process::Stdio::null())
            .status()
            .ok()?;
        Some(status.success())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        /// dpkg itself is the oracle; machines without dpkg cannot ask it.
        #[test]
        fn agrees_with_dpkg(
            a in "([0-9]:)?[0-9][0-9a-c.+~]{0,5}(-[0-9a-c.+~]{1,3})?",
            b in "([0-9]:)?[0-9][0-9a-c.+~]{0,5}(-[0-9a-c.+~]{1,3})?",
        ) {
            let expected = match (dpkg(&a, "lt", &b), dpkg(&a, "eq", &b)) {
                (Some(true), _) => Ordering::Less,
                (_, Some(true)) => Ordering::Equal,
                (Some(false), Some(false)) => Ordering::Greater,
                (None, _) | (_, None) => return Ok(()),
            };
            prop_assert_eq!(compare(Ecosystem::Debian, &a, &b), Some(expected), "{} {}", a, b);
        }
    }
}
