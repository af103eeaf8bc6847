//! Request bodies that carry a template: read strictly, with pointers into the template itself.

use package_formats::json::parse_strict_up_to;
use registry_types::limits::MAX_PACKAGE_MANIFEST_BYTES;
use registry_types::pointer::PointerError;
use registry_types::template::Template;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Problem, ProblemCode};

/// Room for what stands around the template.
const MAX_BYTES: usize = MAX_PACKAGE_MANIFEST_BYTES + 16 * 1024;

/// Reads a body that may have a member `template`.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // Read twice: strictly, for what no typed reader sees, and into the type, which may want the template's own bytes.
    parse_strict_up_to(bytes, MAX_BYTES).map_err(unreadable)?;
    serde_json::from_slice(bytes).map_err(|error| Problem::bad_request(format!("the body is not as expected: {error}")))
}

pub(super) fn parse_template(document: &Value) -> Result<Template, Problem> {
    Template::parse(document).map_err(invalid)
}

pub(super) fn invalid(errors: Vec<PointerError>) -> Problem {
    let detail = match errors.as_slice() {
        [only] if only.pointer.is_empty() => format!("the template {}", only.message),
        [only] => format!("{} {}", only.pointer, only.message),
        several => format!("the template has {} errors", several.len()),
    };
    Problem::new(ProblemCode::TemplateInvalid, detail).with_errors(errors)
}

/// What is wrong inside the template is told as an error of the template.
fn unreadable(errors: Vec<PointerError>) -> Problem {
    let inside: Option<Vec<_>> = errors
        .iter()
        .map(|error| {
            let pointer = error.pointer.strip_prefix("/template")?;
            (pointer.is_empty() || pointer.starts_with('/'))
                .then(|| PointerError::new(pointer, &error.code, error.message.clone()))
        })
        .collect();
    match inside {
        Some(errors) => invalid(errors),
        None if errors.iter().any(|error| error.code == "too_large") => {
            Problem::new(ProblemCode::PayloadTooLarge, "the body is too large").with_errors(errors)
        }
        None => Problem::bad_request("the body is not the JSON that is expected").with_errors(errors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        template: Option<Value>,
    }

    fn refusal(body: &str) -> Problem {
        match read::<Body>(body.as_bytes()) {
            Err(problem) => problem,
            Ok(_) => panic!("accepted"),
        }
    }

    #[test]
    fn a_good_body_is_read() {
        let body = read::<Body>(br#"{"name": "x", "template": {"id": 1}}"#).unwrap();
        assert_eq!((body.name.as_str(), body.template), ("x", Some(serde_json::json!({"id": 1}))));
    }

    #[test]
    fn errors_point_into_the_template_when_they_are_there() {
        let problem = refusal(r#"{"name": "x", "template": {"agents": [{"ref": "a", "ref": "b"}]}}"#);
        assert_eq!(problem.code, ProblemCode::TemplateInvalid);
        assert_eq!(problem.errors[0].pointer, "/agents/0/ref");
        let problem = refusal(r#"{"name": "x", "name": "y", "template": {}}"#);
        assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (ProblemCode::BadRequest, "/name"));
        assert_eq!(refusal(r#"{"name": "x", "extra": 1}"#).code, ProblemCode::BadRequest);
        assert_eq!(refusal(r#"{"name": "x", "templates": {"a": 1, "a": 2}}"#).code, ProblemCode::BadRequest);
        assert_eq!(refusal("[]").code, ProblemCode::BadRequest);
    }
}
