//! `hla-compass.module`: `manifest.json` of an HLA-Compass module.
//!
//! The client's schemas changed over the years and none of them accepts the handbook's minimal manifest, so that each field
//! is accepted in all the forms that any client version or the handbook uses. Unknown members are kept, never refused.

use registry_types::document::{Errors, Node, Object};
use registry_types::limits::MAX_JSON_DEPTH;
use registry_types::names::PackageSlug;
use registry_types::package::PackageFormat;
use registry_types::pointer::{PointerError, escape_token};
use serde_json::Value;

use crate::{Author, DatabaseRight, Descriptor, Entrypoint, NetworkAccess, Permissions, hla_resources, network};

/// Images are built with `WORKDIR /app`; the root is where images made by hand put it.
pub(crate) const MANIFEST_PATHS: &[&str] = &["app/manifest.json", "manifest.json"];

/// Members that the client adds when it signs. Allowed at the root only: client versions disagree about whether deeper ones
/// are part of the signed bytes.
pub(crate) const SIGNING_FIELDS: &[&str] = &[
    "signature",
    "publicKey",
    "public_key",
    "signatureAlgorithm",
    "signature_algorithm",
    "hashAlgorithm",
    "hash_algorithm",
    "keyFingerprint",
    "key_fingerprint",
];

const COMPUTE_TYPES: &[&str] = &["docker", "fargate", "lambda", "batch", "sagemaker", "pipeline"];
const RUN_MODES: &[&str] = &["interactive", "async", "workflow"];
const ROLES: &[&str] = &["user", "developer", "org_admin", "platform_admin"];
const PRICING_TIERS: &[&str] = &["developer", "foundational", "advanced", "strategic"];

pub(crate) fn parse(manifest: &Value) -> Result<Descriptor, Vec<PointerError>> {
    let mut errors = Errors::default();
    let descriptor = Node::root(manifest).object(&mut errors).and_then(|root| {
        let descriptor = descriptor(&root, &mut errors);
        check_execution(&root, &mut errors);
        check_resources(&root, &mut errors);
        check_inputs(&root, &mut errors);
        check_pricing(&root, &mut errors);
        check_tools(&root, &mut errors);
        refuse_nested_signing_fields(manifest, &mut errors);
        descriptor
    });
    errors.finish(descriptor)
}

/// Where the module may lie: images keep their code in `/app` (at its top, in `backend/` or in `src/`) or at the root.
pub(crate) fn entrypoint_candidates(entrypoint: &Entrypoint) -> Vec<String> {
    let path = entrypoint.module.replace('.', "/");
    let place = |folder: &str| [format!("{folder}{path}.py"), format!("{folder}{path}/__init__.py")];
    ["app/", "app/backend/", "app/src/", ""].into_iter().flat_map(place).collect()
}

fn descriptor(root: &Object<'_>, errors: &mut Errors) -> Option<Descriptor> {
    if let Some(node) = root.optional("schemaVersion") {
        node.word(&["1.0"], errors);
    }
    if let Some(node) = root.optional("computeType") {
        node.word(COMPUTE_TYPES, errors);
    }
    if let Some(node) = root.optional("scope") {
        node.word(&["org", "public"], errors);
    }
    let name: Option<PackageSlug> = root.required("name", errors).and_then(|n| n.parse("pattern", errors));
    let version = root.required("version", errors).and_then(|n| version(&n, errors));
    let kind = root.required("type", errors).and_then(|n| n.word(&["no-ui", "with-ui"], errors));
    let title = ["displayName", "display_name", "title"]
        .into_iter()
        .find_map(|key| root.members.get(key)?.as_str())
        .filter(|title| (1..=100).contains(&title.chars().count()) && !title.chars().any(char::is_control));
    let description = root.optional("description").and_then(|n| n.text(0..=500, errors)).unwrap_or_default();
    let tags = root.optional("tags").map(|n| lines(&n, 10, errors)).unwrap_or_default();
    let author = root.optional("author").and_then(|n| author(&n, errors));
    let entrypoint = root
        .required("execution", errors)
        .and_then(|n| n.object(errors))
        .and_then(|execution| execution.required("entrypoint", errors))
        .and_then(|n| entrypoint(&n, errors));
    let permissions = permissions(root, errors);
    let name = name?;
    Some(Descriptor {
        format: PackageFormat::HlaCompassModule,
        title: title.map_or_else(|| name.to_string(), str::to_owned),
        name,
        version: version?,
        description: description.to_owned(),
        tags,
        author,
        entrypoint: Some(entrypoint?),
        has_ui: kind? == "with-ui",
        permissions,
    })
}

