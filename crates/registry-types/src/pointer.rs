//! Errors inside a document, each with the place where it stands.

/// One error at one place of a submitted document. All of a document's errors are reported at once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PointerError {
    /// RFC 6901 JSON pointer; empty for the whole document.
    pub pointer: String,
    /// Stable machine-readable word, e.g. `missing`, `pattern`, `dangling_reference`.
    pub code: String,
    /// For people; lower case, no full stop.
    pub message: String,
}

impl PointerError {
    pub fn new(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), message: message.into() }
    }
}

/// Escapes one reference token of a JSON pointer.
#[must_use]
pub fn escape_token(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}
