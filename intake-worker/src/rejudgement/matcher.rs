//! Matching many versions: the same component of many images is matched once.

use std::collections::{BTreeSet, HashMap, HashSet};

use image_scan::advisories::{AdvisoryIndex, AffectedPackage, MatchResult};
use registry_db::Pool;
use registry_db::advisories::{self, PackageKey};
use registry_db::rejudgement::JudgedVersion;
use registry_types::component::Component;
use registry_types::digest::Digest;

use crate::job_error::JobError;
use crate::vulnerabilities::package_key;

/// Results that are remembered; bounds the memory.
const MAX_REMEMBERED: usize = 200_000;

/// Matches against one snapshot, and remembers results by component, wherever it lies.
pub(super) struct Matcher {
    pool: Pool,
    snapshot: i64,
    remembered: HashMap<Component, MatchResult>,
}

impl Matcher {
    pub(super) fn new(pool: Pool, snapshot: i64) -> Self {
        Self { pool, snapshot, remembered: HashMap::new() }
    }

    /// Each version with what the advisories say about its components.
    pub(super) async fn match_versions(
        &mut self,
        versions: Vec<JudgedVersion>,
    ) -> Result<Vec<(JudgedVersion, MatchResult)>, JobError> {
        if self.remembered.len() > MAX_REMEMBERED {
            self.remembered.clear();
        }
        self.remember(versions.iter().flat_map(|version| &version.components)).await?;
        let result = |version: &JudgedVersion| {
            let of_component =
                |component| self.remembered.get(&elsewhere(component)).map(|found| placed(found, component));
            let results: Option<Vec<_>> = version.components.iter().map(of_component).collect();
            results.map(MatchResult::joined)
        };
        let matched = versions.into_iter().map(|version| Some((result(&version)?, version)));
        let matched: Option<Vec<_>> = matched.collect();
        let matched =
            matched.ok_or_else(|| JobError::internal("advisory matching")("a component has no result".into()))?;
        Ok(matched.into_iter().map(|(result, version)| (version, result)).collect())
    }

    /// Those of `components`, which have no place, about which this snapshot leads to another result than `other` does.
    pub(super) async fn differing(
        &mut self,
        other: &mut Self,
        components: Vec<Component>,
    ) -> Result<Vec<Component>, JobError> {
        self.remember(&components).await?;
        other.remember(&components).await?;
        let differs = |component: &Component| self.remembered.get(component) != other.remembered.get(component);
        Ok(components.into_iter().filter(differs).collect())
    }

    /// One query for what is not known yet, then matching off the runtime.
    async fn remember(&mut self, components: impl IntoIterator<Item = &Component>) -> Result<(), JobError> {
        let unknown: HashSet<Component> = components
            .into_iter()
            .map(elsewhere)
            .filter(|component| !self.remembered.contains_key(component))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: BTreeSet<PackageKey> = unknown.iter().map(package_key).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let rows = advisories::for_packages(&mut *self.pool.get().await?, self.snapshot, &keys).await?;
        let matched = tokio::task::spawn_blocking(move || {
            let affected = rows.into_iter().map(|row| serde_json::from_value(row.record));
            let affected: Vec<AffectedPackage> = affected.collect::<Result<_, _>>()?;
            let index = AdvisoryIndex::new(&affected);
            let matched = unknown.into_iter().map(|component| {
                let result = index.match_component(&component);
                (component, result)
            });
            Ok::<_, serde_json::Error>(matched.collect::<Vec<_>>())
        });
        let matched = matched.await.map_err(|e| JobError::internal("advisory matching")(Box::new(e)))?;
        self.remembered.extend(matched.map_err(|e| JobError::internal("stored advisory")(Box::new(e)))?);
        Ok(())
    }
}

/// The component without what differs between the images that hold it. As `registry_db::rejudgement` gives components.
fn elsewhere(component: &Component) -> Component {
    Component { layer: Digest::from_sha256([0; 32]), path: String::new(), license: None, ..component.clone() }
}

/// The result for a component at its place.
fn placed(result: &MatchResult, component: &Component) -> MatchResult {
    let mut placed = result.clone();
    for finding in &mut placed.findings {
        finding.layer.clone_from(&component.layer);
        finding.path.clone_from(&component.path);
    }
    for uncomparable in &mut placed.uncomparable {
        uncomparable.layer.clone_from(&component.layer);
        uncomparable.path.clone_from(&component.path);
    }
    placed
}
