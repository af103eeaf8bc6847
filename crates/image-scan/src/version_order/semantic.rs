//! npm's reading of semantic versions.

/// Reads a version as npm's loose mode does where published packages need it: surrounding space and a leading `v` or `=` are ignored.
pub(super) fn parse_npm(text: &str) -> Option<semver::Version> {
    let text = text.trim();
    let text = text.strip_prefix('=').unwrap_or(text).trim_start();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    semver::Version::parse(text).ok()
}