/// `x.y.z[-pre]`; build metadata is not part of any client's form.
fn version(node: &Node<'_>, errors: &mut Errors) -> Option<semver::Version> {
    let version: semver::Version = node.parse("pattern", errors)?;
    if version.build.is_empty() {
        return Some(version);
    }
    errors.push(&node.pointer, "pattern", "must be x.y.z or x.y.z-pre, without build metadata");
    None
}

fn author(node: &Node<'_>, errors: &mut Errors) -> Option<Author> {
    let author = node.object(errors)?;
    let name = author.required("name", errors).and_then(|n| n.line(1..=200, errors));
    let email = author.optional("email").and_then(|n| {
        let email = n.line(3..=254, errors)?;
        if !email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) {
            errors.push(&n.pointer, "pattern", "must be an e-mail address");
        }
        Some(email.to_owned())
    });
    let organization = author.optional("organization").and_then(|n| n.line(0..=200, errors)).map(str::to_owned);
    Some(Author { name: name?.to_owned(), email, organization })
}

fn entrypoint(node: &Node<'_>, errors: &mut Errors) -> Option<Entrypoint> {
    let text = node.line(3..=300, errors)?;
    let is_identifier = |part: &str| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match text.split_once(':') {
        Some((module, class)) if module.split('.').all(is_identifier) && is_identifier(class) => {
            Some(Entrypoint { module: module.to_owned(), class: class.to_owned() })
        }
        _ => {
            errors.push(&node.pointer, "entrypoint", "must have the form module:Class, e.g. backend.main:MyModule");
            None
        }
    }
}

fn permissions(root: &Object<'_>, errors: &mut Errors) -> Permissions {
    let Some(object) = root.optional("permissions").and_then(|n| n.object(errors)) else {
        return Permissions::default();
    };
    let network = object.optional("network").and_then(|n| network::read(&n, errors)).unwrap_or(NetworkAccess::None);
    let database = object.optional("database").map(|n| database(&n, errors)).unwrap_or_default();
    let storage = object.optional("storage").and_then(|n| n.boolean(errors)).unwrap_or_default();
    let data_access = object.optional("data_access").map(|n| lines(&n, 100, errors)).unwrap_or_default();
    let required_roles = object.optional("requiredRoles").map(|n| words(&n, ROLES, errors)).unwrap_or_default();
    Permissions { network, database, storage, data_access, required_roles, hooks: Vec::new() }
}

fn database(node: &Node<'_>, errors: &mut Errors) -> Vec<DatabaseRight> {
    if node.value == &Value::Bool(false) {
        return Vec::new();
    }
    if !node.value.is_array() {
        errors.push(&node.pointer, "type", "must be false or a list of read, write, delete");
        return Vec::new();
    }
    let elements = node.array(DatabaseRight::ALL.len(), errors).unwrap_or_default();
    elements.iter().filter_map(|n| n.choice(errors)).collect()
}

fn check_execution(root: &Object<'_>, errors: &mut Errors) {
    let Some(Value::Object(members)) = root.members.get("execution") else { return };
    let execution = Object { pointer: root.pointer_to("execution"), members };
    if let Some(node) = execution.optional("supports") {
        words(&node, RUN_MODES, errors);
    }
    if let Some(node) = execution.optional("defaultMode") {
        node.word(RUN_MODES, errors);
    }
}

fn check_resources(root: &Object<'_>, errors: &mut Errors) {
    if let Some(node) = root.optional("environment_variables") {
        check_environment(&node, errors);
    }
    let Some(resources) = root.optional("resources").and_then(|n| n.object(errors)) else { return };
    hla_resources::check(&resources, errors);
    if let Some(node) = resources.optional("gpu") {
        node.integer(0..=64, errors);
    }
    if let Some(node) = resources.optional("environment") {
        check_environment(&node, errors);
    }
}

