//! Downloads `<base>/<Ecosystem>/all.zip` into temporary files.

use std::io::Write as _;
use std::time::Duration;

use image_scan::advisories::osv_name;
use registry_types::component::Ecosystem;
use reqwest::{Client, Response, StatusCode};
use tempfile::NamedTempFile;
use url::Url;

use super::records::Input;
use super::{Progress, SyncError};

/// One ecosystem's archive; npm's, the largest of OSV's, has about a tenth.
const MAX_ARCHIVE_BYTES: u64 = 2 * 1024 * 1024 * 1024;
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Public mirrors limit their rate; the waits grow from this one.
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// One archive per ecosystem, in the given order. The files go when the inputs are dropped.
pub(super) async fn archives(
    base: &Url,
    ecosystems: &[Ecosystem],
    progress: &(impl Fn(Progress) + Sync),
) -> Result<Vec<Input>, SyncError> {
    let client = client(base)?;
    let mut inputs = Vec::with_capacity(ecosystems.len());
    for ecosystem in ecosystems {
        let url = archive_url(base, *ecosystem)?;
        let report = |bytes| progress(Progress::Downloading { ecosystem: *ecosystem, bytes });
        inputs.push(Input::downloaded(osv_name(*ecosystem), download(&client, &url, &report).await?));
    }
    Ok(inputs)
}

/// The address without user and password.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses without a host, which have neither.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn client(base: &Url) -> Result<Client, SyncError> {
    Client::builder()
        .user_agent(concat!("company-store/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(IDLE_TIMEOUT)
        .timeout(TOTAL_TIMEOUT)
        .redirect(reqwest::redirect::Policy::limited(MAX_REDIRECTS))
        // What began encrypted stays so through redirects.
        .https_only(base.scheme() == "https")
        .build()
        .map_err(|source| SyncError::Download { url: shown(base), source })
}

fn archive_url(base: &Url, ecosystem: Ecosystem) -> Result<Url, SyncError> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut segments) => segments.pop_if_empty().extend([osv_name(ecosystem), "all.zip"]),
        Err(()) => return Err(SyncError::Address { url: shown(base) }),
    };
    Ok(url)
}

async fn download(client: &Client, url: &Url, report: &(impl Fn(u64) + Sync)) -> Result<NamedTempFile, SyncError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..ATTEMPTS {
        match attempt(client, url, report).await {
            Err(error) if is_passing(&error) => tracing::warn!(%error, url = shown(url), "advisory download failed"),
            outcome => return outcome,
        }
        tokio::time::sleep(wait).await;
        wait *= 4;
    }
    attempt(client, url, report).await
}

fn is_passing(error: &SyncError) -> bool {
    match error {
        SyncError::Status { status, .. } => *status == StatusCode::TOO_MANY_REQUESTS.as_u16() || *status >= 500,
        SyncError::Download { source, .. } => !source.is_builder() && !source.is_redirect(),
        SyncError::Input { .. }
        | SyncError::NotAnInput { .. }
        | SyncError::Archive { .. }
        | SyncError::Record { .. }
        | SyncError::Limit { .. }
        | SyncError::Empty { .. }
        | SyncError::Address { .. }
        | SyncError::Database(_)
        | SyncError::Reader(_) => false,
    }
}

async fn attempt(client: &Client, url: &Url, report: &(impl Fn(u64) + Sync)) -> Result<NamedTempFile, SyncError> {
    let broken = |source: reqwest::Error| SyncError::Download { url: shown(url), source: source.without_url() };
    let response = client.get(url.clone()).send().await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(SyncError::Status { url: shown(url), status: response.status().as_u16() });
    }
    save(response, url, report).await
}

/// Writes in pieces as they arrive: each is small, so the page cache takes it without making the runtime wait.
async fn save(mut response: Response, url: &Url, report: &impl Fn(u64)) -> Result<NamedTempFile, SyncError> {
    let failed = |source| SyncError::Input { path: "a temporary file".to_owned(), source };
    let broken = |source: reqwest::Error| SyncError::Download { url: shown(url), source: source.without_url() };
    let mut file = NamedTempFile::new().map_err(failed)?;
    let mut bytes = 0_u64;
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        bytes += chunk.len() as u64;
        if bytes > MAX_ARCHIVE_BYTES {
            return Err(SyncError::Limit { name: shown(url), limit: format!("{MAX_ARCHIVE_BYTES} bytes") });
        }
        file.write_all(&chunk).map_err(failed)?;
        report(bytes);
    }
    file.flush().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_lie_below_the_base() {
        for base in ["https://osv.example/data", "https://osv.example/data/"] {
            let url = archive_url(&base.parse().unwrap(), Ecosystem::CratesIo).unwrap();
            assert_eq!(url.as_str(), "https://osv.example/data/crates.io/all.zip");
        }
    }
}
