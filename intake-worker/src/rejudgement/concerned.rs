//! For which versions a change of the advisories can mean something.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use registry_db::advisories::{self, SnapshotInfo};
use registry_db::rejudgement::{self, Owed};
use registry_db::{Connection, DbResult, Pool};
use registry_types::component::EcosystemRelease;
use registry_types::ids::VersionId;
use registry_types::package::VersionState;

use super::matcher::Matcher;
use crate::job_error::JobError;

/// Those of `owed` that are to be looked at one by one.
///
/// What somebody asks a judgement of always is. What waits for a person always is: that nothing could be told may have had to do with the snapshot as a whole. So is what
/// rests on advisories that are gone, or of the other origin. For the others the two snapshots are compared.
pub(super) async fn concerned(
    pool: &Pool,
    matcher: &mut Matcher,
    snapshot: &SnapshotInfo,
    owed: &[Owed],
) -> Result<HashSet<VersionId>, JobError> {
    let mut concerned = HashSet::new();
    let mut by_base = BTreeMap::<i64, HashSet<VersionId>>::new();
    for one in owed {
        match (one.base, one.request, one.state) {
            (Some(base), None, VersionState::Active | VersionState::Quarantined) => {
                by_base.entry(base).or_default().insert(one.version);
            }
            (
                Some(_),
                None,
                VersionState::Pending | VersionState::Rejected | VersionState::InReview | VersionState::Yanked,
            )
            | (Some(_), Some(_), _)
            | (None, _, _) => {
                concerned.insert(one.version);
            }
        }
    }
    for (base, versions) in by_base {
        let comparable = comparable(&mut *pool.get().await?, base, snapshot).await?;
        let Some(base) = comparable else {
            concerned.extend(versions);
            continue;
        };
        let holders = holders_of_changes(pool, matcher, &base, snapshot).await?;
        concerned.extend(holders.into_iter().filter(|version| versions.contains(version)));
    }
    Ok(concerned)
}

/// The base, if what it said can still be read, and is trusted as much as what is said now.
async fn comparable(conn: &mut Connection, base: i64, snapshot: &SnapshotInfo) -> DbResult<Option<SnapshotInfo>> {
    let base = advisories::snapshot(conn, base).await?;
    Ok(base.filter(|base| base.origin == snapshot.origin))
}

/// The versions that hold a component whose result differs between the two, or that is covered by one of them only.
async fn holders_of_changes(
    pool: &Pool,
    matcher: &mut Matcher,
    base: &SnapshotInfo,
    snapshot: &SnapshotInfo,
) -> Result<Vec<VersionId>, JobError> {
    let mut holders = rejudgement::of_scopes(&mut *pool.get().await?, &changed_scopes(base, snapshot)).await?;
    let components = rejudgement::changed_components(&mut *pool.get().await?, base.number, snapshot.number).await?;
    let mut earlier = Matcher::new(pool.clone(), base.number);
    let differing = matcher.differing(&mut earlier, components).await?;
    holders.extend(rejudgement::holding(&mut *pool.get().await?, &differing).await?);
    Ok(holders)
}

fn changed_scopes(base: &SnapshotInfo, snapshot: &SnapshotInfo) -> Vec<EcosystemRelease> {
    let covered = |of: &SnapshotInfo| of.ecosystems.iter().cloned().collect::<BTreeSet<_>>();
    covered(base).symmetric_difference(&covered(snapshot)).cloned().collect()
}
