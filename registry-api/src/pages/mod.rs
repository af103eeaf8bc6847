//! The store's pages for people: rendered on the server, readable without script, under a strict Content-Security-Policy.

mod assets;
pub(crate) mod frame;
