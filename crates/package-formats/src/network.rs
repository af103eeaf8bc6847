//! One entry of a module's network list.
//!
//! A policy judges host names. What cannot be held against a list of names — `*`, an address range, a wildcard over a whole
//! top-level domain — counts as a wish for the whole network, so that no spelling slips past an allow-list.

use registry_types::document::{Errors, Node};

use crate::NetworkAccess;

enum Entry {
    Anything,
    Host(String),
}

/// Reads `true`, `false` or a list of hosts, each bare, with a port, or as a URL.
pub(crate) fn read(node: &Node<'_>, errors: &mut Errors) -> Option<NetworkAccess> {
    if let Some(whole) = node.value.as_bool() {
        return Some(if whole { NetworkAccess::Any } else { NetworkAccess::None });
    }
    if !node.value.is_array() {
        errors.push(&node.pointer, "type", "must be true, false or a list of hosts");
        return None;
    }
    let mut hosts = Vec::new();
    let mut anything = false;
    for element in node.array(100, errors)? {
        let Some(text) = element.line(1..=300, errors) else { continue };
        match entry(text) {
            Some(Entry::Anything) => anything = true,
            Some(Entry::Host(host)) => hosts.push(host),
            None => errors.push(&element.pointer, "host", format!("{text:?} is not a host name")),
        }
    }
    hosts.sort();
    hosts.dedup();
    Some(if anything {
        NetworkAccess::Any
    } else if hosts.is_empty() {
        NetworkAccess::None
    } else {
        NetworkAccess::Hosts(hosts)
    })
}

fn entry(text: &str) -> Option<Entry> {
    let text = text.trim();
    if let Some((scheme, rest)) = text.split_once("://") {
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
        // No user names: in `https://good.example@evil.example/` the host is the part that people overlook.
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        return if is_scheme && !authority.contains('@') { host(authority) } else { None };
    }
    if let Some((address, prefix)) = text.split_once('/') {
        let is_range = address.parse::<std::net::IpAddr>().is_ok() && prefix.parse::<u8>().is_ok_and(|p| p <= 128);
        return is_range.then_some(Entry::Anything);
    }
    host(text)
}

fn host(authority: &str) -> Option<Entry> {
    if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let address: std::net::Ipv6Addr = address.parse().ok()?;
        let port_is_good = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_is_good.then(|| Entry::Host(address.to_string()));
    }
    if let Ok(address) = authority.parse::<std::net::Ipv6Addr>() {
        return Some(Entry::Host(address.to_string()));
    }
    let name = match authority.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return None,
        None => authority,
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name == "*" {
        return Some(Entry::Anything);
    }
    let (wildcard, base) = name.strip_prefix("*.").map_or((false, name.as_str()), |base| (true, base));
    let labels = base.split('.').count();
    if base.len() > 253 || !base.split('.').all(is_label) {
        return None;
    }
    Some(if wildcard && labels < 2 { Entry::Anything } else { Entry::Host(name) })
}

fn is_port(text: &str) -> bool {
    text == "*" || text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn access(value: &Value) -> Result<NetworkAccess, usize> {
        let mut errors = Errors::default();
        let access = read(&Node::root(value), &mut errors);
        errors.finish(access).map_err(|errors| errors.len())
    }

    #[test]
    fn every_accepted_form_reads() {
        let hosts = |names: &[&str]| Ok(NetworkAccess::Hosts(names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(access(&json!(false)), Ok(NetworkAccess::None));
        assert_eq!(access(&json!([])), Ok(NetworkAccess::None));
        assert_eq!(access(&json!(true)), Ok(NetworkAccess::Any));
        assert_eq!(
            access(&json!(["API.Example.org.", "https://api.example.org:443/v1?x"])),
            hosts(&["api.example.org"])
        );
        assert_eq!(access(&json!(["*.example.org", "localhost:8080"])), hosts(&["*.example.org", "localhost"]));
        assert_eq!(access(&json!(["[2001:db8::1]:443", "10.1.2.3"])), hosts(&["10.1.2.3", "2001:db8::1"]));
    }

    #[test]
    fn what_no_list_of_names_can_bound_is_the_whole_network() {
        for entry in ["*", "*:443", "https://*/", "0.0.0.0/0", "::/0", "10.0.0.0/8", "0.0.0.0/1", "*.com"] {
            assert_eq!(access(&json!(["api.example.org", entry])), Ok(NetworkAccess::Any), "{entry}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for entry in ["", "a b", "https://good.example@evil.example/", "a..b", "-a", "*x.org", "a.*.org", "a:0", "a/b"]
        {
            assert_eq!(access(&json!([entry])), Err(1), "{entry}");
        }
        assert_eq!(access(&json!("api.example.org")), Err(1));
        assert_eq!(access(&json!([1, null])), Err(2));
    }

    proptest! {
        #[test]
        fn a_host_that_was_read_reads_as_itself(text in "[a-z0-9*.:/@\\[\\]-]{1,24}") {
            if let Ok(NetworkAccess::Hosts(hosts)) = access(&json!([text])) {
                prop_assert_eq!(access(&json!([hosts[0]])), Ok(NetworkAccess::Hosts(hosts.clone())));
            }
        }
    }
}
