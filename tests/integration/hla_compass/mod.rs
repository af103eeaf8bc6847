//! The unmodified `hla-compass` client, in its two generations, against the running store: API, worker, registry.
//!
//! What is asserted of a run is what its user sees. `tests/interop/install-tools.sh` installs the client.

mod scene;
mod version_2;
mod version_6;
