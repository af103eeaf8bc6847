//! Part of step 8: what the module asks for against what the policy allows.

use package_formats::{DatabaseRight, Descriptor, NetworkAccess};
use registry_types::intake::{CheckName, CheckResult, Outcome, Reason};
use registry_types::policy::PermissionPolicy;
use registry_types::rejection_code::RejectionCode;
use serde_json::json;

use super::check::{Observation, combined};
use super::context::{Case, Run};

pub(super) fn check(run: &Run<'_>, case: &mut Case, descriptor: Option<&Descriptor>) {
    let result = match descriptor {
        None => {
            let message = "the package manifest cannot be read, so nothing says what the module asks for";
            let reason = Reason::new(RejectionCode::PackageManifestInvalid, "permissions", message);
            CheckResult::with_reasons(CheckName::Permissions, Outcome::Unknown, vec![reason], json!({}))
        }
        Some(descriptor) => {
            let refused = refusals(descriptor, &run.policy.permissions);
            let evidence = json!({ "declared": descriptor.permissions });
            let observations = vec![Observation::new(Outcome::Fail, refused)];
            combined(CheckName::Permissions, run.policy.requirements.permissions, observations, evidence)
        }
    };
    case.checks.push(result);
}

fn refusals(descriptor: &Descriptor, policy: &PermissionPolicy) -> Vec<Reason> {
    let mut refused = Vec::new();
    match &descriptor.permissions.network {
        NetworkAccess::None => {}
        NetworkAccess::Any if policy.allow_any_network => {}
        NetworkAccess::Any => {
            let message = "the module asks for the whole network, which the policy does not allow";
            let reason = Reason::new(RejectionCode::NetworkNotAllowed, "permissions.allow_any_network=false", message);
            refused.push(reason.fixed_by("name the hosts that the module needs"));
        }
        NetworkAccess::Hosts(hosts) => {
            refused.extend(hosts.iter().filter(|host| !is_allowed(host, policy)).map(|host| host_refused(host)));
        }
    }
    if descriptor.permissions.database.contains(&DatabaseRight::Delete) && !policy.allow_database_delete {
        let message = "the module asks for the right to delete in the database, which the policy does not allow";
        let rule = "permissions.allow_database_delete=false";
        let reason = Reason::new(RejectionCode::PermissionNotAllowed, rule, message);
        refused.push(reason.fixed_by("remove `delete` from the database permissions"));
    }
    refused
}

fn host_refused(host: &str) -> Reason {
    let message = format!("the module asks for the host {host}, which is not on the network allow-list");
    Reason::new(RejectionCode::NetworkNotAllowed, "permissions.network_allow", message)
        .fixed_by("do without the host, or have it put on the allow-list")
}

/// A declared wildcard must lie inside an allowed one.
fn is_allowed(host: &str, policy: &PermissionPolicy) -> bool {
    let Some(allowed) = &policy.network_allow else { return true };
    let plain = host.strip_prefix("*.").unwrap_or(host);
    allowed.iter().any(|rule| {
        rule.eq_ignore_ascii_case(host)
            || rule.strip_prefix("*.").is_some_and(|parent| is_below(plain, &parent.to_ascii_lowercase()))
    })
}

fn is_below(host: &str, parent: &str) -> bool {
    host.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_by_whole_labels() {
        let policy = |allowed: &[&str]| PermissionPolicy {
            network_allow: Some(allowed.iter().map(|host| (*host).to_owned()).collect()),
            ..PermissionPolicy::default()
        };
        let listed = policy(&["api.example.org", "*.Internal.example.com"]);
        for host in ["api.example.org", "a.internal.example.com", "*.b.internal.example.com", "*.internal.example.com"]
        {
            assert!(is_allowed(host, &listed), "{host}");
        }
        for host in
            ["example.org", "x.api.example.org", "internal.example.com", "evilinternal.example.com", "*.example.com"]
        {
            assert!(!is_allowed(host, &listed), "{host}");
        }
        assert!(is_allowed("anything.test", &PermissionPolicy::default()));
        assert!(!is_allowed("anything.test", &policy(&[])));
    }
}
