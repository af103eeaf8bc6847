//! What others are told of: which of the audit log's entries are events, of which type, and which of their details go out.
//!
//! Every change writes its audit entry in its transaction; because an event is made of that entry and of nothing else, no
//! change can forget its event.

use serde_json::{Map, Value};

use crate::audit::AuditAction;
use crate::package::VersionState;
use crate::text_enum;

/// Stands before an event's type as it goes out.
pub const TYPE_PREFIX: &str = "company-store.";
/// Stands behind it. A field may be added under the same version; one that goes, or means something else, makes another.
pub const TYPE_VERSION: &str = ".v1";

text_enum! {
    /// What happened. Never renamed.
    pub enum EventType {
        /// An author asked for a version; its intake is queued.
        VersionSubmitted = "version.submitted",
        VersionActive = "version.active",
        VersionRejected = "version.rejected",
        /// The version waits for a person.
        VersionInReview = "version.in_review",
        /// It was active, and fails by what is known today.
        VersionQuarantined = "version.quarantined",
        /// It was judged anew, and its state stays.
        VersionRejudged = "version.rejudged",
        VersionYanked = "version.yanked",
        VersionDeprecated = "version.deprecated",
        PackageVisibilityChanged = "package.visibility_changed",
        /// The whole package with all versions was taken back.
        PackageWithdrawn = "package.withdrawn",
        /// The intake could not be carried out; one that is decided is told of as its version's new state.
        IntakeFailed = "intake.failed",
        IntakeCancelled = "intake.cancelled",
        ReviewClaimed = "review.claimed",
        ReviewApproved = "review.approved",
        ReviewRejected = "review.rejected",
        ReviewReopened = "review.reopened",
        WaiverAsked = "waiver.asked",
        WaiverApproved = "waiver.approved",
        WaiverRefused = "waiver.refused",
        WaiverWithdrawn = "waiver.withdrawn",
        /// Some days before its end.
        WaiverExpiring = "waiver.expiring",
        WaiverExpired = "waiver.expired",
        RegistryCreated = "registry.created",
        RegistryChanged = "registry.changed",
        RegistryRemoved = "registry.removed",
        RegistryApproved = "registry.approved",
        RegistrySuspended = "registry.suspended",
        /// A person refused the claim.
        RegistryRefused = "registry.refused",
        RegistryReopened = "registry.reopened",
        ManifestKeyEnrolled = "manifest_key.enrolled",
        ManifestKeyRevoked = "manifest_key.revoked",
        /// A job of continuous integration may publish the package.
        TrustedPublisherAdded = "trusted_publisher.added",
        TrustedPublisherRemoved = "trusted_publisher.removed",
        OrganizationTrustTierChanged = "organization.trust_tier_changed",
        /// Sent when somebody asks for it, to one endpoint only.
        WebhookPing = "webhook.ping",
    }
}

impl EventType {
    /// As it goes out: `company-store.version.active.v1`.
    #[must_use]
    pub fn full_name(self) -> String {
        format!("{TYPE_PREFIX}{self}{TYPE_VERSION}")
    }

    /// The fields of its data: all are always there, null where there is nothing to say.
    #[must_use]
    pub const fn fields(self) -> &'static [&'static str] {
        match self {
            Self::VersionSubmitted => &["package", "version", "intake"],
            Self::VersionActive
            | Self::VersionRejected
            | Self::VersionInReview
            | Self::VersionQuarantined
            | Self::VersionRejudged => &["package", "version", "from", "code"],
            Self::VersionYanked => &["package", "version", "reason"],
            Self::VersionDeprecated => &["package", "version", "note"],
            Self::PackageVisibilityChanged => &["package", "from", "to"],
            Self::PackageWithdrawn => &["package", "reason"],
            Self::IntakeFailed | Self::IntakeCancelled => &["package", "version", "intake", "code"],
            Self::ReviewClaimed | Self::ReviewReopened => &["package", "version"],
            Self::ReviewApproved | Self::ReviewRejected => &["package", "version", "reason"],
            Self::WaiverAsked
            | Self::WaiverApproved
            | Self::WaiverRefused
            | Self::WaiverWithdrawn
            | Self::WaiverExpiring
            | Self::WaiverExpired => &["package", "versions", "advisory", "component", "reason", "expires_at"],
            Self::RegistryCreated => &["pattern", "state"],
            Self::RegistryChanged
            | Self::RegistryRemoved
            | Self::RegistryApproved
            | Self::RegistrySuspended
            | Self::RegistryReopened => &["pattern"],
            Self::RegistryRefused => &["pattern", "reason"],
            Self::ManifestKeyEnrolled => &["fingerprint", "label"],
            Self::ManifestKeyRevoked => &["from", "reason"],
            Self::TrustedPublisherAdded | Self::TrustedPublisherRemoved => &["package", "provider", "repository"],
            Self::OrganizationTrustTierChanged => &["from", "to"],
            Self::WebhookPing => &["webhook"],
        }
    }

    /// The data that goes out, of all that is known.
    #[must_use]
    pub fn data(self, known: &Value) -> Value {
        let field = |name: &&str| ((*name).to_owned(), known.get(*name).cloned().unwrap_or(Value::Null));
        Value::Object(self.fields().iter().map(field).collect::<Map<_, _>>())
    }
}

/// What of an audit entry goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventType,
    /// An object with the fields of its type.
    pub data: Value,
}

impl Event {
    /// The event of an audit entry; `None` for what is nobody else's business: people, their logins and their keys, and the
    /// store's own affairs.
    #[must_use]
    pub fn of(action: AuditAction, details: &Value) -> Option<Self> {
        let kind = event_type(action, details)?;
        Some(Self { kind, data: kind.data(details) })
    }
}