fn check_environment(node: &Node<'_>, errors: &mut Errors) {
    let Some(environment) = node.object(errors) else { return };
    for (key, value) in environment.members {
        if !(value.is_string() || value.is_number() || value.is_boolean()) {
            errors.push(environment.pointer_to(key), "type", "must be a string, a number or a boolean");
        }
    }
}

/// JSON Schema, the handbook's short form (`{"field": {"type", "required"}}`) or `null`: all are objects or nothing.
fn check_inputs(root: &Object<'_>, errors: &mut Errors) {
    for node in ["inputs", "outputs"].into_iter().filter_map(|key| root.optional(key)) {
        if !node.value.is_null() {
            node.object(errors);
        }
    }
    for node in
        ["ui", "metadata", "input_template", "data_requirements"].into_iter().filter_map(|key| root.optional(key))
    {
        node.object(errors);
    }
}

fn check_pricing(root: &Object<'_>, errors: &mut Errors) {
    let Some(pricing) = root.optional("pricing").and_then(|n| n.object(errors)) else { return };
    let Some(tiers) = pricing.optional("tiers").and_then(|n| n.array(20, errors)) else { return };
    for tier in tiers.iter().filter_map(|n| n.object(errors)).collect::<Vec<_>>() {
        if let Some(node) = tier.required("tier", errors) {
            node.word(PRICING_TIERS, errors);
        }
        if let Some(node) = tier.required("amountAct", errors)
            && !node.value.as_f64().is_some_and(|amount| amount >= 0.0)
        {
            errors.push(&node.pointer, "range", "must be a number that is not negative");
        }
        if let Some(node) = tier.optional("model") {
            node.word(&["subscription", "usage-based"], errors);
        }
    }
}

fn check_tools(root: &Object<'_>, errors: &mut Errors) {
    let Some(mcp) = root.optional("mcp").and_then(|n| n.object(errors)) else { return };
    let Some(tools) = mcp.optional("tools").and_then(|n| n.array(50, errors)) else { return };
    for tool in tools.iter().filter_map(|n| n.object(errors)).collect::<Vec<_>>() {
        if let Some(node) = tool.required("name", errors)
            && let Some(name) = node.line(2..=64, errors)
            && !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            errors.push(&node.pointer, "pattern", "must be lower-case letters, digits and underscores");
        }
        if let Some(node) = tool.optional("description") {
            node.text(0..=500, errors);
        }
    }
}

