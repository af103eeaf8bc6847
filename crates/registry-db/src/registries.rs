//! Registry namespaces: which images an organization may publish, and the sealed credentials to read them.

mod state;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use registry_types::ids::{OrganizationId, RegistryNamespaceId, UserId};
use registry_types::image_reference::{ImageReference, RegistryHost};
use registry_types::namespace_pattern::{NamespacePattern, NamespaceState, RegistryProvider};
use registry_types::signature_policy::SignaturePolicy;
use serde_json::Value;

pub(crate) use state::is_stopped_by_person;
pub use state::{NotPending, Taken, is_suspended_by_person, lock, lock_on_host, refuse, set_state};

use crate::error::stored;
use crate::jobs::Lease;
use crate::key_ring::{Credential, KeyRing, SealContext, Sealed};
use crate::paging::{Page, one_more};
use crate::schema::registry_namespaces as namespaces;
use crate::{Connection, DbError, DbResult};
use state::is_taken;

#[derive(Debug, Clone, PartialEq)]
pub struct RegistryNamespace {
    pub id: RegistryNamespaceId,
    pub organization: OrganizationId,
    pub provider: RegistryProvider,
    pub pattern: NamespacePattern,
    pub state: NamespaceState,
    /// Why it is [`NamespaceState::Refused`]; `None` in every other state.
    pub refusal: Option<String>,
    pub signature_policy: SignaturePolicy,
    pub has_credential: bool,
    /// Hosts beside the registry's own that may receive the credential.
    pub confirmed_token_hosts: Vec<RegistryHost>,
    /// What the worker reported last.
    pub last_test: Option<Value>,
    pub last_tested_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

#[derive(Debug, Clone)]
pub struct NewNamespace {
    pub organization: OrganizationId,
    pub provider: RegistryProvider,
    pub pattern: NamespacePattern,
    pub state: NamespaceState,
    pub signature_policy: SignaturePolicy,
    pub credential: Option<Sealed>,
    pub created_by: UserId,
}

/// What to change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct NamespaceChange {
    /// `Some(None)` forgets the credential.
    pub credential: Option<Option<Sealed>>,
    pub signature_policy: Option<SignaturePolicy>,
    pub confirmed_token_hosts: Option<Vec<RegistryHost>>,
}

/// Constraint that refuses the same pattern twice in one organization.
pub const PATTERN_EXISTS: &str = "registry_namespaces_pattern_key";