fn event_type(action: AuditAction, details: &Value) -> Option<EventType> {
    use AuditAction as A;
    use EventType as E;
    Some(match action {
        A::VersionSubmitted => E::VersionSubmitted,
        A::VersionDecided | A::VersionRejudged | A::VersionReviewed => new_state(details),
        A::VersionYanked => E::VersionYanked,
        A::VersionDeprecated => E::VersionDeprecated,
        A::PackageVisibilityChanged => E::PackageVisibilityChanged,
        A::PackageWithdrawn => E::PackageWithdrawn,
        A::IntakeFailed => E::IntakeFailed,
        A::IntakeCancelled => E::IntakeCancelled,
        A::ReviewClaimed => E::ReviewClaimed,
        A::ReviewApproved => E::ReviewApproved,
        A::ReviewRejected => E::ReviewRejected,
        A::ReviewReopened => E::ReviewReopened,
        A::WaiverAsked => E::WaiverAsked,
        A::WaiverApproved => E::WaiverApproved,
        A::WaiverRefused => E::WaiverRefused,
        A::WaiverWithdrawn => E::WaiverWithdrawn,
        A::WaiverExpiring => E::WaiverExpiring,
        A::WaiverExpired => E::WaiverExpired,
        A::RegistryCreated => E::RegistryCreated,
        A::RegistryChanged => E::RegistryChanged,
        A::RegistryRemoved => E::RegistryRemoved,
        A::RegistryApproved => E::RegistryApproved,
        A::RegistrySuspended => E::RegistrySuspended,
        A::RegistryRefused => E::RegistryRefused,
        A::RegistryReopened => E::RegistryReopened,
        A::ManifestKeyEnrolled => E::ManifestKeyEnrolled,
        A::ManifestKeyRevoked => E::ManifestKeyRevoked,
        A::TrustedPublisherAdded => E::TrustedPublisherAdded,
        A::TrustedPublisherRemoved => E::TrustedPublisherRemoved,
        A::OrganizationTrustTierChanged => E::OrganizationTrustTierChanged,
        A::PackageCreated
        | A::VersionWithdrawn
        | A::ReviewOpened
        | A::ReviewSuperseded
        | A::PackageReopened
        | A::VexImported
        | A::RegistryChallenged
        // Each publish is told as its version; what is refused a stranger can cause as often as he likes.
        | A::PublishTokenIssued
        | A::PublishTokenRefused
        | A::PublishTokenRevoked
        | A::OrganizationCreated
        | A::MemberSet
        | A::MemberRemoved
        | A::UserCreated
        | A::UserLoggedIn
        | A::UserPasswordChanged
        | A::UserPasswordReset
        | A::UserRefreshTokenReused
        | A::SuperuserAdded
        | A::SuperuserRemoved
        | A::ApiKeyCreated
        | A::ApiKeyRevoked
        | A::CompanyImported
        | A::StoreBootstrapped
        | A::JobFailed
        | A::WebhookCreated
        | A::WebhookChanged
        | A::WebhookRemoved
        | A::WebhookSecretRotated
        | A::WebhookDisabled
        | A::PolicyChanged => return None,
    })
}

/// A verdict tells by the state that it leads `to`; one that leaves the state as it was is told of as a judgement.
fn new_state(details: &Value) -> EventType {
    let state = |name: &str| details.get(name).and_then(Value::as_str).and_then(|word| word.parse().ok());
    let (from, to): (Option<VersionState>, Option<VersionState>) = (state("from"), state("to"));
    match to {
        _ if from == to => EventType::VersionRejudged,
        Some(VersionState::Active) => EventType::VersionActive,
        Some(VersionState::Rejected) => EventType::VersionRejected,
        Some(VersionState::InReview) => EventType::VersionInReview,
        Some(VersionState::Quarantined) => EventType::VersionQuarantined,
        Some(VersionState::Yanked) => EventType::VersionYanked,
        // No verdict leads there; that there is a new one is told all the same.
        Some(VersionState::Pending) | None => EventType::VersionRejudged,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verdict_tells_by_the_state_that_it_leads_to() {
        let kind = |from: &str, to: &str| {
            let details = json!({"package": "acme/ranker", "version": "1.0.0", "from": from, "to": to, "code": null});
            Event::of(AuditAction::VersionRejudged, &details).unwrap().kind
        };
        assert_eq!(kind("pending", "active"), EventType::VersionActive);
        assert_eq!(kind("active", "quarantined"), EventType::VersionQuarantined);
        assert_eq!(kind("active", "active"), EventType::VersionRejudged);
        assert_eq!(kind("in_review", "rejected"), EventType::VersionRejected);
        assert_eq!(kind("pending", "in_review"), EventType::VersionInReview);
    }

    #[test]
    fn only_the_fields_of_the_type_go_out_and_all_of_them() {
        let details = json!({"pattern": "ghcr.io/acme/*", "state": "verified", "signature_policy": {"mode": "none"}});
        let event = Event::of(AuditAction::RegistryCreated, &details).unwrap();
        assert_eq!(event.data, json!({"pattern": "ghcr.io/acme/*", "state": "verified"}));
        let bare = Event::of(AuditAction::RegistryCreated, &json!({})).unwrap();
        assert_eq!(bare.data, json!({"pattern": null, "state": null}));
    }

    #[test]
    fn people_and_their_credentials_are_no_events() {
        for action in [AuditAction::UserCreated, AuditAction::ApiKeyCreated, AuditAction::MemberSet] {
            assert_eq!(Event::of(action, &json!({"role": "admin"})), None, "{action}");
        }
    }
}
