//! Alpine's `installed` database: records of `X:value` lines, an empty line between them.

use super::debian::is_language_manifest;
use super::{ApkDatabase, MAX_PACKAGES, SystemPackage, text};

/// Reads the database.
///
/// # Errors
/// Why it cannot be read; nothing of a broken file counts.
pub(super) fn parse(bytes: &[u8]) -> Result<ApkDatabase, String> {
    let mut database = ApkDatabase { packages: Vec::new(), owned_manifests: Vec::new() };
    let mut record = Record::default();
    for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let at = |problem: &str| format!("line {}: {problem}", number + 1);
        if line.is_empty() {
            database.packages.extend(std::mem::take(&mut record).finish().map_err(at)?);
            if database.packages.len() > MAX_PACKAGES {
                return Err(format!("it has more than {MAX_PACKAGES} packages"));
            }
        } else {
            database.owned_manifests.extend(record.add(line).map_err(at)?);
        }
    }
    database.packages.extend(record.finish().map_err(|problem| format!("at the end: {problem}"))?);
    Ok(database)
}

#[derive(Default)]
struct Record<'a> {
    has_fields: bool,
    name: Option<&'a str>,
    version: Option<&'a str>,
    architecture: Option<&'a str>,
    license: Option<&'a str>,
    origin: Option<&'a str>,
    directory: &'a str,
}

impl<'a> Record<'a> {
    /// Takes one line; returns the path of a file that is a language package's manifest.
    fn add(&mut self, line: &'a [u8]) -> Result<Option<String>, &'static str> {
        self.has_fields = true;
        let [key, b':', value @ ..] = line else { return Err("it is not a field") };
        let value = || std::str::from_utf8(value).map_err(|_| "the field is not UTF-8");
        let once = |place: &mut Option<&'a str>, value| {
            if place.replace(value).is_some() { Err("the field is given twice") } else { Ok(None) }
        };
        match key {
            b'P' => once(&mut self.name, value()?),
            b'V' => once(&mut self.version, value()?),
            b'A' => once(&mut self.architecture, value()?),
            b'L' => once(&mut self.license, value()?),
            b'o' => once(&mut self.origin, value()?),
            b'F' => {
                self.directory = value().unwrap_or_default();
                Ok(None)
            }
            b'R' => {
                let path = format!("{}/{}", self.directory, value().unwrap_or_default());
                Ok(is_language_manifest(&path).then_some(path))
            }
            _ => Ok(None),
        }
    }

    fn finish(self) -> Result<Option<SystemPackage>, &'static str> {
        if !self.has_fields {
            return Ok(None);
        }
        let name = self.name.and_then(text::field).ok_or("the package has no name")?;
        let version = self.version.and_then(text::field).ok_or("the package has no version")?;
        let source_name = match self.origin {
            None | Some("") => name.clone(),
            Some(origin) => text::field(origin).ok_or("the origin is not a word")?,
        };
        Ok(Some(SystemPackage {
            architecture: self.architecture.and_then(text::field).unwrap_or_default(),
            source_version: version.clone(),
            license: self.license.and_then(text::license),
            name,
            version,
            source_name,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_packages_origins_and_owned_manifests() {
        let database = parse(
            b"C:Q1x=\nP:musl-utils\nV:1.2.4-r2\nA:x86_64\nL:MIT AND BSD-2-Clause\no:musl\nF:usr/lib/python3.11/site-packages/six-1.dist-info\nR:METADATA\na:0:0:644\nR:RECORD\n\nP:zlib\nV:1.3-r0\n\n",
        )
        .unwrap();
        let [musl, zlib] = &*database.packages else { panic!("{database:?}") };
        assert_eq!((&*musl.source_name, musl.license.as_deref()), ("musl", Some("MIT AND BSD-2-Clause")));
        assert_eq!(zlib.source_name, "zlib");
        assert_eq!(database.owned_manifests, ["usr/lib/python3.11/site-packages/six-1.dist-info/METADATA"]);
    }

    #[test]
    fn says_why_a_broken_file_cannot_be_read() {
        for (database, why) in [
            (&b"P:a\n\n"[..], "line 2: the package has no version"),
            (b"V:1\n", "no name"),
            (b"hello", "not a field"),
            (b"P:a\nP:b\nV:1\n", "twice"),
            (b"P:a\xff\nV:1\n", "UTF-8"),
        ] {
            assert!(parse(database).unwrap_err().contains(why), "{why}");
        }
    }
}
