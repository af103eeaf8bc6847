//! Media types of layers, as the OCI image specification and Docker's manifest schema 2 name them.

use std::str::FromStr;

use super::error::ArchiveError;

/// How a layer's tar archive is compressed. Only the media type decides, never the bytes: clients differ in sniffing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayerCompression {
    Plain,
    Gzip,
    Zstd,
}

impl FromStr for LayerCompression {
    type Err = ArchiveError;

    /// Parses a layer's media type. Non-distributable (foreign) layers are refused.
    fn from_str(media_type: &str) -> Result<Self, Self::Err> {
        if media_type.starts_with("application/vnd.oci.image.layer.nondistributable.v1.")
            || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
        {
            return Err(ArchiveError::Foreign(media_type.to_owned()));
        }
        match media_type {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
                Ok(Self::Plain)
            }
            "application/vnd.oci.image.layer.v1.tar+gzip" | "application/vnd.docker.image.rootfs.diff.tar.gzip" => {
                Ok(Self::Gzip)
            }
            "application/vnd.oci.image.layer.v1.tar+zstd" | "application/vnd.docker.image.rootfs.diff.tar.zstd" => {
                Ok(Self::Zstd)
            }
            _ => Err(ArchiveError::MediaType(media_type.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use registry_types::rejection_code::RejectionCode;

    use super::*;

    #[test]
    fn reads_both_vocabularies_and_refuses_foreign_layers() {
        for (media_type, compression) in [
            ("application/vnd.oci.image.layer.v1.tar", LayerCompression::Plain),
            ("application/vnd.oci.image.layer.v1.tar+gzip", LayerCompression::Gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", LayerCompression::Zstd),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", LayerCompression::Gzip),
        ] {
            assert_eq!(media_type.parse::<LayerCompression>(), Ok(compression));
        }
        for (media_type, code) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", RejectionCode::ForeignLayer),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", RejectionCode::ForeignLayer),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", RejectionCode::ArchiveInvalid),
            ("application/octet-stream", RejectionCode::ArchiveInvalid),
        ] {
            assert_eq!(media_type.parse::<LayerCompression>().unwrap_err().code(), code, "{media_type}");
        }
    }
}
