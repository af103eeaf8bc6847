//! The signed verdict: an in-toto statement in a DSSE envelope, and its form as a referrer of the mirrored image.

mod envelope;
mod key;
mod referrer;
mod statement;

pub use envelope::Envelope;
pub use key::{VerdictKey, VerdictKeyError};
pub use referrer::{Subject, VerdictReferrer, attach};
pub(crate) use statement::attestations_of;
pub use statement::{Judgement, PAYLOAD_TYPE, statement};
