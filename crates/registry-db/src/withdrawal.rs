//! A publisher takes a whole module back.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types::{Text, Uuid};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{IntakeId, OrganizationId, PackageId};
use registry_types::intake::IntakeState;
use registry_types::package::PackageKind;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use crate::audit::{self, Actor, Entry};
use crate::publish::lock_organization;
use crate::schema::{intakes, packages, versions};
use crate::{Connection, DbResult, listing, reviews};

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
    let publisher = lock_organization(conn, organization).await?;
    let (name, withdrawn_at): (String, Option<DateTime<Utc>>) =
        packages::table.find(package.0).select((packages::name, packages::withdrawn_at)).first(conn).await?;
    if withdrawn_at.is_some() {
        return Ok(());
    }
    // Jobs, versions, package: in this order whoever decides or judges anew locks them, too.
    cancel_open_intakes(conn, package, actor).await?;
    end_versions(conn, organization, package, actor).await?;
    diesel::update(packages::table.find(package.0))
        .set(packages::withdrawn_at.eq(diesel::dsl::now))
        .execute(conn)
        .await?;
    let entry = Entry {
        organization: Some(organization),
        actor,
        action: AuditAction::PackageWithdrawn,
        subject: audit::Subject::Package(package),
        details: json!({ "package": format!("{publisher}/{name}"), "reason": reason }),
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

#[derive(QueryableByName)]
struct Ended {
    #[diesel(sql_type = Uuid)]
    id: uuid::Uuid,
    #[diesel(sql_type = Text)]
    version: String,
}

/// In one statement: a version that changes from one of these states to another at the same time is waited for, not missed.
async fn end_versions(
    conn: &mut Connection,
    organization: OrganizationId,
    package: PackageId,
    actor: Actor,
) -> DbResult<()> {
    let ended: Vec<Ended> = diesel::sql_query(
        "UPDATE versions SET state = CASE state WHEN 'in_review' THEN 'rejected' ELSE 'yanked' END, \
                rejection_code = CASE state WHEN 'in_review' THEN $2 END \
         WHERE package_id = $1 AND state IN ('active', 'quarantined', 'in_review') RETURNING id, version",
    )
    .bind::<Uuid, _>(package.0)
    .bind::<Text, _>(RejectionCode::IntakeCancelled.as_str())
    .load(conn)
    .await?;
    for version in ended {
        let (action, details) = (AuditAction::VersionWithdrawn, json!({ "version": version.version }));
        let subject = audit::Subject::Version(version.id.into());
        audit::append(conn, Entry { organization: Some(organization), actor, action, subject, details }).await?;
    }
    reviews::supersede_package(conn, package, actor).await
}
