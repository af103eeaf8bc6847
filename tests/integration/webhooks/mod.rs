//! What happens in the store reaches those who asked to hear of it, and nobody else.

mod delivery;
mod events;
mod feed;
mod interop;
mod limits;
mod log;
pub(crate) mod scene;
