//! The table of rights.

use super::rule::Rule;

macro_rules! operations {
    ($($variant:ident $id:ident => $rule:ident $(.$more:ident())?;)+) => {
        /// An operation of the API, by its `operationId`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Operation {
            $($variant,)+
        }

        impl Operation {
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As the API's description names it.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($id),)+
                }
            }

            #[must_use]
            pub const fn rule(self) -> Rule {
                match self {
                    $(Self::$variant => Rule::$rule $(.$more())?,)+
                }
            }
        }
    };
}

impl Operation {
    /// The operation of this `operationId`.
    #[must_use]
    pub fn named(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.id() == id)
    }
}

// Who may carry out what: see `Access` for the words. `personal()`: not with an API key; `jobs()`:
// also with a trusted publisher's publish token.
operations! {
    // templates
    ExportTemplate exportTemplate => VIEWER;
    ImportTemplate importTemplate => DEVELOPER;
    PublishTemplate publishTemplate => DEVELOPER;
    // index
    GetIndex getIndex => PUBLIC;
    // operations
    Live live => PUBLIC;
    Metrics metrics => PUBLIC;
    Openapi openapi => PUBLIC;
    Ready ready => PUBLIC;
    // auth
    MeByApiKey meByApiKey => OWN;
    Login login => PUBLIC;
    Logout logout => PUBLIC;
    Me me => OWN;
    ChangePassword changePassword => OWN.personal();
    RefreshTokens refreshTokens => PUBLIC;
    // modules
    ListModuleRunsByApiKey listModuleRunsByApiKey => UNSUPPORTED;
    RunModuleByApiKey runModuleByApiKey => UNSUPPORTED;
    ListModulesByApiKey listModulesByApiKey => OWN;
    PublishModuleByApiKey publishModuleByApiKey => DEVELOPER.jobs();
    UploadSourceByApiKey uploadSourceByApiKey => UNSUPPORTED;
    GetPublishStatusByApiKey getPublishStatusByApiKey => VIEWER.jobs();
    DeleteModuleByApiKey deleteModuleByApiKey => ADMIN;
    GetModuleByApiKey getModuleByApiKey => VIEWER;
    SuspendVersionByApiKey suspendVersionByApiKey => DEVELOPER;
    ListModuleRuns listModuleRuns => UNSUPPORTED;
    RunModule runModule => UNSUPPORTED;
    ListModules listModules => OWN;
    PublishModule publishModule => DEVELOPER.jobs();
    GetPublishConfig getPublishConfig => OWN;
    UploadSource uploadSource => UNSUPPORTED;
    GetPublishStatus getPublishStatus => VIEWER.jobs();
    DeleteModule deleteModule => ADMIN;
    GetModule getModule => VIEWER;
    SuspendVersion suspendVersion => DEVELOPER;
    // audit
    ListAudit listAudit => ADMIN;
    ListAuditCheckpoints listAuditCheckpoints => SUPERUSER;
    ExportAudit exportAudit => ADMIN;
    // companies
    GetCompany getCompany => VIEWER;
    ListCompanyActivity listCompanyActivity => VIEWER;
    ListCompanyIssues listCompanyIssues => VIEWER;
    ListCompanies listCompanies => VIEWER;
    // intakes
    GetIntake getIntake => VIEWER.jobs();
    CancelIntake cancelIntake => DEVELOPER;
    FollowIntake followIntake => VIEWER.jobs();
    ListIntakes listIntakes => VIEWER;
    // organizations
    ListOrganizations listOrganizations => OWN;
    CreateOrganization createOrganization => SUPERUSER;
    GetOrganization getOrganization => VIEWER;
    ChangeOrganization changeOrganization => SUPERUSER;
    ListApiKeys listApiKeys => ADMIN;
    CreateApiKey createApiKey => VIEWER.personal();
    RevokeApiKey revokeApiKey => VIEWER;
    ListManifestKeys listManifestKeys => VIEWER;
    EnrolManifestKey enrolManifestKey => ADMIN.personal();
    GetManifestKey getManifestKey => VIEWER;
    RevokeManifestKey revokeManifestKey => ADMIN;
    ListMembers listMembers => VIEWER;
    SetMember setMember => ADMIN.personal();
    RemoveMember removeMember => ADMIN;
    CreateUser createUser => ADMIN.personal();
    ResetPassword resetPassword => ADMIN.personal();
    // registries
    ListRegistries listRegistries => VIEWER;
    CreateRegistry createRegistry => ADMIN;
    RemoveRegistry removeRegistry => ADMIN;
    GetRegistry getRegistry => VIEWER;
    ChangeRegistry changeRegistry => ADMIN;
    ApproveRegistry approveRegistry => SUPERUSER;
    SuspendRegistry suspendRegistry => SUPERUSER;
    RefuseRegistry refuseRegistry => SUPERUSER;
    ReopenRegistry reopenRegistry => ADMIN;
    TestRegistry testRegistry => ADMIN;
    ChallengeRegistry challengeRegistry => ADMIN;
    GetRegistryChallenge getRegistryChallenge => ADMIN;
    ProveRegistry proveRegistry => ADMIN;
    ListRegistryHistory listRegistryHistory => VIEWER;
    // superusers
    ListSuperusers listSuperusers => SUPERUSER;
    AddSuperuser addSuperuser => SUPERUSER.personal();
    RemoveSuperuser removeSuperuser => SUPERUSER.personal();
    // trusted publishing
    GetOidcAudience getOidcAudience => PUBLIC;
    ExchangeIdentityToken exchangeIdentityToken => PUBLIC;
    ListTrustedPublishers listTrustedPublishers => ADMIN;
    AddTrustedPublisher addTrustedPublisher => ADMIN.personal();
    RemoveTrustedPublisher removeTrustedPublisher => ADMIN.personal();
    ListPublishTokens listPublishTokens => ADMIN;
    RevokePublishToken revokePublishToken => ADMIN;
    // waivers
    ExportVex exportVex => VIEWER;
    ImportVex importVex => DEVELOPER;
    ListWaivers listWaivers => VIEWER;
    AskWaiver askWaiver => DEVELOPER;
    GetWaiver getWaiver => VIEWER;
    ApproveWaiver approveWaiver => DECIDER;
    RefuseWaiver refuseWaiver => DECIDER;
    WithdrawWaiver withdrawWaiver => DEVELOPER;
    // events
    ListEvents listEvents => ADMIN;
    // webhooks
    CreateWebhook createWebhook => ADMIN.personal();
    ListWebhooks listWebhooks => ADMIN;
    GetWebhook getWebhook => ADMIN;
    ChangeWebhook changeWebhook => ADMIN.personal();
    RemoveWebhook removeWebhook => ADMIN;
    RotateWebhookSecret rotateWebhookSecret => ADMIN.personal();
    TestWebhook testWebhook => ADMIN;
    ListDeliveries listDeliveries => ADMIN;
    GetDelivery getDelivery => ADMIN;
    ReplayDelivery replayDelivery => ADMIN;
    ReplayFailedDeliveries replayFailedDeliveries => ADMIN;
    CreateWebhookOfStore createWebhookOfStore => SUPERUSER;
    ListWebhooksOfStore listWebhooksOfStore => SUPERUSER;
    GetWebhookOfStore getWebhookOfStore => SUPERUSER;
    ChangeWebhookOfStore changeWebhookOfStore => SUPERUSER;
    RemoveWebhookOfStore removeWebhookOfStore => SUPERUSER;
    RotateWebhookSecretOfStore rotateWebhookSecretOfStore => SUPERUSER;
    TestWebhookOfStore testWebhookOfStore => SUPERUSER;
    ListDeliveriesOfStore listDeliveriesOfStore => SUPERUSER;
    GetDeliveryOfStore getDeliveryOfStore => SUPERUSER;
    ReplayDeliveryOfStore replayDeliveryOfStore => SUPERUSER;
    ReplayFailedDeliveriesOfStore replayFailedDeliveriesOfStore => SUPERUSER;
    // policy
    GetPolicy getPolicy => SUPERUSER;
    SetPolicy setPolicy => SUPERUSER;
    // packages
    ListPackages listPackages => PUBLIC;
    GetPackage getPackage => PUBLIC;
    ListVersions listVersions => PUBLIC;
    GetVersion getVersion => PUBLIC;
    ListComponents listComponents => PUBLIC;
    WithdrawDeprecation withdrawDeprecation => DEVELOPER;
    DeprecateVersion deprecateVersion => DEVELOPER;
    ListFindings listFindings => PUBLIC;
    GetPackageManifest getPackageManifest => PUBLIC;
    GetSbom getSbom => PUBLIC;
    GetSignatures getSignatures => PUBLIC;
    GetVerdict getVerdict => PUBLIC;
    YankVersion yankVersion => DEVELOPER;
    ListVerdictKeys listVerdictKeys => PUBLIC;
    // reviews
    ListReviews listReviews => OWN;
    GetReview getReview => VIEWER;
    ApproveReview approveReview => DECIDER;
    ClaimReview claimReview => DECIDER;
    RejectReview rejectReview => DECIDER;
    // pull
    PingRegistry pingRegistry => PUBLIC;
    GetBlob getBlob => PUBLIC;
    GetManifest getManifest => PUBLIC;
    ListReferrers listReferrers => PUBLIC;
    ListTags listTags => PUBLIC;
}
