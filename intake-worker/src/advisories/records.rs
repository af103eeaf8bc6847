//! Reading OSV records from folders and zip files; blocking.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use registry_types::digest::{Algorithm, Digest, Hasher};
use tempfile::NamedTempFile;
use zip::ZipArchive;

use super::SyncError;

/// One record; the largest of OSV's (kernels, with every version listed) have a few megabytes.
const MAX_RECORD_BYTES: u64 = 32 * 1024 * 1024;
/// Records of one load, and what they may unpack to.
const MAX_RECORDS: u64 = 4_000_000;
const MAX_TOTAL_BYTES: u64 = 64 * 1024 * 1024 * 1024;
const MAX_FOLDER_DEPTH: usize = 16;

/// Something that holds records.
#[derive(Debug)]
pub(super) enum Input {
    Folder(PathBuf),
    Zip { name: String, path: PathBuf, _downloaded: Option<NamedTempFile> },
}

impl Input {
    pub(super) fn zip(path: PathBuf) -> Self {
        Self::Zip { name: path.display().to_string(), path, _downloaded: None }
    }

    pub(super) fn downloaded(name: &str, file: NamedTempFile) -> Self {
        Self::Zip { name: format!("{name}/all.zip"), path: file.path().to_owned(), _downloaded: Some(file) }
    }

    /// Every file in it that holds records, in a stable order.
    fn files(&self) -> Result<Vec<RecordFile>, SyncError> {
        match self {
            Self::Folder(root) => {
                let mut files = Vec::new();
                walk(root, root, 0, &mut files)?;
                files.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(files)
            }
            Self::Zip { name, path, _downloaded: _ } => {
                Ok(vec![RecordFile { name: name.clone(), path: path.clone(), is_archive: true }])
            }
        }
    }
}

struct RecordFile {
    /// For people, and part of the digest; the same wherever the folder lies.
    name: String,
    path: PathBuf,
    is_archive: bool,
}

/// Links are not followed.
fn walk(root: &Path, folder: &Path, depth: usize, files: &mut Vec<RecordFile>) -> Result<(), SyncError> {
    if depth > MAX_FOLDER_DEPTH {
        return Err(SyncError::Limit { name: shown(folder), limit: format!("{MAX_FOLDER_DEPTH} nested folders") });
    }
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let entry = entry.map_err(unreadable(folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(unreadable(&path))?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, files)?;
        } else if kind.is_file() {
            let extension = path.extension().map(|e| e.to_ascii_lowercase());
            let is_archive = extension.as_deref() == Some("zip".as_ref());
            if is_archive || extension.as_deref() == Some("json".as_ref()) {
                files.push(RecordFile { name: shown(path.strip_prefix(root).unwrap_or(&path)), path, is_archive });
            }
        }
    }
    Ok(())
}

/// A digest over the names and bytes of everything that [`read_all`] would read.
pub(super) fn digest(inputs: &[Input], label: &str) -> Result<Digest, SyncError> {
    let mut listing = format!("{label}\n");
    for file in files_of(inputs)? {
        listing.push_str(&format!("{} {}\n", file_digest(&file.path)?, file.name));
    }
    Ok(Digest::sha256_of(listing.as_bytes()))
}

fn file_digest(path: &Path) -> Result<Digest, SyncError> {
    let mut file = File::open(path).map_err(unreadable(path))?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).map_err(unreadable(path))? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// Gives every record to `visit`, with a name for people.
pub(super) fn read_all(
    inputs: &[Input],
    visit: &mut impl FnMut(&str, &[u8]) -> Result<(), SyncError>,
) -> Result<(), SyncError> {
    let mut bounded = Bounded { visit, records: 0, bytes: 0, buffer: Vec::new() };
    for file in files_of(inputs)? {
        if file.is_archive {
            read_archive(&file, &mut bounded)?;
        } else {
            bounded.read(&file.name, File::open(&file.path).map_err(unreadable(&file.path))?)?;
        }
    }
    Ok(())
}

fn files_of(inputs: &[Input]) -> Result<Vec<RecordFile>, SyncError> {
    let files: Result<Vec<_>, _> = inputs.iter().map(Input::files).collect();
    Ok(files?.into_iter().flatten().collect())
}

