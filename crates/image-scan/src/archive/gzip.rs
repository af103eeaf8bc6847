//! One gzip member (RFC 1952), header and trailer checked here.
//!
//! The usual decoders either go on with a second member or silently leave what follows the first; a layer has exactly
//! one member and nothing after it.

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::decoder::Progress;
use super::error::{Ambiguity, ArchiveError, Defect};

const FIXED_HEADER: usize = 10;
const TRAILER: usize = 8;
/// Names, comments and extra fields of real headers are tiny; more is an attempt to make us buffer.
const MAX_HEADER: usize = 64 * 1024;

const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) struct GzipDecoder {
    inflate: Decompress,
    content: Crc,
    state: State,
}

enum State {
    Header(Vec<u8>),
    Body,
    Trailer(Vec<u8>),
    Done,
}

impl GzipDecoder {
    pub(super) fn new() -> Self {
        Self { inflate: Decompress::new(false), content: Crc::new(), state: State::Header(Vec::new()) }
    }

    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, ArchiveError> {
        match &mut self.state {
            State::Header(held) => {
                let before = held.len();
                held.extend_from_slice(&input[..input.len().min(MAX_HEADER + 1 - before)]);
                let Some(end) = header_end(held)? else {
                    return Ok(Progress { read: held.len() - before, written: 0 });
                };
                self.state = State::Body;
                Ok(Progress { read: end - before, written: 0 })
            }
            State::Body => self.inflate(input, output),
            State::Trailer(held) => {
                let read = input.len().min(TRAILER - held.len());
                held.extend_from_slice(&input[..read]);
                if held.len() == TRAILER {
                    check_trailer(held, &self.content)?;
                    self.state = State::Done;
                }
                Ok(Progress { read, written: 0 })
            }
            State::Done => match input {
                [] => Ok(Progress::default()),
                [0x1f, ..] => Err(ArchiveError::ambiguous(Ambiguity::SeveralGzipMembers, None)),
                _ => Err(ArchiveError::ambiguous(Ambiguity::DataAfterCompressed, None)),
            },
        }
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, ArchiveError> {
        let (read_before, written_before) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, output, FlushDecompress::None)
            .map_err(|error| ArchiveError::invalid(Defect::Compressed(error.to_string()), None))?;
        let progress = Progress {
            read: distance(read_before, self.inflate.total_in()),
            written: distance(written_before, self.inflate.total_out()),
        };
        self.content.update(&output[..progress.written]);
        if matches!(status, Status::StreamEnd) {
            self.state = State::Trailer(Vec::with_capacity(TRAILER));
        }
        Ok(progress)
    }

    pub(super) fn finish(&self) -> Result<(), ArchiveError> {
        match self.state {
            State::Done => Ok(()),
            State::Header(_) | State::Body | State::Trailer(_) => Err(ArchiveError::invalid(Defect::Truncated, None)),
        }
    }
}

/// Progress of one call: bounded by the length of a slice, hence by `usize`.
fn distance(before: u64, after: u64) -> usize {
    usize::try_from(after - before).unwrap_or(usize::MAX)
}

/// Where the header ends, or `None` while it is incomplete and may still come to an end.
fn header_end(bytes: &[u8]) -> Result<Option<usize>, ArchiveError> {
    match complete_header(bytes)? {
        None if bytes.len() > MAX_HEADER => Err(ArchiveError::invalid(Defect::Gzip("its header is too long"), None)),
        end => Ok(end),
    }
}

fn complete_header(bytes: &[u8]) -> Result<Option<usize>, ArchiveError> {
    let broken = |why| ArchiveError::invalid(Defect::Gzip(why), None);
    if !bytes.iter().zip([0x1f, 0x8b, 8]).all(|(have, want)| *have == want) {
        return Err(broken("it does not start with a gzip header"));
    }
    if bytes.len() < FIXED_HEADER {
        return Ok(None);
    }
    let flags = bytes[3];
    if flags & RESERVED != 0 {
        return Err(broken("its header has reserved flags"));
    }
    let mut end = FIXED_HEADER;
    if flags & FEXTRA != 0 {
        let Some(length) = bytes.get(end..end + 2) else { return Ok(None) };
        end += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    for flag in [FNAME, FCOMMENT] {
        if flags & flag != 0 {
            let Some(length) = bytes.get(end..).and_then(|rest| memchr::memchr(0, rest)) else { return Ok(None) };
            end += length + 1;
        }
    }
    if flags & FHCRC != 0 {
        let Some(stated) = bytes.get(end..end + 2) else { return Ok(None) };
        let mut crc = Crc::new();
        crc.update(&bytes[..end]);
        let [low, high, ..] = crc.sum().to_le_bytes();
        if stated != [low, high] {
            return Err(broken("its header checksum is wrong"));
        }
        end += 2;
    }
    Ok((end <= bytes.len()).then_some(end))
}

fn check_trailer(trailer: &[u8], content: &Crc) -> Result<(), ArchiveError> {
    let (crc, length) = trailer.split_at(TRAILER / 2);
    if crc != content.sum().to_le_bytes() || length != content.amount().to_le_bytes() {
        return Err(ArchiveError::ambiguous(Ambiguity::GzipTrailer, None));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound on headers was once held against everything that arrived with the header.
    #[test]
    fn a_first_chunk_longer_than_any_header_is_no_long_header() {
        let mut chunk = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
        chunk.resize(MAX_HEADER + 1, 7);
        assert_eq!(header_end(&chunk).unwrap(), Some(FIXED_HEADER));
        chunk[3] = FNAME;
        assert!(header_end(&chunk).is_err());
        chunk[4096] = 0;
        assert_eq!(header_end(&chunk).unwrap(), Some(4097));
    }
}
