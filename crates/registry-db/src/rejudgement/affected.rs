//! Which components, and then which versions, a change of the advisories can concern.

use diesel::pg::Pg;
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
use diesel::sql_types::{Array, BigInt, Jsonb, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::component::{Component, EcosystemRelease};
use registry_types::ids::VersionId;

use crate::advisories::PlanLine;
use crate::{Connection, DbError, DbResult};

/// `held` walks the index from one package to the next, so that a package that every version holds is met once. Only
/// packages that are held are compared, both sides by the key of the advisories.
const CHANGED_COMPONENTS: &str = "\
    WITH RECURSIVE held (ecosystem, package) AS ( \
        (SELECT ecosystem, matched_name(ecosystem, source_name) FROM components ORDER BY 1, 2 LIMIT 1) \
        UNION ALL \
        SELECT next.ecosystem, next.package FROM held CROSS JOIN LATERAL ( \
            SELECT c.ecosystem, matched_name(c.ecosystem, c.source_name) AS package FROM components c \
            WHERE (c.ecosystem, matched_name(c.ecosystem, c.source_name)) > (held.ecosystem, held.package) \
            ORDER BY 1, 2 LIMIT 1) next \
    ), changed AS MATERIALIZED ( \
        SELECT DISTINCT held.ecosystem, held.package, told.ecosystem_release FROM held CROSS JOIN LATERAL ( \
            SELECT ecosystem_release FROM \
                (SELECT ecosystem_release, advisory_id, ordinal, record FROM advisories a \
                 WHERE a.snapshot = $1 AND a.ecosystem = held.ecosystem AND a.package = held.package) earlier \
            FULL JOIN \
                (SELECT ecosystem_release, advisory_id, ordinal, record FROM advisories a \
                 WHERE a.snapshot = $2 AND a.ecosystem = held.ecosystem AND a.package = held.package) later \
            USING (ecosystem_release, advisory_id, ordinal) \
            WHERE earlier.record IS DISTINCT FROM later.record) told \
    ) \
    SELECT component || jsonb_build_object('layer', 'sha256:' || repeat('0', 64), 'path', '') AS component FROM ( \
        SELECT DISTINCT c.component - ARRAY['layer', 'path', 'license'] AS component FROM changed \
        JOIN components c ON c.ecosystem = changed.ecosystem \
            AND matched_name(c.ecosystem, c.source_name) = changed.package \
            AND changed.ecosystem_release IN ('', c.component->>'ecosystem_release') \
    ) identities";

/// The components, over all versions, of packages about which two snapshots say different things. Each once, whichever
/// images hold it: without licence and path, and with a layer of zeros.
///
/// A snapshot that is not there says nothing; the caller makes sure that both are.
///
/// # Errors
/// When the database does not answer.
pub async fn changed_components(conn: &mut Connection, earlier: i64, later: i64) -> DbResult<Vec<Component>> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = Jsonb)]
        component: serde_json::Value,
    }
    let rows: Vec<Row> =
        diesel::sql_query(CHANGED_COMPONENTS).bind::<BigInt, _>(earlier).bind::<BigInt, _>(later).load(conn).await?;
    let component = |row: Row| serde_json::from_value(row.component);
    let components: Result<_, _> = rows.into_iter().map(component).collect();
    components.map_err(|e| DbError::corrupt("component")(Box::new(e)))
}

const HOLDING: &str = "\
    SELECT DISTINCT c.version_id FROM UNNEST($1::text[], $2::text[], $3::text[]) AS wanted (ecosystem, source_name, purl) \
    JOIN components c ON c.ecosystem = wanted.ecosystem \
        AND matched_name(c.ecosystem, c.source_name) = matched_name(wanted.ecosystem, wanted.source_name) \
        AND c.purl = wanted.purl";

#[derive(diesel::QueryableByName)]
struct Holder {
    #[diesel(sql_type = Uuid)]
    version_id: uuid::Uuid,
}

/// The versions, in whatever state, that hold one of these components.
///
/// # Errors
/// When the database does not answer.
pub async fn holding(conn: &mut Connection, components: &[Component]) -> DbResult<Vec<VersionId>> {
    let rows: Vec<Holder> = by_components(HOLDING, components).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.version_id.into()).collect())
}

fn by_components<'a>(sql: &str, components: &'a [Component]) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    let column = |of: fn(&'a Component) -> &'a str| components.iter().map(of).collect::<Vec<&'a str>>();
    diesel::sql_query(sql)
        .into_boxed()
        .bind::<Array<Text>, _>(column(|component| component.ecosystem.as_str()))
        .bind::<Array<Text>, _>(column(|component| &component.source_name))
        .bind::<Array<Text>, _>(column(|component| &component.purl))
}

/// The versions, in whatever state, that hold a component of one of these ecosystems and releases.
///
/// # Errors
/// When the database does not answer.
pub async fn of_scopes(conn: &mut Connection, scopes: &[EcosystemRelease]) -> DbResult<Vec<VersionId>> {
    let rows: Vec<Holder> = diesel::sql_query(
        "SELECT DISTINCT c.version_id FROM UNNEST($1::text[], $2::text[]) AS wanted (ecosystem, release) \
         JOIN components c ON c.ecosystem = wanted.ecosystem AND c.component->>'ecosystem_release' = wanted.release",
    )
    .bind::<Array<Text>, _>(scopes.iter().map(|scope| scope.ecosystem.as_str()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(scopes.iter().map(|scope| scope.release.as_str()).collect::<Vec<_>>())
    .load(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.version_id.into()).collect())
}

/// How the database carries out [`changed_components`] and [`holding`]: their plans, one line per step. For the test that
/// holds them to their indexes.
///
/// # Errors
/// When the database refuses.
pub async fn plans(
    conn: &mut Connection,
    (earlier, later): (i64, i64),
    components: &[Component],
) -> DbResult<[Vec<String>; 2]> {
    let changed: Vec<PlanLine> = diesel::sql_query(format!("EXPLAIN (COSTS OFF) {CHANGED_COMPONENTS}"))
        .bind::<BigInt, _>(earlier)
        .bind::<BigInt, _>(later)
        .load(conn)
        .await?;
    let explain = format!("EXPLAIN (COSTS OFF) {HOLDING}");
    let holding: Vec<PlanLine> = by_components(&explain, components).load(conn).await?;
    Ok([changed, holding].map(|lines| lines.into_iter().map(|line| line.text).collect()))
}