/// Also refuses documents that are nested deeper than the strict reader allows, in case they came from elsewhere.
fn refuse_nested_signing_fields(manifest: &Value, errors: &mut Errors) {
    let mut open = vec![(String::new(), manifest, 0)];
    while let Some((pointer, value, depth)) = open.pop() {
        if depth > MAX_JSON_DEPTH {
            errors.push(pointer, "too_deep", format!("is nested more than {MAX_JSON_DEPTH} levels deep"));
            continue;
        }
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    let place = format!("{pointer}/{}", escape_token(key));
                    if depth > 0 && SIGNING_FIELDS.contains(&key.as_str()) {
                        errors.push(
                            &place,
                            "reserved_name",
                            format!("{key} is a signing field and allowed at the root only"),
                        );
                    }
                    open.push((place, member, depth + 1));
                }
            }
            Value::Array(elements) => {
                open.extend(elements.iter().enumerate().map(|(i, e)| (format!("{pointer}/{i}"), e, depth + 1)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

fn lines(node: &Node<'_>, max: usize, errors: &mut Errors) -> Vec<String> {
    let elements = node.array(max, errors).unwrap_or_default();
    elements.iter().filter_map(|n| n.line(1..=100, errors)).map(str::to_owned).collect()
}

fn words(node: &Node<'_>, allowed: &[&str], errors: &mut Errors) -> Vec<String> {
    let elements = node.array(allowed.len(), errors).unwrap_or_default();
    elements.iter().filter_map(|n| n.word(allowed, errors)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The publishing handbook's minimal form, which no client schema accepts.
    fn handbook() -> Value {
        json!({
            "name": "peptide-ranker",
            "version": "0.1.0",
            "type": "no-ui",
            "description": "Ranks peptides",
            "execution": {"entrypoint": "backend.main:PeptideRanker", "supports": ["interactive"]},
            "resources": {"memory": "2Gi", "timeout": "300s", "cpu": "1"},
            "permissions": {"network": false, "data_access": ["peptides"]},
            "inputs": {"sequences": {"type": "array", "required": true}},
            "outputs": {"ranking": {"type": "array"}}
        })
    }

    /// What `init` and `publish` of 2.0.5 send.
    fn client_2_0_5() -> Value {
        json!({
            "schemaVersion": "1.0",
            "name": "peptide-ranker", "version": "1.2.0-rc.1", "type": "with-ui", "computeType": "fargate",
            "description": "", "tags": ["immunology", "ranking"],
            "author": {"name": "A. Author", "email": "a.author@example.org", "organization": "Example"},
            "execution": {"entrypoint": "backend.main:PeptideRanker", "supports": ["interactive", "async"],
                          "defaultMode": "async"},
            "resources": {"memory": 512, "timeout": 120, "environment": {"LOG": "info", "N": 2, "B": true}},
            "permissions": {"database": ["read"], "storage": true, "network": ["api.example.org"], "custom": 1},
            "inputs": {"type": "object", "properties": {"x": {"type": "string"}}}, "outputs": null,
            "ui": {"bucket": "b", "bundleKey": "k", "keys": []},
            "pricing": {"tiers": [{"tier": "developer", "amountAct": 0, "model": "subscription"}]},
            "signature": "c2ln", "publicKey": "a2V5", "keyFingerprint": "Zg==",
            "signatureAlgorithm": "RSA-PSS", "hashAlgorithm": "SHA-256"
        })
    }

    /// What `modules init` and `publish` of 6.0.2 send.
    fn client_6_0_2() -> Value {
        json!({
            "schemaVersion": "1.0", "name": "peptide-ranker", "version": "2.0.0", "type": "no-ui", "scope": "org",
            "author": {"name": "A. Author"},
            "execution": {"entrypoint": "backend.main:PeptideRanker", "supports": ["async"], "defaultMode": "async"},
            "resources": {"memory": 512, "memoryMb": 1024, "vcpus": 0.5, "gpu": 0, "ephemeralStorageGiB": 21,
                          "maxRuntimeSeconds": 3600},
            "environment_variables": {"LOG": "info"},
            "permissions": {"database": false, "storage": true, "requiredRoles": ["developer"],
                            "catalogIngestion": {"catalogIdInput": "a", "sourceUriInput": "b"}},
            "mcp": {"tools": [{"name": "rank_peptides", "description": "ranks", "entrypoint": "backend.tools:rank"}]},
            "metadata": {"imageSigning": {"publicKeyPem": "pem"}}
        })
    }

    fn errors_of(manifest: &Value) -> Vec<(String, String)> {
        parse(manifest).unwrap_err().into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    #[test]
    fn the_handbook_form_reads() {
        let descriptor = parse(&handbook()).unwrap();
        assert_eq!(descriptor.name.as_str(), "peptide-ranker");
        assert_eq!(descriptor.title, "peptide-ranker");
        assert_eq!(descriptor.permissions.network, NetworkAccess::None);
        assert_eq!(descriptor.permissions.data_access, ["peptides"]);
        assert_eq!((descriptor.has_ui, descriptor.author), (false, None));
    }

    #[test]
    fn the_2_0_5_form_reads() {
        let descriptor = parse(&client_2_0_5()).unwrap();
        assert!(descriptor.has_ui);
        assert_eq!(descriptor.version.to_string(), "1.2.0-rc.1");
        assert_eq!(descriptor.tags, ["immunology", "ranking"]);
        assert_eq!(descriptor.author.unwrap().email.as_deref(), Some("a.author@example.org"));
        assert_eq!(descriptor.permissions.network, NetworkAccess::Hosts(vec!["api.example.org".to_owned()]));
        assert_eq!(descriptor.permissions.database, [DatabaseRight::Read]);
        assert!(descriptor.permissions.storage);
    }

    #[test]
    fn the_6_0_2_form_reads() {
        let descriptor = parse(&client_6_0_2()).unwrap();
        assert!(descriptor.permissions.database.is_empty());
        assert_eq!(descriptor.permissions.required_roles, ["developer"]);
        let entrypoint = descriptor.entrypoint.unwrap();
        assert_eq!((entrypoint.module.as_str(), entrypoint.class.as_str()), ("backend.main", "PeptideRanker"));
    }

    #[test]
    fn all_errors_come_at_once() {
        let manifest = json!({
            "name": "Bad_Name", "version": "1.0", "type": "maybe", "computeType": "vm", "schemaVersion": "2.0",
            "tags": ["a", 1], "author": "me",
            "execution": {"entrypoint": "main.py", "supports": ["batch"]},
            "resources": {"memory": "lots", "timeout": 0, "cpu": -1, "gpu": 1.5, "environment": {"A": []}},
            "permissions": {"database": ["drop"], "network": "api.example.org", "storage": "yes"},
            "inputs": [], "pricing": {"tiers": [{"tier": "gold"}]}
        });
        let mut found = errors_of(&manifest);
        found.sort();
        let expected = [
            ("/author", "type"),
            ("/computeType", "unknown_value"),
            ("/execution/entrypoint", "entrypoint"),
            ("/execution/supports/0", "unknown_value"),
            ("/inputs", "type"),
            ("/name", "pattern"),
            ("/permissions/database/0", "unknown_value"),
            ("/permissions/network", "type"),
            ("/permissions/storage", "type"),
            ("/pricing/tiers/0/amountAct", "missing"),
            ("/pricing/tiers/0/tier", "unknown_value"),
            ("/resources/cpu", "quantity"),
            ("/resources/environment/A", "type"),
            ("/resources/gpu", "type"),
            ("/resources/memory", "quantity"),
            ("/resources/timeout", "quantity"),
            ("/schemaVersion", "unknown_value"),
            ("/tags/1", "type"),
            ("/type", "unknown_value"),
            ("/version", "pattern"),
        ];
        assert_eq!(found, expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
        let missing: Vec<_> = errors_of(&json!({})).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(missing, ["/name", "/version", "/type", "/execution"]);
    }

    #[test]
    fn signing_fields_are_reserved_below_the_root() {
        for field in SIGNING_FIELDS {
            let mut manifest = client_2_0_5();
            manifest["inputs"]["properties"]["x"][field] = json!("forged");
            let place = format!("/inputs/properties/x/{field}");
            assert_eq!(errors_of(&manifest), [(place, "reserved_name".to_owned())]);
        }
    }

    #[test]
    fn entrypoints_need_a_module_and_a_class() {
        for wrong in ["main", "main:", ":Main", "a..b:C", "a/b.py:C", "a:b:C", "a:C.d", "../x:C", "1a:C"] {
            let mut manifest = handbook();
            manifest["execution"]["entrypoint"] = json!(wrong);
            assert_eq!(errors_of(&manifest)[0].0, "/execution/entrypoint", "{wrong}");
        }
    }

    #[test]
    fn an_entrypoint_may_lie_where_images_keep_their_code() {
        let descriptor = parse(&handbook()).unwrap();
        let candidates = crate::entrypoint_candidates(&descriptor);
        for path in
            ["app/backend/main.py", "app/backend/main/__init__.py", "app/src/backend/main.py", "backend/main.py"]
        {
            assert!(candidates.iter().any(|c| c == path), "{path}");
        }
    }

    #[test]
    fn quantities_have_units_and_bounds() {
        let accepts = |key: &str, value: Value| {
            let mut manifest = handbook();
            manifest["resources"] = json!({ key: value });
            parse(&manifest).is_ok()
        };
        for good in [json!(256), json!("512Mi"), json!("2Gi"), json!("1.5Gi"), json!("1024")] {
            assert!(accepts("memory", good.clone()), "{good}");
        }
        for bad in [
            json!(0),
            json!(-1),
            json!("Gi"),
            json!("2 Gi"),
            json!("1e9Gi"),
            json!("2Pi"),
            json!("4096Gi"),
            json!(true),
        ] {
            assert!(!accepts("memory", bad.clone()), "{bad}");
        }
        assert!(accepts("timeout", json!("5m")) && accepts("cpu", json!("500m")) && accepts("cpu", json!(2)));
        assert!(!accepts("timeout", json!("5h")) && !accepts("cpu", json!("fast")));
    }
}
