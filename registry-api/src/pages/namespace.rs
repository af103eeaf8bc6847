//! The page of one registry namespace: how its proof stands, who held it, and what is decided about it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, post, web};
use askama::Template;
use registry_db::users::Identity;
use registry_db::{namespace_proofs, registries};
use registry_types::ids::RegistryNamespaceId;
use registry_types::namespace_pattern::NamespaceState;
use serde::Deserialize;
use uuid::Uuid;

use super::error::sentence;
use super::frame::{Frame, Section, log_in_first, render, see_other};
use super::organization::named;
use super::registries::NamespaceView;
use super::text;
use crate::paging::PageQuery;
use crate::problem::Problem;
use crate::registries::decide::{approve_as, suspend_as, test_as};
use crate::registries::proof::{ChallengeItem, HoldingItem, challenge_as, history_page, prove_as};
use crate::registries::refuse::{refuse_as, reopen_as};
use crate::request::RequestId;
use crate::rights::{Authenticated, MaybeAuthenticated, MemberOrganization, Operation};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "namespace.html")]
struct NamespacePage {
    frame: Frame,
    organization: MemberOrganization,
    id: Uuid,
    namespace: NamespaceView,
    may: Rights,
    /// `None`: nobody asked for one, or it is not for the caller.
    challenge: Option<ChallengeView>,
    history: Vec<HoldingView>,
    next: Option<String>,
}

/// Which buttons are there.
struct Rights {
    sees_challenge: bool,
    challenge: bool,
    prove: bool,
    test: bool,
    approve: bool,
    suspend: bool,
    refuse: bool,
    reopen: bool,
}

impl Rights {
    fn new(identity: &Identity, organization: &MemberOrganization, state: NamespaceState) -> Self {
        let may = |operation: Operation| operation.demand(identity, organization).is_ok();
        let is_open = matches!(state, NamespaceState::Pending | NamespaceState::Verified);
        Self {
            sees_challenge: may(Operation::GetRegistryChallenge),
            challenge: may(Operation::ChallengeRegistry),
            prove: may(Operation::ProveRegistry),
            test: is_open && may(Operation::TestRegistry),
            approve: state != NamespaceState::Verified && may(Operation::ApproveRegistry),
            suspend: state == NamespaceState::Verified && may(Operation::SuspendRegistry),
            refuse: state == NamespaceState::Pending && may(Operation::RefuseRegistry),
            reopen: state == NamespaceState::Refused && may(Operation::ReopenRegistry),
        }
    }
}

struct ChallengeView {
    reference: String,
    annotation: &'static str,
    nonce: String,
    proven: Option<String>,
    misses: i32,
    last_result: Option<String>,
}

impl From<ChallengeItem> for ChallengeView {
    fn from(challenge: ChallengeItem) -> Self {
        Self {
            reference: challenge.reference,
            annotation: challenge.annotation,
            nonce: challenge.nonce,
            proven: challenge.proven_at.map(text::time),
            misses: challenge.misses,
            last_result: challenge.last_result.as_deref().map(sentence),
        }
    }
}

struct HoldingView {
    at: String,
    state: &'static str,
    how: String,
    actor: String,
    evidence: Option<String>,
    reason: Option<String>,
}

impl From<HoldingItem> for HoldingView {
    fn from(holding: HoldingItem) -> Self {
        Self {
            at: text::time(holding.at),
            state: holding.state,
            how: text::words(holding.how),
            actor: holding.actor,
            evidence: holding.evidence,
            reason: holding.reason,
        }
    }
}

#[get("/registries/{org}/{id}")]
pub(super) async fn namespace_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    path: web::Path<(String, Uuid)>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let Some(identity) = identity else { return Ok(log_in_first("/registries")) };
    let (org, id) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    for operation in [Operation::GetRegistry, Operation::ListRegistryHistory] {
        operation.demand(&identity, &organization)?;
    }
    let key = RegistryNamespaceId(id);
    let mut conn = state.pool.get().await?;
    let namespace = registries::get(&mut conn, organization.id, key).await?;
    let may = Rights::new(&identity, &organization, namespace.state);
    let proof = namespace_proofs::get(&mut conn, key).await?.filter(|_| may.sees_challenge);
    // Whoever waits for a second connection must not hold the first.
    drop(conn);
    let history = history_page(&state, organization.id, key, &page).await?;
    let place = format!("/registries/{}/{id}", organization.slug);
    let page = NamespacePage {
        frame: Frame::new(&state, Some(&identity), Section::Registries),
        organization,
        id,
        may,
        challenge: proof.map(|proof| ChallengeItem::of(&namespace, proof).into()),
        namespace: namespace.into(),
        next: history.next_cursor.map(|cursor| format!("{place}?cursor={cursor}")),
        history: history.items.into_iter().map(HoldingView::from).collect(),
    };
    Ok(render(StatusCode::OK, &page))
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Button {
    Challenge,
    Prove,
    Test,
    Approve,
    Suspend,
    Refuse,
    Reopen,
}

#[derive(Deserialize)]
struct NamespaceForm {
    choice: Button,
    /// Of a refusal.
    #[serde(default)]
    reason: String,
}

#[post("/registries/{org}/{id}")]
pub(super) async fn decide(
    state: web::Data<AppState>,
    Authenticated(identity): Authenticated,
    request_id: web::ReqData<RequestId>,
    path: web::Path<(String, Uuid)>,
    form: web::Form<NamespaceForm>,
) -> Result<HttpResponse, Problem> {
    let (org, id) = path.into_inner();
    let organization = named(&state, &identity, &org).await?;
    let (key, request_id) = (RegistryNamespaceId(id), request_id.into_inner());
    let NamespaceForm { choice, reason } = form.into_inner();
    match choice {
        Button::Challenge => drop(challenge_as(&state, &identity, &organization, key).await?),
        Button::Prove => prove_as(&state, &identity, &organization, request_id, key).await?,
        Button::Test => drop(test_as(&state, &identity, &organization, request_id, key).await?),
        Button::Approve => drop(approve_as(&state, &identity, &organization, key).await?),
        Button::Suspend => drop(suspend_as(&state, &identity, &organization, key).await?),
        Button::Refuse => drop(refuse_as(&state, &identity, &organization, key, &reason).await?),
        Button::Reopen => drop(reopen_as(&state, &identity, &organization, key).await?),
    }
    Ok(see_other(&format!("/registries/{}/{id}", organization.slug)))
}