fn read_archive<V>(file: &RecordFile, bounded: &mut Bounded<'_, V>) -> Result<(), SyncError>
where
    V: FnMut(&str, &[u8]) -> Result<(), SyncError>,
{
    let broken = |source| SyncError::Archive { archive: file.name.clone(), source };
    let opened = File::open(&file.path).map_err(unreadable(&file.path))?;
    let mut archive = ZipArchive::new(BufReader::new(opened)).map_err(broken)?;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(broken)?;
        if entry.is_file() && entry.name().ends_with(".json") {
            let name = format!("{}: {}", file.name, entry.name());
            bounded.read(&name, entry)?;
        }
    }
    Ok(())
}

/// Hands records on as long as the limits allow.
struct Bounded<'a, V> {
    visit: &'a mut V,
    records: u64,
    bytes: u64,
    buffer: Vec<u8>,
}

impl<V: FnMut(&str, &[u8]) -> Result<(), SyncError>> Bounded<'_, V> {
    /// The sizes that an archive claims are not believed: what counts is what comes out.
    fn read(&mut self, name: &str, from: impl Read) -> Result<(), SyncError> {
        let exceeded = |limit: String| SyncError::Limit { name: name.to_owned(), limit };
        self.buffer.clear();
        let read = from.take(MAX_RECORD_BYTES + 1).read_to_end(&mut self.buffer);
        read.map_err(|source| SyncError::Input { path: name.to_owned(), source })?;
        if self.buffer.len() as u64 > MAX_RECORD_BYTES {
            return Err(exceeded(format!("{MAX_RECORD_BYTES} bytes of a record")));
        }
        self.records += 1;
        self.bytes += self.buffer.len() as u64;
        if self.records > MAX_RECORDS {
            return Err(exceeded(format!("{MAX_RECORDS} records")));
        }
        if self.bytes > MAX_TOTAL_BYTES {
            return Err(exceeded(format!("{MAX_TOTAL_BYTES} bytes of all records")));
        }
        (self.visit)(name, &self.buffer)
    }
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> SyncError + use<> {
    let path = shown(path);
    move |source| SyncError::Input { path, source }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn write_zip(path: &Path, entries: &[(&str, &[u8])]) {
        let mut archive = ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
    }

    fn read(inputs: &[Input]) -> Result<Vec<(String, String)>, SyncError> {
        let mut seen = Vec::new();
        read_all(inputs, &mut |name, bytes| {
            seen.push((name.to_owned(), String::from_utf8_lossy(bytes).into_owned()));
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn folders_and_archives_in_a_stable_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("npm")).unwrap();
        std::fs::write(folder.path().join("z.json"), "z").unwrap();
        std::fs::write(folder.path().join("README.md"), "not read").unwrap();
        write_zip(&folder.path().join("npm/all.zip"), &[("b.json", b"b"), ("a.json", b"a"), ("note.txt", b"x")]);
        let inputs = [Input::Folder(folder.path().to_owned())];
        let seen = read(&inputs).unwrap();
        let names: Vec<_> = seen.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(names, [("npm/all.zip: b.json", "b"), ("npm/all.zip: a.json", "a"), ("z.json", "z")]);

        let before = digest(&inputs, "").unwrap();
        assert_eq!(digest(&inputs, "").unwrap(), before);
        assert_ne!(digest(&inputs, "other").unwrap(), before);
        std::fs::write(folder.path().join("z.json"), "y").unwrap();
        assert_ne!(digest(&inputs, "").unwrap(), before);
    }

    #[test]
    fn a_broken_archive_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.zip");
        write_zip(&path, &[("a.json", &[b'a'; 4096])]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 30]).unwrap();
        assert!(matches!(read(&[Input::zip(path.clone())]), Err(SyncError::Archive { .. })));
        std::fs::write(&path, "no archive").unwrap();
        assert!(matches!(read(&[Input::zip(path)]), Err(SyncError::Archive { .. })));
    }

    #[test]
    fn a_record_that_unpacks_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.zip");
        let bytes = vec![b' '; usize::try_from(MAX_RECORD_BYTES).unwrap() + 1];
        write_zip(&path, &[("bomb.json", &bytes)]);
        assert!(std::fs::metadata(&path).unwrap().len() < 1024 * 1024);
        assert!(matches!(read(&[Input::zip(path)]), Err(SyncError::Limit { .. })));
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("a.json"), "a").unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("folder")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("a.json"), folder.path().join("b.json")).unwrap();
        assert_eq!(read(&[Input::Folder(folder.path().to_owned())]).unwrap(), []);
    }
}
