//! What happens to the unpacked bytes, in place or on a thread beside the decompressor.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use registry_types::digest::Digest;

use super::error::{ArchiveError, Defect};
use super::limits::LayerLimits;
use super::tar_walker::TarWalker;
use crate::catalog::{CatalogBuilder, LayerCatalog};

/// Blocks on their way to the other thread or back: they bound the memory and let neither side wait for long.
const BLOCKS: usize = 4;

/// Hash, tar walk, catalogers and secret search of one layer.
pub(super) struct LayerAnalysis {
    hasher: Sha256,
    unpacked_bytes: u64,
    walker: TarWalker<CatalogBuilder>,
}

impl LayerAnalysis {
    pub(super) fn new(limits: LayerLimits) -> Self {
        Self {
            hasher: Sha256::new(),
            unpacked_bytes: 0,
            walker: TarWalker::new(CatalogBuilder::new(limits.catalog_file_bytes), limits),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.hasher.update(bytes);
        self.unpacked_bytes += bytes.len() as u64;
        self.walker.write(bytes)
    }

    pub(super) fn finish(self) -> Result<LayerCatalog, ArchiveError> {
        let diff_id = Digest::from_sha256(self.hasher.finalize().into());
        let entries = self.walker.entries();
        Ok(self.walker.finish()?.finish(diff_id, self.unpacked_bytes, entries))
    }
}

/// A [`LayerAnalysis`] on its own thread, so that inflating (which cannot be split) has a core to itself.
pub(super) struct AnalysisThread {
    filled: SyncSender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
    blocks_made: usize,
    thread: JoinHandle<Result<LayerCatalog, ArchiveError>>,
}

impl AnalysisThread {
    /// # Panics
    /// When the operating system has no thread left.
    pub(super) fn start(mut analysis: LayerAnalysis) -> Self {
        let (filled, inbox) = sync_channel::<Vec<u8>>(BLOCKS);
        let (outbox, emptied) = sync_channel(BLOCKS);
        let thread = std::thread::spawn(move || {
            for block in inbox {
                analysis.write(&block)?;
                // The other side may have ended already; then nobody needs the block.
                drop(outbox.try_send(block));
            }
            analysis.finish()
        });
        Self { filled, emptied, blocks_made: 1, thread }
    }

    /// Hands over a filled block and returns an empty one of the same length; `None` when the thread has ended early:
    /// then [`Self::error`] says why.
    pub(super) fn exchange(&mut self, block: Vec<u8>) -> Option<Vec<u8>> {
        let length = block.len();
        self.filled.send(block).ok()?;
        if self.blocks_made < BLOCKS {
            self.blocks_made += 1;
            return Some(vec![0; length]);
        }
        self.emptied.recv().ok()
    }

    /// Why the thread ended early.
    pub(super) fn error(self) -> ArchiveError {
        match self.finish() {
            Err(error) => error,
            // It only ends without an error once the last block is sent, which then was not.
            Ok(_) => ArchiveError::invalid(Defect::Truncated, None),
        }
    }

    /// Sends the last, shorter block.
    pub(super) fn send_last(&self, block: Vec<u8>) {
        // A thread that ended early says why in `finish`.
        drop(self.filled.send(block));
    }

    pub(super) fn finish(self) -> Result<LayerCatalog, ArchiveError> {
        drop(self.filled);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
