//! Logging in and out with a browser.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, get, post, web};
use askama::Template;
use secrecy::SecretString;
use serde::Deserialize;

use super::error::sentence;
use super::frame::{Frame, Section, render, see_other};
use crate::auth::login::{login_browser, logout_browser};
use crate::problem::{Problem, ProblemCode};
use crate::rights::{MaybeAuthenticated, demand_same_origin};
use crate::state::AppState;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    email: String,
    next: String,
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct LoginAddress {
    next: Option<String>,
}

#[derive(Deserialize)]
struct LoginForm {
    email: String,
    password: SecretString,
    next: Option<String>,
}

#[get("/login")]
pub(super) async fn login_form(
    state: web::Data<AppState>,
    MaybeAuthenticated(identity): MaybeAuthenticated,
    address: web::Query<LoginAddress>,
) -> HttpResponse {
    let next = own_place(address.into_inner().next.as_deref());
    if identity.is_some() {
        return see_other(&next);
    }
    let frame = Frame::new(&state, None, Section::Login);
    render(StatusCode::OK, &LoginPage { frame, email: String::new(), next, refusal: None })
}

#[post("/login")]
pub(super) async fn log_in(
    request: HttpRequest,
    state: web::Data<AppState>,
    form: web::Form<LoginForm>,
) -> Result<HttpResponse, Problem> {
    demand_same_origin(&request, &state)?;
    let form = form.into_inner();
    let next = own_place(form.next.as_deref());
    match login_browser(&request, &state, &form.email, form.password).await {
        Ok(cookie) => Ok(HttpResponse::SeeOther().cookie(cookie).insert_header((header::LOCATION, next)).finish()),
        Err(problem) if problem.code == ProblemCode::Unauthenticated => {
            let frame = Frame::new(&state, None, Section::Login);
            let refusal = Some(sentence(&problem.detail));
            Ok(render(StatusCode::UNAUTHORIZED, &LoginPage { frame, email: form.email, next, refusal }))
        }
        Err(problem) => Err(problem),
    }
}

#[post("/logout")]
pub(super) async fn log_out(state: web::Data<AppState>, caller: MaybeAuthenticated) -> Result<HttpResponse, Problem> {
    let removal = logout_browser(&state, &caller).await?;
    Ok(HttpResponse::SeeOther().cookie(removal).insert_header((header::LOCATION, "/")).finish())
}

/// Only a place of this store: a link to the login form must not be able to send people elsewhere.
fn own_place(next: Option<&str>) -> String {
    let is_own = |place: &&str| {
        place.starts_with('/')
            && !place[1..].starts_with(['/', '\\'])
            && !place.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    next.filter(is_own).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_only_to_this_store() {
        assert_eq!(own_place(Some("/registries?org=acme")), "/registries?org=acme");
        for elsewhere in
            ["//evil.example", "/\\evil.example", "https://evil.example", "", "/\t/evil.example", "javascript:1"]
        {
            assert_eq!(own_place(Some(elsewhere)), "/", "{elsewhere:?}");
        }
        assert_eq!(own_place(None), "/");
    }
}
