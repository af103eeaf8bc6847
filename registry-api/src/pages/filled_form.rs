//! A form that was refused for what stands in it: it is shown again as it was filled in, with what is wrong beside each field.

use actix_web::http::StatusCode;
use registry_types::pointer::PointerError;

use super::error::sentence;
use crate::problem::{Problem, ProblemCode};

/// What is wrong with a filled-in form; nothing, for one that is shown for the first time.
#[derive(Debug, Default)]
pub(super) struct Faults(Option<Problem>);

impl Faults {
    /// # Errors
    /// The problem itself when it is not about what stands in the form: nothing is mended by filling it in again.
    pub(super) fn of(problem: Problem) -> Result<Self, Problem> {
        match problem.code.status() {
            StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(Self(Some(problem)))
            }
            _ => Err(problem),
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.as_ref().map_or(StatusCode::OK, |problem| problem.code.status())
    }

    /// What is wrong with the whole form, or with a field that it does not have.
    pub(super) fn of_form(&self, fields: &[&str]) -> Option<String> {
        let problem = self.0.as_ref()?;
        let is_shown = |error: &PointerError| fields.iter().any(|field| is_at(error, field));
        (!problem.errors.iter().any(is_shown)).then(|| sentence(&problem.detail))
    }

    /// What is wrong with one field.
    pub(super) fn at(&self, field: &str) -> Option<String> {
        let error = self.0.as_ref()?.errors.iter().find(|error| is_at(error, field))?;
        Some(sentence(&error.message))
    }
}

fn is_at(error: &PointerError, field: &str) -> bool {
    error.pointer.strip_prefix('/') == Some(field)
}

/// Reads the fields of a form, and gathers what is wrong with them.
#[derive(Debug, Default)]
pub(super) struct Reader(Vec<PointerError>);

impl Reader {
    pub(super) fn read<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let read = text.trim().parse().map_err(|error: T::Err| error.to_string());
        read.map_err(|message| self.0.push(PointerError::new(format!("/{field}"), "invalid", message))).ok()
    }

    /// The refusal of a form that could not be read.
    pub(super) fn refusal(self, code: ProblemCode) -> Problem {
        Problem::new(code, "the form is not filled in rightly").with_errors(self.0)
    }
}

/// What was filled in, if anything was.
pub(super) fn filled(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_stands_at_its_field_and_another_over_the_form() {
        let mut reader = Reader::default();
        assert_eq!(reader.read::<u32>("days", " 7 "), Some(7));
        assert_eq!(reader.read::<u32>("hours", "many"), None);
        let faults = Faults::of(reader.refusal(ProblemCode::WebhookInvalid)).unwrap();
        assert_eq!(faults.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(faults.at("hours").is_some() && faults.at("days").is_none());
        assert!(faults.of_form(&["days", "hours"]).is_none() && faults.of_form(&["days"]).is_some());
        assert!(Faults::of(Problem::forbidden("no")).is_err());
        assert!(Faults::default().of_form(&[]).is_none());
    }
}
