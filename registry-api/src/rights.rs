//! Who calls, and the right that a handler demands, as extractors.
