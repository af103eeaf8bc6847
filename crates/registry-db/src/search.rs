//! Browsing and searching the packages that are listed.
//!
//! Without a query: the newest first, along an index. With one: packages that hold all its words, each also as the
//! beginning of a longer one, the best match first. Only when there is no such package: those that are spelled alike.
//!
//! A word that half of the store holds would make every search rank half of the store. So only [`RANKED`] packages are
//! ranked: those whose name begins like the query, and the newest of the others.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::PackageId;
use registry_types::names::OrganizationSlug;
use registry_types::package::{PackageFormat, PackageKind};
use registry_types::people::TrustTier;
use serde::{Deserialize, Serialize};

use crate::packages::{PACKAGE_COLUMNS, PackageRow, PackageSummary, Viewer};
use crate::paging::{Page, one_more};
use crate::{Connection, DbResult, listing};

/// More words than these do not make a query more precise.
const MAX_WORDS: usize = 12;

/// Newest matches that are put into the order of their score.
const RANKED: i64 = 500;
/// The same, of packages whose name begins like the query.
const RANKED_BY_NAME: i64 = 100;

/// What is looked for; `None` does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    pub query: Option<String>,
    pub kind: Option<PackageKind>,
    pub format: Option<PackageFormat>,
    /// In lower case, as tags are listed.
    pub tag: Option<String>,
    pub publisher: Option<OrganizationSlug>,
    pub tier: Option<TrustTier>,
}

/// Where a page begins: behind the last package of the page before. Names that package's place in the order, not a
/// number of rows, so that nothing is shown twice or left out when packages are added meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    Newest { listed_at: DateTime<Utc>, id: PackageId },
    Matching(Place),
    Alike(Place),
}

/// A place in the order of a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub score: i32,
    pub id: PackageId,
    /// The newest package that the first page ranked: later ones do not push others out of the ranking.
    pub as_of: DateTime<Utc>,
}

/// Listed packages that this viewer may see and that pass the filter. A cursor of another order than the filter asks for
/// (one of a search, given without its query) begins at the start.
///
/// # Errors
/// When the database does not answer.
pub async fn search(
    conn: &mut Connection,
    viewer: &Viewer,
    filter: &Filter,
    after: Option<Cursor>,
    size: usize,
) -> DbResult<Page<PackageSummary, Cursor>> {
    let Some(text) = filter.query.as_deref().filter(|text| !text.trim().is_empty()) else {
        return newest(conn, viewer, filter, after, size).await;
    };
    let words: Vec<String> = listing::words(text).take(MAX_WORDS).collect();
    if words.is_empty() {
        return Ok(Page { items: Vec::new(), next: None });
    }
    match after {
        Some(Cursor::Alike(place)) => alike(conn, viewer, filter, &words, Some(place), size).await,
        Some(Cursor::Matching(place)) => matching(conn, viewer, filter, &words, Some(place), size).await,
        Some(Cursor::Newest { .. }) | None => {
            let page = matching(conn, viewer, filter, &words, None, size).await?;
            if page.items.is_empty() { alike(conn, viewer, filter, &words, None, size).await } else { Ok(page) }
        }
    }
}

/// `$1` and `$2` are the viewer, `$3` to `$7` the filter.
const LISTED: &str = "FROM packages p JOIN organizations o ON o.id = p.organization_id \
    WHERE p.listed_at IS NOT NULL \
      AND ($1 OR p.visibility IN ('public', 'licensed') OR p.organization_id = ANY($2)) \
      AND ($3 IS NULL OR p.kind = $3) AND ($4 IS NULL OR p.format = $4) \
      AND ($5 IS NULL OR p.tags @> ARRAY[$5]) AND ($6 IS NULL OR o.slug = $6) \
      AND ($7 IS NULL OR o.trust_tier = $7)";

type Query<'a> = diesel::query_builder::BoxedSqlQuery<'a, diesel::pg::Pg, diesel::query_builder::SqlQuery>;

/// A query that begins with the seven parameters of [`LISTED`].
fn listed<'a>(sql: String, viewer: &Viewer, filter: &'a Filter) -> Query<'a> {
    let (all, organizations) = viewer.binds();
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Bool, _>(all)
        .bind::<Array<Uuid>, _>(organizations)
        .bind::<Nullable<Text>, _>(filter.kind.map(PackageKind::as_str))
        .bind::<Nullable<Text>, _>(filter.format.map(PackageFormat::as_str))
        .bind::<Nullable<Text>, _>(filter.tag.as_deref())
        .bind::<Nullable<Text>, _>(filter.publisher.as_ref().map(OrganizationSlug::as_str))
        .bind::<Nullable<Text>, _>(filter.tier.map(TrustTier::as_str))
}

