//! `paperclip.module`: `paperclip.module.json` of the Paperclip design document.
//!
//! No released code reads it, so that nothing but the document says what is right: known members are checked, unknown ones
//! are kept.

use registry_types::document::{Errors, Node, Object};
use registry_types::names::PackageSlug;
use registry_types::package::PackageFormat;
use registry_types::pointer::PointerError;
use serde_json::Value;

use crate::{Author, Descriptor, Permissions};

pub(crate) const MANIFEST_PATHS: &[&str] = &["app/paperclip.module.json", "paperclip.module.json"];

pub(crate) fn parse(manifest: &Value) -> Result<Descriptor, Vec<PointerError>> {
    let mut errors = Errors::default();
    let descriptor = Node::root(manifest).object(&mut errors).and_then(|root| {
        let descriptor = descriptor(&root, &mut errors);
        check_routes(&root, &mut errors);
        check_ui(&root, &mut errors);
        check_requirements(&root, &mut errors);
        descriptor
    });
    errors.finish(descriptor)
}

fn descriptor(root: &Object<'_>, errors: &mut Errors) -> Option<Descriptor> {
    let id: Option<PackageSlug> = root.required("id", errors).and_then(|n| n.parse("pattern", errors));
    let name = root.required("name", errors).and_then(|n| n.line(1..=100, errors));
    let version = root.required("version", errors).and_then(|n| n.parse("pattern", errors));
    let description = root.optional("description").and_then(|n| n.text(0..=500, errors)).unwrap_or_default();
    let author = root.optional("author").and_then(|n| n.line(1..=200, errors));
    // An exclusive category is shown like a tag: it is what people look for ("observability").
    let slot = root.optional("slot").and_then(|n| slot(&n, errors));
    let hooks = root.optional("hooks").map(|n| hooks(&n, errors)).unwrap_or_default();
    Some(Descriptor {
        format: PackageFormat::PaperclipModule,
        name: id?,
        version: version?,
        title: name?.to_owned(),
        description: description.to_owned(),
        tags: slot.map(str::to_owned).into_iter().collect(),
        author: author.map(|name| Author { name: name.to_owned(), email: None, organization: None }),
        entrypoint: None,
        // Its pages are part of the module's own code; there is no separate bundle to demand.
        has_ui: false,
        permissions: Permissions { hooks, ..Permissions::default() },
    })
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

fn slot<'a>(node: &Node<'a>, errors: &mut Errors) -> Option<&'a str> {
    let slot = node.line(1..=64, errors)?;
    if is_word(slot) {
        return Some(slot);
    }
    errors.push(&node.pointer, "pattern", "must be lower-case letters, digits, '_' and '-'");
    None
}

/// Event names: `agent:created` in the design document, `agent.created` in later releases.
fn hooks(node: &Node<'_>, errors: &mut Errors) -> Vec<String> {
    let mut hooks = Vec::new();
    for element in node.array(100, errors).unwrap_or_default() {
        let Some(hook) = element.line(1..=100, errors) else { continue };
        if hook.contains([':', '.']) && hook.split([':', '.']).all(is_word) {
            hooks.push(hook.to_owned());
        } else {
            errors.push(&element.pointer, "pattern", "must be an event name such as agent:created");
        }
    }
    hooks.sort();
    hooks.dedup();
    hooks
}

fn check_routes(root: &Object<'_>, errors: &mut Errors) {
    let Some(routes) = root.optional("routes").and_then(|n| n.object(errors)) else { return };
    if let Some(node) = routes.required("prefix", errors) {
        check_web_path(&node, errors);
    }
    check_file(&routes, "entry", errors);
}

fn check_ui(root: &Object<'_>, errors: &mut Errors) {
    check_file(root, "schema", errors);
    let Some(ui) = root.optional("ui").and_then(|n| n.object(errors)) else { return };
    for page in objects(&ui, "pages", errors) {
        if let Some(node) = page.required("path", errors) {
            check_web_path(&node, errors);
        }
        check_labelled_entry(&page, errors);
    }
    for widget in objects(&ui, "widgets", errors) {
        if let Some(node) = widget.required("id", errors) {
            slot(&node, errors);
        }
        check_labelled_entry(&widget, errors);
    }
}

fn objects<'a>(parent: &Object<'a>, key: &str, errors: &mut Errors) -> Vec<Object<'a>> {
    let elements = parent.optional(key).and_then(|n| n.array(50, errors)).unwrap_or_default();
    elements.iter().filter_map(|n| n.object(errors)).collect()
}

