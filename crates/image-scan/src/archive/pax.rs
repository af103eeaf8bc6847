//! PAX extended header records (POSIX.1-2017, `pax`, "pax Extended Header").

use std::collections::HashSet;

use super::error::Ambiguity;
use super::error::Defect;
use super::header::{HeaderProblem, MAX_TIME};

/// The records that change how an entry is read. All others (times, owners, `SCHILY.xattr.*`, `LIBARCHIVE.*`, comments)
/// do not bear on what a layer holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

impl PaxRecords {
    /// The records of a header for one entry.
    pub(super) fn parse(body: &[u8]) -> Result<Self, HeaderProblem> {
        let mut records = Self::default();
        for_each(body, |key, value| {
            match key {
                "path" => records.path = Some(non_empty(key, value)?.to_vec()),
                "linkpath" => records.link_path = Some(non_empty(key, value)?.to_vec()),
                "size" => records.size = Some(decimal(non_empty(key, value)?)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// Checks a header for all following entries. Readers differ in whether they heed those, so it may hold nothing
    /// that an entry's place or length depends on.
    pub(super) fn check_global(body: &[u8]) -> Result<(), HeaderProblem> {
        for_each(body, |key, _| match key {
            "path" | "linkpath" | "size" => Err(Ambiguity::GlobalPaxKey(key.to_owned()).into()),
            _ => Ok(()),
        })
    }
}

/// Calls `record` for each `"<length> <key>=<value>\n"`.
fn for_each(
    mut body: &[u8],
    mut record: impl FnMut(&str, &[u8]) -> Result<(), HeaderProblem>,
) -> Result<(), HeaderProblem> {
    let mut seen = HashSet::new();
    while !body.is_empty() {
        let space = memchr::memchr(b' ', &body[..body.len().min(20)]).ok_or(Defect::Pax)?;
        let length = usize::try_from(decimal(&body[..space])?).map_err(|_| Defect::Pax)?;
        // "0 " up to the length of the number itself leave no room for a record.
        let text = body.get(space + 1..length).and_then(|text| text.strip_suffix(b"\n")).ok_or(Defect::Pax)?;
        let equals = memchr::memchr(b'=', text).ok_or(Defect::Pax)?;
        let key = std::str::from_utf8(&text[..equals]).map_err(|_| Defect::Pax)?;
        if key.is_empty() || key.contains('\0') {
            return Err(Defect::Pax.into());
        }
        if !seen.insert(key.to_owned()) {
            return Err(Ambiguity::DuplicatePaxKey(key.chars().take(128).collect()).into());
        }
        if key.starts_with("GNU.") || matches!(key, "SCHILY.realsize" | "SCHILY.filetype" | "SUN.holesdata") {
            return Err(Ambiguity::VendorPaxKey(key.chars().take(128).collect()).into());
        }
        let value = &text[equals + 1..];
        check_form(key, value)?;
        record(key, value)?;
        body = &body[length..];
    }
    Ok(())
}

/// The values that are not used here and yet end the archive for a reader (Go, GNU tar) when they are malformed.
fn check_form(key: &str, value: &[u8]) -> Result<(), HeaderProblem> {
    let is_good = match key {
        "atime" | "ctime" | "mtime" => is_time(value),
        "uid" | "gid" => decimal(value).is_ok_and(|id| u32::try_from(id).is_ok()),
        "uname" | "gname" => !value.contains(&0),
        _ => true,
    };
    if is_good { Ok(()) } else { Err(Defect::Pax.into()) }
}

/// Seconds, perhaps before 1970, perhaps with a fraction.
fn is_time(value: &[u8]) -> bool {
    let value = value.strip_prefix(b"-").unwrap_or(value);
    let (seconds, fraction) = match memchr::memchr(b'.', value) {
        Some(point) => (&value[..point], &value[point + 1..]),
        None => (value, &b"0"[..]),
    };
    decimal(seconds).is_ok_and(|seconds| seconds < MAX_TIME)
        && !fraction.is_empty()
        && fraction.iter().all(u8::is_ascii_digit)
}

/// An empty value deletes the field for some readers and is ignored by others.
fn non_empty<'a>(key: &str, value: &'a [u8]) -> Result<&'a [u8], HeaderProblem> {
    if value.is_empty() { Err(Ambiguity::EmptyPaxValue(key.to_owned()).into()) } else { Ok(value) }
}

/// Only digits: signs, spaces and fractions are read differently; at most 2^63 − 1.
fn decimal(text: &[u8]) -> Result<u64, HeaderProblem> {
    let digits = !text.is_empty() && text.len() <= 19 && text.iter().all(u8::is_ascii_digit);
    let value = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse::<i64>().ok());
    value.and_then(|value| u64::try_from(value).ok()).ok_or_else(|| Defect::Pax.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &str) -> Vec<u8> {
        let rest = format!(" {key}={value}\n");
        let mut length = rest.len();
        while format!("{length}{rest}").len() != length {
            length += 1;
        }
        format!("{length}{rest}").into_bytes()
    }

    #[test]
    fn reads_the_records_that_matter_and_passes_over_the_rest() {
        let body = [
            record("mtime", "1700000000.5"),
            record("SCHILY.xattr.security.capability", "\u{1}\u{0}\n=x"),
            record("LIBARCHIVE.creationtime", "1"),
            record("path", "a=b\nc"),
            record("linkpath", "target"),
            record("size", "8589934592"),
        ]
        .concat();
        let records = PaxRecords::parse(&body).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a=b\nc"[..]));
        assert_eq!(records.link_path.as_deref(), Some(&b"target"[..]));
        assert_eq!(records.size, Some(8_589_934_592));
    }

    #[test]
    fn refuses_records_that_programs_read_differently() {
        let twice = [record("path", "a"), record("path", "b")].concat();
        assert_eq!(
            PaxRecords::parse(&twice),
            Err(HeaderProblem::Ambiguous(Ambiguity::DuplicatePaxKey("path".to_owned())))
        );
        for (key, value, problem) in [
            ("path", "", Ambiguity::EmptyPaxValue("path".to_owned())),
            ("GNU.sparse.name", "x", Ambiguity::VendorPaxKey("GNU.sparse.name".to_owned())),
            ("SCHILY.realsize", "1", Ambiguity::VendorPaxKey("SCHILY.realsize".to_owned())),
            ("SUN.holesdata", " 0 1", Ambiguity::VendorPaxKey("SUN.holesdata".to_owned())),
        ] {
            assert_eq!(PaxRecords::parse(&record(key, value)), Err(HeaderProblem::Ambiguous(problem)), "{key}");
        }
        for value in ["-1", "+1", " 1", "1.0", "99999999999999999999", "9223372036854775808"] {
            assert_eq!(PaxRecords::parse(&record("size", value)), Err(HeaderProblem::Invalid(Defect::Pax)), "{value}");
        }
        assert_eq!(
            PaxRecords::check_global(&record("path", "x")),
            Err(HeaderProblem::Ambiguous(Ambiguity::GlobalPaxKey("path".to_owned())))
        );
        assert_eq!(PaxRecords::check_global(&record("comment", "x")), Ok(()));
    }

    /// GNU tar and Go end with an error where Python and libarchive go on.
    #[test]
    fn values_that_end_the_archive_for_some_are_refused() {
        for (key, value) in [
            ("mtime", "x"),
            ("mtime", "1."),
            ("mtime", "67800000000000000"),
            ("atime", ""),
            ("uid", "-1"),
            ("gid", "4294967296"),
            ("uname", "a\0b"),
        ] {
            assert_eq!(
                PaxRecords::parse(&record(key, value)),
                Err(HeaderProblem::Invalid(Defect::Pax)),
                "{key}={value}"
            );
            assert_eq!(
                PaxRecords::check_global(&record(key, value)),
                Err(HeaderProblem::Invalid(Defect::Pax)),
                "{key}"
            );
        }
        for (key, value) in [("mtime", "-1.25"), ("ctime", "0"), ("uid", "4294967295"), ("gname", "")] {
            assert!(PaxRecords::parse(&record(key, value)).is_ok(), "{key}={value}");
        }
    }

    #[test]
    fn refuses_malformed_records() {
        for body in [&b"x"[..], b"5 a=b", b"6 a=b\n\0", b"99 a=b\n", b"2 \n", b"0 a=b\n", b"5 ab\n", b"5 =a\n"] {
            assert_eq!(PaxRecords::parse(body), Err(HeaderProblem::Invalid(Defect::Pax)), "{body:?}");
        }
        assert!(PaxRecords::parse(b"6 a=b\n").is_ok());
    }
}
