//! `os-release(5)`: shell-like assignments.

use super::OsRelease;
use super::text;

/// Reads the file; without `ID` the distribution is `linux`, as the manual page says.
pub(super) fn parse(bytes: &[u8]) -> Result<OsRelease, String> {
    let content = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut release = OsRelease { id: "linux".to_owned(), version_id: None, pretty_name: None };
    for line in content.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = unquote(value.trim());
        match key {
            "ID" => release.id = text::field(&value.to_lowercase()).ok_or("its ID is not a word")?,
            "VERSION_ID" => release.version_id = text::field(&value),
            "PRETTY_NAME" => release.pretty_name = text::label(&value),
            _ => {}
        }
    }
    Ok(release)
}

/// Removes shell quotes and backslash escapes.
fn unquote(value: &str) -> String {
    let quoted = |quote: char| value.len() >= 2 && value.starts_with(quote) && value.ends_with(quote);
    if quoted('\'') {
        return value[1..value.len() - 1].to_owned();
    }
    let inner = if quoted('"') { &value[1..value.len() - 1] } else { value };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_quoted_and_plain_values() {
        let release =
            parse(b"# comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID='12'\n").unwrap();
        assert_eq!(release.id, "debian");
        assert_eq!(release.version_id.as_deref(), Some("12"));
        assert_eq!(release.pretty_name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(parse(b"").unwrap().id, "linux");
        assert!(parse(b"\xff").is_err());
        assert_eq!(unquote(r#""a \"b\" \$c""#), r#"a "b" $c"#);
        assert_eq!(unquote("\""), "\"");
    }
}
