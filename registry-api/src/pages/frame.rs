//! What every page shares: its frame (`templates/base.html`) and the headers it is sent with.

use actix_web::HttpResponse;
use actix_web::http::{StatusCode, header};
use askama::Template;
use registry_db::users::Identity;
use registry_types::profile::Profile;

use super::assets;
use crate::state::AppState;

/// Nothing but our own stylesheet, images and forms: no script at all, no foreign content, no framing.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                                       base-uri 'none'; frame-ancestors 'none'";

/// The entry of the main navigation that a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Store,
    Registries,
    Reviews,
    Waivers,
    Companies,
    /// Its members, keys and log.
    Organization,
    Login,
    /// None of the entries, e.g. an error page.
    Elsewhere,
}

/// What `base.html` shows around a page. Every page's template struct has one in its field `frame`.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) profile: Profile,
    /// E-mail address of the person who is logged in.
    pub(crate) account: Option<String>,
    pub(crate) section: Section,
}

impl Frame {
    pub(crate) fn new(state: &AppState, identity: Option<&Identity>, section: Section) -> Self {
        Self { profile: state.profile, account: identity.map(|identity| identity.email.to_string()), section }
    }

    pub(crate) fn is_development(&self) -> bool {
        match self.profile {
            Profile::Development => true,
            Profile::Production => false,
        }
    }

    pub(crate) fn stylesheet(&self) -> &'static str {
        assets::stylesheet_path()
    }

    pub(crate) fn at_store(&self) -> bool {
        self.section == Section::Store
    }

    pub(crate) fn at_registries(&self) -> bool {
        self.section == Section::Registries
    }

    pub(crate) fn at_reviews(&self) -> bool {
        self.section == Section::Reviews
    }

    pub(crate) fn at_waivers(&self) -> bool {
        self.section == Section::Waivers
    }

    pub(crate) fn at_companies(&self) -> bool {
        self.section == Section::Companies
    }

    pub(crate) fn at_organization(&self) -> bool {
        self.section == Section::Organization
    }

    pub(crate) fn at_login(&self) -> bool {
        self.section == Section::Login
    }
}

/// Renders a page. What a page shows depends on who looks, so no shared cache may keep it.
pub(crate) fn render(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(body) => HttpResponse::build(status)
            .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
            .insert_header((header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .insert_header((header::REFERRER_POLICY, "same-origin"))
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::VARY, "Cookie"))
            .body(body),
        Err(error) => {
            tracing::error!(error = %error, "page not rendered");
            HttpResponse::InternalServerError().body("the page could not be rendered")
        }
    }
}

/// Sends a browser on, with GET.
pub(crate) fn see_other(place: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, place)).finish()
}

/// Sends a browser to the login form, which brings it back to `next`.
pub(crate) fn log_in_first(next: &str) -> HttpResponse {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    see_other(&format!("/login?{query}"))
}
