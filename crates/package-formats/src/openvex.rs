//! OpenVEX documents: what others say about vulnerabilities, read as what a waiver could be asked for.
//!
//! By the specification of OpenVEX 0.2.0 (openvex.dev/ns). Only `not_affected` with a justification is such a claim; what else a
//! document says is left out, and told.

use registry_types::pointer::PointerError;
use registry_types::waiver::{AdvisoryId, ComponentPackage, ComponentRange, MAX_STATEMENT, Statement, WaiverReason};
use serde::Deserialize;
use serde_json::Value;

use crate::json::parse_strict_up_to;

/// Largest document, in bytes.
pub const MAX_OPENVEX_BYTES: usize = 512 * 1024;
/// Most claims that one document makes: statements × components.
const MAX_CLAIMS: usize = 200;

const CONTEXT: &str = "https://openvex.dev/ns";

/// A document that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenVex {
    /// `@id` of the document.
    pub id: String,
    pub claims: Vec<Claim>,
    pub left_out: Vec<LeftOut>,
}

/// That a vulnerability does not affect a component where it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Of the statement, in the document.
    pub pointer: String,
    pub advisory: AdvisoryId,
    pub component: ComponentRange,
    pub reason: WaiverReason,
    pub statement: Statement,
}

/// What no waiver can be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    pub pointer: String,
    pub why: String,
}

#[derive(Deserialize)]
struct Document {
    #[serde(rename = "@context")]
    context: String,
    #[serde(rename = "@id")]
    id: String,
    #[serde(default)]
    statements: Vec<Value>,
}

#[derive(Deserialize)]
struct RawStatement {
    vulnerability: Vulnerability,
    #[serde(default)]
    products: Vec<Component>,
    status: String,
    justification: Option<String>,
    impact_statement: Option<String>,
    status_notes: Option<String>,
}

#[derive(Deserialize)]
struct Vulnerability {
    name: String,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "@id")]
    id: Option<String>,
    identifiers: Option<Identifiers>,
    #[serde(default)]
    subcomponents: Vec<Self>,
}

#[derive(Deserialize)]
struct Identifiers {
    purl: Option<String>,
}

impl Component {
    fn purl(&self) -> Option<&str> {
        let identifier = self.identifiers.as_ref().and_then(|identifiers| identifiers.purl.as_deref());
        identifier.or(self.id.as_deref()).filter(|id| id.starts_with("pkg:"))
    }

    /// What is spoken of: parts of the product if some are named, else the product itself.
    fn parts(&self) -> &[Self] {
        if self.subcomponents.is_empty() { std::slice::from_ref(self) } else { &self.subcomponents }
    }
}

/// # Errors
/// When the text is no OpenVEX document, or a statement of it has not its form. Codes: those of
/// [`crate::json::parse_strict`], `openvex`, `too_many`.
pub fn parse_openvex(text: &[u8]) -> Result<OpenVex, Vec<PointerError>> {
    let value = parse_strict_up_to(text, MAX_OPENVEX_BYTES)?;
    let document: Document = serde_json::from_value(value).map_err(|error| not_openvex("", &error.to_string()))?;
    if !document.context.starts_with(CONTEXT) {
        return Err(not_openvex("/@context", "it is not OpenVEX's"));
    }
    let mut read = OpenVex { id: document.id, claims: Vec::new(), left_out: Vec::new() };
    for (index, statement) in document.statements.into_iter().enumerate() {
        let pointer = format!("/statements/{index}");
        let statement: RawStatement =
            serde_json::from_value(statement).map_err(|error| not_openvex(&pointer, &error.to_string()))?;
        match Basis::of(&statement) {
            Ok(basis) => add_claims(&mut read, &pointer, &statement, &basis),
            Err(why) => read.left_out.push(LeftOut { pointer, why }),
        }
        if read.claims.len() > MAX_CLAIMS {
            let message = format!("a document makes at most {MAX_CLAIMS} claims");
            return Err(vec![PointerError::new("/statements", "too_many", message)]);
        }
    }
    Ok(read)
}

fn not_openvex(pointer: &str, why: &str) -> Vec<PointerError> {
    vec![PointerError::new(pointer, "openvex", why)]
}

/// What a statement says of all its components.
struct Basis {
    advisory: AdvisoryId,
    reason: WaiverReason,
    statement: Statement,
}

impl Basis {
    fn of(statement: &RawStatement) -> Result<Self, String> {
        if statement.status != "not_affected" {
            return Err(format!("it says {:.20}, which waives nothing", statement.status));
        }
        let justification = statement.justification.as_deref().ok_or("it has no justification")?;
        let reason: WaiverReason = justification.parse().map_err(|_| "its justification is not one of OpenVEX's")?;
        if !reason.is_not_affected() {
            return Err("its justification is not one of OpenVEX's".to_owned());
        }
        let advisory = statement.vulnerability.name.parse().map_err(|error| format!("vulnerability: {error}"))?;
        let told = statement.impact_statement.as_deref().or(statement.status_notes.as_deref()).unwrap_or_default();
        let told = if told.trim().is_empty() { justification } else { told };
        let told: String = told.chars().take(MAX_STATEMENT).collect();
        let statement = told.parse().map_err(|error| format!("impact_statement: {error}"))?;
        Ok(Self { advisory, reason, statement })
    }
}

fn add_claims(read: &mut OpenVex, pointer: &str, statement: &RawStatement, basis: &Basis) {
    for part in statement.products.iter().flat_map(Component::parts) {
        match part.purl().ok_or_else(|| "it names no package URL".to_owned()).and_then(component) {
            Ok(component) => read.claims.push(Claim {
                pointer: pointer.to_owned(),
                advisory: basis.advisory.clone(),
                component,
                reason: basis.reason,
                statement: basis.statement.clone(),
            }),
            Err(why) => read.left_out.push(LeftOut { pointer: pointer.to_owned(), why }),
        }
    }
    if statement.products.is_empty() {
        read.left_out.push(LeftOut { pointer: pointer.to_owned(), why: "it names no product".to_owned() });
    }
}

