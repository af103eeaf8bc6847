//! Layers that are made to be read differently by different programs, or to be too much for one: each ends as its table
//! says, and what we accept is read alike by the tar programs that people use.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod differential;
mod layer;
mod listing;
mod readers;
mod table;

use std::collections::HashSet;

use table::Expected;

/// At least as many as the store promises to be held against.
const LEAST: usize = 50;

#[test]
fn every_hostile_layer_ends_as_stated() {
    let cases = table::all();
    let names: HashSet<_> = cases.iter().map(|case| case.name).collect();
    assert!(names.len() == cases.len() && cases.len() >= LEAST, "{} names, {} cases", names.len(), cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let read = listing::ours(case.compression, case.limits, &case.layer);
        let is_as_stated = match (&read, &case.expected) {
            (Err(error), Expected::Refused(code, why)) => error.code() == *code && error.to_string().contains(why),
            (Ok(items), Expected::Accepted(listing)) => {
                items.iter().map(ToString::to_string).eq(listing.iter().map(|line| (*line).to_owned()))
            }
            (Ok(_), Expected::Refused(..)) | (Err(_), Expected::Accepted(_)) => false,
        };
        if !is_as_stated {
            wrong.push(format!("{}: {}", case.name, read.map_or_else(|e| e.to_string(), |items| format!("{items:?}"))));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
