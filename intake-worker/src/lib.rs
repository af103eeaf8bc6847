pub mod signatures;
pub mod source;
