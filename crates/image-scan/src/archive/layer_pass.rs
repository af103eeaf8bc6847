//! The single pass over one layer.

use super::analysis::{AnalysisThread, LayerAnalysis};
use super::decoder::{Decoder, Progress};
use super::error::{ArchiveError, Defect, ExceededLimit};
use super::limits::LayerLimits;
use super::media_type::LayerCompression;
use crate::catalog::LayerCatalog;

/// Big enough that inflating seldom has to save its window and threads seldom meet, small enough for the cache.
const BLOCK_BYTES: usize = 256 * 1024;

/// Reads one layer as it arrives: push the blob's bytes in any pieces, then [`finish`](Self::finish).
///
/// Blocking and CPU-bound: to be run off the asynchronous runtime. The caller's thread decompresses; a layer of more
/// than one block (256 KiB) gets a second thread for hashing, tar walk, catalogers and secret search, which ends with
/// the pass. Memory is bounded by a few blocks, the largest package database and 30 bytes per entry.
///
/// Nothing that was read counts before `finish` has returned `Ok`. The digest of the compressed bytes is the caller's
/// business: this type hashes the unpacked ones (the diff id).
pub struct LayerPass {
    decoder: Decoder,
    limits: LayerLimits,
    block: Vec<u8>,
    filled: usize,
    packed_bytes: u64,
    unpacked_bytes: u64,
    analysis: Analysis,
}

enum Analysis {
    InPlace(Box<LayerAnalysis>),
    Beside(AnalysisThread),
    /// The first error stays the answer.
    Failed(ArchiveError),
}

impl LayerPass {
    /// A pass over a layer with this compression, which [`LayerCompression`] parses from the media type.
    #[must_use]
    pub fn new(compression: LayerCompression, limits: LayerLimits) -> Self {
        Self {
            decoder: Decoder::new(compression),
            limits,
            block: vec![0; BLOCK_BYTES],
            filled: 0,
            packed_bytes: 0,
            unpacked_bytes: 0,
            analysis: Analysis::InPlace(Box::new(LayerAnalysis::new(limits))),
        }
    }

    /// Takes the next bytes of the blob.
    ///
    /// # Errors
    /// As soon as the layer is known to be refused. Every later call returns the same error. An error can come some
    /// blocks later than the bytes that cause it.
    ///
    /// # Panics
    /// When no second thread can be started, or with the panic of that thread.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        if let Analysis::Failed(error) = &self.analysis {
            return Err(error.clone());
        }
        loop {
            let progress = match self.decoder.step(bytes, &mut self.block[self.filled..]) {
                Ok(progress) => progress,
                Err(error) => return Err(self.fail(error)),
            };
            bytes = &bytes[progress.read..];
            self.account(progress)?;
            if self.filled == self.block.len() {
                self.hand_over_block()?;
            } else if bytes.is_empty() && progress.written == 0 {
                return Ok(());
            } else if progress == Progress::default() {
                let stuck = Defect::Compressed("the decoder makes no progress".to_owned());
                return Err(self.fail(ArchiveError::invalid(stuck, None)));
            }
        }
    }

    /// The blob has ended.
    ///
    /// # Errors
    /// When the layer is refused.
    ///
    /// # Panics
    /// With the panic of the second thread.
    pub fn finish(mut self) -> Result<LayerCatalog, ArchiveError> {
        if let Analysis::Failed(error) = self.analysis {
            return Err(error);
        }
        self.decoder.finish()?;
        self.block.truncate(self.filled);
        match self.analysis {
            Analysis::InPlace(mut analysis) => {
                analysis.write(&self.block)?;
                analysis.finish()
            }
            Analysis::Beside(thread) => {
                thread.send_last(self.block);
                thread.finish()
            }
            Analysis::Failed(error) => Err(error),
        }
    }

    fn account(&mut self, progress: Progress) -> Result<(), ArchiveError> {
        self.filled += progress.written;
        self.packed_bytes += progress.read as u64;
        self.unpacked_bytes += progress.written as u64;
        let limits = &self.limits;
        let exceeded = if self.unpacked_bytes > limits.unpacked_bytes {
            Some(ExceededLimit::UnpackedBytes(limits.unpacked_bytes))
        } else if self.unpacked_bytes > limits.ratio_from_bytes
            && self.unpacked_bytes / limits.ratio > self.packed_bytes
        {
            Some(ExceededLimit::Ratio(limits.ratio))
        } else {
            None
        };
        exceeded.map_or(Ok(()), |limit| Err(self.fail(ArchiveError::limit(limit, None))))
    }

    fn hand_over_block(&mut self) -> Result<(), ArchiveError> {
        self.filled = 0;
        // Whatever goes wrong below, even a panic, the pass can't be taken for a good one afterwards.
        let interrupted = Analysis::Failed(ArchiveError::invalid(Defect::Truncated, None));
        self.analysis = match std::mem::replace(&mut self.analysis, interrupted) {
            // After the first full block, what follows is worth a thread.
            Analysis::InPlace(mut analysis) => match analysis.write(&self.block) {
                Ok(()) => Analysis::Beside(AnalysisThread::start(*analysis)),
                Err(error) => Analysis::Failed(error),
            },
            Analysis::Beside(mut thread) => match thread.exchange(std::mem::take(&mut self.block)) {
                Some(block) => {
                    self.block = block;
                    Analysis::Beside(thread)
                }
                None => Analysis::Failed(thread.error()),
            },
            Analysis::Failed(error) => Analysis::Failed(error),
        };
        match &self.analysis {
            Analysis::InPlace(_) | Analysis::Beside(_) => Ok(()),
            Analysis::Failed(error) => Err(error.clone()),
        }
    }

    fn fail(&mut self, error: ArchiveError) -> ArchiveError {
        self.analysis = Analysis::Failed(error.clone());
        error
    }
}
