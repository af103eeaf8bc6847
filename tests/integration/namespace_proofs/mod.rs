//! An organization proves that a registry namespace is its own: by pushing what only the store could have told it, or by its jobs'
//! claims; and people decide.

mod challenge;
mod claims;
mod hostile;
mod keeping;
mod people;
mod policy;
mod scene;
