//! Whether the package manifest inside an image is the one that was submitted.

use std::collections::BTreeSet;

use registry_types::document::Errors;
use registry_types::package::PackageFormat;
use registry_types::pointer::{PointerError, escape_token};
use serde_json::{Map, Number, Value};

use crate::hla_compass;

/// The places where the two differ; empty when they say the same. Order of members and spelling of numbers (`1`, `1.0`)
/// don't count, nor does what a client changes between building the image and publishing it.
///
/// Codes: `missing_in_image`, `missing_in_submitted`, `differs`.
#[must_use]
pub fn equal_to_submitted(format: PackageFormat, in_image: &Value, submitted: &Value) -> Vec<PointerError> {
    let mut errors = Errors::default();
    match format {
        PackageFormat::HlaCompassModule => {
            let (in_image, submitted) = without_client_changes(in_image, submitted);
            compare("", &in_image, &submitted, &mut errors);
        }
        PackageFormat::PaperclipModule
        | PackageFormat::PaperclipPlugin
        | PackageFormat::MozaiksModule
        | PackageFormat::MozaiksPack
        | PackageFormat::MozaiksPackV1
        | PackageFormat::MicrocoreosTool
        | PackageFormat::MicrocoreosDomain
        | PackageFormat::MicrocoreosDriver
        | PackageFormat::CompanyTemplate
        | PackageFormat::Agentcompanies => compare("", in_image, submitted, &mut errors),
    }
    errors.into_list()
}

/// What the HLA-Compass client does to `manifest.json` when it publishes: it adds signing fields, writes `computeType`
/// `docker` as `fargate`, and (6.0.2, with a local `cosign.pub`) adds `metadata.imageSigning`.
fn without_client_changes(in_image: &Value, submitted: &Value) -> (Value, Value) {
    let (mut image, mut sent) = (in_image.clone(), submitted.clone());
    if let (Value::Object(image), Value::Object(sent)) = (&mut image, &mut sent) {
        drop_added_image_signing(image, sent);
        for manifest in [image, sent] {
            manifest.retain(|key, _| key != "integrity" && !hla_compass::SIGNING_FIELDS.contains(&key.as_str()));
            if manifest.get("computeType").is_some_and(|kind| kind == "docker") {
                manifest.insert("computeType".to_owned(), "fargate".into());
            }
        }
    }
    (image, sent)
}

fn drop_added_image_signing(image: &Map<String, Value>, sent: &mut Map<String, Value>) {
    let before = image.get("metadata");
    let Some(Value::Object(metadata)) = sent.get_mut("metadata") else { return };
    if before.is_none_or(|metadata| metadata.get("imageSigning").is_none()) {
        metadata.remove("imageSigning");
    }
    if metadata.is_empty() && before.is_none() {
        sent.remove("metadata");
    }
}

/// Depth is bounded by the strict reader through which both documents came.
fn compare(pointer: &str, in_image: &Value, submitted: &Value, errors: &mut Errors) {
    match (in_image, submitted) {
        (Value::Object(image), Value::Object(sent)) => compare_objects(pointer, image, sent, errors),
        (Value::Array(image), Value::Array(sent)) if image.len() == sent.len() => {
            for (index, (image, sent)) in image.iter().zip(sent).enumerate() {
                compare(&format!("{pointer}/{index}"), image, sent, errors);
            }
        }
        (Value::Number(image), Value::Number(sent)) if same_number(image, sent) => {}
        _ if in_image == submitted => {}
        _ => {
            let message = format!("is {} in the image, but {} was submitted", excerpt(in_image), excerpt(submitted));
            errors.push(pointer, "differs", message);
        }
    }
}