async fn newest(
    conn: &mut Connection,
    viewer: &Viewer,
    filter: &Filter,
    after: Option<Cursor>,
    size: usize,
) -> DbResult<Page<PackageSummary, Cursor>> {
    let (after_at, after_id) = match after {
        Some(Cursor::Newest { listed_at, id }) => (Some(listed_at), Some(id.0)),
        Some(Cursor::Matching(_) | Cursor::Alike(_)) | None => (None, None),
    };
    let sql = format!(
        "SELECT {PACKAGE_COLUMNS} {LISTED} AND ($8 IS NULL OR (p.listed_at, p.id) < ($8, $9)) \
         ORDER BY p.listed_at DESC, p.id DESC LIMIT $10"
    );
    let rows: Vec<PackageRow> = listed(sql, viewer, filter)
        .bind::<Nullable<Timestamptz>, _>(after_at)
        .bind::<Nullable<Uuid>, _>(after_id)
        .bind::<BigInt, _>(one_more(size))
        .load(conn)
        .await?;
    let packages = rows.into_iter().map(TryInto::try_into).collect::<DbResult<Vec<PackageSummary>>>()?;
    Ok(Page::from_rows(packages, size, |package| Cursor::Newest {
        listed_at: package.listed_at.unwrap_or_default(),
        id: package.id,
    }))
}

#[derive(QueryableByName)]
struct ScoredRow {
    #[diesel(embed)]
    package: PackageRow,
    #[diesel(sql_type = Integer)]
    score: i32,
    #[diesel(sql_type = Timestamptz)]
    as_of: DateTime<Utc>,
}

/// The name counts most, whole or as a beginning; then how often and how closely the words stand.
async fn matching(
    conn: &mut Connection,
    viewer: &Viewer,
    filter: &Filter,
    words: &[String],
    after: Option<Place>,
    size: usize,
) -> DbResult<Page<PackageSummary, Cursor>> {
    let sql = ranked(
        "CASE WHEN p.name = $13 THEN 4000 WHEN starts_with(p.name, $13) THEN 2000 ELSE 0 END \
         + 1000 * ts_rank(p.search, to_tsquery('simple', $12), 1)",
        "p.search @@ to_tsquery('simple', $12)",
        &format!(
            "UNION (SELECT p.id {LISTED} AND p.name COLLATE \"C\" LIKE $14 ORDER BY p.name COLLATE \"C\", p.id \
             LIMIT {RANKED_BY_NAME})"
        ),
    );
    let all_words = words.iter().map(|word| format!("{word}:*")).collect::<Vec<_>>().join(" & ");
    let name = words.join("-");
    let rows: Vec<ScoredRow> = scored(listed(sql, viewer, filter), after, size)
        .bind::<Text, _>(all_words)
        .bind::<Text, _>(&name)
        // Letters, digits and hyphens: nothing in it has a meaning to LIKE.
        .bind::<Text, _>(format!("{name}%"))
        .load(conn)
        .await?;
    page(rows, size, Cursor::Matching)
}

/// By trigrams: finds what was misspelled, or stands inside a longer word.
async fn alike(
    conn: &mut Connection,
    viewer: &Viewer,
    filter: &Filter,
    words: &[String],
    after: Option<Place>,
    size: usize,
) -> DbResult<Page<PackageSummary, Cursor>> {
    let sql = ranked("1000 * word_similarity($12, p.search_text)", "$12 <% p.search_text", "");
    let rows: Vec<ScoredRow> =
        scored(listed(sql, viewer, filter), after, size).bind::<Text, _>(words.join(" ")).load(conn).await?;
    page(rows, size, Cursor::Alike)
}

/// The newest packages that `matches`, and those that `more` adds, by `score`. `$8` to `$10` are the cursor, `$11` is the
/// number of rows.
fn ranked(score: &str, matches: &str, more: &str) -> String {
    format!(
        "SELECT * FROM (SELECT {PACKAGE_COLUMNS}, ({score})::int AS score, coalesce($10, max(p.listed_at) OVER ()) AS as_of \
           FROM packages p JOIN organizations o ON o.id = p.organization_id WHERE p.id IN ( \
             (SELECT p.id {LISTED} AND {matches} AND ($10 IS NULL OR p.listed_at <= $10) \
              ORDER BY p.listed_at DESC, p.id DESC LIMIT {RANKED}) {more})) ranked \
         WHERE $8 IS NULL OR (score, id) < ($8, $9) ORDER BY score DESC, id DESC LIMIT $11"
    )
}

fn scored<'a>(query: Query<'a>, after: Option<Place>, size: usize) -> Query<'a> {
    query
        .bind::<Nullable<Integer>, _>(after.map(|place| place.score))
        .bind::<Nullable<Uuid>, _>(after.map(|place| place.id.0))
        .bind::<Nullable<Timestamptz>, _>(after.map(|place| place.as_of))
        .bind::<BigInt, _>(one_more(size))
}

fn page(rows: Vec<ScoredRow>, size: usize, cursor: fn(Place) -> Cursor) -> DbResult<Page<PackageSummary, Cursor>> {
    let rows = rows
        .into_iter()
        .map(|row| Ok((PackageSummary::try_from(row.package)?, row.score, row.as_of)))
        .collect::<DbResult<Vec<_>>>()?;
    let next = |(package, score, as_of): &(PackageSummary, i32, DateTime<Utc>)| {
        cursor(Place { score: *score, id: package.id, as_of: *as_of })
    };
    Ok(Page::from_rows(rows, size, next).map(|(package, _, _)| package))
}
