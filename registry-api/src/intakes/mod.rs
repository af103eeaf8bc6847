//! Intakes: their checks with evidence, and their events as they happen.

pub(crate) mod hub;
