//! Uploads that were begun and not completed, where a store lists them.

use async_trait::async_trait;
use longshore_model::error::Result;

/// An upload that was begun and not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenUpload {
    /// The object that it would become.
    pub(crate) key: String,
    /// Its id.
    pub(crate) upload: String,
}

/// Lists the uploads that a store keeps open.
#[async_trait]
pub(crate) trait OpenUploads: Send + Sync {
    /// Those of keys that begin with a prefix.
    async fn beneath(&self, prefix: &str) -> Result<Vec<OpenUpload>>;
}
