//! The two ways a store runs.

use crate::text_enum;

text_enum! {
    /// `development`: plain-http and loopback source registries, the starter advisory set with `warn`.
    /// `production`: none of these. Stands in every verdict and on every page.
    pub enum Profile { Development = "development", Production = "production" }
}
