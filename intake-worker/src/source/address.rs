//! Which network addresses a source registry, or a webhook, may lie at. The checked address is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::IpNet;
use registry_types::profile::Profile;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// What may be connected to beside public addresses.
#[derive(Debug, Clone)]
pub(crate) struct AddressPolicy {
    loopback: bool,
    private: bool,
    allowed: Vec<IpNet>,
}

impl AddressPolicy {
    /// Development allows loopback; `private` also allows private networks and, in production, loopback; `allowed` lists
    /// networks by name and is the only way to a link-local address.
    pub(crate) fn new(profile: Profile, private: bool, allowed: Vec<IpNet>) -> Self {
        let loopback = match profile {
            Profile::Development => true,
            Profile::Production => private,
        };
        Self { loopback, private, allowed }
    }

    pub(crate) fn check(&self, address: IpAddr) -> Result<(), ForbiddenAddress> {
        let permitted = match AddressKind::of(address) {
            AddressKind::Public => true,
            AddressKind::Loopback => self.loopback,
            AddressKind::Private => self.private,
            AddressKind::Special => false,
        };
        if permitted || self.allowed.iter().any(|network| network.contains(&canonical(address))) {
            return Ok(());
        }
        Err(ForbiddenAddress(address))
    }
}

/// An address that the policy does not allow.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("address {0} is not public")]
pub(crate) struct ForbiddenAddress(IpAddr);

impl ForbiddenAddress {
    /// Finds it below a transport error.
    pub(crate) fn cause_of(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(current) = next {
            if let Some(found) = current.downcast_ref::<Self>() {
                return Some(*found);
            }
            next = current.source();
        }
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressKind {
    Public,
    Loopback,
    /// Reachable only inside an organization: RFC 1918, shared address space, unique local.
    Private,
    /// Never a registry: link-local, multicast, unspecified, documentation, cloud metadata, reserved.
    Special,
}

/// An IPv4 address written as IPv6 is judged as IPv4.
fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => embedded_v4(v6).map_or(address, IpAddr::V4),
    }
}

/// IPv4-mapped, IPv4-compatible, NAT64 (RFC 6052) and 6to4 (RFC 3056) forms lead to an IPv4 host.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let low = Ipv4Addr::from((u32::from(g) << 16) | u32::from(h));
    match [a, b, c, d, e, f] {
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => Some(low),
        [0, 0, 0, 0, 0, 0] if u32::from(low) > 1 => Some(low),
        [0x2002, ..] => Some(Ipv4Addr::from((u32::from(b) << 16) | u32::from(c))),
        _ => None,
    }
}

impl AddressKind {
    fn of(address: IpAddr) -> Self {
        match canonical(address) {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    /// RFC 6890 and the IANA special-purpose registry.
    fn of_v4(address: Ipv4Addr) -> Self {
        let [a, b, c, _] = address.octets();
        // Azure's wire server has a public address; Alibaba's metadata lies in shared address space.
        let metadata = address == Ipv4Addr::new(168, 63, 129, 16) || address == Ipv4Addr::new(100, 100, 100, 200);
        if address.is_loopback() {
            Self::Loopback
        } else if metadata {
            Self::Special
        } else if address.is_private() || (a == 100 && (64..128).contains(&b)) {
            Self::Private
        } else if a == 0
            || address.is_link_local()
            || address.is_documentation()
            || (a == 192 && b == 0 && c == 0)
            || (a == 192 && b == 88 && c == 99)
            || (a == 198 && (18..20).contains(&b))
            || a >= 224
        {
            Self::Special
        } else {
            Self::Public
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        let first = address.segments()[0];
        let metadata: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
        if address.is_loopback() {
            Self::Loopback
        } else if address == metadata {
            Self::Special
        } else if first & 0xfe00 == 0xfc00 {
            Self::Private
        } else if first & 0xe000 != 0x2000 || address.segments()[..2] == [0x2001, 0xdb8] || is_teredo(address) {
            // Global unicast is 2000::/3; everything else has a special purpose.
            Self::Special
        } else {
            Self::Public
        }
    }
}

fn is_teredo(address: Ipv6Addr) -> bool {
    address.segments()[..2] == [0x2001, 0]
}

/// Where the addresses of a name come from.
pub trait NameLookup: Send + Sync {
    fn lookup(&self, name: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SystemLookup;

impl NameLookup for SystemLookup {
    fn lookup(&self, name: &str) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Hands on only addresses that passed; they are what is connected to. One forbidden address among them refuses the name:
/// an answer that mixes public and private addresses is how a name is rebound.
pub(crate) struct GuardedResolver {
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) names: Arc<dyn NameLookup>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = Arc::clone(&self.policy);
        let found = self.names.lookup(name.as_str());
        Box::pin(async move {
            let found: Vec<SocketAddr> = found.await?.into_iter().map(|address| (address, 0).into()).collect();
            for address in &found {
                policy.check(address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(policy: &AddressPolicy, address: &str) -> bool {
        policy.check(address.parse().unwrap()).is_ok()
    }

    const SPECIAL: [&str; 19] = [
        "0.0.0.0",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "2001::1",
    ];
    const PRIVATE: [&str; 7] =
        ["10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "::10.0.0.1"];
    const LOOPBACK: [&str; 5] = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"];
    const PUBLIC: [&str; 5] = ["1.1.1.1", "140.82.121.34", "100.63.0.1", "172.32.0.1", "2606:4700::1111"];

    #[test]
    fn production_reaches_public_addresses_only() {
        let policy = AddressPolicy::new(Profile::Production, false, Vec::new());
        assert!(PUBLIC.iter().all(|a| allows(&policy, a)));
        for address in SPECIAL.iter().chain(&PRIVATE).chain(&LOOPBACK) {
            assert!(!allows(&policy, address), "{address} was allowed");
        }
    }

    #[test]
    fn development_adds_loopback_and_the_operator_private_networks() {
        let development = AddressPolicy::new(Profile::Development, false, Vec::new());
        assert!(LOOPBACK.iter().all(|a| allows(&development, a)));
        assert!(!PRIVATE.iter().any(|a| allows(&development, a)));
        let private = AddressPolicy::new(Profile::Production, true, Vec::new());
        assert!(PRIVATE.iter().chain(&LOOPBACK).all(|a| allows(&private, a)));
        assert!(!SPECIAL.iter().any(|a| allows(&private, a)));
    }

    #[test]
    fn a_listed_network_is_allowed_and_no_other() {
        let policy = AddressPolicy::new(Profile::Production, false, vec!["10.1.0.0/16".parse().unwrap()]);
        assert!(allows(&policy, "10.1.2.3") && allows(&policy, "::ffff:10.1.2.3"));
        assert!(!allows(&policy, "10.2.0.1") && !allows(&policy, "127.0.0.1"));
    }
}
