//! Where advisory data comes from.

use std::path::{Path, PathBuf};

use registry_types::component::Ecosystem;
use url::Url;

use super::records::Input;
use super::{Progress, SyncError, download};

/// A source of OSV records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdvisorySource {
    /// JSON files, one record each, and zip files of such; at any depth.
    Folder(PathBuf),
    /// JSON files, one record each.
    Zip(PathBuf),
    /// `<base>/<Ecosystem>/all.zip` for each ecosystem, the layout of OSV's own exports.
    BaseUrl(Url),
}

impl AdvisorySource {
    /// Reads what an operator wrote: an `http://` or `https://` address, or the path of a folder or zip file.
    ///
    /// # Errors
    /// When there is no such file or folder, or the address is none.
    pub fn locate(text: &str) -> Result<Self, SyncError> {
        if text.contains("://") {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            return url.map(Self::BaseUrl).ok_or_else(|| SyncError::Address { url: text.to_owned() });
        }
        let metadata = std::fs::metadata(text).map_err(|source| SyncError::Input { path: text.to_owned(), source })?;
        match Path::new(text).extension() {
            _ if metadata.is_dir() => Ok(Self::Folder(text.into())),
            Some(extension) if extension.eq_ignore_ascii_case("zip") => Ok(Self::Zip(text.into())),
            Some(_) | None => Err(SyncError::NotAnInput { path: text.to_owned() }),
        }
    }

    /// For people and the snapshot; never holds a password.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Folder(path) | Self::Zip(path) => path.display().to_string(),
            Self::BaseUrl(url) => download::shown(url),
        }
    }

    /// Brings everything onto this machine.
    pub(super) async fn inputs(
        &self,
        ecosystems: &[Ecosystem],
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<Vec<Input>, SyncError> {
        match self {
            Self::Folder(path) => Ok(vec![Input::Folder(path.clone())]),
            Self::Zip(path) => Ok(vec![Input::zip(path.clone())]),
            Self::BaseUrl(base) => download::archives(base, ecosystems, progress).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_an_operator_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("all.ZIP"), b"").unwrap();
        std::fs::write(path("all.tar"), b"").unwrap();
        assert_eq!(AdvisorySource::locate(&path("")).unwrap(), AdvisorySource::Folder(path("").into()));
        assert_eq!(AdvisorySource::locate(&path("all.ZIP")).unwrap(), AdvisorySource::Zip(path("all.ZIP").into()));
        assert!(matches!(AdvisorySource::locate(&path("all.tar")), Err(SyncError::NotAnInput { .. })));
        assert!(matches!(AdvisorySource::locate(&path("nothing")), Err(SyncError::Input { .. })));
        assert!(matches!(AdvisorySource::locate("ftp://example.org/"), Err(SyncError::Address { .. })));
        let source = AdvisorySource::locate("https://me:secret@osv.example/data/").unwrap();
        assert_eq!(source.name(), "https://osv.example/data/");
    }
}
