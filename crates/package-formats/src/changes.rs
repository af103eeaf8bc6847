//! What a version asks for that another one did not: pure.
//!
//! What cannot be told not to be more counts as more.

use std::collections::BTreeSet;
use std::fmt::Display;

use registry_types::review::{Change, ChangeKind};

use crate::demands::Demands;
use crate::{DatabaseRight, NetworkAccess};

/// What a version could do once it is active, and whose word there is for it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Capabilities {
    pub demands: Demands,
    /// Who signed, where that was verified: an identity without its ref, or the fingerprint of a key.
    pub signers: BTreeSet<String>,
    /// Findings of at least HIGH that are waived: advisory and component.
    pub waived: BTreeSet<String>,
}

/// All that differs between the last active version and the next one.
#[must_use]
pub fn changes(before: &Capabilities, after: &Capabilities) -> Vec<Change> {
    let (was, is) = (&before.demands.permissions, &after.demands.permissions);
    let mut changes = network(&was.network, &is.network);
    changes.extend(set(ChangeKind::Permission, "database: ", &rights(&was.database), &rights(&is.database)));
    changes.extend(flag(ChangeKind::Permission, "storage", was.storage, is.storage));
    changes.extend(set(ChangeKind::Permission, "data: ", &was.data_access, &is.data_access));
    changes.extend(roles(&was.required_roles, &is.required_roles));
    changes.extend(set(ChangeKind::Hook, "", &was.hooks, &is.hooks));
    changes.extend(flag(ChangeKind::Ui, "user interface", before.demands.has_ui, after.demands.has_ui));
    changes.extend(resources(&before.demands, &after.demands));
    changes.extend(signers(&before.signers, &after.signers));
    changes.extend(set(ChangeKind::WaivedFinding, "", &before.waived, &after.waived));
    changes
}

fn change(
    kind: ChangeKind,
    what: impl Into<String>,
    before: Option<String>,
    after: Option<String>,
    grows: bool,
) -> Change {
    Change { kind, what: what.into(), before, after, grows }
}

fn rights(rights: &[DatabaseRight]) -> Vec<String> {
    rights.iter().map(ToString::to_string).collect()
}

/// A member more is more, a member less is not.
fn set<'a, T: Display + Ord + 'a>(
    kind: ChangeKind,
    prefix: &str,
    before: impl IntoIterator<Item = &'a T>,
    after: impl IntoIterator<Item = &'a T>,
) -> Vec<Change> {
    let (before, after): (BTreeSet<&T>, BTreeSet<&T>) = (before.into_iter().collect(), after.into_iter().collect());
    let named = |member: &T| format!("{prefix}{member}");
    let added = after.difference(&before).map(|new| change(kind, named(new), None, Some(named(new)), true));
    let removed = before.difference(&after).map(|old| change(kind, named(old), Some(named(old)), None, false));
    added.chain(removed).collect()
}

fn flag(kind: ChangeKind, what: &str, before: bool, after: bool) -> Option<Change> {
    let word = |is: bool| is.then(|| what.to_owned());
    (before != after).then(|| change(kind, what, word(before), word(after), after))
}

fn network(before: &NetworkAccess, after: &NetworkAccess) -> Vec<Change> {
    let whole = || Some("the whole network".to_owned());
    let none: &[String] = &[];
    match (before, after) {
        (NetworkAccess::Any, NetworkAccess::Any) => Vec::new(),
        (NetworkAccess::None | NetworkAccess::Hosts(_), NetworkAccess::Any) => {
            vec![change(ChangeKind::Network, "hosts", Some(hosts(before)), whole(), true)]
        }
        (NetworkAccess::Any, NetworkAccess::None | NetworkAccess::Hosts(_)) => {
            vec![change(ChangeKind::Network, "hosts", whole(), Some(hosts(after)), false)]
        }
        (NetworkAccess::None, NetworkAccess::None) => Vec::new(),
        (NetworkAccess::None, NetworkAccess::Hosts(new)) => host_changes(none, new),
        (NetworkAccess::Hosts(old), NetworkAccess::None) => host_changes(old, none),
        (NetworkAccess::Hosts(old), NetworkAccess::Hosts(new)) => host_changes(old, new),
    }
}

fn hosts(access: &NetworkAccess) -> String {
    match access {
        NetworkAccess::None => "none".to_owned(),
        NetworkAccess::Any => "the whole network".to_owned(),
        NetworkAccess::Hosts(hosts) => hosts.join(", "),
    }
}

