//! The pages: each is there, says what it must, escapes what others wrote, and holds nothing that could run.

mod browser;
mod decisions;
mod organization;
mod packages;
mod registries;
mod trusted_publishers;
mod webhooks;
