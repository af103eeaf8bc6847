//! A layer's bytes, read once: decompressed within limits, hashed, walked strictly, cataloged and searched for secrets.

mod analysis;
mod decoder;
mod entry_set;
mod error;
mod gzip;
mod header;
mod layer_pass;
mod limits;
mod media_type;
mod path;
mod pax;
mod tar_walker;
#[cfg(test)]
mod tests;
mod whiteout;

pub use error::{Ambiguity, ArchiveError, Defect, ExceededLimit};
pub use layer_pass::LayerPass;
pub use limits::LayerLimits;
pub use media_type::LayerCompression;
pub use tar_walker::{Entry, EntryKind, EntrySink, TarWalker};
pub use whiteout::Whiteout;