/// A host below a wildcard that was there before is new, but no more than before.
fn host_changes(before: &[String], after: &[String]) -> Vec<Change> {
    let mut changes = set(ChangeKind::Network, "", before, after);
    for change in &mut changes {
        change.grows = change.grows && !before.iter().any(|old| is_within(&change.what, old));
    }
    changes
}

fn is_within(host: &str, wider: &str) -> bool {
    let plain = host.strip_prefix("*.").unwrap_or(host);
    wider.strip_prefix("*").is_some_and(|suffix| plain.ends_with(suffix))
}

/// Who may run it: one more role is more; without any it is the host's default, of which nobody knows.
fn roles(before: &[String], after: &[String]) -> Vec<Change> {
    let mut changes = set(ChangeKind::Permission, "may be run by: ", before, after);
    let narrows_a_default = before.is_empty();
    let falls_back = after.is_empty();
    for change in &mut changes {
        change.grows = if change.after.is_some() { !narrows_a_default } else { falls_back };
    }
    changes
}

/// A smaller amount is less. What is stated only on one side cannot be compared with the host's default.
fn resources(before: &Demands, after: &Demands) -> Vec<Change> {
    let names: BTreeSet<&String> = before.resources.keys().chain(after.resources.keys()).collect();
    let changed = names.into_iter().filter_map(|name| {
        let (was, is) = (before.resources.get(name), after.resources.get(name));
        let grows = match (was, is) {
            (Some(was), Some(is)) if (was - is).abs() < f64::EPSILON => return None,
            (Some(was), Some(is)) => is > was,
            (None, _) | (_, None) => true,
        };
        let amount = |amount: Option<&f64>| amount.map(ToString::to_string);
        Some(change(ChangeKind::Resource, name, amount(was), amount(is), grows))
    });
    changed.collect()
}

