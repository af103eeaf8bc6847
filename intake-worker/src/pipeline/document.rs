//! Packages without an image: what there is to judge is the document itself.

use package_formats::parse_submitted;
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::context::{Case, Run};

pub(super) fn judge(run: &Run<'_>, case: &mut Case) {
    case.checks = CheckName::ALL.iter().map(|name| check(run, *name)).collect();
}

fn check(run: &Run<'_>, name: CheckName) -> CheckResult {
    match name {
        CheckName::PackageManifest => document(run),
        CheckName::Image
        | CheckName::Signature
        | CheckName::Archive
        | CheckName::Vulnerabilities
        | CheckName::Secrets
        | CheckName::Ui
        | CheckName::Permissions => {
            CheckResult::not_applicable(name, json!({ "why": "the package has no image and nothing that runs" }))
        }
    }
}

/// The submitted document was judged when it was accepted; the rules may have become stricter since.
fn document(run: &Run<'_>) -> CheckResult {
    let evidence = json!({ "format": run.work.format });
    match parse_submitted(run.work.format, &run.work.package_manifest) {
        Ok(_) => CheckResult::pass(CheckName::PackageManifest, evidence),
        Err(errors) => {
            let reason = |error: &registry_types::pointer::PointerError| {
                let message = format!("{}: {}", error.pointer, error.message);
                let rule = format!("package_manifest/{}", error.code);
                Reason::new(RejectionCode::PackageManifestInvalid, rule, message)
            };
            let reasons = errors.iter().map(reason).collect();
            CheckResult::with_reasons(CheckName::PackageManifest, Outcome::Fail, reasons, evidence)
        }
    }
}
