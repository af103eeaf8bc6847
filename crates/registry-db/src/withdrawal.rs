//! A publisher takes a whole module back.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use registry_types::ids::{IntakeId, OrganizationId, PackageId};
use registry_types::intake::IntakeState;
use registry_types::package::{PackageKind, VersionState};
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use crate::audit::{self, Actor, Entry};
use crate::publish::lock_organization;
use crate::schema::{intakes, packages, versions};
use crate::{Connection, DbResult, listing};

/// Whose module this is.
///
/// # Errors
/// [`crate::DbError::NotFound`].
pub async fn owner(conn: &mut Connection, package: PackageId) -> DbResult<OrganizationId> {
    let id: uuid::Uuid = packages::table
        .find(package.0)
        .filter(packages::kind.eq(PackageKind::Module.as_str()))
        .select(packages::organization_id)
        .first(conn)
        .await?;
    Ok(id.into())
}

/// Takes a module back: its open intakes are cancelled, what waits for a person is refused, what can be had is yanked. Its
/// name stays its publisher's and its version numbers stay used. Again: nothing more happens. Call in a transaction.
///
/// # Errors
/// [`crate::DbError::NotFound`].
pub async fn withdraw(conn: &mut Connection, package: PackageId, actor: Actor, reason: &str) -> DbResult<()> {
    let organization = owner(conn, package).await?;
    lock_organization(conn, organization).await?;
    let marked = diesel::update(packages::table.find(package.0).filter(packages::withdrawn_at.is_null()))
        .set(packages::withdrawn_at.eq(diesel::dsl::now))
        .execute(conn)
        .await?;
    if marked == 0 {
        return Ok(());
    }
    cancel_open_intakes(conn, package, actor).await?;
    end_versions(conn, package).await?;
    let entry = Entry {
        organization: Some(organization),
        actor,
        action: "package.withdrawn",
        subject: format!("package:{package}"),
        details: json!({ "reason": reason }),
    };
    audit::append(conn, entry).await?;
    listing::refresh_listing(conn, package).await
}

async fn cancel_open_intakes(conn: &mut Connection, package: PackageId, actor: Actor) -> DbResult<()> {
    let open: Vec<uuid::Uuid> = intakes::table
        .inner_join(versions::table.on(versions::id.eq(intakes::version_id)))
        .filter(versions::package_id.eq(package.0))
        .filter(intakes::state.eq_any([IntakeState::Queued.as_str(), IntakeState::Running.as_str()]))
        .select(intakes::id)
        .load(conn)
        .await?;
    for intake in open {
        crate::intakes::cancel(conn, IntakeId::from(intake), actor).await?;
    }
    Ok(())
}

async fn end_versions(conn: &mut Connection, package: PackageId) -> DbResult<()> {
    let in_state = |state: VersionState| {
        versions::table.filter(versions::package_id.eq(package.0)).filter(versions::state.eq(state.as_str()))
    };
    for state in [VersionState::Active, VersionState::Quarantined] {
        diesel::update(in_state(state))
            .set((versions::state.eq(VersionState::Yanked.as_str()), versions::rejection_code.eq(None::<String>)))
            .execute(conn)
            .await?;
    }
    diesel::update(in_state(VersionState::InReview))
        .set((
            versions::state.eq(VersionState::Rejected.as_str()),
            versions::rejection_code.eq(RejectionCode::IntakeCancelled.as_str()),
        ))
        .execute(conn)
        .await?;
    Ok(())
}
