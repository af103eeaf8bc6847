//! Typed ids: an id of one thing cannot be passed for an id of another.

macro_rules! typed_id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);
        impl $name {
            /// A new id; time-ordered (UUID v7), so that indexes grow at one end.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would be a different one each time")]
            pub fn new() -> Self { Self(uuid::Uuid::now_v7()) }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(value: &str) -> Result<Self, Self::Err> { uuid::Uuid::parse_str(value).map(Self) }
        }
        impl From<uuid::Uuid> for $name { fn from(value: uuid::Uuid) -> Self { Self(value) } }
        impl From<$name> for uuid::Uuid { fn from(value: $name) -> Self { value.0 } }
    )+};
}

typed_id! {
    OrganizationId, UserId, SessionId, ApiKeyId, ManifestKeyId, RegistryNamespaceId, PackageId, VersionId, IntakeId, JobId, VerdictId,
    WaiverId, ReviewId, TrustedPublisherId, PublishTokenId, CompanyId, AgentId, GoalId, ProjectId, IssueId, EventId, WebhookId,
    DeliveryId,
}
