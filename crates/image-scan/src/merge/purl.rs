//! Package URLs (purl-spec), canonical.

use std::fmt::Write as _;

/// `pkg:<kind>/<namespace…>/<name>@<version>?<qualifiers>`; qualifiers sorted by key, empty ones left out.
pub(super) fn package_url(
    kind: &str,
    namespace: &str,
    name: &str,
    version: &str,
    qualifiers: &[(&str, &str)],
) -> String {
    let mut purl = format!("pkg:{kind}/");
    if !namespace.is_empty() {
        encode_into(&mut purl, namespace);
        purl.push('/');
    }
    encode_into(&mut purl, name);
    purl.push('@');
    encode_into(&mut purl, version);
    let mut separator = '?';
    for (key, value) in qualifiers.iter().filter(|(_, value)| !value.is_empty()) {
        purl.push(separator);
        separator = '&';
        purl.push_str(key);
        purl.push('=');
        encode_into(&mut purl, value);
    }
    purl
}

/// Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and `:`.
fn encode_into(purl: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => purl.push(char::from(byte)),
            // Writing to a string cannot fail.
            _ => drop(write!(purl, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_the_specification_says() {
        assert_eq!(
            package_url(
                "deb",
                "debian",
                "libstdc++6",
                "1:12.2.0-14+b1~x",
                &[("arch", "amd64"), ("distro", "debian-12")]
            ),
            "pkg:deb/debian/libstdc%2B%2B6@1:12.2.0-14%2Bb1~x?arch=amd64&distro=debian-12"
        );
        assert_eq!(package_url("npm", "@babel", "core", "7.0.0", &[("arch", "")]), "pkg:npm/%40babel/core@7.0.0");
        assert_eq!(package_url("pypi", "", "jinja2", "2.10", &[]), "pkg:pypi/jinja2@2.10");
    }
}
