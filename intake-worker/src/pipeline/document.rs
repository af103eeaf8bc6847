//! Packages without an image: what there is to judge is the document itself.

use package_formats::parse_submitted;
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::package::{PackageFormat, PackageKind};
use registry_types::rejection_code::RejectionCode;
use serde_json::{Value, json};

use super::context::{Case, Run};

pub(super) fn judge(run: &Run<'_>, case: &mut Case) {
    case.checks = checks(run.work.format, &run.work.package_manifest);
}

fn checks(format: PackageFormat, manifest: &Value) -> Vec<CheckResult> {
    match format.kind() {
        PackageKind::Template => CheckName::ALL.iter().map(|name| check(format, manifest, *name)).collect(),
        // No interface accepts one; should one get here all the same, nothing of it was looked at.
        PackageKind::Module => vec![no_image(format)],
    }
}

fn no_image(format: PackageFormat) -> CheckResult {
    let reason = Reason::new(
        RejectionCode::ImageNotFound,
        "image.required",
        format!("a package of the format {format} needs an image"),
    );
    let reason = reason.fixed_by("publish it with an image reference");
    CheckResult::with_reasons(CheckName::Image, Outcome::Fail, vec![reason], json!({ "format": format }))
}

fn check(format: PackageFormat, manifest: &Value, name: CheckName) -> CheckResult {
    match name {
        CheckName::PackageManifest => document(format, manifest),
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
fn document(format: PackageFormat, manifest: &Value) -> CheckResult {
    let evidence = json!({ "format": format });
    match parse_submitted(format, manifest) {
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

#[cfg(test)]
mod tests {
    use registry_types::policy::Policy;
    use registry_types::verdict::{Decision, decide};

    use super::*;

    fn verdict(format: PackageFormat, manifest: &Value) -> Decision {
        decide(&checks(format, manifest), &Policy::default())
    }

    fn template() -> Value {
        json!({"id": "tiny", "name": "Tiny", "version": "1.0.0", "agents": [], "goals": [], "projects": [], "issues": []})
    }

    #[test]
    fn a_good_template_becomes_active_and_a_broken_one_is_refused() {
        let format = PackageFormat::CompanyTemplate;
        assert_eq!(verdict(format, &template()), Decision::Active { warnings: Vec::new() });
        let mut broken = template();
        broken["agents"] = json!([{"ref": "a", "name": "A", "role": "janitor"}]);
        let Decision::Rejected { code, reasons, .. } = verdict(format, &broken) else { panic!("accepted") };
        assert_eq!(code, RejectionCode::PackageManifestInvalid);
        assert!(reasons[0].message.starts_with("/agents/0/role"));
    }

    #[test]
    fn what_needs_an_image_never_passes_without_one() {
        let manifest = json!({"name": "abc", "version": "1.0.0", "type": "no-ui", "execution": {"entrypoint": "a:B"}});
        for format in PackageFormat::ALL.iter().filter(|format| format.kind() == PackageKind::Module) {
            let Decision::Rejected { code, .. } = verdict(*format, &manifest) else { panic!("{format} accepted") };
            assert_eq!(code, RejectionCode::ImageNotFound);
        }
        // Not readable yet, and therefore not publishable.
        assert!(matches!(verdict(PackageFormat::Agentcompanies, &template()), Decision::Rejected { .. }));
    }
}
