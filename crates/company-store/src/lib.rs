//! The `company-store` program: client commands, and `up`, which runs everything in one process tree.

pub mod postgres;
mod private_file;
