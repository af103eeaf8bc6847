//! The first start of a store: its superuser and a first organization.

use registry_db::audit::{self, Actor, Entry, Subject};
use registry_db::organizations::{self, NewOrganization, OrganizationKey};
use registry_db::users::{self, NewUser};
use registry_db::{Pool, transaction};
use registry_types::audit::AuditAction;
use registry_types::names::{Email, OrganizationSlug};
use registry_types::people::{Role, TrustTier};
use secrecy::SecretString;
use serde_json::json;

use super::passwords;
use crate::problem::Problem;

/// Whom to create. `Debug` shows no password.
#[derive(Debug, Clone)]
pub struct BootstrapSettings {
    pub superuser_email: Email,
    pub password: SecretString,
    pub organization_slug: OrganizationSlug,
    pub organization_name: String,
}

/// What the first start made, if anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrapped {
    pub created_user: bool,
    pub created_organization: bool,
}

/// Makes what is missing of the superuser and the first organization, and nothing on a later start: an existing user keeps
/// its password.
///
/// # Errors
/// When the password is too short or the database refuses.
pub async fn bootstrap(pool: &Pool, settings: BootstrapSettings) -> Result<Bootstrapped, Problem> {
    let mut conn = pool.get().await?;
    let existing = users::find(&mut conn, &settings.superuser_email).await?;
    let password_hash = match &existing {
        Some(record) => record.password_hash.clone(),
        None => passwords::hash_first(settings.password).await?,
    };
    let new_user = NewUser { email: settings.superuser_email, password_hash, is_superuser: true };
    let new_organization = NewOrganization {
        slug: settings.organization_slug,
        display_name: settings.organization_name,
        trust_tier: TrustTier::Internal,
    };
    transaction(&mut conn, async |conn| -> Result<Bootstrapped, Problem> {
        let key = OrganizationKey::Slug(new_organization.slug.clone());
        let (organization, created_organization) = match organizations::find(conn, &key).await? {
            Some(organization) => (organization, false),
            None => (organizations::create(conn, &new_organization).await?, true),
        };
        let (user, created_user) = match existing {
            Some(record) => (record.user, false),
            None => (users::create(conn, &new_user).await?, true),
        };
        if created_user || created_organization {
            organizations::set_member(conn, organization.id, user.id, Role::Admin).await?;
            for (action, subject) in [
                (AuditAction::StoreBootstrapped, Subject::User(user.id)),
                (AuditAction::OrganizationCreated, Subject::Organization(organization.id)),
                (AuditAction::MemberSet, Subject::Member(organization.id, user.id)),
            ] {
                let details = json!({ "organization": organization.slug });
                let organization = Some(organization.id);
                audit::append(conn, Entry { organization, actor: Actor::System, action, subject, details }).await?;
            }
        }
        Ok(Bootstrapped { created_user, created_organization })
    })
    .await
}
