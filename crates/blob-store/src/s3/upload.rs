//! Uploads to S3: a single PUT up to one part, multipart above.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::{Bytes, BytesMut};
use tokio::task::JoinSet;

use async_trait::async_trait;

use super::error::{outside, sdk_error};
use crate::{BlobError, Upload};

/// All parts but the last have this size (some servers demand equal ones). 10,000 parts, the protocol's limit, hold 80 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of one upload under way at once; with the one being gathered they bound its memory to 40 MiB.
const PARALLEL_PARTS: usize = 4;

pub(super) struct S3Upload {
    client: Client,
    bucket: String,
    key: String,
    /// Set with the first full part.
    multipart: Option<String>,
    gathered: BytesMut,
    size: u64,
    under_way: JoinSet<Result<CompletedPart, BlobError>>,
    parts: Vec<CompletedPart>,
    next_part: i32,
}

impl S3Upload {
    pub(super) fn new(client: Client, bucket: String, key: String) -> Self {
        Self {
            client,
            bucket,
            key,
            multipart: None,
            gathered: BytesMut::new(),
            size: 0,
            under_way: JoinSet::new(),
            parts: Vec::new(),
            next_part: 1,
        }
    }

    async fn send_part(&mut self) -> Result<(), BlobError> {
        let upload_id = self.multipart_id().await?;
        if self.under_way.len() >= PARALLEL_PARTS {
            self.finish_one().await?;
        }
        let number = self.next_part;
        self.next_part += 1;
        let request = self
            .client
            .upload_part()
            .bucket(&self.bucket)
            .key(&self.key)
            .upload_id(upload_id)
            .part_number(number)
            .body(ByteStream::from(self.gathered.split().freeze()));
        self.under_way.spawn(async move {
            let answer = request.send().await.map_err(sdk_error)?;
            Ok(CompletedPart::builder().part_number(number).set_e_tag(answer.e_tag).build())
        });
        Ok(())
    }

    /// Begins the multipart upload if this is its first part.
    async fn multipart_id(&mut self) -> Result<String, BlobError> {
        if let Some(id) = &self.multipart {
            return Ok(id.clone());
        }
        let request = self.client.create_multipart_upload().bucket(&self.bucket).key(&self.key);
        let id = request.send().await.map_err(sdk_error)?.upload_id;
        let id = id.ok_or_else(|| outside("the answer names no multipart upload"))?;
        self.multipart = Some(id.clone());
        Ok(id)
    }

    /// Waits for one of the parts under way; `false` when there is none.
    async fn finish_one(&mut self) -> Result<bool, BlobError> {
        let Some(part) = self.under_way.join_next().await else { return Ok(false) };
        self.parts.push(part.map_err(|error| BlobError::Unavailable(Box::new(error)))??);
        Ok(true)
    }

    async fn complete_multipart(&mut self, upload_id: &str) -> Result<(), BlobError> {
        if !self.gathered.is_empty() {
            self.send_part().await?;
        }
        while self.finish_one().await? {}
        self.parts.sort_unstable_by_key(CompletedPart::part_number);
        let parts = CompletedMultipartUpload::builder().set_parts(Some(std::mem::take(&mut self.parts))).build();
        let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(&self.key);
        match request.upload_id(upload_id).multipart_upload(parts).send().await {
            Ok(_) => Ok(()),
            // An answer that was lost and a retry that came too late: the object tells.
            Err(error) if error.code() == Some("NoSuchUpload") && self.is_there().await? => Ok(()),
            Err(error) => Err(sdk_error(error)),
        }
    }

    async fn is_there(&self) -> Result<bool, BlobError> {
        match self.client.head_object().bucket(&self.bucket).key(&self.key).send().await.map_err(sdk_error) {
            Ok(answer) => Ok(answer.content_length().and_then(|l| u64::try_from(l).ok()) == Some(self.size)),
            Err(BlobError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl Upload for S3Upload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<(), BlobError> {
        self.size += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = PART_BYTES - self.gathered.len();
            self.gathered.extend_from_slice(&bytes.split_to(room.min(bytes.len())));
            if self.gathered.len() == PART_BYTES {
                self.send_part().await?;
                self.gathered.reserve(PART_BYTES);
            }
        }
        Ok(())
    }

    async fn complete(mut self: Box<Self>) -> Result<(), BlobError> {
        let Some(upload_id) = self.multipart.clone() else {
            return put(&self.client, &self.bucket, &self.key, self.gathered.split().freeze()).await;
        };
        let completed = self.complete_multipart(&upload_id).await;
        if completed.is_ok() {
            self.multipart = None;
        } else {
            // The error that stopped the upload is the one to report; what stays behind is removed as stale.
            let _ = self.abort().await;
        }
        completed
    }

    async fn abort(mut self: Box<Self>) -> Result<(), BlobError> {
        // A part that arrives after the abort would be stored, and paid for, until somebody lists it.
        self.under_way.shutdown().await;
        match self.multipart.take() {
            Some(upload_id) => abort(&self.client, &self.bucket, &self.key, &upload_id).await,
            None => Ok(()),
        }
    }
}

/// An upload may be dropped at any await, when what it belongs to is given up.
impl Drop for S3Upload {
    fn drop(&mut self) {
        let Some(upload_id) = self.multipart.take() else { return };
        // Without a runtime nobody can be asked: it is removed as stale.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (client, bucket, key) = (self.client.clone(), self.bucket.clone(), self.key.clone());
        let mut under_way = std::mem::take(&mut self.under_way);
        runtime.spawn(async move {
            under_way.shutdown().await;
            if let Err(error) = abort(&client, &bucket, &key, &upload_id).await {
                tracing::debug!(%error, "an upload that was given up is left to be removed as stale");
            }
        });
    }
}

pub(super) async fn put(client: &Client, bucket: &str, key: &str, bytes: Bytes) -> Result<(), BlobError> {
    let request = client.put_object().bucket(bucket).key(key).body(ByteStream::from(bytes));
    request.send().await.map_err(sdk_error).map(drop)
}

pub(super) async fn abort(client: &Client, bucket: &str, key: &str, upload_id: &str) -> Result<(), BlobError> {
    match client.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload_id).send().await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some("NoSuchUpload") => Ok(()),
        Err(error) => Err(sdk_error(error)),
    }
}
