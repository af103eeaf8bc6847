//! The audit log: to read, to take away, and to verify elsewhere.

use actix_web::{HttpResponse, get, web};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream;
use registry_db::audit::{self, AuditEntry, Checkpoint, Filter};
use registry_db::organizations::OrganizationKey;
use registry_db::users::Identity;
use registry_db::{DbError, Pool};
use registry_types::ids::OrganizationId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::paging::{List, PageQuery};
use crate::problem::{Problem, Problems};
use crate::rights::{Authenticated, Operation, organization_of};
use crate::state::AppState;

/// Entries of an export that are read at once.
const EXPORT_ROWS: i64 = 1000;

pub(crate) fn routes(cfg: &mut utoipa_actix_web::service_config::ServiceConfig) {
    cfg.service(list).service(export).service(list_checkpoints);
}

/// Whose log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhoseQuery {
    /// Id or slug of an organization, whose administrator the caller is. All, for superusers, if not given.
    org: Option<String>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// As the entries say it, e.g. `user:<id>`, `api_key:<id>`, `worker`.
    actor: Option<String>,
    /// E.g. `registry.approved`.
    action: Option<String>,
    /// E.g. `version:<id>`.
    subject: Option<String>,
    /// From this time on.
    since: Option<DateTime<Utc>>,
    /// Before this time.
    until: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditItem {
    id: i64,
    /// To the microsecond.
    at: DateTime<Utc>,
    /// Null for what concerns the platform.
    organization_id: Option<Uuid>,
    /// `user:<id>`, `api_key:<id>`, `worker` or `system`.
    actor: String,
    /// What the actor proved itself with: `session:<id>` or `api_key:<id>`.
    credential: Option<String>,
    /// Network address that the request came from.
    address: Option<String>,
    /// `thing.verb`.
    action: String,
    /// `thing:<id>`.
    subject: String,
    /// By action; `state` has digests of how the subject stood when the log last told of it, and how it stands since.
    #[schema(value_type = Object)]
    details: Value,
    /// Place in the chain, from 1; null in the first moment.
    sequence: Option<i64>,
    /// Digest of the hash before and of everything above.
    hash: Option<String>,
}

impl From<AuditEntry> for AuditItem {
    fn from(entry: AuditEntry) -> Self {
        let (sequence, hash) = entry.place.map(|place| (place.sequence, place.hash.to_string())).unzip();
        Self {
            id: entry.id,
            at: entry.at,
            organization_id: entry.organization.map(Uuid::from),
            actor: entry.actor,
            credential: entry.credential,
            address: entry.address,
            action: entry.action,
            subject: entry.subject,
            details: entry.details,
            sequence,
            hash,
        }
    }
}

/// The end of the audit log's chain at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointItem {
    sequence: i64,
    /// The hash of the entry at that place.
    hash: String,
    /// DSSE envelope, signed with one of the keys of `/v1/verdict-keys`; its payload names store, place, hash and time.
    #[schema(value_type = Object)]
    envelope: Value,
    created_at: DateTime<Utc>,
}

impl From<Checkpoint> for CheckpointItem {
    fn from(checkpoint: Checkpoint) -> Self {
        Self {
            sequence: checkpoint.head.sequence,
            hash: checkpoint.head.hash.to_string(),
            envelope: checkpoint.envelope,
            created_at: checkpoint.created_at,
        }
    }
}

/// The audit log, the newest entry first (organization administrator; all of it: superuser)
#[utoipa::path(
    tag = "audit",
    operation_id = "listAudit",
    params(WhoseQuery, AuditQuery, PageQuery),
    responses((status = 200, description = "One page", body = List<AuditItem>), Problems),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/audit")]
pub(crate) async fn list(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    whose: web::Query<WhoseQuery>,
    query: web::Query<AuditQuery>,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<AuditItem>>, Problem> {
    let organization = whose_log(&state, &identity, &whose).await?;
    let AuditQuery { actor, action, subject, since, until } = query.into_inner();
    let filter = Filter { organization, actor, action, subject, since, until };
    let entries = audit::list(&mut *state.pool.get().await?, &filter, page.after()?, page.size()).await?;
    Ok(web::Json(List::of(entries.map(AuditItem::from))?))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Entries behind this place of the chain; all, if not given.
    after: Option<i64>,
}

/// The audit log in the order of its chain, an entry a line (organization administrator; all of it: superuser)
///
/// What was written in the last seconds follows in the next export. The chain runs over the whole log: an organization's own
/// entries show their hashes, which only the whole log proves.
#[utoipa::path(
    tag = "audit",
    operation_id = "exportAudit",
    params(WhoseQuery, ExportQuery),
    responses(
        (status = 200, description = "JSON lines", body = AuditItem, content_type = "application/x-ndjson"),
        Problems
    ),
    security(("bearer" = []), ("api_key" = []))
)]
#[get("/v1/audit/export")]
pub(crate) async fn export(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    whose: web::Query<WhoseQuery>,
    query: web::Query<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let organization = whose_log(&state, &identity, &whose).await?;
    let lines = lines(state.pool.clone(), organization, query.after.unwrap_or(0));
    Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines))
}

/// The signed ends of the audit log's chain (superuser)
#[utoipa::path(
    tag = "audit",
    operation_id = "listAuditCheckpoints",
    params(PageQuery),
    responses((status = 200, description = "One page, in the order of the chain", body = List<CheckpointItem>), Problems),
    security(("bearer" = []))
)]
#[get("/v1/audit/checkpoints")]
pub(crate) async fn list_checkpoints(
    state: web::Data<AppState>,
    _: Authenticated,
    page: web::Query<PageQuery>,
) -> Result<web::Json<List<CheckpointItem>>, Problem> {
    let after = page.after()?.unwrap_or(0);
    let found = audit::checkpoints(&mut *state.pool.get().await?, after, page.size()).await?;
    Ok(web::Json(List::of(found.map(CheckpointItem::from))?))
}

/// `None`: everybody's.
async fn whose_log(
    state: &AppState,
    identity: &Identity,
    whose: &WhoseQuery,
) -> Result<Option<OrganizationId>, Problem> {
    let Some(org) = &whose.org else {
        return if identity.is_superuser {
            Ok(None)
        } else {
            Err(Problem::forbidden("only superusers read the whole log; name an organization with ?org="))
        };
    };
    let key: OrganizationKey = org.parse().map_err(|_| Problem::not_found("organization"))?;
    let organization = organization_of(state, identity, &key).await?;
    Operation::ListAudit.demand(identity, &organization)?;
    Ok(Some(organization.id))
}

fn lines(
    pool: Pool,
    organization: Option<OrganizationId>,
    after: i64,
) -> impl futures_util::Stream<Item = Result<Bytes, Problem>> {
    stream::try_unfold(Some(after), move |after| {
        let pool = pool.clone();
        async move {
            let Some(after) = after else { return Ok(None) };
            let rows = read_rows(&pool, organization, after).await?;
            let next = rows.last().and_then(|last| last.place.as_ref()).map(|place| place.sequence);
            let mut text = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut text, &AuditItem::from(row)).map_err(Problem::internal)?;
                text.push(b'\n');
            }
            Ok(next.map(|next| (Bytes::from(text), Some(next))))
        }
    })
}

async fn read_rows(pool: &Pool, organization: Option<OrganizationId>, after: i64) -> Result<Vec<AuditEntry>, DbError> {
    audit::chained(&mut *pool.get().await?, organization, after, EXPORT_ROWS).await
}