/// Another signer is somebody else's word; none at all is nobody's.
fn signers(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Vec<Change> {
    let mut changes = set(ChangeKind::Signer, "", before, after);
    for change in &mut changes {
        change.grows = change.after.is_some() || after.is_empty();
    }
    changes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_types::package::PackageFormat;
    use serde_json::{Value, json};

    use super::*;
    use crate::demands;

    fn module(extra: &Value) -> Capabilities {
        let mut manifest = json!({
            "schemaVersion": "1.0", "name": "ranker", "version": "1.0.0", "type": "no-ui",
            "execution": {"entrypoint": "backend.main:Module", "supports": ["interactive"]},
            "permissions": {"network": ["api.example.org", "*.internal.example.org"], "database": ["read"]},
            "resources": {"memory": "512Mi", "timeout": "60s"},
        });
        for (key, value) in extra.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        let demands = demands(PackageFormat::HlaCompassModule, &manifest).unwrap();
        Capabilities { demands, ..Capabilities::default() }
    }

    /// Each difference from the plain module: what, and whether it is more.
    fn told(extra: &Value) -> Vec<(ChangeKind, String, bool)> {
        let changes = changes(&module(&json!({})), &module(extra));
        changes.into_iter().map(|change| (change.kind, change.what, change.grows)).collect()
    }

    fn one(kind: ChangeKind, what: &str, grows: bool) -> Vec<(ChangeKind, String, bool)> {
        vec![(kind, what.to_owned(), grows)]
    }

    #[test]
    fn nothing_differs_between_a_version_and_itself() {
        assert_eq!(told(&json!({})), []);
        assert_eq!(told(&json!({"version": "1.0.1", "description": "said otherwise"})), []);
    }

    #[test]
    fn hosts_grow_unless_a_wildcard_held_them_before() {
        let network = |hosts: Value| told(&json!({"permissions": {"network": hosts, "database": ["read"]}}));
        let both = ["api.example.org", "*.internal.example.org"];
        let and = |host: &str| network(json!([both[0], both[1], host]));
        assert_eq!(and("other.example.com"), one(ChangeKind::Network, "other.example.com", true));
        assert_eq!(and("a.internal.example.org"), one(ChangeKind::Network, "a.internal.example.org", false));
        assert_eq!(and("evilinternal.example.org"), one(ChangeKind::Network, "evilinternal.example.org", true));
        assert_eq!(network(json!([both[1]])), one(ChangeKind::Network, "api.example.org", false));
        assert_eq!(network(json!(true)), one(ChangeKind::Network, "hosts", true));
    }

    #[test]
    fn rights_resources_and_interface_grow() {
        let permissions = |permissions: Value| told(&json!({"permissions": permissions}));
        let network = json!(["api.example.org", "*.internal.example.org"]);
        assert_eq!(
            permissions(json!({"network": network, "database": ["read", "write"]})),
            one(ChangeKind::Permission, "database: write", true)
        );
        assert_eq!(
            permissions(json!({"network": network, "database": ["read"], "storage": true})),
            one(ChangeKind::Permission, "storage", true)
        );
        assert_eq!(permissions(json!({"network": network})), one(ChangeKind::Permission, "database: read", false));
        assert_eq!(told(&json!({"type": "with-ui"})), one(ChangeKind::Ui, "user interface", true));
        let resources = |resources: Value| told(&json!({"resources": resources}));
        assert_eq!(resources(json!({"memory": "1Gi", "timeout": "60s"})), one(ChangeKind::Resource, "memory", true));
        assert_eq!(resources(json!({"memory": "0.5Gi", "timeout": "60s"})), [], "the same in another unit");
        assert_eq!(resources(json!({"memory": "256Mi", "timeout": "1m"})), one(ChangeKind::Resource, "memory", false));
        assert_eq!(resources(json!({"memory": "512Mi"})), one(ChangeKind::Resource, "timeout", true), "the host's own");
    }

    #[test]
    fn another_signer_or_none_is_more_and_so_is_a_waived_finding() {
        let signed = |signers: &[&str], waived: &[&str]| Capabilities {
            signers: signers.iter().map(|one| (*one).to_owned()).collect(),
            waived: waived.iter().map(|one| (*one).to_owned()).collect(),
            ..Capabilities::default()
        };
        let grown = |before: &Capabilities, after: &Capabilities| {
            changes(before, after).iter().filter(|change| change.grows).count()
        };
        assert_eq!(grown(&signed(&["a"], &[]), &signed(&["a"], &[])), 0);
        assert_eq!(grown(&signed(&["a", "b"], &[]), &signed(&["a"], &[])), 0);
        assert_eq!(grown(&signed(&["a"], &[]), &signed(&["b"], &[])), 1);
        assert_eq!(grown(&signed(&["a"], &[]), &signed(&[], &[])), 1);
        assert_eq!(grown(&signed(&["a"], &["CVE-1 pkg:pypi/x"]), &signed(&["a"], &["CVE-2 pkg:pypi/x"])), 1);
        assert_eq!(grown(&signed(&["a"], &["CVE-1 pkg:pypi/x"]), &signed(&["a"], &[])), 0);
    }

    fn any_capabilities() -> impl Strategy<Value = Capabilities> {
        let hosts = proptest::collection::vec("[a-c]\\.example\\.org", 0..3);
        let network =
            prop_oneof![Just(NetworkAccess::None), Just(NetworkAccess::Any), hosts.prop_map(NetworkAccess::Hosts),];
        let words = || proptest::collection::vec("[a-c]", 0..3);
        let set = || proptest::collection::btree_set("[a-c]", 0..3);
        (network, any::<bool>(), any::<bool>(), words(), words(), words(), set(), set()).prop_map(
            |(network, storage, has_ui, hooks, data_access, required_roles, signers, waived)| {
                let permissions = crate::Permissions {
                    network,
                    storage,
                    hooks,
                    data_access,
                    required_roles,
                    ..crate::Permissions::default()
                };
                let demands = Demands { permissions, has_ui, ..Demands::default() };
                Capabilities { demands, signers, waived }
            },
        )
    }

    proptest! {
        #[test]
        fn a_version_never_grows_beyond_itself(one in any_capabilities()) {
            prop_assert_eq!(changes(&one, &one), []);
        }

        #[test]
        fn what_differs_is_told(before in any_capabilities(), after in any_capabilities()) {
            let same_set = |a: &[String], b: &[String]| a.iter().collect::<BTreeSet<_>>() == b.iter().collect::<BTreeSet<_>>();
            let (was, is) = (&before.demands.permissions, &after.demands.permissions);
            let differs = before.signers != after.signers || before.waived != after.waived
                || was.storage != is.storage || before.demands.has_ui != after.demands.has_ui
                || !same_set(&was.hooks, &is.hooks);
            prop_assert!(!differs || !changes(&before, &after).is_empty());
        }
    }
}
