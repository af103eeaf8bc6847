//! Crates that `cargo auditable` names in the section `.dep-v0` of an executable.

use std::borrow::Cow;

use auditable_info::Error;
use memchr::memmem;
use serde::Deserialize;

use super::{LanguagePackage, text};

pub(super) const ELF_MAGIC: &[u8; 4] = b"\x7fELF";

/// A program with a thousand crates has about 100 KiB of this.
const MAX_AUDIT_DATA: usize = 8 * 1024 * 1024;

/// The section's name as it stands in an executable's table of names.
const SECTION_NAME: &[u8] = b"\0.dep-v0\0";

/// Reads the crates from crates.io that are part of the program; `None` where the executable names none.
///
/// # Errors
/// Why the data, which is there, cannot be read.
pub(super) fn parse(executable: &[u8]) -> Result<Option<Vec<LanguagePackage>>, String> {
    let json = match auditable_info::json_from_slice(executable, MAX_AUDIT_DATA) {
        Ok(json) => json,
        Err(Error::NoAuditData) => return Ok(None),
        // A stripped or packed executable without usable section headers: only one that names the section matters.
        Err(Error::BinaryParsing(_)) if memmem::find(executable, SECTION_NAME).is_none() => return Ok(None),
        Err(
            error @ (Error::BinaryParsing(_)
            | Error::InputLimitExceeded
            | Error::OutputLimitExceeded
            | Error::Io(_)
            | Error::Decompression(_)
            | Error::Json(_)
            | Error::Utf8(_)),
        ) => return Err(format!("its cargo-auditable data cannot be read: {error}")),
    };
    crates(&json).map(Some)
}

#[derive(Deserialize)]
struct AuditData<'a> {
    #[serde(borrow)]
    packages: Vec<Package<'a>>,
}

#[derive(Deserialize)]
struct Package<'a> {
    name: Cow<'a, str>,
    version: Cow<'a, str>,
    source: Cow<'a, str>,
    /// `runtime` where it is missing.
    kind: Option<Cow<'a, str>>,
}

/// Crates of other sources share names with those of crates.io and are not what its advisories speak of; build
/// dependencies are not part of the program.
fn crates(json: &str) -> Result<Vec<LanguagePackage>, String> {
    let data: AuditData<'_> =
        serde_json::from_str(json).map_err(|error| format!("its cargo-auditable data cannot be read: {error}"))?;
    let in_program = |package: &&Package<'_>| {
        package.source == "crates.io" && package.kind.as_deref().is_none_or(|kind| kind == "runtime")
    };
    data.packages
        .iter()
        .filter(in_program)
        .map(|package| {
            let name = text::field(&package.name).ok_or("a crate in its cargo-auditable data has no proper name")?;
            let version =
                text::field(&package.version).ok_or("a crate in its cargo-auditable data has no proper version")?;
            Ok(LanguagePackage { name, version, license: None })
        })
        .collect()
}

/// Looks for the section's name in an executable too large to be kept.
#[derive(Default)]
pub(super) struct SectionNameSearch {
    tail: Vec<u8>,
    pub(super) found: bool,
}

impl SectionNameSearch {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        let overlap = SECTION_NAME.len() - 1;
        self.tail.extend_from_slice(&bytes[..bytes.len().min(overlap)]);
        self.found = memmem::find(&self.tail, SECTION_NAME).is_some() || memmem::find(bytes, SECTION_NAME).is_some();
        if bytes.len() >= overlap {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - overlap..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(overlap));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::archive::{LayerCompression, LayerLimits, LayerPass};
    use crate::catalog::Content;

