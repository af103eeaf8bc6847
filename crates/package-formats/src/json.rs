//! Strict reading of JSON from outside.
//!
//! Parsers disagree about duplicate keys, lone surrogates and deep nesting; what is judged here must mean the same to the
//! client that later reads it, so all of these are refused. U+0000 is refused because Postgres text cannot hold it.

use std::cell::RefCell;
use std::fmt;

use registry_types::document::Errors;
use registry_types::limits::{MAX_JSON_DEPTH, MAX_PACKAGE_MANIFEST_BYTES};
use registry_types::pointer::{PointerError, escape_token};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one document of at most [`MAX_PACKAGE_MANIFEST_BYTES`], nested at most [`MAX_JSON_DEPTH`] deep.
///
/// # Errors
/// All duplicate keys, over-deep values and null characters; or the one place where the text stops being JSON, with the
/// pointer to the value that was being read. Codes: `too_large`, `syntax`, `lone_surrogate`, `duplicate_key`, `too_deep`,
/// `null_character`.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, Vec<PointerError>> {
    parse_strict_up_to(bytes, MAX_PACKAGE_MANIFEST_BYTES)
}

/// [`parse_strict`] for a document of another kind, of at most `most` bytes.
///
/// # Errors
/// As [`parse_strict`].
pub fn parse_strict_up_to(bytes: &[u8], most: usize) -> Result<Value, Vec<PointerError>> {
    if bytes.len() > most {
        let message = format!("has {} bytes, at most {most} are allowed", bytes.len());
        return Err(vec![PointerError::new("", "too_large", message)]);
    }
    let reader = RefCell::new(Reader::default());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { reader: &reader, depth: 0 }.deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    let mut reader = reader.into_inner();
    match value {
        Ok(value) => reader.errors.finish(Some(value)),
        Err(error) => {
            let code = if has_lone_surrogate(bytes, &error) { "lone_surrogate" } else { "syntax" };
            let pointer = reader.pointer();
            reader.errors.push(pointer, code, error.to_string());
            Err(reader.errors.into_list())
        }
    }
}

/// Where the reading is. A token is taken off only when its value was read whole, so that after a syntax error the path
/// still says where it happened.
#[derive(Default)]
struct Reader {
    path: Vec<String>,
    errors: Errors,
}

impl Reader {
    fn pointer(&self) -> String {
        self.path.iter().fold(String::new(), |pointer, token| pointer + "/" + token)
    }

    fn note(&mut self, code: &str, message: String) {
        let pointer = self.pointer();
        self.errors.push(pointer, code, message);
    }

    fn check_text(&mut self, text: &str) {
        if text.contains('\0') {
            self.note("null_character", "must not contain the character U+0000".to_owned());
        }
    }
}

/// Reads one value at `depth` (0 is the document itself).
#[derive(Clone, Copy)]
struct Strict<'r> {
    reader: &'r RefCell<Reader>,
    depth: usize,
}