/// A package URL with or without a version; one that covers every version only if it names none.
fn component(purl: &str) -> Result<ComponentRange, String> {
    let shown: String = purl.chars().filter(|c| !c.is_control()).take(120).collect();
    let package =
        ComponentPackage::of_purl(purl).ok_or_else(|| format!("{shown} is of no kind that the store knows"))?;
    let bare = purl.split(['?', '#']).next().unwrap_or_default();
    let version = bare.split_once('@').map(|(_, version)| percent_decoded(version));
    let version = version.transpose().map_err(|()| format!("{shown} has a version that cannot be read"))?;
    ComponentRange::new(package, version, None, None).map_err(|error| format!("{shown}: {error}"))
}

/// The purl specification escapes what a version may hold beside unreserved characters.
fn percent_decoded(text: &str) -> Result<String, ()> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(());
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).map_err(|_| ())?);
    }
    String::from_utf8(bytes).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(statements: &Value) -> Vec<u8> {
        json!({
            "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://vendor.example/vex/1", "author": "Vendor",
            "timestamp": "2026-11-01T00:00:00Z", "version": 1, "statements": statements,
        })
        .to_string()
        .into_bytes()
    }

    fn not_affected(products: &Value) -> Value {
        json!({
            "vulnerability": {"name": "CVE-2024-22195"}, "products": products, "status": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path", "impact_statement": "xmlattr is never called",
        })
    }

    fn components(products: &Value) -> Vec<String> {
        let read = parse_openvex(&document(&json!([not_affected(products)]))).unwrap();
        read.claims.iter().map(|claim| claim.component.to_string()).collect()
    }

    #[test]
    fn what_is_not_affected_is_a_claim() {
        let read =
            parse_openvex(&document(&json!([not_affected(&json!([{"@id": "pkg:pypi/Jinja2@3.1.2"}]))]))).unwrap();
        assert_eq!(read.id, "https://vendor.example/vex/1");
        let [claim] = &read.claims[..] else { panic!("{read:?}") };
        assert_eq!((claim.advisory.as_str(), claim.pointer.as_str()), ("CVE-2024-22195", "/statements/0"));
        assert_eq!(claim.component.to_string(), "pkg:pypi/jinja2 3.1.2");
        assert_eq!(claim.reason, WaiverReason::VulnerableCodeNotInExecutePath);
        assert_eq!(claim.statement.as_str(), "xmlattr is never called");
    }

    #[test]
    fn it_is_about_the_parts_of_a_product_where_it_names_some() {
        let image = json!([{
            "@id": "pkg:oci/ranker@sha256%3Aaa",
            "subcomponents": [{"@id": "pkg:pypi/jinja2"}, {"identifiers": {"purl": "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64"}}],
        }]);
        assert_eq!(components(&image), ["pkg:pypi/jinja2", "pkg:deb/debian/libssl3 3.0.11-1~deb12u2"]);
        assert_eq!(
            components(&json!([{"@id": "pkg:deb/debian/libstdc%2B%2B6@12.2.0%2Bx"}])),
            ["pkg:deb/debian/libstdc%2B%2B6 12.2.0+x"]
        );
    }

    #[test]
    fn what_waives_nothing_is_left_out_and_told() {
        let mut fixed = not_affected(&json!([{"@id": "pkg:pypi/a"}]));
        fixed["status"] = json!("fixed");
        let mut unjustified = not_affected(&json!([{"@id": "pkg:pypi/a"}]));
        unjustified["justification"] = Value::Null;
        let mut planned = not_affected(&json!([{"@id": "pkg:pypi/a"}]));
        planned["justification"] = json!("risk_accepted");
        let statements = json!([
            fixed,
            unjustified,
            planned,
            not_affected(&json!([{"@id": "pkg:oci/x@1"}, {"@id": "https://x"}])),
            not_affected(&json!([])),
            not_affected(&json!([{"@id": "pkg:pypi/a@%zz"}]))
        ]);
        let read = parse_openvex(&document(&statements)).unwrap();
        assert_eq!(read.claims, []);
        let told: Vec<_> = read.left_out.iter().map(|left| format!("{} {}", left.pointer, left.why)).collect();
        assert_eq!(
            told,
            [
                "/statements/0 it says fixed, which waives nothing",
                "/statements/1 it has no justification",
                "/statements/2 its justification is not one of OpenVEX's",
                "/statements/3 pkg:oci/x@1 is of no kind that the store knows",
                "/statements/3 it names no package URL",
                "/statements/4 it names no product",
                "/statements/5 pkg:pypi/a@%zz has a version that cannot be read",
            ]
        );
    }

    #[test]
    fn what_is_no_openvex_is_refused() {
        let code = |text: &[u8]| parse_openvex(text).unwrap_err()[0].code.clone();
        assert_eq!(code(b"{"), "syntax");
        assert_eq!(code(b"{}"), "openvex");
        assert_eq!(code(br#"{"@context": "https://spdx.org", "@id": "x"}"#), "openvex");
        assert_eq!(code(&document(&json!([{"status": "fixed"}]))), "openvex");
        let many: Vec<Value> = (0..=MAX_CLAIMS).map(|_| json!({"@id": "pkg:pypi/a"})).collect();
        assert_eq!(code(&document(&json!([not_affected(&json!(many))]))), "too_many");
        assert_eq!(code(&vec![b' '; MAX_OPENVEX_BYTES + 1]), "too_large");
    }
}