#[derive(Queryable, Selectable)]
#[diesel(table_name = namespaces)]
struct Row {
    id: uuid::Uuid,
    organization_id: uuid::Uuid,
    provider: String,
    host: String,
    path: String,
    is_wildcard: bool,
    state: String,
    refusal: Option<String>,
    signature_policy: Value,
    credential_key_id: Option<String>,
    confirmed_token_hosts: Vec<String>,
    last_test: Option<Value>,
    last_tested_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<Row> for RegistryNamespace {
    type Error = DbError;

    fn try_from(row: Row) -> DbResult<Self> {
        let stored_state = stored("namespace state", &row.state)?;
        // Stored so that a program that knows no refusals takes it for a suspension.
        let (state, refusal) = match (stored_state, row.refusal) {
            (NamespaceState::Suspended, Some(reason)) => (NamespaceState::Refused, Some(reason)),
            (state, _) => (state, None),
        };
        Ok(Self {
            id: row.id.into(),
            organization: row.organization_id.into(),
            provider: stored("registry provider", &row.provider)?,
            pattern: pattern_of(&row.host, &row.path, row.is_wildcard)?,
            state,
            refusal,
            signature_policy: serde_json::from_value(row.signature_policy)
                .map_err(|e| DbError::corrupt("signature policy")(Box::new(e)))?,
            has_credential: row.credential_key_id.is_some(),
            confirmed_token_hosts: row
                .confirmed_token_hosts
                .iter()
                .map(|host| stored("registry host", host))
                .collect::<DbResult<_>>()?,
            last_test: row.last_test,
            last_tested_at: row.last_tested_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

fn pattern_of(host: &str, path: &str, is_wildcard: bool) -> DbResult<NamespacePattern> {
    stored("namespace pattern", &format!("{host}/{path}{}", if is_wildcard { "/*" } else { "" }))
}

fn json(policy: &SignaturePolicy) -> DbResult<Value> {
    serde_json::to_value(policy).map_err(|e| DbError::corrupt("signature policy")(Box::new(e)))
}

/// Adds a namespace. A verified one must not overlap another organization's. Call in a transaction.
///
/// # Errors
/// Constraint [`PATTERN_EXISTS`].
pub async fn create(conn: &mut Connection, new: &NewNamespace) -> DbResult<Result<RegistryNamespace, Taken>> {
    if new.state == NamespaceState::Verified && is_taken(conn, new.organization, &new.pattern).await? {
        return Ok(Err(Taken));
    }
    let sealed = new.credential.as_ref();
    let row: Row = diesel::insert_into(namespaces::table)
        .values((
            namespaces::id.eq(RegistryNamespaceId::new().0),
            namespaces::organization_id.eq(new.organization.0),
            namespaces::provider.eq(new.provider.as_str()),
            namespaces::host.eq(new.pattern.host().as_str()),
            namespaces::path.eq(new.pattern.path().as_str()),
            namespaces::is_wildcard.eq(new.pattern.is_wildcard()),
            namespaces::state.eq(new.state.as_str()),
            namespaces::signature_policy.eq(json(&new.signature_policy)?),
            namespaces::credential_ciphertext.eq(sealed.map(|sealed| sealed.ciphertext.clone())),
            namespaces::credential_nonce.eq(sealed.map(|sealed| sealed.nonce.clone())),
            namespaces::credential_key_id.eq(sealed.map(|sealed| sealed.key_id.clone())),
            namespaces::created_by.eq(new.created_by.0),
        ))
        .returning(Row::as_returning())
        .get_result(conn)
        .await?;
    row.try_into().map(Ok)
}

/// # Errors
/// [`DbError::NotFound`] when the organization has no such namespace.
pub async fn get(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
) -> DbResult<RegistryNamespace> {
    let row: Row = namespaces::table
        .filter(namespaces::id.eq(id.0))
        .filter(namespaces::organization_id.eq(organization.0))
        .select(Row::as_select())
        .first(conn)
        .await?;
    row.try_into()
}

/// The organization's namespaces in the order of creation, after the one `after`.
///
/// # Errors
/// When the database does not answer.
pub async fn list(
    conn: &mut Connection,
    organization: OrganizationId,
    after: Option<RegistryNamespaceId>,
    size: usize,
) -> DbResult<Page<RegistryNamespace, RegistryNamespaceId>> {
    // Ids are time-ordered.
    let rows: Vec<Row> = namespaces::table
        .filter(namespaces::organization_id.eq(organization.0))
        .filter(namespaces::id.gt(after.map_or(uuid::Uuid::nil(), uuid::Uuid::from)))
        .order(namespaces::id)
        .limit(one_more(size))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let listed = rows.into_iter().map(TryInto::try_into).collect::<DbResult<Vec<RegistryNamespace>>>()?;
    Ok(Page::from_rows(listed, size, |last| last.id))
}

/// How many namespaces the organization has.
///
/// # Errors
/// When the database does not answer.
pub async fn count(conn: &mut Connection, organization: OrganizationId) -> DbResult<i64> {
    Ok(namespaces::table.filter(namespaces::organization_id.eq(organization.0)).count().get_result(conn).await?)
}

/// The organization's namespaces that cover `reference`, the closest first, in whatever state.
///
/// # Errors
/// When the database does not answer.
pub async fn matching(
    conn: &mut Connection,
    organization: OrganizationId,
    reference: &ImageReference,
) -> DbResult<Vec<RegistryNamespace>> {
    let rows: Vec<Row> = namespaces::table
        .filter(namespaces::organization_id.eq(organization.0))
        .filter(namespaces::host.eq(reference.host.as_str()))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let all = rows.into_iter().map(TryInto::try_into).collect::<DbResult<Vec<RegistryNamespace>>>()?;
    let mut matching: Vec<_> = all.into_iter().filter(|namespace| namespace.pattern.matches(reference)).collect();
    matching.sort_by_key(|namespace| {
        (namespace.pattern.is_wildcard(), std::cmp::Reverse(namespace.pattern.path().as_str().len()))
    });
    Ok(matching)
}

/// The closest verified namespace that covers `reference`.
///
/// # Errors
/// When the database does not answer.
pub async fn matching_verified(
    conn: &mut Connection,
    organization: OrganizationId,
    reference: &ImageReference,
) -> DbResult<Option<RegistryNamespace>> {
    let matching = matching(conn, organization, reference).await?;
    Ok(matching.into_iter().find(|namespace| namespace.state == NamespaceState::Verified))
}

/// # Errors
/// [`DbError::NotFound`].
pub async fn change(
    conn: &mut Connection,
    organization: OrganizationId,
    id: RegistryNamespaceId,
    change: NamespaceChange,
) -> DbResult<RegistryNamespace> {
    let part = |part: fn(Sealed) -> Vec<u8>| change.credential.clone().map(|sealed| sealed.map(part));
    let row: Row = diesel::update(
        namespaces::table.filter(namespaces::id.eq(id.0)).filter(namespaces::organization_id.eq(organization.0)),
    )
    .set((
        part(|sealed| sealed.ciphertext).map(|bytes| namespaces::credential_ciphertext.eq(bytes)),
        part(|sealed| sealed.nonce).map(|bytes| namespaces::credential_nonce.eq(bytes)),
        change.credential.clone().map(|sealed| namespaces::credential_key_id.eq(sealed.map(|sealed| sealed.key_id))),
        change
            .signature_policy
            .as_ref()
            .map(|policy| Ok::<_, DbError>(namespaces::signature_policy.eq(json(policy)?)))
            .transpose()?,
        change.confirmed_token_hosts.map(|hosts| {
            let hosts: Vec<String> = hosts.iter().map(RegistryHost::to_string).collect();
            namespaces::confirmed_token_hosts.eq(hosts)
        }),
        namespaces::updated_at.eq(diesel::dsl::now),
    ))
    .returning(Row::as_returning())
    .get_result(conn)
    .await?;
    row.try_into()
}

/// # Errors
/// [`DbError::NotFound`].
pub async fn remove(conn: &mut Connection, organization: OrganizationId, id: RegistryNamespaceId) -> DbResult<()> {
    let removed = diesel::delete(
        namespaces::table.filter(namespaces::id.eq(id.0)).filter(namespaces::organization_id.eq(organization.0)),
    )
    .execute(conn)
    .await?;
    if removed == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// What the worker found out about a namespace; never holds a secret.
///
/// # Errors
/// [`DbError::NotFound`] when it was removed meanwhile.
pub async fn record_test(conn: &mut Connection, id: RegistryNamespaceId, result: &Value) -> DbResult<()> {
    let updated = diesel::update(namespaces::table.find(id.0))
        .set((namespaces::last_test.eq(Some(result)), namespaces::last_tested_at.eq(Some(Utc::now()))))
        .execute(conn)
        .await?;
    if updated == 0 { Err(DbError::NotFound) } else { Ok(()) }
}

/// A namespace opened for one job.
#[derive(Debug, Clone)]
pub struct OpenedNamespace {
    pub namespace: RegistryNamespace,
    pub credential: Option<Credential>,
}

#[derive(QueryableByName)]
struct Openable {
    #[diesel(sql_type = sql_types::Nullable<sql_types::Binary>)]
    credential_ciphertext: Option<Vec<u8>>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Binary>)]
    credential_nonce: Option<Vec<u8>>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    credential_key_id: Option<String>,
    #[diesel(sql_type = sql_types::Uuid)]
    organization_id: uuid::Uuid,
}

/// The lease, what the job is about, and the namespace's state, all in the query that reads the credential: an intake
/// needs a verified namespace, a test any that is not suspended, a look for the proof also one that is suspended for want of it.
const OPENABLE: &str = "\
    SELECT n.credential_ciphertext, n.credential_nonce, n.credential_key_id, n.organization_id \
    FROM registry_namespaces n, jobs j \
    WHERE n.id = $1 AND j.id = $2 AND j.attempt = $3 AND j.locked_until > now() AND ( \
        (j.kind = 'namespace_proof' AND j.payload->>'namespace' = n.id::text \
            AND (n.state <> 'suspended' OR EXISTS (SELECT FROM namespace_proofs p WHERE p.namespace_id = n.id AND p.is_lost))) \
        OR (j.kind = 'registry_test' AND j.payload->>'namespace' = n.id::text AND n.state <> 'suspended') \
        OR (j.kind = 'intake' AND n.state = 'verified' AND EXISTS ( \
            SELECT FROM intakes i WHERE i.id = (j.payload->>'intake')::uuid AND i.registry_namespace_id = n.id)))";

/// Opens a namespace's credential for the worker that holds the lease of a job about it, and for nobody else.
///
/// # Errors
/// [`DbError::Stale`] when the lease is lost, the job is not about this namespace, or the namespace's state does not allow
/// it; [`DbError::Corrupt`] when the credential does not open.
pub async fn credential_for_job(
    conn: &mut Connection,
    id: RegistryNamespaceId,
    lease: Lease,
    ring: &KeyRing,
) -> DbResult<OpenedNamespace> {
    let found: Option<Openable> = diesel::sql_query(OPENABLE)
        .bind::<sql_types::Uuid, _>(id.0)
        .bind::<sql_types::Uuid, _>(lease.job.0)
        .bind::<sql_types::Integer, _>(lease.attempt)
        .get_result(conn)
        .await
        .optional()?;
    let found = found.ok_or(DbError::Stale)?;
    let namespace = get(conn, found.organization_id.into(), id).await?;
    let credential = match (found.credential_ciphertext, found.credential_nonce, found.credential_key_id) {
        (Some(ciphertext), Some(nonce), Some(key_id)) => {
            let context = SealContext {
                organization: namespace.organization,
                host: namespace.pattern.host(),
                path: namespace.pattern.path(),
            };
            let opened = ring.open(&context, &Sealed { ciphertext, nonce, key_id });
            Some(opened.map_err(|e| DbError::corrupt("credential")(Box::new(e)))?)
        }
        _ => None,
    };
    Ok(OpenedNamespace { namespace, credential })
}
