//! Objects in an S3 bucket, through the SDK.

mod error;
mod upload;

use std::ops::Range;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Config, Region, RequestChecksumCalculation, ResponseChecksumValidation,
    StalledStreamProtectionConfig,
};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MultipartUpload;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use secrecy::ExposeSecret as _;
use url::Url;

use self::error::{outside, sdk_error};
use self::upload::S3Upload;
use crate::{BlobError, BlobStore, ObjectBody, ObjectInfo, ObjectKey, S3Settings, Upload};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From sending a request to the head of its answer: one part on a slow link, or the joining of a large object.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);
/// All attempts of one request together.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(300);
const MAX_ATTEMPTS: u32 = 4;
/// A body that stands still for this long is broken off.
const STALL_GRACE: Duration = Duration::from_secs(20);

pub(crate) struct S3Store {
    client: Client,
    /// Signs links for the address where clients reach the bucket.
    public_client: Option<Client>,
    bucket: String,
}

impl S3Store {
    pub(crate) fn new(settings: &S3Settings) -> Self {
        Self {
            client: client(settings, settings.endpoint.as_ref()),
            public_client: settings.public_endpoint.as_ref().map(|endpoint| client(settings, Some(endpoint))),
            bucket: settings.bucket.clone(),
        }
    }

    async fn abort_if_stale(&self, upload: &MultipartUpload, begun_before: SystemTime) -> Result<bool, BlobError> {
        let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) else { return Ok(false) };
        let begun = upload.initiated().and_then(|at| SystemTime::try_from(*at).ok());
        // The bucket may hold other programs' uploads.
        let ours = key.parse::<ObjectKey>().is_ok();
        if !ours || begun.is_none_or(|begun| begun > begun_before) {
            return Ok(false);
        }
        upload::abort(&self.client, &self.bucket, key, id).await?;
        Ok(true)
    }
}

/// One place for all that the SDK is told.
fn client(settings: &S3Settings, endpoint: Option<&Url>) -> Client {
    let secret = settings.secret_access_key.expose_secret();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(settings.region.clone()))
        .credentials_provider(Credentials::new(&settings.access_key_id, secret, None, None, "settings"))
        .force_path_style(settings.path_style)
        // Look-alikes refuse or ignore the newer checksums; blobs carry their own digest anyway.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS))
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALL_GRACE).build());
    if let Some(endpoint) = endpoint {
        config = config.endpoint_url(endpoint.as_str());
    }
    Client::from_conf(config.build())
}

#[async_trait]
impl BlobStore for S3Store {
    async fn upload(&self, key: &ObjectKey) -> Result<Box<dyn Upload>, BlobError> {
        Ok(Box::new(S3Upload::new(self.client.clone(), self.bucket.clone(), key.to_string())))
    }

    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<(), BlobError> {
        upload::put(&self.client, &self.bucket, &key.to_string(), bytes).await
    }

    async fn get(&self, key: &ObjectKey, range: Option<Range<u64>>) -> Result<ObjectBody, BlobError> {
        let range = range.as_ref().map(range_header).transpose()?;
        let answer = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key.to_string())
            .set_range(range)
            .send()
            .await
            .map_err(sdk_error)?;
        let whole = match answer.content_range() {
            // `bytes 0-9/100`
            Some(range) => range.rsplit_once('/').and_then(|(_, size)| size.parse().ok()),
            None => answer.content_length().and_then(|length| length.try_into().ok()),
        };
        let size = whole.ok_or_else(|| outside("the answer tells no object size"))?;
        Ok(ObjectBody { size, stream: read_stream(answer.body) })
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectInfo>, BlobError> {
        match self.client.head_object().bucket(&self.bucket).key(key.to_string()).send().await.map_err(sdk_error) {
            Ok(answer) => {
                let size = answer.content_length().and_then(|length| length.try_into().ok());
                let size = size.ok_or_else(|| outside("the answer tells no object size"))?;
                Ok(Some(ObjectInfo { size }))
            }
            Err(BlobError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<(), BlobError> {
        match self.client.delete_object().bucket(&self.bucket).key(key.to_string()).send().await.map_err(sdk_error) {
            Ok(_) | Err(BlobError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list(&self, prefix: &'static str) -> BoxStream<'_, Result<ObjectKey, BlobError>> {
        let pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        stream::unfold(pages, |mut pages| async move { Some((pages.next().await?, pages)) })
            .flat_map(|page| match page {
                Ok(page) => {
                    let keys = page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key);
                    stream::iter(keys.filter_map(|key| parse_listed(&key)).map(Ok).collect::<Vec<_>>())
                }
                Err(error) => stream::iter(vec![Err(sdk_error(error))]),
            })
            .boxed()
    }

    async fn presigned_get(&self, key: &ObjectKey, valid_for: Duration) -> Result<Option<String>, BlobError> {
        let Some(client) = &self.public_client else { return Ok(None) };
        let valid = PresigningConfig::expires_in(valid_for).map_err(|error| BlobError::Refused(Box::new(error)))?;
        let link =
            client.get_object().bucket(&self.bucket).key(key.to_string()).presigned(valid).await.map_err(sdk_error)?;
        Ok(Some(link.uri().to_owned()))
    }

    async fn remove_stale_uploads(&self, older_than: Duration) -> Result<u64, BlobError> {
        let begun_before = SystemTime::now().checked_sub(older_than).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut removed = 0;
        let (mut key_marker, mut id_marker) = (None, None);
        loop {
            let page = self
                .client
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .set_key_marker(key_marker)
                .set_upload_id_marker(id_marker)
                .send()
                .await
                .map_err(sdk_error)?;
            for upload in page.uploads() {
                removed += u64::from(self.abort_if_stale(upload, begun_before).await?);
            }
            // A server that says "truncated" without a marker would send the same page for ever.
            if !page.is_truncated().unwrap_or_default() || page.next_key_marker().is_none_or(str::is_empty) {
                return Ok(removed);
            }
            (key_marker, id_marker) = (page.next_key_marker, page.next_upload_id_marker);
        }
    }
}

/// The `Range` header of a range whose end is exclusive. S3 itself cuts an end past the object's end.
fn range_header(range: &Range<u64>) -> Result<String, BlobError> {
    if range.start >= range.end {
        return Err(BlobError::Range);
    }
    // Positions past the signed range, which some servers parse into, can only mean "the rest".
    Ok(if i64::try_from(range.end).is_ok() {
        format!("bytes={}-{}", range.start, range.end - 1)
    } else {
        format!("bytes={}-", range.start)
    })
}

fn parse_listed(key: &str) -> Option<ObjectKey> {
    let parsed = key.parse().ok();
    if parsed.is_none() {
        tracing::warn!(key, "an object in the bucket is none of the store's");
    }
    parsed
}

fn read_stream(body: ByteStream) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::unfold(body, |mut body| async move {
        let chunk = body.next().await?;
        Some((chunk.map_err(|error| BlobError::Unavailable(Box::new(error))), body))
    })
    .boxed()
}