    #[test]
    fn takes_the_crates_that_are_part_of_the_program() {
        let json = r#"{"packages":[
            {"name":"own","version":"0.1.0","source":"local","root":true,"dependencies":[1,2,3]},
            {"name":"time","version":"0.1.40","source":"crates.io"},
            {"name":"cc","version":"1.0.0","source":"crates.io","kind":"build"},
            {"name":"forked","version":"1.0.0","source":"git"}]}"#;
        assert_eq!(
            crates(json),
            Ok(vec![LanguagePackage { name: "time".into(), version: "0.1.40".into(), license: None }])
        );
        assert!(crates(r#"{"packages":[{"name":"a\u0000","version":"1","source":"crates.io"}]}"#).is_err());
        assert!(crates("{}").is_err());
    }

    /// A 64-bit little-endian ELF file of three sections: none, `.dep-v0` and the table of names.
    fn elf_with_audit_data(json: &[u8]) -> Vec<u8> {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(json).unwrap();
        let data = zlib.finish().unwrap();
        let names = b"\0.dep-v0\0.shstrtab\0";
        let (data_at, names_at) = (64, 64 + data.len());
        let sections_at = names_at + names.len();
        let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        elf.resize(16, 0);
        elf.extend([2, 0, 0x3e, 0, 1, 0, 0, 0]);
        elf.resize(40, 0);
        elf.extend((sections_at as u64).to_le_bytes());
        elf.extend([0, 0, 0, 0, 64, 0, 56, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        elf.extend(&data);
        elf.extend(names);
        for (name, kind, at, length) in
            [(0_u32, 0_u32, 0, 0), (1, 1, data_at, data.len()), (9, 3, names_at, names.len())]
        {
            elf.extend(name.to_le_bytes());
            elf.extend(kind.to_le_bytes());
            elf.extend([0; 16]);
            elf.extend((at as u64).to_le_bytes());
            elf.extend((length as u64).to_le_bytes());
            elf.extend([0; 24]);
        }
        elf
    }

    #[test]
    fn reads_the_section_of_an_executable() {
        let json = br#"{"packages":[{"name":"time","version":"0.1.40","source":"crates.io"}]}"#;
        let crates = parse(&elf_with_audit_data(json)).unwrap().unwrap();
        assert_eq!((&*crates[0].name, &*crates[0].version), ("time", "0.1.40"));
        assert!(parse(&elf_with_audit_data(b"{}")).unwrap_err().contains("cannot be read"));
        assert_eq!(parse(&elf_with_audit_data(br#"{"packages":[]}"#)), Ok(Some(Vec::new())));
    }

    #[test]
    fn executables_are_found_by_mode_and_content() {
        let elf = elf_with_audit_data(br#"{"packages":[{"name":"time","version":"0.1.40","source":"crates.io"}]}"#);
        let read = |mode: u32, content: &[u8], limit: u64| {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_mode(mode);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, "usr/bin/tool", content).unwrap();
            let limits = LayerLimits { catalog_file_bytes: limit, ..LayerLimits::default() };
            let mut pass = LayerPass::new(LayerCompression::Plain, limits);
            builder.into_inner().unwrap().chunks(3).for_each(|piece| pass.write(piece).unwrap());
            pass.finish().unwrap().tracked.remove("usr/bin/tool").map(|entry| entry.content)
        };
        assert!(matches!(read(0o755, &elf, 1 << 20), Some(Some(Content::Rust(_)))));
        assert!(matches!(read(0o755, &elf, 100), Some(Some(Content::Unreadable(_)))), "too large to be read");
        assert_eq!(read(0o644, &elf, 1 << 20), None);
        assert_eq!(read(0o755, b"#!/bin/sh\n", 1 << 20), None);
        assert_eq!(read(0o755, &elf[..64], 1 << 20), Some(None), "may replace one that names crates");
    }

    #[test]
    fn executables_without_the_section_name_nothing() {
        assert_eq!(parse(b"\x7fELF\x02\x01\x01 but no more"), Ok(None));
        assert!(parse(b"\x7fELF\x02\x01\x01 but no more \0.dep-v0\0").is_err());
    }

    #[test]
    fn finds_the_name_across_any_split() {
        let file = b"....\0.dep-v0\0....";
        for size in 1..file.len() {
            let mut search = SectionNameSearch::default();
            file.chunks(size).for_each(|chunk| search.write(chunk));
            assert!(search.found, "{size}");
        }
        let mut search = SectionNameSearch::default();
        file.chunks(3).for_each(|_| search.write(b".dep-v0 "));
        assert!(!search.found);
    }
}
