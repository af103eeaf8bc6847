//! Decompression of a layer, pushed through in pieces.

use zstd::stream::raw::{DParameter, Decoder as ZstdStream, InBuffer, Operation, OutBuffer};

use super::error::{Ambiguity, ArchiveError, Defect};
use super::gzip::GzipDecoder;
use super::media_type::LayerCompression;

/// The largest window that zstd tools decode without being told to (128 MiB): it bounds the decoder's memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// What one step took from the input and put into the output.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) read: usize,
    pub(super) written: usize,
}

pub(super) enum Decoder {
    Plain,
    Gzip(Box<GzipDecoder>),
    Zstd(Box<ZstdDecoder>),
}

impl Decoder {
    pub(super) fn new(compression: LayerCompression) -> Self {
        match compression {
            LayerCompression::Plain => Self::Plain,
            LayerCompression::Gzip => Self::Gzip(Box::new(GzipDecoder::new())),
            LayerCompression::Zstd => Self::Zstd(Box::default()),
        }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, ArchiveError> {
        match self {
            Self::Plain => {
                let length = input.len().min(output.len());
                output[..length].copy_from_slice(&input[..length]);
                Ok(Progress { read: length, written: length })
            }
            Self::Gzip(decoder) => decoder.step(input, output),
            Self::Zstd(decoder) => decoder.step(input, output),
        }
    }

    /// Whether the compressed stream ended where it should.
    pub(super) fn finish(&self) -> Result<(), ArchiveError> {
        match self {
            Self::Plain => Ok(()),
            Self::Gzip(decoder) => decoder.finish(),
            Self::Zstd(decoder) => decoder.finish(),
        }
    }
}

/// Frames one after the other are one stream (RFC 8878), for every reader: zstd:chunked layers consist of many.
#[derive(Default)]
pub(super) struct ZstdDecoder {
    /// Made with the first bytes.
    stream: Option<ZstdStream<'static>>,
    frames: u64,
    /// Bytes read of the current frame; 0 between two frames.
    frame_bytes: u64,
}

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Skippable frames have sixteen magic numbers, which differ in the low half of the first byte.
const SKIPPABLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

impl ZstdDecoder {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, ArchiveError> {
        if self.frame_bytes == 0 && input.is_empty() {
            return Ok(Progress::default());
        }
        self.check_next_frame(input)?;
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(new_stream()?),
        };
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(output);
        let hint = stream.run(&mut input, &mut output).map_err(|error| unreadable(&error))?;
        let progress = Progress { read: input.pos(), written: output.pos() };
        if hint == 0 {
            self.frames += 1;
            self.frame_bytes = 0;
        } else {
            self.frame_bytes += progress.read as u64;
        }
        Ok(progress)
    }

    /// What follows a frame has to be one: other bytes would be content for one reader and nothing for another.
    fn check_next_frame(&self, input: &[u8]) -> Result<(), ArchiveError> {
        let known = usize::try_from(self.frame_bytes).unwrap_or(usize::MAX);
        let fits = |magic: &[u8; 4], mask: u8| {
            let rest = magic.iter().enumerate().skip(known);
            rest.zip(input).all(|((at, want), have)| if at == 0 { have & mask == *want } else { have == want })
        };
        if self.frames > 0 && !fits(&ZSTD_MAGIC, 0xff) && !fits(&SKIPPABLE_MAGIC, 0xf0) {
            return Err(ArchiveError::ambiguous(Ambiguity::DataAfterCompressed, None));
        }
        Ok(())
    }

    fn finish(&self) -> Result<(), ArchiveError> {
        if self.frames > 0 && self.frame_bytes == 0 {
            Ok(())
        } else {
            Err(ArchiveError::invalid(Defect::Truncated, None))
        }
    }
}

fn new_stream() -> Result<ZstdStream<'static>, ArchiveError> {
    let mut stream = ZstdStream::new().map_err(|error| unreadable(&error))?;
    stream.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).map_err(|error| unreadable(&error))?;
    Ok(stream)
}

fn unreadable(error: &std::io::Error) -> ArchiveError {
    ArchiveError::invalid(Defect::Compressed(error.to_string()), None)
}
