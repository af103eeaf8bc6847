//! Texts from files of the image, bounded and fit to be kept.

/// Names, versions and the like are far shorter in every ecosystem.
const MAX_FIELD: usize = 512;
const MAX_LICENSE: usize = 256;

/// A name or version: not empty, no white space, no control characters, at most 512 bytes.
pub(super) fn field(value: &str) -> Option<String> {
    let fits =
        !value.is_empty() && value.len() <= MAX_FIELD && !value.chars().any(|c| c.is_whitespace() || c.is_control());
    fits.then(|| value.to_owned())
}

/// A licence: its first line, cut to 256 characters; `None` where it says nothing.
pub(super) fn license(value: &str) -> Option<String> {
    let line: String = value.trim().lines().next()?.chars().filter(|c| !c.is_control()).take(MAX_LICENSE).collect();
    let line = line.trim();
    let says_nothing = line.is_empty() || line.eq_ignore_ascii_case("unknown") || line.eq_ignore_ascii_case("none");
    (!says_nothing).then(|| line.to_owned())
}

/// A word for people, such as a distribution's name.
pub(super) fn label(value: &str) -> Option<String> {
    let label: String = value.chars().filter(|c| !c.is_control()).take(MAX_FIELD).collect();
    (!label.trim().is_empty()).then(|| label.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_can_be_stored_and_shown() {
        assert_eq!(field("1.0~rc1+b2").as_deref(), Some("1.0~rc1+b2"));
        for bad in ["", "a b", "a\0b", "a\n"] {
            assert_eq!(field(bad), None, "{bad:?}");
        }
        assert_eq!(license("MIT\nPermission is hereby").as_deref(), Some("MIT"));
        assert_eq!(license(" UNKNOWN "), None);
        assert_eq!(label("Debian\u{0} 12").as_deref(), Some("Debian 12"));
    }
}