fn check_labelled_entry(object: &Object<'_>, errors: &mut Errors) {
    if let Some(node) = object.required("label", errors) {
        node.line(1..=100, errors);
    }
    check_file(object, "entry", errors);
}

/// An absolute path below which the module answers.
fn check_web_path(node: &Node<'_>, errors: &mut Errors) {
    let Some(path) = node.line(2..=200, errors) else { return };
    let is_segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':'))
    };
    if !path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment)) {
        errors.push(
            &node.pointer,
            "path",
            "must be an absolute path such as /observability, without .. or empty parts",
        );
    }
}

/// A file of the module: relative, inside its folder.
fn check_file(object: &Object<'_>, key: &str, errors: &mut Errors) {
    let Some(node) = object.optional(key) else { return };
    let Some(path) = node.line(1..=300, errors) else { return };
    let relative = path.strip_prefix("./").unwrap_or(path);
    let is_inside = !path.contains('\\') && relative.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !is_inside {
        errors.push(&node.pointer, "path", "must be a relative path inside the module's folder");
    }
}

fn check_requirements(root: &Object<'_>, errors: &mut Errors) {
    if let Some(node) = root.optional("configSchema") {
        node.object(errors);
    }
    let Some(requires) = root.optional("requires").and_then(|n| n.object(errors)) else { return };
    if let Some(node) = requires.optional("core") {
        node.parse::<semver::VersionReq>("version_range", errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn module() -> Value {
        json!({
            "id": "build-monitor", "name": "Build Monitor", "description": "Watches builds", "version": "0.3.0",
            "author": "example", "slot": "observability",
            "hooks": ["agent:heartbeat", "issue.created", "agent:heartbeat"],
            "routes": {"prefix": "/build-monitor", "entry": "./src/routes.ts"},
            "ui": {
                "pages": [{"path": "/builds", "label": "Builds", "entry": "./src/ui/index.ts"}],
                "widgets": [{"id": "last-build", "label": "Last build", "placement": "dashboard"}]
            },
            "schema": "./src/schema.ts",
            "configSchema": {"type": "object", "properties": {"days": {"type": "number", "default": 30}}},
            "requires": {"core": ">=0.1.0"},
            "unknown": {"kept": true}
        })
    }

    #[test]
    fn the_design_documents_form_reads() {
        let descriptor = parse(&module()).unwrap();
        assert_eq!(descriptor.name.as_str(), "build-monitor");
        assert_eq!(descriptor.title, "Build Monitor");
        assert_eq!(descriptor.tags, ["observability"]);
        assert_eq!(descriptor.permissions.hooks, ["agent:heartbeat", "issue.created"]);
        assert_eq!((descriptor.entrypoint, descriptor.has_ui), (None, false));
        parse(&json!({"id": "tiny", "name": "Tiny", "version": "1.0.0"})).unwrap();
    }

    #[test]
    fn all_errors_come_at_once() {
        let mut manifest = module();
        manifest["id"] = json!("a.b");
        manifest["version"] = json!(1);
        manifest["slot"] = json!("Has Space");
        manifest["hooks"] = json!(["created", "agent:", 5]);
        manifest["routes"] = json!({"prefix": "/a/../b", "entry": "../../etc/passwd"});
        manifest["ui"]["pages"][0]["path"] = json!("builds");
        manifest["ui"]["widgets"][0] = json!({"label": ""});
        manifest["schema"] = json!("/abs.ts");
        manifest["requires"]["core"] = json!("newest");
        manifest["configSchema"] = json!([]);
        let mut found: Vec<_> = parse(&manifest).unwrap_err().into_iter().map(|e| (e.pointer, e.code)).collect();
        found.sort();
        let expected = [
            ("/configSchema", "type"),
            ("/hooks/0", "pattern"),
            ("/hooks/1", "pattern"),
            ("/hooks/2", "type"),
            ("/id", "pattern"),
            ("/requires/core", "version_range"),
            ("/routes/entry", "path"),
            ("/routes/prefix", "path"),
            ("/schema", "path"),
            ("/slot", "pattern"),
            ("/ui/pages/0/path", "path"),
            ("/ui/widgets/0/id", "missing"),
            ("/ui/widgets/0/label", "length"),
            ("/version", "type"),
        ];
        assert_eq!(found, expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
    }
}
