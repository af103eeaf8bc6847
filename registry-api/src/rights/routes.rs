//! Which operation a request is about, as the API's description says.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::dev::{Path, ResourceDef};
use actix_web::http::Method;

use super::Operation;

/// The table of rights and the routes are not about the same operations.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("operations without a rule, or rules without an operation: {0:?}")]
pub(crate) struct RouteError(BTreeSet<String>);

/// An operation that nobody thought of must not be served.
///
/// # Errors
/// Which there are.
pub(crate) fn check_routes() -> Result<(), RouteError> {
    let described: BTreeSet<String> = described().into_iter().map(|one| one.id).collect();
    let ruled = Operation::ALL.iter().map(|operation| operation.id().to_owned()).collect();
    let odd: BTreeSet<String> = described.symmetric_difference(&ruled).cloned().collect();
    if odd.is_empty() { Ok(()) } else { Err(RouteError(odd)) }
}

/// What a request's path says before it is routed.
pub(super) struct Route {
    pub(super) operation: Operation,
    /// Its `{org}` or `{publisher}`.
    pub(super) organization: Option<String>,
}

/// `None`: a page, or nothing.
pub(super) fn route_of(request: &HttpRequest) -> Option<Route> {
    let path = request.match_info().as_str();
    let (pattern, operation) = PATTERNS.get(request.method())?.iter().find(|(pattern, _)| pattern.is_match(path))?;
    let mut path = Path::new(path.to_owned());
    pattern.capture_match_info(&mut path);
    let organization = path.get("org").or_else(|| path.get("publisher")).map(str::to_owned);
    Some(Route { operation: *operation, organization })
}

/// The operation of the route that was taken. `None`: a page.
pub(super) fn operation_of(request: &HttpRequest) -> Option<Operation> {
    ROUTES.get(&(request.method().clone(), request.match_pattern()?)).copied()
}

/// By method; of patterns that match the same path first the one that says more of it, as the routes are registered.
static PATTERNS: LazyLock<HashMap<Method, Vec<(ResourceDef, Operation)>>> = LazyLock::new(|| {
    let mut all = described();
    all.sort_by_key(|one| one.path.matches('{').count());
    let mut patterns: HashMap<Method, Vec<(ResourceDef, Operation)>> = HashMap::new();
    for one in all {
        if let Some(operation) = Operation::named(&one.id) {
            patterns.entry(one.method).or_default().push((ResourceDef::new(one.path), operation));
        }
    }
    patterns
});

static ROUTES: LazyLock<HashMap<(Method, String), Operation>> = LazyLock::new(|| {
    let ruled = |one: Described| Some(((one.method, one.path), Operation::named(&one.id)?));
    described().into_iter().filter_map(ruled).collect()
});

struct Described {
    method: Method,
    path: String,
    id: String,
}

fn described() -> Vec<Described> {
    let items = crate::openapi().paths.paths.into_iter();
    let operations = items.flat_map(|(path, item)| {
        let by_method = [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::DELETE, item.delete),
            (Method::OPTIONS, item.options),
            (Method::HEAD, item.head),
            (Method::PATCH, item.patch),
            (Method::TRACE, item.trace),
        ];
        by_method.map(|(method, operation)| (path.clone(), method, operation))
    });
    let named = |(path, method, operation): (String, Method, Option<utoipa::openapi::path::Operation>)| {
        Some(Described { method, path, id: operation?.operation_id? })
    };
    operations.filter_map(named).collect()
}
