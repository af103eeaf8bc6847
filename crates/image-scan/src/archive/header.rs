//! One raw 512-byte tar header, checked before anything in it is believed.
//!
//! Layouts: POSIX.1-2017 `pax` (ustar) and the GNU tar manual, "Basic Tar Format".

use std::ops::Range;

use super::error::{Ambiguity, Defect};

pub(super) const BLOCK: usize = 512;

const NAME: Range<usize> = 0..100;
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MTIME: Range<usize> = 136..148;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const LINK_NAME: Range<usize> = 157..257;
const MAGIC: Range<usize> = 257..265;
const DEVICE_MAJOR: Range<usize> = 329..337;
const DEVICE_MINOR: Range<usize> = 337..345;
const PREFIX: Range<usize> = 345..500;
/// What follows the device numbers: ustar's prefix; times, a sparse map and a second size in GNU and star headers.
const AFTER_DEVICES: Range<usize> = 345..512;

/// Why a header is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HeaderProblem {
    Ambiguous(Ambiguity),
    Invalid(Defect),
}

impl From<Ambiguity> for HeaderProblem {
    fn from(problem: Ambiguity) -> Self {
        Self::Ambiguous(problem)
    }
}

impl From<Defect> for HeaderProblem {
    fn from(problem: Defect) -> Self {
        Self::Invalid(problem)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Ustar,
    Gnu,
}

/// What an entry is, by its type flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryType {
    /// `'0'`, or NUL as pre-POSIX programs write it: then a trailing slash makes it a directory.
    Regular {
        old: bool,
    },
    HardLink,
    Symlink,
    CharacterDevice,
    BlockDevice,
    Directory,
    Fifo,
    PaxLocal,
    PaxGlobal,
    GnuLongName,
    GnuLongLink,
}

/// The fields of a checked header that readers use.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) entry_type: EntryType,
    /// As written; a PAX path or GNU long name replaces it.
    pub(super) name: Vec<u8>,
    pub(super) link_name: Vec<u8>,
    pub(super) size: u64,
    pub(super) executable: bool,
    /// Major and minor device number are both zero.
    pub(super) is_null_device: bool,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, HeaderProblem> {
        check_sum(block)?;
        let format = format(block)?;
        let entry_type = entry_type(block[TYPE])?;
        let size = number(block, SIZE, "size")?;
        let mode = id(block, MODE, "mode")?;
        let major = id(block, DEVICE_MAJOR, "devmajor")?;
        let minor = id(block, DEVICE_MINOR, "devminor")?;
        // Never used here, but a reader that stops at them would see another archive than one that goes on.
        id(block, UID, "uid")?;
        id(block, GID, "gid")?;
        time(block, MTIME, "mtime")?;
        Ok(Self {
            entry_type,
            name: name(block, format)?,
            link_name: until_nul(&block[LINK_NAME]).to_vec(),
            size,
            executable: mode & 0o111 != 0,
            is_null_device: major == 0 && minor == 0,
        })
    }
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), HeaderProblem> {
    let stated = number(block, CHECKSUM, "checksum").map_err(|_| Defect::Checksum)?;
    let all: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    let own: u64 = block[CHECKSUM].iter().map(|byte| u64::from(*byte)).sum();
    // The checksum field counts as spaces.
    if all - own + u64::from(b' ') * CHECKSUM.len() as u64 == stated { Ok(()) } else { Err(Defect::Checksum.into()) }
}

fn format(block: &[u8; BLOCK]) -> Result<Format, HeaderProblem> {
    match &block[MAGIC] {
        b"ustar\x0000" => Ok(Format::Ustar),
        b"ustar  \0" => Ok(Format::Gnu),
        _ => Err(Defect::Magic.into()),
    }
}

fn entry_type(flag: u8) -> Result<EntryType, HeaderProblem> {
    match flag {
        b'0' => Ok(EntryType::Regular { old: false }),
        0 => Ok(EntryType::Regular { old: true }),
        b'1' => Ok(EntryType::HardLink),
        b'2' => Ok(EntryType::Symlink),
        b'3' => Ok(EntryType::CharacterDevice),
        b'4' => Ok(EntryType::BlockDevice),
        b'5' => Ok(EntryType::Directory),
        b'6' => Ok(EntryType::Fifo),
        b'x' => Ok(EntryType::PaxLocal),
        b'g' => Ok(EntryType::PaxGlobal),
        b'L' => Ok(EntryType::GnuLongName),
        b'K' => Ok(EntryType::GnuLongLink),
        b'S' => Err(Ambiguity::Sparse.into()),
        other => Err(Defect::EntryType(char::from(other)).into()),
    }
}

