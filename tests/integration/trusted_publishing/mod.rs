//! Trusted publishing: jobs of continuous integration publish without a stored secret, against an identity provider that the
//! test runs.

mod claims;
mod publish_token;
mod publishers;
pub(crate) mod scene;
mod signing_keys;
