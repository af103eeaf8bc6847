//! Who manages webhooks: an organization's administrators its own, the platform's people the store's.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use registry_db::audit::{Entry, Subject};
use registry_db::users::Identity;
use registry_db::webhooks::{Owner, Webhook};
use registry_types::audit::AuditAction;
use registry_types::ids::WebhookId;
use registry_types::people::TrustTier;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::problem::{Problem, ProblemCode};
use crate::rights::{Authenticated, Member, MemberOrganization, Operation};

/// Of the organization that the path names, or of the store where it names none.
pub(crate) struct Manager {
    pub(super) identity: Identity,
    pub(super) owner: Owner,
    /// It chooses the quota.
    pub(super) tier: TrustTier,
}

impl FromRequest for Manager {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if request.match_info().get("org").is_some() {
            let member = Member::from_request(request, payload);
            return Box::pin(async move {
                let Member { identity, organization } = member.await?;
                let (owner, tier) = (Owner::Organization(organization.id), organization.trust_tier);
                Ok(Self { identity, owner, tier })
            });
        }
        let superuser = Authenticated::from_request(request, payload);
        Box::pin(
            async move { Ok(Self { identity: superuser.await?.0, owner: Owner::Store, tier: TrustTier::Internal }) },
        )
    }
}

impl Manager {
    /// Of an organization, if the caller may carry out `operation` there.
    ///
    /// # Errors
    /// 403 when not.
    pub(crate) fn of(
        identity: &Identity,
        organization: &MemberOrganization,
        operation: Operation,
    ) -> Result<Self, Problem> {
        operation.demand(identity, organization)?;
        let (owner, tier) = (Owner::Organization(organization.id), organization.trust_tier);
        Ok(Self { identity: identity.clone(), owner, tier })
    }

    /// Where its webhooks lie.
    pub(super) fn base(&self) -> String {
        match self.owner {
            Owner::Organization(id) => format!("/v1/orgs/{id}/webhooks"),
            Owner::Store => "/v1/webhooks".to_owned(),
        }
    }

    pub(super) fn entry(&self, action: AuditAction, webhook: WebhookId, details: Value) -> Entry {
        Entry {
            organization: self.owner.organization(),
            actor: self.identity.actor(),
            action,
            subject: Subject::Webhook(webhook),
            details,
        }
    }
}

/// A webhook in a path.
#[derive(Deserialize)]
pub(crate) struct WebhookPath {
    id: Uuid,
}

impl WebhookPath {
    pub(crate) const fn of(webhook: WebhookId) -> Self {
        Self { id: webhook.0 }
    }

    pub(crate) fn id(&self) -> WebhookId {
        self.id.into()
    }
}

/// A delivery in a path.
#[derive(Deserialize)]
pub(crate) struct DeliveryPath {
    pub(crate) id: Uuid,
    pub(super) delivery: Uuid,
}

/// Nothing is sent to a webhook that is disabled.
pub(super) fn demand_enabled(webhook: &Webhook) -> Result<(), Problem> {
    match webhook.disabled {
        None => Ok(()),
        Some(_) => Err(Problem::new(ProblemCode::Conflict, "the webhook is disabled; enable it first")),
    }
}
