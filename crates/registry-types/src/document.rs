//! Typed reading of a submitted JSON document that reports every error at once, each with its JSON pointer.
//!
//! A reader walks the document with [`Node`] and [`Object`] and notes what is wrong in [`Errors`]; a missing or wrong
//! value reads as `None` and the walk goes on, so that an author sees all errors of a document in one answer.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::pointer::{PointerError, escape_token};
use crate::text_enum::UnknownWord;

/// More errors than this are counted, not listed.
pub const MAX_LISTED_ERRORS: usize = 100;

/// What is wrong with a document, in the order of finding.
#[derive(Debug, Default)]
pub struct Errors {
    listed: Vec<PointerError>,
    unlisted: usize,
}

impl Errors {
    pub fn push(&mut self, pointer: impl Into<String>, code: &str, message: impl Into<String>) {
        if self.listed.len() < MAX_LISTED_ERRORS {
            self.listed.push(PointerError::new(pointer, code, message));
        } else {
            self.unlisted += 1;
        }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// All errors; if there were more than [`MAX_LISTED_ERRORS`], the last one says how many are left out.
    #[must_use]
    pub fn into_list(self) -> Vec<PointerError> {
        let mut list = self.listed;
        if self.unlisted > 0 {
            list.push(PointerError::new("", "more_errors", format!("{} more errors are not listed", self.unlisted)));
        }
        list
    }

    /// The value, if nothing was wrong with the document.
    ///
    /// # Errors
    /// All that was noted. A `None` without a noted error is a fault of the reader and is reported as one, so that it
    /// can never pass for a valid document.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<PointerError>> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => {
                if self.is_empty() {
                    self.push("", "unreadable", "the document could not be read");
                }
                Err(self.into_list())
            }
        }
    }
}

/// One value and where it stands.
#[derive(Debug, Clone)]
pub struct Node<'a> {
    pub pointer: String,
    pub value: &'a Value,
}

impl<'a> Node<'a> {
    #[must_use]
    pub const fn root(value: &'a Value) -> Self {
        Self { pointer: String::new(), value }
    }

    fn wrong_type<T>(&self, errors: &mut Errors, expected: &str) -> Option<T> {
        let hint = if self.value.is_null() { "; leave the member out if there is none" } else { "" };
        errors.push(&self.pointer, "type", format!("must be {expected}, is {}{hint}", type_name(self.value)));
        None
    }

    pub fn object(&self, errors: &mut Errors) -> Option<Object<'a>> {
        match self.value {
            Value::Object(members) => Some(Object { pointer: self.pointer.clone(), members }),
            _ => self.wrong_type(errors, "an object"),
        }
    }

    /// The elements; more than `max` are an error.
    pub fn array(&self, max: usize, errors: &mut Errors) -> Option<Vec<Self>> {
        let Value::Array(elements) = self.value else { return self.wrong_type(errors, "a list") };
        if elements.len() > max {
            errors.push(
                &self.pointer,
                "too_many",
                format!("has {} elements, at most {max} are allowed", elements.len()),
            );
            return None;
        }
        let node = |(index, value)| Node { pointer: format!("{}/{index}", self.pointer), value };
        Some(elements.iter().enumerate().map(node).collect())
    }

    /// A string of that many characters (Unicode scalar values).
    pub fn text(&self, length: RangeInclusive<usize>, errors: &mut Errors) -> Option<&'a str> {
        let Value::String(text) = self.value else { return self.wrong_type(errors, "a string") };
        let count = text.chars().count();
        if length.contains(&count) {
            return Some(text);
        }
        let (min, max) = (length.start(), length.end());
        errors.push(&self.pointer, "length", format!("must have {min} to {max} characters, has {count}"));
        None
    }

    /// A [`text`](Self::text) for one line: no control characters.
    pub fn line(&self, length: RangeInclusive<usize>, errors: &mut Errors) -> Option<&'a str> {
        let text = self.text(length, errors)?;
        if text.chars().any(char::is_control) {
            errors.push(&self.pointer, "control_character", "must be one line without control characters");
            return None;
        }
        Some(text)
    }

    /// A string that parses into one of our types; `code` names the kind of error.
    pub fn parse<T: FromStr<Err: Display>>(&self, code: &str, errors: &mut Errors) -> Option<T> {
        let Value::String(text) = self.value else { return self.wrong_type(errors, "a string") };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                errors.push(&self.pointer, code, error.to_string());
                None
            }
        }
    }

    /// A string that is a word of one of our enums.
    pub fn choice<T: FromStr<Err = UnknownWord>>(&self, errors: &mut Errors) -> Option<T> {
        let Value::String(text) = self.value else { return self.wrong_type(errors, "a string") };
        match text.parse() {
            Ok(value) => Some(value),
            Err(unknown) => {
                errors.push(&self.pointer, "unknown_value", format!("must be one of {}", unknown.expected));
                None
            }
        }
    }

    /// A string that is one of `words`.
    pub fn word(&self, words: &[&str], errors: &mut Errors) -> Option<&'a str> {
        let Value::String(text) = self.value else { return self.wrong_type(errors, "a string") };
        if words.contains(&text.as_str()) {
            return Some(text);
        }
        errors.push(&self.pointer, "unknown_value", format!("must be one of {}", words.join(", ")));
        None
    }

    pub fn boolean(&self, errors: &mut Errors) -> Option<bool> {
        match self.value {
            Value::Bool(value) => Some(*value),
            _ => self.wrong_type(errors, "true or false"),
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<i64>, errors: &mut Errors) -> Option<i64> {
        let Value::Number(number) = self.value else { return self.wrong_type(errors, "a whole number") };
        let Some(value) = number.as_i64() else {
            let code = if number.is_f64() { "type" } else { "range" };
            errors.push(
                &self.pointer,
                code,
                format!("must be a whole number from {} to {}", range.start(), range.end()),
            );
            return None;
        };
        if range.contains(&value) {
            return Some(value);
        }
        errors.push(&self.pointer, "range", format!("must be from {} to {}, is {value}", range.start(), range.end()));
        None
    }
}

