//! Signatures of images.