fn compare_objects(pointer: &str, image: &Map<String, Value>, sent: &Map<String, Value>, errors: &mut Errors) {
    for key in image.keys().chain(sent.keys()).collect::<BTreeSet<_>>() {
        let place = format!("{pointer}/{}", escape_token(key));
        match (image.get(key), sent.get(key)) {
            (Some(image), Some(sent)) => compare(&place, image, sent, errors),
            (None, _) => errors.push(place, "missing_in_image", "was submitted, but is not in the image's manifest"),
            (Some(_), None) => {
                errors.push(place, "missing_in_submitted", "is in the image's manifest, but was not submitted");
            }
        }
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    match ((a.as_i64(), a.as_u64()), (b.as_i64(), b.as_u64())) {
        ((None, None), _) | (_, (None, None)) => a.as_f64() == b.as_f64(),
        (a, b) => a == b,
    }
}

/// Enough of a value to recognise it.
fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(57).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const HLA: PackageFormat = PackageFormat::HlaCompassModule;

    fn differences(in_image: &Value, submitted: &Value) -> Vec<(String, String)> {
        equal_to_submitted(HLA, in_image, submitted).into_iter().map(|e| (e.pointer, e.code)).collect()
    }

    #[test]
    fn what_the_client_changes_does_not_count() {
        let in_image = json!({"name": "abc", "computeType": "docker", "n": 10_000_000_000_000_000u64, "f": 1});
        let submitted = json!({
            "f": 1.0, "n": 1e16, "computeType": "fargate", "name": "abc",
            "signature": "x", "publicKey": "y", "keyFingerprint": "z", "signatureAlgorithm": "RSA-PSS",
            "hashAlgorithm": "SHA-256", "integrity": {"a": 1}, "metadata": {"imageSigning": {"key": "pem"}}
        });
        assert_eq!(differences(&in_image, &submitted), []);
        // The design document's format has no such client: there they do count.
        assert!(!equal_to_submitted(PackageFormat::PaperclipModule, &in_image, &submitted).is_empty());
    }

    #[test]
    fn every_other_difference_is_named() {
        let in_image =
            json!({"a/b": 1, "gone": 1, "list": [1, 2], "deep": {"x": [{"y": 1}]}, "metadata": {"imageSigning": 1}});
        let submitted =
            json!({"a/b": 2, "new": 1, "list": [1], "deep": {"x": [{"y": "1"}]}, "metadata": {"imageSigning": 2}});
        let expected = [
            ("/a~1b", "differs"),
            ("/deep/x/0/y", "differs"),
            ("/gone", "missing_in_submitted"),
            ("/list", "differs"),
            ("/metadata/imageSigning", "differs"),
            ("/new", "missing_in_image"),
        ];
        assert_eq!(differences(&in_image, &submitted), expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
        assert_eq!(differences(&json!({"computeType": "lambda"}), &json!({"computeType": "fargate"})).len(), 1);
        assert_eq!(differences(&json!({}), &json!({"computeType": "fargate"})).len(), 1);
        assert_eq!(differences(&json!([]), &json!({})).len(), 1);
    }

    #[test]
    fn large_numbers_are_not_blurred() {
        assert_eq!(differences(&json!({"n": u64::MAX}), &json!({"n": u64::MAX - 1})).len(), 1);
        assert_eq!(differences(&json!({"n": -1}), &json!({"n": u64::MAX})).len(), 1);
    }

    proptest! {
        #[test]
        fn equal_documents_are_equal_and_a_changed_member_is_found(
            members in prop::collection::btree_map("[a-z]{1,6}", any::<i32>(), 1..8), pick in any::<prop::sample::Index>()
        ) {
            let document: Value = members.iter().map(|(k, v)| (k.clone(), Value::from(*v))).collect::<Map<_, _>>().into();
            prop_assert_eq!(differences(&document, &document), []);
            let key = members.keys().nth(pick.index(members.len())).unwrap();
            let mut changed = document.clone();
            changed[key] = json!("changed");
            prop_assert_eq!(differences(&document, &changed), [(format!("/{key}"), "differs".to_owned())]);
        }
    }
}
