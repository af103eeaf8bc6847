//! The store's front page and the pages of publishers: packages, searched and filtered.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, get, web};
use askama::Template;
use registry_db::packages::{self, PackageSummary, Publisher, Viewer};
use registry_db::search::{self, Filter};
use registry_types::names::OrganizationSlug;
use registry_types::package::{PackageFormat, PackageKind, Visibility};
use registry_types::people::TrustTier;
use url::form_urlencoded::Serializer;

use super::frame::{Frame, Section, render};
use super::text;
use crate::packages::query::ListQuery;
use crate::paging::{List, PageQuery};
use crate::problem::Problem;
use crate::rights::MaybeAuthenticated;
use crate::state::AppState;

#[derive(Template)]
#[template(path = "store.html")]
struct StorePage {
    frame: Frame,
    query: String,
    kinds: Vec<Choice>,
    formats: Vec<Choice>,
    tiers: Vec<Choice>,
    /// Filters that are set by links, not in the form.
    tag: Option<String>,
    publisher: Option<String>,
    is_filtered: bool,
    packages: Vec<PackageCard>,
    /// Addresses; `first` only where this is not the first page.
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "publisher.html")]
struct PublisherPage {
    frame: Frame,
    publisher: Publisher,
    packages: Vec<PackageCard>,
    first: Option<String>,
    next: Option<String>,
}

/// One value of a filter.
struct Choice {
    value: &'static str,
    label: String,
    is_chosen: bool,
}

pub(super) struct PackageCard {
    address: String,
    title: String,
    name: String,
    publisher: OrganizationSlug,
    publisher_name: String,
    tier: &'static str,
    kind: &'static str,
    format: &'static str,
    version: String,
    listed: String,
    description: String,
    tags: Vec<String>,
    /// Only where it is not simply public.
    visibility: Option<&'static str>,
}

impl From<PackageSummary> for PackageCard {
    fn from(package: PackageSummary) -> Self {
        let name = package.full_name().to_string();
        Self {
            address: format!("/packages/{name}"),
            title: if package.title.is_empty() { package.name.to_string() } else { package.title },
            name,
            publisher: package.publisher.slug,
            publisher_name: package.publisher.display_name,
            tier: package.publisher.trust_tier.as_str(),
            kind: package.kind.as_str(),
            format: package.format.as_str(),
            version: package.latest_version.map(|version| version.to_string()).unwrap_or_default(),
            listed: package.listed_at.map(text::date).unwrap_or_default(),
            description: package.description,
            tags: package.tags,
            visibility: match package.visibility {
                Visibility::Public => None,
                Visibility::Organization => Some("organization only"),
                Visibility::Licensed => Some("licensed"),
            },
        }
    }
}

#[get("/")]
pub(super) async fn store_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    query: web::Query<ListQuery>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let filter = query.filter()?;
    let after = page.after()?;
    let viewer = Viewer::of(identity.as_ref());
    let found = search::search(&mut *state.pool.get().await?, &viewer, &filter, after, page.size()).await?;
    let found = List::of(found.map(PackageCard::from))?;
    let page = StorePage {
        frame: Frame::new(&state, identity.as_ref(), Section::Store),
        kinds: choices(PackageKind::ALL, filter.kind, PackageKind::as_str),
        formats: choices(PackageFormat::ALL, filter.format, PackageFormat::as_str),
        tiers: choices(TrustTier::ALL, filter.tier, TrustTier::as_str),
        is_filtered: filter != Filter::default(),
        first: after.map(|_| address(&filter, None)),
        next: found.next_cursor.map(|cursor| address(&filter, Some(&cursor))),
        query: filter.query.unwrap_or_default(),
        tag: filter.tag,
        publisher: filter.publisher.map(|publisher| publisher.to_string()),
        packages: found.items,
    };
    Ok(render(StatusCode::OK, &page))
}

#[get("/publishers/{publisher}")]
pub(super) async fn publisher_page(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    path: web::Path<OrganizationSlug>,
    page: web::Query<PageQuery>,
) -> Result<HttpResponse, Problem> {
    let slug = path.into_inner();
    let after = page.after()?;
    let viewer = Viewer::of(identity.as_ref());
    let mut conn = state.pool.get().await?;
    let publisher = packages::publisher(&mut conn, &viewer, &slug).await?;
    let filter = Filter { publisher: Some(slug), ..Filter::default() };
    let found = search::search(&mut conn, &viewer, &filter, after, page.size()).await?;
    let found = List::of(found.map(PackageCard::from))?;
    let own = format!("/publishers/{}", publisher.slug);
    let page = PublisherPage {
        frame: Frame::new(&state, identity.as_ref(), Section::Store),
        packages: found.items,
        next: found.next_cursor.map(|cursor| format!("{own}?cursor={cursor}")),
        first: after.map(|_| own),
        publisher,
    };
    Ok(render(StatusCode::OK, &page))
}

fn choices<T: Copy + PartialEq>(all: &[T], chosen: Option<T>, word: fn(T) -> &'static str) -> Vec<Choice> {
    all.iter()
        .map(|value| Choice {
            value: word(*value),
            label: text::words(word(*value)),
            is_chosen: chosen == Some(*value),
        })
        .collect()
}

/// The address of a page of the same search.
fn address(filter: &Filter, cursor: Option<&str>) -> String {
    let fields = [
        ("q", filter.query.as_deref()),
        ("kind", filter.kind.map(PackageKind::as_str)),
        ("format", filter.format.map(PackageFormat::as_str)),
        ("tier", filter.tier.map(TrustTier::as_str)),
        ("tag", filter.tag.as_deref()),
        ("publisher", filter.publisher.as_ref().map(OrganizationSlug::as_str)),
        ("cursor", cursor),
    ];
    let mut query = Serializer::new(String::new());
    for (name, value) in fields {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let query = query.finish();
    if query.is_empty() { "/".to_owned() } else { format!("/?{query}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_search_keeps_its_filters() {
        let filter = Filter { query: Some("a&b".to_owned()), tier: Some(TrustTier::Verified), ..Filter::default() };
        assert_eq!(address(&filter, Some("c")), "/?q=a%26b&tier=verified&cursor=c");
        assert_eq!(address(&Filter::default(), None), "/");
    }
}
