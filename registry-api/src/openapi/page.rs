//! `/docs`: the description as one readable page, without script.

use askama::Template;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, PathItem, RefOr};

#[derive(Template)]
#[template(path = "docs.html")]
struct Page {
    title: String,
    groups: Vec<Group>,
}

struct Group {
    tag: String,
    operations: Vec<Line>,
}

struct Line {
    id: String,
    method: &'static str,
    path: String,
    summary: String,
    description: String,
    is_public: bool,
    parameters: Vec<String>,
    answers: Vec<(String, String)>,
}

pub(super) fn render(api: &OpenApi) -> String {
    let mut groups: Vec<Group> = Vec::new();
    for (path, item) in &api.paths.paths {
        for (method, operation) in operations(item) {
            let tag = operation.tags.as_ref().and_then(|tags| tags.first()).cloned().unwrap_or_default();
            let line = line(method, path, operation);
            match groups.iter_mut().find(|group| group.tag == tag) {
                Some(group) => group.operations.push(line),
                None => groups.push(Group { tag, operations: vec![line] }),
            }
        }
    }
    groups.sort_by(|a, b| a.tag.cmp(&b.tag));
    let page = Page { title: api.info.title.clone(), groups };
    page.render().unwrap_or_else(|error| format!("the page could not be rendered: {error}"))
}

fn operations(item: &PathItem) -> impl Iterator<Item = (&'static str, &Operation)> {
    let all = [
        ("GET", &item.get),
        ("HEAD", &item.head),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}

fn line(method: &'static str, path: &str, operation: &Operation) -> Line {
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(match parameter.parameter_in {
            ParameterIn::Path => format!("{{{}}}", parameter.name),
            ParameterIn::Query | ParameterIn::QueryString => format!("?{}", parameter.name),
            ParameterIn::Header => format!("{}:", parameter.name),
            ParameterIn::Cookie => format!("cookie {}", parameter.name),
        }),
        RefOr::Ref(_) => None,
    });
    let answers = operation.responses.responses.iter().map(|(status, response)| {
        let text = match response {
            RefOr::T(response) => response.description.clone(),
            RefOr::Ref(_) => String::new(),
        };
        (status.clone(), text)
    });
    Line {
        id: operation.operation_id.clone().unwrap_or_default(),
        method,
        path: path.to_owned(),
        summary: operation.summary.clone().unwrap_or_default(),
        description: operation.description.clone().unwrap_or_default(),
        is_public: operation.security.as_ref().is_none_or(Vec::is_empty),
        parameters: parameters.collect(),
        answers: answers.collect(),
    }
}
