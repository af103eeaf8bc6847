//! What a search asks for, as the API and the store's front page take it from the address.

use std::fmt::Display;
use std::str::FromStr;

use registry_db::search::Filter;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::problem::Problem;

const MAX_QUERY_CHARS: usize = 200;

/// A form sends its empty fields too: an empty value does not restrict.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Words to search for, at most 200 characters; each also matches as the beginning of a longer one.
    pub(crate) q: Option<String>,
    /// `module` or `template`.
    pub(crate) kind: Option<String>,
    /// E.g. `hla-compass.module`.
    pub(crate) format: Option<String>,
    pub(crate) tag: Option<String>,
    /// Slug of the publishing organization.
    pub(crate) publisher: Option<String>,
    /// Trust tier of the publisher: `community`, `verified` or `internal`.
    pub(crate) tier: Option<String>,
}

impl ListQuery {
    pub(crate) fn filter(&self) -> Result<Filter, Problem> {
        let query = given(self.q.as_deref());
        if query.is_some_and(|query| query.chars().count() > MAX_QUERY_CHARS) {
            return Err(Problem::bad_request(format!("q must not be longer than {MAX_QUERY_CHARS} characters")));
        }
        Ok(Filter {
            query: query.map(str::to_owned),
            kind: parsed("kind", self.kind.as_deref())?,
            format: parsed("format", self.format.as_deref())?,
            tag: tag(self.tag.as_deref())?,
            publisher: parsed("publisher", self.publisher.as_deref())?,
            tier: parsed("tier", self.tier.as_deref())?,
        })
    }
}

/// In the form in which tags are listed.
fn tag(value: Option<&str>) -> Result<Option<String>, Problem> {
    match given(value) {
        Some(tag) if tag.chars().any(char::is_control) => Err(Problem::bad_request("tag: holds a control character")),
        tag => Ok(tag.map(str::to_lowercase)),
    }
}

fn given(value: Option<&str>) -> Option<&str> {
    value.map(str::trim).filter(|value| !value.is_empty())
}

fn parsed<T: FromStr<Err: Display>>(name: &str, value: Option<&str>) -> Result<Option<T>, Problem> {
    let parse = |value: &str| value.parse().map_err(|error| Problem::bad_request(format!("{name}: {error}")));
    given(value).map(parse).transpose()
}

#[cfg(test)]
mod tests {
    use registry_types::package::PackageKind;

    use super::*;

    #[test]
    fn empty_fields_do_not_restrict_and_wrong_ones_are_named() {
        let empty = ListQuery { q: Some(" ".to_owned()), kind: Some(String::new()), ..ListQuery::default() };
        assert_eq!(empty.filter().unwrap(), Filter::default());
        let modules = ListQuery { kind: Some("module".to_owned()), ..ListQuery::default() };
        assert_eq!(modules.filter().unwrap().kind, Some(PackageKind::Module));
        let wrong = ListQuery { tier: Some("best".to_owned()), ..ListQuery::default() };
        assert!(wrong.filter().unwrap_err().detail.starts_with("tier: "));
        let broken = ListQuery { tag: Some("a\0".to_owned()), ..ListQuery::default() };
        assert!(broken.filter().is_err());
        let long = ListQuery { q: Some("x".repeat(201)), ..ListQuery::default() };
        assert!(long.filter().is_err());
    }
}
