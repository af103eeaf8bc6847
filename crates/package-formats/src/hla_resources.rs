//! The amounts that an HLA-Compass module asks its host for.

use std::collections::BTreeMap;

use registry_types::document::{Errors, Object};
use serde_json::Value;

/// An amount of something that a module asks for.
struct Quantity {
    member: &'static str,
    /// In the base unit.
    max: f64,
    /// What each unit is in the base unit; the empty one comes last.
    units: &'static [(&'static str, f64)],
    expected: &'static str,
}

const MEBIBYTES: &[(&str, f64)] = &[("Mi", 1.0), ("Gi", 1024.0), ("M", 0.953_674_316), ("G", 953.674_316), ("", 1.0)];
const GIBIBYTES: &[(&str, f64)] = &[("Gi", 1.0), ("", 1.0)];
const SECONDS: &[(&str, f64)] = &[("s", 1.0), ("m", 60.0), ("h", 3600.0), ("", 1.0)];
const PROCESSORS: &[(&str, f64)] = &[("m", 0.001), ("", 1.0)];
const MEMORY: &str = "a number of MiB or a quantity such as \"512Mi\" or \"2Gi\", at most 1 TiB";
const TIME: &str = "a number of seconds or a duration such as \"300s\", at most 14400 s";
const CPU: &str = "a number of processors such as 1, \"0.5\" or \"500m\", at most 1024";

const QUANTITIES: [Quantity; 7] = [
    Quantity { member: "memory", max: 1_048_576.0, units: MEBIBYTES, expected: MEMORY },
    Quantity { member: "memoryMb", max: 1_048_576.0, units: MEBIBYTES, expected: MEMORY },
    Quantity {
        member: "ephemeralStorageGiB",
        max: 16_384.0,
        units: GIBIBYTES,
        expected: "a number of GiB, at most 16384",
    },
    Quantity { member: "timeout", max: 14_400.0, units: SECONDS, expected: TIME },
    Quantity { member: "maxRuntimeSeconds", max: 14_400.0, units: SECONDS, expected: TIME },
    Quantity { member: "cpu", max: 1_024.0, units: PROCESSORS, expected: CPU },
    Quantity { member: "vcpus", max: 1_024.0, units: PROCESSORS, expected: CPU },
];

impl Quantity {
    /// In the base unit; `None` when it is no amount.
    fn amount(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => in_units(text, self.units),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// The amounts that a manifest states, by its own members, each in its base unit.
pub(crate) fn resources(manifest: &Value) -> BTreeMap<String, f64> {
    let Some(stated) = manifest.get("resources").and_then(Value::as_object) else { return BTreeMap::new() };
    let amounts = QUANTITIES
        .iter()
        .filter_map(|quantity| Some((quantity.member.to_owned(), quantity.amount(stated.get(quantity.member)?)?)));
    let gpus = stated.get("gpu").and_then(Value::as_f64).map(|gpus| ("gpu".to_owned(), gpus));
    amounts.chain(gpus).collect()
}

/// Judges the members that state an amount.
pub(crate) fn check(resources: &Object<'_>, errors: &mut Errors) {
    for quantity in &QUANTITIES {
        let Some(node) = resources.optional(quantity.member) else { continue };
        if !quantity.amount(node.value).is_some_and(|amount| amount > 0.0 && amount <= quantity.max) {
            errors.push(&node.pointer, "quantity", format!("must be {}", quantity.expected));
        }
    }
}

/// A decimal number with one of `units`; the empty unit comes last.
fn in_units(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| text.strip_suffix(unit).map(|digits| (digits, factor)))?;
    let is_decimal = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.len() <= 16;
    if is_decimal { digits.parse::<f64>().ok().map(|number| number * factor) } else { None }
}
