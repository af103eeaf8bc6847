//! What a rule of the table says, and how it is applied.

use registry_db::users::{Credential, Identity};
use registry_types::people::{Role, TrustTier};

use super::credential::only_publishes;
use super::{MemberOrganization, Operation};
use crate::problem::Problem;

/// Who may carry an operation out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, logged in or not. What is shown of packages is bounded by their visibility.
    Public,
    /// Anybody with a login: it is about the caller's own.
    Own,
    /// Nobody; refused with a code that makes clients stop, to whoever is logged in.
    Unsupported,
    /// Members of the organization that it is about, with at least this role there. A superuser counts as its administrator.
    Member(Role),
    /// Whoever decides about an organization's waivers and reviews: the platform's people, and in an organization that is the
    /// platform's own its administrators.
    Decider,
    /// The platform's own people.
    Superuser,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub access: Access,
    /// An API key will not do: what a stolen one did here would outlive its revocation, or persons answer for it.
    pub is_personal: bool,
    /// A trusted publisher's job may, with its publish token; the handler sees to it that it is about the token's package.
    pub is_for_jobs: bool,
}

impl Rule {
    const fn of(access: Access) -> Self {
        Self { access, is_personal: false, is_for_jobs: false }
    }

    pub(super) const PUBLIC: Self = Self::of(Access::Public);
    pub(super) const OWN: Self = Self::of(Access::Own);
    pub(super) const UNSUPPORTED: Self = Self::of(Access::Unsupported);
    pub(super) const VIEWER: Self = Self::of(Access::Member(Role::Viewer));
    pub(super) const DEVELOPER: Self = Self::of(Access::Member(Role::Developer));
    pub(super) const ADMIN: Self = Self::of(Access::Member(Role::Admin));
    /// An API key is never a superuser.
    pub(super) const SUPERUSER: Self = Self::of(Access::Superuser).personal();
    pub(super) const DECIDER: Self = Self::of(Access::Decider).personal();

    pub(super) const fn personal(self) -> Self {
        Self { is_personal: true, ..self }
    }

    pub(super) const fn jobs(self) -> Self {
        Self { is_for_jobs: true, ..self }
    }

    /// What can be told before it is known which organization it is about.
    pub(super) fn demand_caller(self, identity: &Identity) -> Result<(), Problem> {
        if self.access == Access::Superuser && !identity.is_superuser {
            return Err(Problem::forbidden("only the platform's superusers may do this"));
        }
        match identity.credential {
            Credential::ApiKey(_) if self.is_personal => Err(Problem::forbidden("an API key may not do this; log in")),
            Credential::PublishToken(_) if !self.is_for_jobs => Err(only_publishes()),
            Credential::ApiKey(_) | Credential::Session(_) | Credential::PublishToken(_) => Ok(()),
        }
    }
}

impl Operation {
    /// Whether the caller may carry this operation out in the organization, to which it belongs or over which it stands.
    ///
    /// # Errors
    /// 403 when not.
    pub(crate) fn demand(self, identity: &Identity, organization: &MemberOrganization) -> Result<(), Problem> {
        let rule = self.rule();
        rule.demand_caller(identity)?;
        match rule.access {
            Access::Public | Access::Own | Access::Unsupported => Ok(()),
            Access::Member(role) => demand_role(organization, role),
            Access::Decider => match organization.trust_tier {
                TrustTier::Internal => demand_role(organization, Role::Admin),
                TrustTier::Community | TrustTier::Verified => demand_superuser(identity),
            },
            Access::Superuser => demand_superuser(identity),
        }
    }
}

fn demand_role(organization: &MemberOrganization, role: Role) -> Result<(), Problem> {
    if organization.role >= role {
        Ok(())
    } else {
        Err(Problem::forbidden(format!("this needs the role {role} in {}", organization.slug)))
    }
}

fn demand_superuser(identity: &Identity) -> Result<(), Problem> {
    if identity.is_superuser {
        Ok(())
    } else {
        Err(Problem::forbidden("only the platform's superusers decide this for the organization"))
    }
}