fn name(block: &[u8; BLOCK], format: Format) -> Result<Vec<u8>, HeaderProblem> {
    let name = until_nul(&block[NAME]);
    let after_devices = &block[AFTER_DEVICES];
    if matches!(format, Format::Gnu) {
        // Python and (where it does not parse as times) Go take the area for a prefix, libarchive its end for the size.
        return if is_zero(after_devices) { Ok(name.to_vec()) } else { Err(Ambiguity::GnuFields.into()) };
    }
    let prefix = until_nul(&block[PREFIX]);
    // GNU tar tells star headers by their times, Go by a mark at the end; in both the prefix is shorter.
    if !is_zero(&after_devices[prefix.len()..]) {
        return Err(Ambiguity::StarFormat.into());
    }
    match (prefix, name) {
        ([], name) => Ok(name.to_vec()),
        // Python tells an old directory by the slash at the end of the field alone.
        (_, []) => Err(Ambiguity::EmptyPath.into()),
        (prefix, name) => Ok([prefix, b"/", name].concat()),
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn until_nul(field: &[u8]) -> &[u8] {
    &field[..memchr::memchr(0, field).unwrap_or(field.len())]
}

/// A number that cannot be negative: octal digits, or base-256 after a byte 0x80.
fn number(block: &[u8; BLOCK], field: Range<usize>, name: &'static str) -> Result<u64, HeaderProblem> {
    let bytes = &block[field];
    if bytes[0] & 0x80 == 0 {
        return octal(bytes, name);
    }
    let (marker, digits) = (bytes[0], &bytes[1..]);
    // Programs differ in whether the marker's lower bits count.
    let mut value = if marker == 0x80 { Ok(0_u64) } else { Err(Defect::Number(name)) }?;
    for byte in digits {
        if value >> 55 != 0 {
            return Err(Defect::Number(name).into());
        }
        value = value << 8 | u64::from(*byte);
    }
    Ok(value)
}

/// Modes, owners and device numbers have at most 32 bits on Linux; GNU tar stops at more.
fn id(block: &[u8; BLOCK], field: Range<usize>, name: &'static str) -> Result<u32, HeaderProblem> {
    u32::try_from(number(block, field, name)?).map_err(|_| Defect::Number(name).into())
}

/// Seconds before or after 1970 that every program can show as a date (to the year 36812); bsdtar crashes at far later
/// ones.
pub(super) const MAX_TIME: u64 = 1 << 40;

/// A time in seconds, which base-256 lets lie before 1970. Only its form matters here.
fn time(block: &[u8; BLOCK], field: Range<usize>, name: &'static str) -> Result<(), HeaderProblem> {
    let bytes = &block[field];
    if bytes[0] & 0x80 == 0 {
        return octal(bytes, name).map(drop);
    }
    let (high, low) = bytes.split_at(bytes.len() - size_of::<i64>());
    let low = low.iter().fold(0_i64, |value, byte| value << 8 | i64::from(*byte));
    let (marker, filler) = if low < 0 { (0xff, 0xff) } else { (0x80, 0) };
    let fits = high[0] == marker && high[1..].iter().all(|byte| *byte == filler) && low.unsigned_abs() < MAX_TIME;
    if fits { Ok(()) } else { Err(Defect::Number(name).into()) }
}

/// Spaces, digits, then only spaces and NULs. Programs read other bytes after the digits differently.
fn octal(bytes: &[u8], name: &'static str) -> Result<u64, HeaderProblem> {
    let Some(start) = bytes.iter().position(|byte| *byte != b' ') else {
        // GNU tar misses a number in a field of spaces.
        return Err(Ambiguity::NumberTail(name).into());
    };
    let end = bytes[start..].iter().position(|byte| !(b'0'..=b'7').contains(byte)).map_or(bytes.len(), |n| start + n);
    if bytes[end..].iter().any(|byte| !matches!(byte, b' ' | 0)) {
        let ended = matches!(bytes[end], b' ' | 0);
        return Err(if ended { Ambiguity::NumberTail(name).into() } else { Defect::Number(name).into() });
    }
    // At most twelve octal digits: 36 bits.
    Ok(bytes[start..end].iter().fold(0, |value, digit| value << 3 | u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(value: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[SIZE][..value.len()].copy_from_slice(value);
        block
    }

    #[test]
    fn reads_octal_and_base_256_numbers() {
        let size = |value: &[u8]| number(&field(value), SIZE, "size");
        assert_eq!(size(b"00000000017\0"), Ok(15));
        assert_eq!(size(b"777777777777"), Ok(0o777_777_777_777));
        assert_eq!(size(b"     17 \0\0\0\0"), Ok(15));
        assert_eq!(size(b""), Ok(0));
        assert_eq!(size(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Ok(0x2_0000_0000));
        assert_eq!(size(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(i64::MAX as u64));
    }

    #[test]
    fn refuses_numbers_that_programs_read_differently() {
        let size = |value: &[u8]| number(&field(value), SIZE, "size").unwrap_err();
        assert_eq!(size(b"17\x001"), HeaderProblem::Ambiguous(Ambiguity::NumberTail("size")));
        assert_eq!(size(b"+17"), HeaderProblem::Invalid(Defect::Number("size")));
        assert_eq!(size(b"18"), HeaderProblem::Invalid(Defect::Number("size")));
        assert_eq!(
            size(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            HeaderProblem::Invalid(Defect::Number("size"))
        );
        assert_eq!(size(b"\x80\0\0\x01\0\0\0\0\0\0\0\x05"), HeaderProblem::Invalid(Defect::Number("size")));
        assert_eq!(size(b"            "), HeaderProblem::Ambiguous(Ambiguity::NumberTail("size")));
    }

    /// Python stops at other first bytes than 0x80 and 0xff; it read an archive that went on for others as ended.
    #[test]
    fn base_256_numbers_have_one_marker() {
        let number = |value: &[u8]| number(&field(value), SIZE, "size");
        assert_eq!(number(b"\x81\0\0\0\0\0\0\0\0\0\0\x05"), Err(Defect::Number("size").into()));
        let time = |value: &[u8]| time(&field(value), SIZE, "mtime");
        assert_eq!(time(b"\x80\0\0\0\0\0\0\0\0\0\0\x05"), Ok(()));
        assert_eq!(time(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Ok(()));
        for other in
            [b"\x81\0\0\0\0\0\0\0\0\0\0\x05", b"\x80\0\0\x01\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0\0\0\0\0"]
        {
            assert_eq!(time(other), Err(Defect::Number("mtime").into()));
        }
    }
}
