//! What a package shows in lists and in the index: computed from its versions whenever one of them changes.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, Nullable, Text};
use diesel_async::RunQueryDsl;
use registry_types::digest::Digest;
use registry_types::ids::PackageId;
use registry_types::names::PackageName;
use registry_types::package::{PackageFormat, PackageKind, VersionState};
use semver::Version as SemVer;
use serde::Deserialize;
use serde_json::Value;

use crate::error::stored;
use crate::schema::{listing_revision, organizations, packages, versions};
use crate::{Connection, DbError, DbResult};

/// Longest listed title and description, in characters. A list row is a summary; the descriptor keeps the whole text.
const MAX_TITLE: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
/// Tags listed, and the longest one, in characters. An index cannot hold much longer keys.
const MAX_TAGS: usize = 32;
const MAX_TAG: usize = 64;

/// The fields of a descriptor that lists show.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ListedFields {
    title: Option<String>,
    description: Option<String>,
    tags: Vec<String>,
}

struct ActiveVersion {
    id: uuid::Uuid,
    number: SemVer,
    activated_at: Option<DateTime<Utc>>,
}

/// Recomputes what lists, search and the index show of a package, from its active versions. To be called, in the same
/// transaction and as late in it as possible, whenever a version of the package becomes active or ceases to be, or the
/// package's visibility changes: transactions that change listings commit one after the other from here on.
///
/// # Errors
/// [`DbError::NotFound`] when there is no such package.
pub async fn refresh_listing(conn: &mut Connection, package: PackageId) -> DbResult<()> {
    // Locked first, so that of two versions decided at once the second sees the first.
    let (name, organization): (String, uuid::Uuid) = packages::table
        .find(package.0)
        .select((packages::name, packages::organization_id))
        .for_update()
        .first(conn)
        .await?;
    match newest(active_versions(conn, package).await?) {
        Some(version) => {
            let publisher: String =
                organizations::table.find(organization).select(organizations::slug).first(conn).await?;
            list_version(conn, package, &publisher, &name, &version).await?;
        }
        None => unlist(conn, package).await?,
    }
    diesel::update(listing_revision::table)
        .set(listing_revision::revision.eq(listing_revision::revision + 1))
        .execute(conn)
        .await?;
    Ok(())
}

async fn active_versions(conn: &mut Connection, package: PackageId) -> DbResult<Vec<ActiveVersion>> {
    let rows: Vec<(uuid::Uuid, String, Option<DateTime<Utc>>)> = versions::table
        .filter(versions::package_id.eq(package.0))
        .filter(versions::state.eq(VersionState::Active.as_str()))
        .select((versions::id, versions::version, versions::activated_at))
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|(id, number, activated_at)| Ok(ActiveVersion { id, number: stored("version", &number)?, activated_at }))
        .collect()
}

/// The highest version; a prerelease only when there is nothing else.
fn newest(versions: Vec<ActiveVersion>) -> Option<ActiveVersion> {
    versions.into_iter().max_by(|a, b| precedence(&a.number).cmp(&precedence(&b.number)))
}

fn precedence(number: &SemVer) -> (bool, &SemVer) {
    (number.pre.is_empty(), number)
}

async fn list_version(
    conn: &mut Connection,
    package: PackageId,
    publisher: &str,
    name: &str,
    version: &ActiveVersion,
) -> DbResult<()> {
    let descriptor: Value = versions::table.find(version.id).select(versions::descriptor).first(conn).await?;
    let listed = listed_fields(descriptor)?;
    let title = listed.title.unwrap_or_default();
    let description = listed.description.unwrap_or_default();
    diesel::update(packages::table.find(package.0))
        .set((
            packages::latest_version_id.eq(version.id),
            packages::latest_version.eq(version.number.to_string()),
            packages::listed_at.eq(version.activated_at),
            packages::search_text.eq(search_text(publisher, name, &title, &listed.tags, &description)),
            packages::title.eq(title),
            packages::description.eq(description),
            packages::tags.eq(listed.tags),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

async fn unlist(conn: &mut Connection, package: PackageId) -> DbResult<()> {
    diesel::update(packages::table.find(package.0))
        .set((
            packages::latest_version_id.eq(None::<uuid::Uuid>),
            packages::latest_version.eq(None::<String>),
            packages::listed_at.eq(None::<DateTime<Utc>>),
            packages::search_text.eq(""),
            packages::title.eq(""),
            packages::description.eq(""),
            packages::tags.eq(Vec::<String>::new()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

fn listed_fields(descriptor: Value) -> DbResult<ListedFields> {
    let mut fields: ListedFields =
        serde_json::from_value(descriptor).map_err(|e| DbError::corrupt("descriptor")(Box::new(e)))?;
    fields.title = fields.title.map(|title| shortened(&title, MAX_TITLE));
    fields.description = fields.description.map(|description| shortened(&description, MAX_DESCRIPTION));
    fields.tags = fields.tags.iter().take(MAX_TAGS).map(|tag| shortened(&tag.to_lowercase(), MAX_TAG)).collect();
    fields.tags.sort_unstable();
    fields.tags.dedup();
    Ok(fields)
}

/// Cut at `max` characters, which an ellipsis then tells.
fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max - 1).chain(['…']).collect(),
    }
}

/// What search reads: the words of the package's fields, in lower case. A query is taken apart by the same
/// [`words`], so that both agree on where a word ends whatever Postgres' own parser makes of hyphens and dots.
fn search_text(publisher: &str, name: &str, title: &str, tags: &[String], description: &str) -> String {
    let mut text = String::new();
    let fields = [name, title, publisher].into_iter().chain(tags.iter().map(String::as_str)).chain([description]);
    for word in fields.flat_map(words) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&word);
    }
    text
}

/// The words of a text: runs of letters and digits, in lower case, none longer than a tag may be.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().chars().take(MAX_TAG).collect())
}

/// One package of the static index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    pub package: PackageName,
    pub kind: PackageKind,
    pub format: PackageFormat,
    pub title: String,
    pub description: String,
    pub tags: Vec<String>,
    pub version: SemVer,
    /// `None` for packages without an image.
    pub digest: Option<Digest>,
}

