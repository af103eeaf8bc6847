//! Paging of lists: `?limit=` and an opaque `?cursor=`, which is the key of the last row seen.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_db::paging::Page;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::Problem;

const DEFAULT_SIZE: usize = 50;
const MAX_SIZE: usize = 200;

/// What a list's query string says about the page.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// Rows of a page, 1 to 200; 50 if not given.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// A page of the usual size behind `cursor`.
    pub(crate) const fn behind(cursor: Option<String>) -> Self {
        Self { limit: None, cursor }
    }

    pub(crate) fn size(&self) -> usize {
        self.limit.unwrap_or(DEFAULT_SIZE).clamp(1, MAX_SIZE)
    }

    /// The key behind which the page begins.
    pub(crate) fn after<C: DeserializeOwned>(&self) -> Result<Option<C>, Problem> {
        self.cursor.as_deref().map(decode).transpose()
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins; null on the last one.
    pub(crate) next_cursor: Option<String>,
}

impl<T> List<T> {
    pub(crate) fn of<C: Serialize>(page: Page<T, C>) -> Result<Self, Problem> {
        Ok(Self { items: page.items, next_cursor: page.next.as_ref().map(encode).transpose()? })
    }
}

pub(crate) fn encode<C: Serialize>(cursor: &C) -> Result<String, Problem> {
    serde_json::to_vec(cursor).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(Problem::internal)
}

pub(crate) fn decode<C: DeserializeOwned>(cursor: &str) -> Result<C, Problem> {
    let refused = || Problem::bad_request("the cursor is not one that this list gave");
    let json = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    serde_json::from_slice(&json).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let key = (chrono::DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap(), uuid::Uuid::nil());
        let text = encode(&key).unwrap();
        assert_eq!(decode::<(chrono::DateTime<chrono::Utc>, uuid::Uuid)>(&text).unwrap(), key);
        assert!(decode::<i32>(&text).is_err());
        assert!(decode::<i32>("not base64!").is_err());
    }

    #[test]
    fn a_page_has_a_bounded_size() {
        let size = |limit| PageQuery { limit, cursor: None }.size();
        assert_eq!((size(None), size(Some(0)), size(Some(7)), size(Some(1_000_000))), (50, 1, 7, 200));
    }
}
