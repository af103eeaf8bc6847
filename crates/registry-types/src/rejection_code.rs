//! Stable codes: why a publish was refused or an intake failed. Never renamed, never reused.

use crate::text_enum;

text_enum! {
    /// Codes that an intake can end with, beside `active`.
    pub enum RejectionCode {
        ImageNotFound = "IMAGE_NOT_FOUND",
        RegistryAccessDenied = "REGISTRY_ACCESS_DENIED",
        RegistryHostForbidden = "REGISTRY_HOST_FORBIDDEN",
        ImageManifestInvalid = "IMAGE_MANIFEST_INVALID",
        ImageLimitExceeded = "IMAGE_LIMIT_EXCEEDED",
        ForeignLayer = "FOREIGN_LAYER",
        DigestMismatch = "DIGEST_MISMATCH",
        SignatureRequired = "SIGNATURE_REQUIRED",
        SignatureInvalid = "SIGNATURE_INVALID",
        SignatureIdentityMismatch = "SIGNATURE_IDENTITY_MISMATCH",
        ArchiveAmbiguous = "ARCHIVE_AMBIGUOUS",
        ArchiveInvalid = "ARCHIVE_INVALID",
        ArchiveLimitExceeded = "ARCHIVE_LIMIT_EXCEEDED",
        SecurityScanFailed = "SECURITY_SCAN_FAILED",
        SecurityScanIncomplete = "SECURITY_SCAN_INCOMPLETE",
        PackageManifestMissing = "PACKAGE_MANIFEST_MISSING",
        PackageManifestMismatch = "PACKAGE_MANIFEST_MISMATCH",
        PackageManifestInvalid = "PACKAGE_MANIFEST_INVALID",
        EntrypointMissing = "ENTRYPOINT_MISSING",
        UiBundleMissing = "UI_BUNDLE_MISSING",
        UiBundleInvalid = "UI_BUNDLE_INVALID",
        SecretDetected = "SECRET_DETECTED",
        NetworkNotAllowed = "NETWORK_NOT_ALLOWED",
        PermissionNotAllowed = "PERMISSION_NOT_ALLOWED",
        ReviewRequired = "REVIEW_REQUIRED",
        ReviewRejected = "REVIEW_REJECTED",
        PolicyRejected = "POLICY_REJECTED",
        NamespaceNotVerified = "NAMESPACE_NOT_VERIFIED",
        IntakeFailed = "INTAKE_FAILED",
        IntakeCancelled = "INTAKE_CANCELLED",
    }
}
