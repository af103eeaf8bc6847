//! What the store found out about a version: components, findings, checks and documents. All take a [`Version`],
//! which only [`crate::packages::version`] gives, so that nobody reads the evidence of a version that they may not see.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::advisory::Finding;
use registry_types::component::Component;
use registry_types::digest::Digest;
use registry_types::intake::{CheckResult, Reason};
use registry_types::package::VersionState;
use registry_types::text_enum;
use registry_types::verdict::Decision;

use crate::error::stored;
use crate::packages::Version;
use crate::paging::{Page, one_more};
use crate::schema::{components, findings, version_documents};
use crate::{Connection, DbError, DbResult, intakes, verdicts};

text_enum! {
    /// The forms in which a version's SBOM is kept.
    pub enum SbomFormat { CycloneDx = "cyclonedx", Spdx = "spdx" }
}

/// A document in the object store, under its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDocument {
    pub digest: Digest,
    pub media_type: String,
    pub size_bytes: u64,
}

/// The components of a version in the order of the merged image, behind `after` (the last seen one's place).
///
/// # Errors
/// When the database does not answer.
pub async fn components(
    conn: &mut Connection,
    version: &Version,
    after: Option<i32>,
    size: usize,
) -> DbResult<Page<Component, i32>> {
    let rows: Vec<(i32, serde_json::Value)> = components::table
        .filter(components::version_id.eq(version.summary.id.0))
        .filter(components::ordinal.gt(after.unwrap_or(-1)))
        .order(components::ordinal)
        .limit(one_more(size))
        .select((components::ordinal, components::component))
        .load(conn)
        .await?;
    page_of_json("component", rows, size)
}

/// How many components a version has.
///
/// # Errors
/// When the database does not answer.
pub async fn component_count(conn: &mut Connection, version: &Version) -> DbResult<i64> {
    let of_version = components::table.filter(components::version_id.eq(version.summary.id.0));
    Ok(of_version.count().get_result(conn).await?)
}

/// The findings of a version in the order of the scan, behind `after` (the last seen one's place).
///
/// # Errors
/// When the database does not answer.
pub async fn findings(
    conn: &mut Connection,
    version: &Version,
    after: Option<i32>,
    size: usize,
) -> DbResult<Page<Finding, i32>> {
    let rows: Vec<(i32, serde_json::Value)> = findings::table
        .filter(findings::version_id.eq(version.summary.id.0))
        .filter(findings::ordinal.gt(after.unwrap_or(-1)))
        .order(findings::ordinal)
        .limit(one_more(size))
        .select((findings::ordinal, findings::finding))
        .load(conn)
        .await?;
    page_of_json("finding", rows, size)
}

fn page_of_json<T: serde::de::DeserializeOwned>(
    what: &'static str,
    rows: Vec<(i32, serde_json::Value)>,
    size: usize,
) -> DbResult<Page<T, i32>> {
    let rows = rows
        .into_iter()
        .map(|(ordinal, json)| {
            let value = serde_json::from_value(json).map_err(|e| DbError::corrupt(what)(Box::new(e)))?;
            Ok((ordinal, value))
        })
        .collect::<DbResult<Vec<(i32, T)>>>()?;
    Ok(Page::from_rows(rows, size, |(ordinal, _)| *ordinal).map(|(_, value)| value))
}

/// The check results of the version, in the order of the pipeline; empty before there are any. They are those of its newest
/// intake; when it was judged anew by later advisories, `vulnerabilities` is what that found.
///
/// # Errors
/// When the database does not answer.
pub async fn checks(conn: &mut Connection, version: &Version) -> DbResult<Vec<CheckResult>> {
    let Some(intake) = intakes::latest_of_version(conn, version.summary.id).await? else { return Ok(Vec::new()) };
    let mut checks = intake.checks;
    if let Some(newer) = verdicts::rejudged_check(conn, intake.summary.id).await? {
        checks.retain(|check| check.name != newer.name);
        checks.push(newer);
        checks.sort_by_key(|check| check.name);
    }
    Ok(checks)
}

/// Why the version is not served, as its newest verdict says; empty for one that is, or that is not decided.
///
/// # Errors
/// When the database does not answer.
pub async fn reasons(conn: &mut Connection, version: &Version) -> DbResult<Vec<Reason>> {
    match version.summary.state {
        VersionState::Pending | VersionState::Active | VersionState::Yanked => return Ok(Vec::new()),
        VersionState::Rejected | VersionState::InReview | VersionState::Quarantined => {}
    }
    let verdict = verdicts::latest(conn, version.summary.id).await?;
    Ok(match verdict.map(|verdict| verdict.decision) {
        Some(Decision::Rejected { reasons, .. } | Decision::InReview { reasons, .. }) => reasons,
        Some(Decision::Active { .. }) | None => Vec::new(),
    })
}

/// # Errors
/// [`DbError::NotFound`] when the version has no SBOM in this form.
pub async fn sbom(conn: &mut Connection, version: &Version, format: SbomFormat) -> DbResult<StoredDocument> {
    let (digest, media_type, size): (String, String, i64) = version_documents::table
        .find((version.summary.id.0, format.as_str()))
        .select((version_documents::digest, version_documents::media_type, version_documents::size_bytes))
        .first(conn)
        .await?;
    Ok(StoredDocument {
        digest: stored("digest", &digest)?,
        media_type,
        size_bytes: u64::try_from(size).map_err(|e| DbError::corrupt("size")(Box::new(e)))?,
    })
}
