//! The severity that a record states, from its many places.

use std::str::FromStr as _;

use registry_types::advisory::Severity;
use registry_types::component::Ecosystem;
use serde_json::Value;

/// Where in a record a severity may stand: the record itself, or its `affected` entry.
pub(super) struct Statement<'a> {
    /// `severity[]`.
    pub scores: &'a [Value],
    pub database_specific: Option<&'a Value>,
    pub ecosystem_specific: Option<&'a Value>,
}

/// The worst severity that is stated; `Unknown` when none can be read.
///
/// Two statements outrank scores: malicious packages (ids `MAL-…`) are critical, and what Debian calls `unimportant` is low,
/// because its score describes the upstream program while the statement describes the package as Debian builds it.
pub(super) fn severity(id: &str, ecosystem: Ecosystem, statements: &[Statement<'_>]) -> Severity {
    if id.starts_with("MAL-") {
        return Severity::Critical;
    }
    let words = || statements.iter().flat_map(Statement::words);
    let is_unimportant = |word: &str| ecosystem == Ecosystem::Debian && word.eq_ignore_ascii_case("unimportant");
    if words().any(is_unimportant) {
        return Severity::Low;
    }
    let scored = statements.iter().flat_map(|s| s.scores).filter_map(of_score);
    let vectors = statements.iter().filter_map(Statement::vector).filter_map(of_vector);
    let informational = statements.iter().filter_map(Statement::informational);
    words()
        .filter_map(of_word)
        .chain(scored)
        .chain(vectors)
        .chain(informational)
        .reduce(Severity::worse)
        .unwrap_or(Severity::Unknown)
}

impl<'a> Statement<'a> {
    /// GHSA: `database_specific.severity`; Debian: `ecosystem_specific.urgency`; Ubuntu: `ubuntu_priority` or `priority`.
    fn words(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let keys = ["severity", "urgency", "ubuntu_priority", "priority"];
        let places = [self.database_specific, self.ecosystem_specific];
        places.into_iter().flatten().flat_map(move |place| keys.into_iter().filter_map(|key| place.get(key)?.as_str()))
    }

    /// RustSec puts its vector here.
    fn vector(&self) -> Option<&'a str> {
        self.database_specific?.get("cvss")?.as_str()
    }

    /// RustSec's notices that are no vulnerabilities. Unsoundness is one whose severity nobody stated.
    fn informational(&self) -> Option<Severity> {
        match self.database_specific?.get("informational")?.as_str()? {
            "unmaintained" | "notice" => Some(Severity::None),
            _ => None,
        }
    }
}

/// An entry of `severity[]`: a CVSS vector, or a word for types such as `Ubuntu`.
fn of_score(entry: &Value) -> Option<Severity> {
    let score = entry.get("score")?.as_str()?;
    of_vector(score).or_else(|| of_word(score))
}

fn of_vector(text: &str) -> Option<Severity> {
    // CVSS 2 vectors are often written in parentheses.
    let vector = text.trim().trim_start_matches('(').trim_end_matches(')');
    let severity = cvss::Cvss::from_str(vector).ok()?.severity();
    Some(match severity {
        cvss::Severity::None => Severity::None,
        cvss::Severity::Low => Severity::Low,
        cvss::Severity::Medium => Severity::Medium,
        cvss::Severity::High => Severity::High,
        cvss::Severity::Critical => Severity::Critical,
    })
}

fn of_word(word: &str) -> Option<Severity> {
    // Debian marks an urgency that a person has set with asterisks.
    Some(match word.trim().trim_end_matches('*').to_ascii_lowercase().as_str() {
        "none" => Severity::None,
        "negligible" | "low" => Severity::Low,
        "moderate" | "medium" => Severity::Medium,
        "important" | "high" => Severity::High,
        "critical" => Severity::Critical,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(id: &str, ecosystem: Ecosystem, scores: &Value, database: &Value, specific: &Value) -> Severity {
        let scores = scores.as_array().cloned().unwrap_or_default();
        let statement =
            Statement { scores: &scores, database_specific: Some(database), ecosystem_specific: Some(specific) };
        severity(id, ecosystem, &[statement])
    }

    fn of_vector_text(vector: &str) -> Severity {
        of("X", Ecosystem::Npm, &json!([{"type": "CVSS", "score": vector}]), &json!({}), &json!({}))
    }

    #[test]
    fn vectors_of_every_version() {
        let cases = [
            ("AV:N/AC:L/Au:N/C:C/I:C/A:C", Severity::High),
            ("(AV:N/AC:M/Au:N/C:N/I:P/A:N)", Severity::Medium),
            ("AV:L/AC:H/Au:N/C:P/I:N/A:N", Severity::Low),
            ("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Severity::Critical),
            ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", Severity::High),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", Severity::Medium),
            ("CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:L", Severity::Low),
            ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", Severity::None),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Severity::Critical),
            ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N", Severity::Medium),
            ("CVSS:9.0/AV:N", Severity::Unknown),
            ("nonsense", Severity::Unknown),
            ("", Severity::Unknown),
        ];
        for (vector, expected) in cases {
            assert_eq!(of_vector_text(vector), expected, "{vector}");
        }
    }

    #[test]
    fn words_of_every_database() {
        let none = json!({});
        let words = |database: Value, specific: Value| of("X", Ecosystem::Ubuntu, &json!([]), &database, &specific);
        assert_eq!(words(json!({"severity": "MODERATE"}), none.clone()), Severity::Medium);
        assert_eq!(words(json!({"severity": "CRITICAL"}), none.clone()), Severity::Critical);
        assert_eq!(words(none.clone(), json!({"urgency": "high**"})), Severity::High);
        assert_eq!(words(none.clone(), json!({"urgency": "not yet assigned"})), Severity::Unknown);
        assert_eq!(words(none.clone(), json!({"ubuntu_priority": "negligible"})), Severity::Low);
        assert_eq!(
            of("X", Ecosystem::Ubuntu, &json!([{"type": "Ubuntu", "score": "high"}]), &none, &none),
            Severity::High
        );
        assert_eq!(words(json!({"severity": 7}), json!({"urgency": null})), Severity::Unknown);
    }

    #[test]
    fn the_worst_statement_counts() {
        let low = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:H/PR:N/UI:N/S:U/C:N/I:N/A:L"}]);
        assert_eq!(of("GHSA-1", Ecosystem::Npm, &low, &json!({"severity": "HIGH"}), &json!({})), Severity::High);
    }

    #[test]
    fn statements_that_outrank_scores() {
        let critical = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
        let unimportant = json!({"urgency": "unimportant"});
        assert_eq!(of("DEBIAN-CVE-1", Ecosystem::Debian, &critical, &json!({}), &unimportant), Severity::Low);
        assert_eq!(of("X", Ecosystem::Npm, &critical, &json!({}), &unimportant), Severity::Critical);
        assert_eq!(of("MAL-2024-1", Ecosystem::Npm, &json!([]), &json!({}), &json!({})), Severity::Critical);
    }

    #[test]
    fn rustsec_vectors_and_notices() {
        let of_database = |database: Value| of("RUSTSEC-1", Ecosystem::CratesIo, &json!([]), &database, &json!({}));
        assert_eq!(of_database(json!({"cvss": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"})), Severity::Critical);
        assert_eq!(of_database(json!({"cvss": null, "informational": "unmaintained"})), Severity::None);
        assert_eq!(of_database(json!({"cvss": null, "informational": "unsound"})), Severity::Unknown);
        assert_eq!(of_database(json!({"cvss": null, "informational": null})), Severity::Unknown);
    }
}