impl Strict<'_> {
    /// Whether a list or object may begin here; notes it if not.
    fn may_nest(&self) -> bool {
        let allowed = self.depth < MAX_JSON_DEPTH;
        if !allowed {
            self.reader.borrow_mut().note("too_deep", format!("is nested more than {MAX_JSON_DEPTH} levels deep"));
        }
        allowed
    }

    const fn inner(self) -> Self {
        Self { reader: self.reader, depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        self.reader.borrow_mut().check_text(value);
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        if !self.may_nest() {
            while elements.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut list = Vec::new();
        loop {
            self.reader.borrow_mut().path.push(list.len().to_string());
            let element = elements.next_element_seed(self.inner())?;
            self.reader.borrow_mut().path.pop();
            match element {
                Some(element) => list.push(element),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        if !self.may_nest() {
            while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Value::Null);
        }
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            {
                let mut reader = self.reader.borrow_mut();
                reader.path.push(escape_token(&key));
                reader.check_text(&key);
                if object.contains_key(&key) {
                    reader.note("duplicate_key", format!("{key:?} stands here more than once"));
                }
            }
            let value = members.next_value_seed(self.inner())?;
            self.reader.borrow_mut().path.pop();
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Whether a `\ud800`-like escape without its partner stands before or at the place of a syntax error. Backslashes occur
/// in JSON only inside strings, so that no other parsing is needed.
fn has_lone_surrogate(bytes: &[u8], error: &serde_json::Error) -> bool {
    let line_start: usize =
        bytes.split_inclusive(|b| *b == b'\n').take(error.line().saturating_sub(1)).map(<[u8]>::len).sum();
    // The reader reports the place behind the escape, or up to one escape further.
    let end = (line_start + error.column() + 6).min(bytes.len());
    let unit_at = |at: usize| {
        let escape = bytes.get(at..at + 6).filter(|escape| escape.starts_with(b"\\u"))?;
        std::str::from_utf8(&escape[2..]).ok().and_then(|hex| u16::from_str_radix(hex, 16).ok())
    };
    let mut at = 0;
    while at < end {
        match (bytes[at], unit_at(at)) {
            (b'\\', Some(0xd800..=0xdbff)) => match unit_at(at + 6) {
                Some(0xdc00..=0xdfff) => at += 12,
                _ => return true,
            },
            (b'\\', Some(0xdc00..=0xdfff)) => return true,
            (b'\\', Some(_)) => at += 6,
            (b'\\', None) => at += 2,
            _ => at += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn errors_of(text: &str) -> Vec<(String, String)> {
        parse_strict(text.as_bytes()).unwrap_err().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    fn pair(pointer: &str, code: &str) -> (String, String) {
        (pointer.to_owned(), code.to_owned())
    }

    #[test]
    fn ordinary_documents_are_read() {
        let text = r#" {"a": [1, -2, 1.5, 18446744073709551615, null, true, "\ud83d\ude00 \\ud800"], "b": {}} "#;
        assert_eq!(parse_strict(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn all_duplicate_keys_are_found() {
        let text = r#"{"a": 1, "b": [{"x/y": 1, "x/y": 2}], "a": {"c": 1, "c": 1}}"#;
        let expected = [pair("/b/0/x~1y", "duplicate_key"), pair("/a", "duplicate_key"), pair("/a/c", "duplicate_key")];
        assert_eq!(errors_of(text), expected);
        // Equal after unescaping is equal.
        assert_eq!(errors_of(r#"{"a": 1, "\u0061": 2}"#), [pair("/a", "duplicate_key")]);
    }

    #[test]
    fn depth_is_limited_at_the_limit_exactly() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse_strict(nested(MAX_JSON_DEPTH).as_bytes()).is_ok());
        let pointer = "/0".repeat(MAX_JSON_DEPTH);
        assert_eq!(errors_of(&nested(MAX_JSON_DEPTH + 1)), [pair(&pointer, "too_deep")]);
        assert_eq!(errors_of(&nested(100_000))[0], pair(&pointer, "too_deep"));
    }

    #[test]
    fn size_is_limited() {
        let text = format!("\"{}\"", "x".repeat(MAX_PACKAGE_MANIFEST_BYTES));
        assert_eq!(errors_of(&text), [pair("", "too_large")]);
    }

    #[test]
    fn lone_surrogates_are_named() {
        for lone in [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x", r"\ud800\n", r"\uDFFF"] {
            let text = format!("{{\"a\": {{\n\"b\": [0, \"x{lone}\"]}}}}");
            assert_eq!(errors_of(&text), [pair("/a/b/1", "lone_surrogate")], "{lone}");
            let in_key = format!("{{\"{lone}\": 1}}");
            assert_eq!(errors_of(&in_key)[0].1, "lone_surrogate", "{lone}");
        }
    }

    #[test]
    fn null_characters_are_refused_in_values_and_keys() {
        assert_eq!(errors_of(r#"{"a": "x\u0000"}"#), [pair("/a", "null_character")]);
        assert_eq!(errors_of(r#"{"a\u0000": 1}"#)[0].1, "null_character");
    }

    #[test]
    fn broken_text_says_where() {
        assert_eq!(errors_of(r#"{"a": {"b": [1, }]}}"#), [pair("/a/b/1", "syntax")]);
        assert_eq!(errors_of("{} x"), [pair("", "syntax")]);
        assert_eq!(errors_of(""), [pair("", "syntax")]);
        assert_eq!(errors_of(r#"{"a": 1e999}"#), [pair("/a", "syntax")]);
        assert_eq!(errors_of(r#"{"a": NaN}"#), [pair("/a", "syntax")]);
        assert_eq!(parse_strict(b"{\"a\": \"\xff\"}").unwrap_err()[0].pointer, "/a");
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_strict(&bytes);
        }

        #[test]
        fn never_panics_on_what_looks_like_json(text in r#"[\[\]{}:,"\\u d8c0e1.\-n]{0,120}"#) {
            if let Ok(value) = parse_strict(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            }
        }

        #[test]
        fn agrees_with_the_lenient_reader(keys in prop::collection::hash_set("[a-z\\u{0}-\\u{ffff}]{0,4}", 0..6)) {
            prop_assume!(keys.iter().all(|key| !key.contains('\0')));
            let value: Value = Value::Object(keys.into_iter().map(|key| (key.clone(), json!([key]))).collect());
            prop_assert_eq!(parse_strict(value.to_string().as_bytes()).unwrap(), value);
        }
    }
}