/// Grows with every change of what lists and the index show; cheap to ask.
///
/// # Errors
/// When the database does not answer.
pub async fn revision(conn: &mut Connection) -> DbResult<i64> {
    Ok(listing_revision::table.select(listing_revision::revision).first(conn).await?)
}

/// The newest active version of every public package, by name.
///
/// # Errors
/// When the database does not answer.
pub async fn index_rows(conn: &mut Connection) -> DbResult<Vec<IndexRow>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        slug: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        kind: String,
        #[diesel(sql_type = Text)]
        format: String,
        #[diesel(sql_type = Text)]
        title: String,
        #[diesel(sql_type = Text)]
        description: String,
        #[diesel(sql_type = Array<Text>)]
        tags: Vec<String>,
        #[diesel(sql_type = Text)]
        version: String,
        #[diesel(sql_type = Nullable<Text>)]
        digest: Option<String>,
    }
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT o.slug, p.name, p.kind, p.format, p.title, p.description, p.tags, v.version, v.digest \
         FROM packages p JOIN organizations o ON o.id = p.organization_id JOIN versions v ON v.id = p.latest_version_id \
         WHERE p.listed_at IS NOT NULL AND p.visibility = 'public' AND v.state = 'active' \
         ORDER BY o.slug COLLATE \"C\", p.name COLLATE \"C\"",
    )
    .load(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(IndexRow {
                package: PackageName {
                    publisher: stored("organization slug", &row.slug)?,
                    name: stored("package name", &row.name)?,
                },
                kind: stored("package kind", &row.kind)?,
                format: stored("package format", &row.format)?,
                title: row.title,
                description: row.description,
                tags: row.tags,
                version: stored("version", &row.version)?,
                digest: row.digest.map(|d| stored("digest", &d)).transpose()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: &str) -> ActiveVersion {
        ActiveVersion { id: uuid::Uuid::now_v7(), number: number.parse().unwrap(), activated_at: None }
    }

    #[test]
    fn releases_go_before_prereleases_and_numbers_are_numbers() {
        let of = |numbers: &[&str]| newest(numbers.iter().map(|n| version(n)).collect()).map(|v| v.number.to_string());
        assert_eq!(of(&["1.9.0", "1.10.0", "1.2.0"]).as_deref(), Some("1.10.0"));
        assert_eq!(of(&["2.0.0-rc.1", "1.0.0"]).as_deref(), Some("1.0.0"));
        assert_eq!(of(&["2.0.0-rc.1", "2.0.0-rc.2"]).as_deref(), Some("2.0.0-rc.2"));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn listed_fields_are_bounded_whatever_the_manifest_holds() {
        let tags: Vec<String> = (0..100).map(|n| format!("Tag{n}{}", "x".repeat(1_000))).collect();
        let descriptor =
            serde_json::json!({"title": "é".repeat(500), "description": "d".repeat(1_000_000), "tags": tags});
        let fields = listed_fields(descriptor).unwrap();
        assert_eq!(fields.title.unwrap().chars().count(), MAX_TITLE);
        assert_eq!(fields.description.unwrap().chars().count(), MAX_DESCRIPTION);
        assert_eq!(fields.tags.len(), MAX_TAGS);
        assert!(fields.tags.iter().all(|tag| tag.chars().count() <= MAX_TAG && tag.starts_with("tag")));
        assert!(listed_fields(serde_json::json!({})).unwrap().title.is_none());
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let found: Vec<_> = words("PDF-Tools/v2.0, Größe — 数据!").collect();
        assert_eq!(found, ["pdf", "tools", "v2", "0", "größe", "数据"]);
    }
}
