//! The index as bytes: once plain, once in each coding, so that a request only picks one.

use std::io::Write as _;

use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use registry_types::digest::Digest;

/// Brotli's middle: a quarter of the size of the plain document, and some tens of milliseconds for 20,000 packages.
const BROTLI_QUALITY: u32 = 5;
const BROTLI_WINDOW: u32 = 22;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Brotli,
}

impl Coding {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
        }
    }

    /// The smallest one that an `Accept-Encoding` header takes (RFC 9110 section 12.5.3).
    pub(super) fn accepted(header: Option<&str>) -> Self {
        let header = header.unwrap_or_default();
        [Self::Brotli, Self::Gzip].into_iter().find(|coding| takes(header, coding.as_str())).unwrap_or(Self::Identity)
    }
}

fn takes(header: &str, coding: &str) -> bool {
    header.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let names_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
        let refuses_it = parts.any(|parameter| {
            parameter.strip_prefix("q=").is_some_and(|weight| weight.trim().parse::<f32>().is_ok_and(|q| q <= 0.0))
        });
        names_it && !refuses_it
    })
}

/// One coding of the document, with the strong ETag of exactly these bytes.
pub(super) struct Variant {
    pub(super) coding: Coding,
    pub(super) etag: HeaderValue,
    pub(super) body: Bytes,
}

pub(crate) struct Rendering {
    /// The listing revision that it shows; `None` for one that was read back from the object store.
    pub(super) revision: Option<i64>,
    identity: Variant,
    gzip: Variant,
    brotli: Variant,
}

impl Rendering {
    /// Compresses and hashes: call where blocking is allowed.
    pub(super) fn new(revision: Option<i64>, plain: Bytes) -> std::io::Result<Self> {
        let hash = Digest::sha256_of(&plain);
        let hash = &hash.hex()[..32];
        let variant = |coding: Coding, body: Bytes| -> std::io::Result<Variant> {
            let etag = format!("\"{hash}-{}\"", coding.as_str());
            Ok(Variant { coding, etag: HeaderValue::from_str(&etag).map_err(std::io::Error::other)?, body })
        };
        Ok(Self {
            revision,
            gzip: variant(Coding::Gzip, gzip(&plain)?)?,
            brotli: variant(Coding::Brotli, brotli(&plain)?)?,
            identity: variant(Coding::Identity, plain)?,
        })
    }

    pub(super) const fn variant(&self, coding: Coding) -> &Variant {
        match coding {
            Coding::Identity => &self.identity,
            Coding::Gzip => &self.gzip,
            Coding::Brotli => &self.brotli,
        }
    }

    /// Whether an `If-None-Match` header names these contents, in whichever coding.
    pub(super) fn has_one_of(&self, tags: &str) -> bool {
        tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| {
            tag == "*" || [&self.identity, &self.gzip, &self.brotli].iter().any(|v| v.etag.as_bytes() == tag.as_bytes())
        })
    }

    pub(super) const fn plain(&self) -> &Bytes {
        &self.identity.body
    }
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain)?;
    encoder.finish().map(Bytes::from)
}

fn brotli(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, BROTLI_QUALITY, BROTLI_WINDOW);
    encoder.write_all(plain)?;
    Ok(encoder.into_inner().into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_smallest_coding_that_the_client_takes() {
        assert_eq!(Coding::accepted(None), Coding::Identity);
        assert_eq!(Coding::accepted(Some("gzip, deflate, br")), Coding::Brotli);
        assert_eq!(Coding::accepted(Some("gzip;q=1.0, br;q=0")), Coding::Gzip);
        assert_eq!(Coding::accepted(Some("zstd, bread")), Coding::Identity);
    }

    #[test]
    fn all_variants_hold_the_document_under_their_own_etags() {
        let plain = Bytes::from("{\"modules\":[]}".repeat(100));
        let rendering = Rendering::new(Some(1), plain.clone()).unwrap();
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&rendering.gzip.body[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        unpacked.clear();
        brotli::Decompressor::new(&rendering.brotli.body[..], 4096).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        assert_ne!(rendering.gzip.etag, rendering.brotli.etag);
        let etag = rendering.brotli.etag.to_str().unwrap();
        assert!(rendering.has_one_of(etag) && rendering.has_one_of(&format!("\"x\", W/{etag}")));
        assert!(!rendering.has_one_of("\"x\"") && rendering.has_one_of("*"));
    }
}