/// An object and where it stands.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    pub pointer: String,
    pub members: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    #[must_use]
    pub fn pointer_to(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, escape_token(key))
    }

    /// The member, if it is there. `null` is a value, not absence.
    #[must_use]
    pub fn optional(&self, key: &str) -> Option<Node<'a>> {
        self.members.get(key).map(|value| Node { pointer: self.pointer_to(key), value })
    }

    /// The member; its absence is an error.
    pub fn required(&self, key: &str, errors: &mut Errors) -> Option<Node<'a>> {
        let node = self.optional(key);
        if node.is_none() {
            errors.push(self.pointer_to(key), "missing", format!("{key} is required"));
        }
        node
    }

    /// Notes every member that is not in `known`.
    pub fn refuse_unknown(&self, known: &[&str], errors: &mut Errors) {
        for key in self.members.keys().filter(|key| !known.contains(&key.as_str())) {
            let message = format!("is not a known member here; known are {}", known.join(", "));
            errors.push(self.pointer_to(key), "unknown_key", message);
        }
    }
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_error_is_noted_with_its_pointer() {
        let document = json!({"a/b": {"n": 7, "t": ""}, "list": [1, "x"], "extra~": null});
        let mut errors = Errors::default();
        let root = Node::root(&document).object(&mut errors).unwrap();
        let inner = root.required("a/b", &mut errors).unwrap().object(&mut errors).unwrap();
        assert_eq!(inner.required("n", &mut errors).unwrap().integer(0..=5, &mut errors), None);
        assert_eq!(inner.required("t", &mut errors).unwrap().text(1..=3, &mut errors), None);
        assert!(inner.required("gone", &mut errors).is_none());
        for element in root.required("list", &mut errors).unwrap().array(2, &mut errors).unwrap() {
            element.text(1..=1, &mut errors);
        }
        root.refuse_unknown(&["a/b", "list"], &mut errors);
        let found: Vec<_> = errors.into_list().into_iter().map(|e| (e.pointer, e.code)).collect();
        let expected = [
            ("/a~1b/n", "range"),
            ("/a~1b/t", "length"),
            ("/a~1b/gone", "missing"),
            ("/list/0", "type"),
            ("/extra~0", "unknown_key"),
        ];
        assert_eq!(found, expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())));
    }

    #[test]
    fn a_reader_that_forgets_its_error_does_not_pass() {
        assert_eq!(Errors::default().finish::<()>(None).unwrap_err()[0].code, "unreadable");
    }

    #[test]
    fn the_list_is_bounded() {
        let mut errors = Errors::default();
        for _ in 0..MAX_LISTED_ERRORS + 5 {
            errors.push("", "x", "y");
        }
        let list = errors.into_list();
        assert_eq!(list.len(), MAX_LISTED_ERRORS + 1);
        assert_eq!(list.last().unwrap().message, "5 more errors are not listed");
    }
}
