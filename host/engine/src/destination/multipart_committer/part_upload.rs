//! The upload of one part, in pieces.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::error::{Error, Result};
use object_store::PutPayload;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use tokio::task::JoinSet;

use super::held_upload::HeldUpload;
use crate::destination::upload::{PIECE_BYTES, Uploader};
use crate::store::object_error;

/// A piece of a multipart upload; stores want at least 5 MiB and at most 10,000 pieces.
const UPLOAD_PIECE_BYTES: usize = 8 << 20;

/// Pieces of one part that are sent at the same time.
const UPLOAD_PIECES_AT_ONCE: usize = 2;

/// The bytes of one part that are sent at the same time.
pub(super) const UPLOAD_BYTES_AT_ONCE: usize = UPLOAD_PIECE_BYTES * UPLOAD_PIECES_AT_ONCE;

/// An upload that pieces are sent to.
pub(super) struct PartUpload {
    client: Arc<dyn MultipartStore>,
    url: String,
    key: Key,
    upload: String,
    /// The mark of the store for the single file that was there before.
    before: Option<String>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    sending: JoinSet<(usize, object_store::Result<PartId>)>,
    /// The ids of pieces sent, in their order; empty while one is on its way.
    sent: Vec<String>,
}

impl PartUpload {
    pub(super) fn new(
        client: Arc<dyn MultipartStore>,
        url: String,
        key: Key,
        upload: String,
        before: Option<String>,
    ) -> Self {
        Self {
            client,
            url,
            key,
            upload,
            before,
            pending: Vec::new(),
            pending_bytes: 0,
            sending: JoinSet::new(),
            sent: Vec::new(),
        }
    }

    /// Sends what is pending, when there is room for one more piece on its way.
    async fn send(&mut self) -> Result<()> {
        while self.sending.len() >= UPLOAD_PIECES_AT_ONCE {
            self.confirmed().await?;
        }
        let index = self.sent.len();
        self.sent.push(String::new());
        self.pending_bytes = 0;
        let payload: PutPayload = std::mem::take(&mut self.pending).into_iter().collect();
        let (client, key, upload) = (self.client.clone(), self.key.clone(), self.upload.clone());
        self.sending
            .spawn(async move { (index, client.put_part(&key, &upload, index, payload).await) });
        Ok(())
    }

    /// Waits for one piece that is on its way.
    async fn confirmed(&mut self) -> Result<()> {
        match self.sending.join_next().await {
            Some(Ok((index, Ok(id)))) => {
                self.sent[index] = id.content_id;
                Ok(())
            }
            Some(Ok((_, Err(error)))) => Err(object_error(&self.url, &error)),
            Some(Err(error)) => Err(Error::internal(format!("{}: {error}", self.url))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Uploader for PartUpload {
    async fn put(&mut self, piece: Bytes) -> Result<()> {
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        if self.pending_bytes + PIECE_BYTES > UPLOAD_PIECE_BYTES {
            self.send().await
        } else {
            Ok(())
        }
    }

    async fn finish(&mut self) -> Result<String> {
        if self.pending_bytes > 0 || self.sent.is_empty() {
            self.send().await?;
        }
        while !self.sending.is_empty() {
            self.confirmed().await?;
        }
        HeldUpload {
            key: self.key.to_string(),
            upload: self.upload.clone(),
            pieces: std::mem::take(&mut self.sent),
            before: self.before.take(),
        }
        .token()
    }

    async fn abort(&mut self) {
        self.sending.abort_all();
        while self.sending.join_next().await.is_some() {}
        if let Err(error) = self.client.abort_multipart(&self.key, &self.upload).await {
            tracing::debug!("giving up {}: {}", self.url, object_error(&self.url, &error));
        }
    }
}
