//! A waiver asked for.

use diesel::prelude::*;
use diesel::sql_types::{Integer, Timestamptz};
use diesel_async::RunQueryDsl;
use registry_types::audit::AuditAction;
use registry_types::ids::{OrganizationId, UserId, WaiverId};
use registry_types::names::PackageSlug;
use registry_types::waiver::{AdvisoryId, ComponentRange, Statement, WaiverDays, WaiverReason};
use semver::VersionReq;
use serde_json::json;

use super::due;
use super::read::{Row, Waiver, bounds};
use crate::audit::{self, Actor, Entry};
use crate::schema::waivers;
use crate::{Connection, DbResult};

#[derive(Debug, Clone)]
pub struct NewWaiver {
    pub organization: OrganizationId,
    pub package: Option<PackageSlug>,
    pub versions: Option<VersionReq>,
    pub advisory: AdvisoryId,
    pub component: ComponentRange,
    pub reason: WaiverReason,
    pub statement: Statement,
    pub asked_by: UserId,
    pub actor: Actor,
    pub days: WaiverDays,
}

/// Asks for a waiver: it counts for nothing until another person approves it. Call in a transaction.
///
/// # Errors
/// When the database refuses.
pub async fn ask(conn: &mut Connection, new: &NewWaiver) -> DbResult<Waiver> {
    let waiver = insert(conn, new).await?;
    due::plan(conn).await?;
    Ok(waiver)
}

/// [`ask`] for many at once.
///
/// # Errors
/// When the database refuses.
pub async fn ask_all(conn: &mut Connection, news: &[NewWaiver]) -> DbResult<Vec<Waiver>> {
    let mut asked = Vec::with_capacity(news.len());
    for new in news {
        asked.push(insert(conn, new).await?);
    }
    due::plan(conn).await?;
    Ok(asked)
}

async fn insert(conn: &mut Connection, new: &NewWaiver) -> DbResult<Waiver> {
    let (version, from, before) = bounds(&new.component.versions);
    let expires_at = diesel::dsl::sql::<Timestamptz>("store_now() + make_interval(hours => ")
        .bind::<Integer, _>(new.days.hours())
        .sql(")");
    let row: Row = diesel::insert_into(waivers::table)
        .values((
            waivers::id.eq(WaiverId::new().0),
            waivers::organization_id.eq(new.organization.0),
            waivers::package_name.eq(new.package.as_ref().map(PackageSlug::as_str)),
            waivers::version_range.eq(new.versions.as_ref().map(ToString::to_string)),
            waivers::advisory.eq(new.advisory.as_str()),
            waivers::component.eq(new.component.package.as_str()),
            waivers::component_version.eq(version),
            waivers::component_from.eq(from),
            waivers::component_before.eq(before),
            waivers::reason.eq(new.reason.as_str()),
            waivers::statement.eq(new.statement.as_str()),
            waivers::asked_by.eq(new.asked_by.0),
            waivers::expires_at.eq(expires_at),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    let waiver: Waiver = row.try_into()?;
    note(conn, &waiver, new.actor, AuditAction::WaiverAsked).await?;
    Ok(waiver)
}

/// The audit entry of what became of a waiver.
pub(super) async fn note(conn: &mut Connection, waiver: &Waiver, actor: Actor, action: AuditAction) -> DbResult<()> {
    let details = json!({
        "package": waiver.package,
        "versions": waiver.versions.as_ref().map(ToString::to_string),
        "advisory": waiver.advisory,
        "component": waiver.component.to_string(),
        "reason": waiver.reason,
        "statement": waiver.statement,
        "asked_by": waiver.asked_by,
        "decided_by": waiver.decided_by,
        "note": waiver.decision_note,
        "expires_at": waiver.expires_at,
    });
    let subject = audit::Subject::Waiver(waiver.id);
    audit::append(conn, Entry { organization: Some(waiver.organization), actor, action, subject, details }).await
}
