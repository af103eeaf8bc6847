//! What an organization has of what its quota bounds.

use diesel::sql_types::{BigInt, Bool, Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::ids::OrganizationId;
use registry_types::names::PackageSlug;
use registry_types::policy::Quota;

use crate::prepared::prepared;
use crate::{Connection, DbResult};

/// Which quota a submission would go beyond, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    OpenIntakes(u32),
    VersionsPerDay(u32),
    Packages(u32),
    StoredBytes(u64),
}

#[derive(diesel::QueryableByName)]
struct Usage {
    #[diesel(sql_type = BigInt)]
    open_intakes: i64,
    #[diesel(sql_type = BigInt)]
    versions_today: i64,
    #[diesel(sql_type = BigInt)]
    packages: i64,
    #[diesel(sql_type = Bool)]
    is_known: bool,
    #[diesel(sql_type = BigInt)]
    stored_bytes: i64,
}

const USAGE: &str = "\
    SELECT (SELECT count(*) FROM intakes WHERE organization_id = $1 AND state IN ('queued', 'running')) AS open_intakes, \
        (SELECT count(*) FROM intakes WHERE organization_id = $1 AND created_at > now() - interval '24 hours') \
            AS versions_today, \
        (SELECT count(*) FROM packages WHERE organization_id = $1) AS packages, \
        EXISTS (SELECT FROM packages WHERE organization_id = $1 AND name = $2) AS is_known, \
        (SELECT coalesce(sum(v.size_bytes), 0)::bigint FROM versions v JOIN packages p ON p.id = v.package_id \
            WHERE p.organization_id = $1 AND v.state <> 'rejected') AS stored_bytes";

/// What keeps the organization from one more version of this package. Call where submissions of the organization wait for one
/// another.
pub(crate) async fn exceeded(
    conn: &mut Connection,
    organization: OrganizationId,
    package: &PackageSlug,
    quota: &Quota,
) -> DbResult<Option<Exceeded>> {
    let usage = diesel::sql_query(USAGE).bind::<Uuid, _>(organization.0).bind::<Text, _>(package.as_str());
    let usage: Usage = prepared(usage).get_result(conn).await?;
    Ok(if usage.open_intakes >= i64::from(quota.open_intakes) {
        Some(Exceeded::OpenIntakes(quota.open_intakes))
    } else if usage.versions_today >= i64::from(quota.versions_per_day) {
        Some(Exceeded::VersionsPerDay(quota.versions_per_day))
    } else if !usage.is_known && usage.packages >= i64::from(quota.packages) {
        Some(Exceeded::Packages(quota.packages))
    } else if usage.stored_bytes.unsigned_abs() >= quota.stored_bytes {
        Some(Exceeded::StoredBytes(quota.stored_bytes))
    } else {
        None
    })
}
