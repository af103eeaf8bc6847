//! The tags of a repository: its active versions.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, get, web};
use registry_db::pull;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::caller::Puller;
use super::error::OciError;
use super::repository;
use crate::state::AppState;

/// Tags of one answer, if the client asks for no number or a larger one.
const MAX_TAGS: usize = 1_000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TagsQuery {
    /// At most so many tags.
    n: Option<usize>,
    /// Only tags behind this one.
    last: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct TagList {
    /// `publisher/name`.
    name: String,
    /// In the order of their characters.
    tags: Vec<String>,
}

/// The tags of a repository
#[utoipa::path(
    tag = "pull",
    operation_id = "listTags",
    params(("publisher" = String, Path), ("name" = String, Path), TagsQuery),
    responses(
        (status = 200, description = "Active versions; a Link header names the next page", body = TagList),
        (status = 404, description = "NAME_UNKNOWN")
    )
)]
#[get("/v2/{publisher}/{name}/tags/list")]
pub(super) async fn list_tags(
    state: web::Data<AppState>,
    puller: Puller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, OciError> {
    let (publisher, name) = path.into_inner();
    let query = web::Query::<TagsQuery>::from_query(request.query_string()).map_err(|_| OciError::QueryInvalid)?;
    let versions = {
        let mut conn = state.pool.get().await.map_err(OciError::of_db(OciError::Unavailable))?;
        let repository = repository::open(&mut conn, &puller, &publisher, &name).await?;
        pull::version_numbers(&mut conn, &repository).await.map_err(OciError::of_db(OciError::NameUnknown))?
    };
    let tags = versions.iter().map(|version| version.to_string().replace('+', "_")).collect();
    let (tags, has_more) = page(tags, query.last.as_deref(), query.n.unwrap_or(MAX_TAGS).min(MAX_TAGS));
    let name = format!("{publisher}/{name}");
    let mut response = HttpResponse::Ok();
    if let Some(last) = tags.last().filter(|_| has_more) {
        let link = format!("</v2/{name}/tags/list?n={}&last={last}>; rel=\"next\"", tags.len());
        response.insert_header((header::LINK, link));
    }
    Ok(response.json(TagList { name, tags }))
}

/// At most `n` tags behind `last`, and whether there are more.
fn page(mut tags: Vec<String>, last: Option<&str>, n: usize) -> (Vec<String>, bool) {
    tags.retain(|tag| last.is_none_or(|last| tag.as_str() > last));
    tags.sort_unstable();
    let has_more = tags.len() > n;
    tags.truncate(n);
    (tags, has_more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_tags_follow_one_another_without_gaps() {
        let tags = || ["1.10.0", "1.2.0", "2.0.0"].map(str::to_owned).to_vec();
        assert_eq!(page(tags(), None, 2), (vec!["1.10.0".to_owned(), "1.2.0".to_owned()], true));
        assert_eq!(page(tags(), Some("1.2.0"), 2), (vec!["2.0.0".to_owned()], false));
        assert_eq!(page(tags(), None, 0), (vec![], true));
    }
}
