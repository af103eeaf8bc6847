//! Which URLs may be requested, and where a registry's API lies.

use std::sync::Arc;

use registry_types::image_reference::RegistryHost;
use registry_types::profile::Profile;
use url::{Host, Url};

use super::address::AddressPolicy;
use super::error::SourceError;

/// The rules for every URL, also each one that a redirect or a token realm names.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    profile: Profile,
    plain_http: Vec<RegistryHost>,
    addresses: Arc<AddressPolicy>,
}

impl Places {
    pub(crate) const fn new(profile: Profile, plain_http: Vec<RegistryHost>, addresses: Arc<AddressPolicy>) -> Self {
        Self { profile, plain_http, addresses }
    }

    /// The base URL of a registry's API.
    pub(super) fn registry(&self, host: &RegistryHost) -> Result<Url, SourceError> {
        let name = if host.is_docker_hub() { "registry-1.docker.io" } else { host.as_str() };
        let parse = |scheme| {
            Url::parse(&format!("{scheme}://{name}/")).map_err(|_| SourceError::HostForbidden {
                host: host.to_string(),
                why: "it is not a host that a URL can name",
            })
        };
        let plain = parse("http")?;
        if self.allows_plain_http(&plain) { Ok(plain) } else { parse("https") }
    }

    /// Checks scheme, user information and, where the host is an address, the address. Names are checked when they are
    /// resolved.
    pub(crate) fn check(&self, url: &Url) -> Result<(), SourceError> {
        let forbidden = |why| Err(SourceError::HostForbidden { host: authority(url), why });
        if !url.username().is_empty() || url.password().is_some() {
            return forbidden("the URL carries user information");
        }
        match url.scheme() {
            "https" => {}
            "http" if self.allows_plain_http(url) => {}
            _ => return forbidden("only https is allowed"),
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) => None,
            None => return forbidden("the URL has no host"),
        };
        match address.map(|address| self.addresses.check(address)) {
            Some(Err(_)) => forbidden("its address is not public"),
            Some(Ok(())) | None => Ok(()),
        }
    }

    fn allows_plain_http(&self, url: &Url) -> bool {
        match self.profile {
            Profile::Production => false,
            Profile::Development => {
                is_loopback(url) || self.plain_http.iter().any(|host| host.as_str() == authority(url))
            }
        }
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `host[:port]` as it stands in references; the scheme's own port is left out. Where there is no host, the scheme with its
/// colon, which is no host's name.
pub(super) fn authority(url: &Url) -> String {
    let Some(host) = url.host_str() else { return format!("{}:", url.scheme()) };
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(profile: Profile) -> Places {
        let addresses = Arc::new(AddressPolicy::new(profile, false, Vec::new()));
        Places::new(profile, vec!["registry.test:5000".parse().unwrap()], addresses)
    }

    fn base(profile: Profile, host: &str) -> String {
        places(profile).registry(&host.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn registries_are_https_but_loopback_in_development() {
        assert_eq!(base(Profile::Production, "docker.io"), "https://registry-1.docker.io/");
        assert_eq!(base(Profile::Production, "ghcr.io:443"), "https://ghcr.io/");
        assert_eq!(base(Profile::Production, "127.0.0.1:5000"), "https://127.0.0.1:5000/");
        assert_eq!(base(Profile::Development, "127.0.0.1:5000"), "http://127.0.0.1:5000/");
        assert_eq!(base(Profile::Development, "[::1]:5000"), "http://[::1]:5000/");
        assert_eq!(base(Profile::Development, "registry.test:5000"), "http://registry.test:5000/");
        assert_eq!(base(Profile::Development, "registry.test"), "https://registry.test/");
        assert_eq!(base(Profile::Production, "registry.test:5000"), "https://registry.test:5000/");
    }

    #[test]
    fn every_url_is_checked_for_scheme_user_and_address() {
        let allowed = |profile, url: &str| places(profile).check(&url.parse().unwrap()).is_ok();
        assert!(allowed(Profile::Production, "https://cdn.example/x"));
        for bad in [
            "http://cdn.example/x",
            "ftp://cdn.example/x",
            "file:///etc/passwd",
            "https://user:pass@cdn.example/x",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
        ] {
            assert!(!allowed(Profile::Production, bad), "{bad} was allowed");
        }
        assert!(allowed(Profile::Development, "http://127.0.0.1:1/"));
        assert!(!allowed(Profile::Development, "http://cdn.example/"));
        assert!(!allowed(Profile::Development, "https://10.0.0.1/"));
    }
}
