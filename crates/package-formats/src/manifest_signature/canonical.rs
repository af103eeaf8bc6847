//! The bytes that are signed: what Python's `json.dumps(manifest, sort_keys=True, separators=(",", ":"))` writes for the
//! manifest without its signing members.
//!
//! Keys are in the order of code points, strings in ASCII, and each number is the token that was sent: a number that went
//! through a float would be another text. This is not RFC 8785, which orders keys by UTF-16 units and rewrites numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::hla_compass::SIGNING_FIELDS;

/// Clients since 5.0.0 leave it out of what they sign.
const UNSIGNED_MEMBER: &str = "integrity";

/// A manifest's canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalManifest(String);

impl CanonicalManifest {
    /// Of a manifest that the strict reader has accepted: no duplicate keys, no lone surrogates, bounded nesting.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn of(manifest: &RawValue) -> Result<Self, serde_json::Error> {
        let mut root: BTreeMap<String, &RawValue> = serde_json::from_str(manifest.get())?;
        root.retain(|key, _| key != UNSIGNED_MEMBER && !SIGNING_FIELDS.contains(&key.as_str()));
        let mut text = String::with_capacity(manifest.get().len());
        write_object(&root, &mut text)?;
        Ok(Self(text))
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

fn write_value(value: &RawValue, text: &mut String) -> Result<(), serde_json::Error> {
    let token = value.get();
    match token.as_bytes().first() {
        Some(b'{') => write_object(&serde_json::from_str(token)?, text)?,
        Some(b'[') => write_array(&serde_json::from_str::<Vec<&RawValue>>(token)?, text)?,
        Some(b'"') => write_string(&serde_json::from_str::<String>(token)?, text),
        // Numbers, true, false, null.
        _ => text.push_str(token),
    }
    Ok(())
}

/// Strings compare by their UTF-8 bytes, which is the order of code points.
fn write_object(members: &BTreeMap<String, &RawValue>, text: &mut String) -> Result<(), serde_json::Error> {
    text.push('{');
    for (index, (key, value)) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_string(key, text);
        text.push(':');
        write_value(value, text)?;
    }
    text.push('}');
    Ok(())
}

fn write_array(elements: &[&RawValue], text: &mut String) -> Result<(), serde_json::Error> {
    text.push('[');
    for (index, element) in elements.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_value(element, text)?;
    }
    text.push(']');
    Ok(())
}

fn write_string(string: &str, text: &mut String) {
    text.push('"');
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{c}' => text.push_str("\\f"),
            '\u{8}' => text.push_str("\\b"),
            ' '..='~' => text.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(text: &str) -> String {
        CanonicalManifest::of(&serde_json::from_str::<Box<RawValue>>(text).unwrap()).unwrap().0
    }

    #[test]
    fn members_are_ordered_by_code_point_and_signing_members_left_out_at_the_root() {
        // U+FFFF comes before U+1F600 here, and behind it in UTF-16.
        let text = r#" { "b" : 1, "\ud83d\ude00": 2, "\uffff": 3, "a": {"integrity": 1, "z": [ ], "y": { }},
            "signature": "x", "publicKey": "k", "key_fingerprint": "f", "integrity": {"x": 1} } "#;
        let expected = r#"{"a":{"integrity":1,"y":{},"z":[]},"b":1,"\uffff":3,"\ud83d\ude00":2}"#;
        assert_eq!(canonical(text), expected);
    }

    #[test]
    fn numbers_stay_the_tokens_that_were_sent() {
        let text = r#"{"n":[1.0,1e+16,1E5,1e-07,-0.0,-0,123456789012345678901234567890,9007199254740993,0.10]}"#;
        assert_eq!(canonical(text), text);
    }

    #[test]
    fn strings_are_ascii_as_python_writes_them() {
        let text = "{\"s\":\"\\u007f\\u0000\\u001f\u{e9}\\u00E9\u{2028}\\/\\\"\\\\\\b\\f\\n\\r\\t\"}";
        let expected = r#"{"s":"\u007f\u0000\u001f\u00e9\u00e9\u2028/\"\\\b\f\n\r\t"}"#;
        assert_eq!(canonical(text), expected);
    }

    #[test]
    fn what_is_no_object_has_no_canonical_form() {
        for text in ["[]", "1", "\"x\"", "null"] {
            assert!(CanonicalManifest::of(&serde_json::from_str::<Box<RawValue>>(text).unwrap()).is_err(), "{text}");
        }
    }

    proptest! {
        /// It is JSON that says the same, and its own canonical form.
        #[test]
        fn says_the_same_in_one_way(keys in prop::collection::vec("[a-z\\u{0}-\\u{10ffff}]{0,4}", 0..6)) {
            let value: Value = keys.iter().map(|key| (format!("k{key}"), Value::from(vec![key.as_str()]))).collect();
            let once = canonical(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), value);
            prop_assert!(once.is_ascii());
            prop_assert_eq!(canonical(&once), once);
        }
    }
}
