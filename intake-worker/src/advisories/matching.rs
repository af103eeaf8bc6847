//! An image's components against one snapshot.

use std::collections::BTreeSet;

use image_scan::advisories::{AffectedPackage, MatchResult, Uncovered, match_components, matched_name, uncovered};
use registry_db::advisories::{self, AdvisoryRow, PackageKey, SnapshotInfo};
use registry_db::{Connection, DbError, DbResult};
use registry_types::component::{Component, EcosystemRelease};

/// What a snapshot says about an image. Only without `uncomparable` and `uncovered` does "no finding" mean clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageMatch {
    pub result: MatchResult,
    /// Ecosystems and releases of the image that the snapshot knows nothing about.
    pub uncovered: Vec<Uncovered>,
}

/// Matches in one query; the comparing runs on a blocking thread.
///
/// # Errors
/// [`DbError::NotFound`] when the snapshot was removed meanwhile: take the latest one and match again.
pub async fn match_image(
    conn: &mut Connection,
    snapshot: &SnapshotInfo,
    components: &[Component],
) -> DbResult<ImageMatch> {
    let keys: Vec<PackageKey> = components.iter().map(key).collect::<BTreeSet<_>>().into_iter().collect();
    let rows = advisories::for_packages(conn, snapshot.number, &keys).await?;
    let uncovered = uncovered(components, &snapshot.ecosystems);
    let components = components.to_vec();
    let matching = tokio::task::spawn_blocking(move || match_rows(rows, &components));
    Ok(ImageMatch { result: matching.await.map_err(corrupt)??, uncovered })
}

fn match_rows(rows: Vec<AdvisoryRow>, components: &[Component]) -> DbResult<MatchResult> {
    let read = rows.into_iter().map(|row| serde_json::from_value(row.record));
    let advisories: Vec<AffectedPackage> = read.collect::<Result<_, _>>().map_err(corrupt)?;
    Ok(match_components(components, &advisories))
}

fn key(component: &Component) -> PackageKey {
    PackageKey {
        scope: EcosystemRelease { ecosystem: component.ecosystem, release: component.ecosystem_release.clone() },
        package: matched_name(component.ecosystem, &component.source_name),
    }
}

fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> DbError {
    DbError::Corrupt { what: "advisory", source: Some(Box::new(error)) }
}
