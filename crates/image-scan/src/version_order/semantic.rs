//! npm's reading of semantic versions.

/// Reads a version as npm's loose mode does: surrounding space and a leading `v` or `=` are ignored. Missing numbers are zero,
/// because advisories name bounds such as `1.0`.
pub(super) fn parse_npm(text: &str) -> Option<semver::Version> {
    let text = text.trim();
    let text = text.strip_prefix('=').unwrap_or(text).trim_start();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    match numbers.split('.').count() {
        1 => semver::Version::parse(&format!("{numbers}.0.0{rest}")).ok(),
        2 => semver::Version::parse(&format!("{numbers}.0{rest}")).ok(),
        _ => semver::Version::parse(text).ok(),
    }
}
