//! The token of a part in an object store.

use longshore_model::error::{Error, Result};
use longshore_model::part::Part;
use object_store::ObjectMeta;
use serde::{Deserialize, Serialize};

/// The description of an upload, which is needed to complete it. It is the token of a part.
#[derive(Serialize, Deserialize)]
pub(super) struct HeldUpload {
    /// Where it becomes an object, encoded as the store wants it.
    pub(super) key: String,
    /// The store's id; empty while it is being begun.
    pub(super) upload: String,
    /// The ids of its pieces, in their order.
    pub(super) pieces: Vec<String>,
    /// The mark of the store for the single file that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
}

impl HeldUpload {
    pub(super) fn parse(token: &str) -> Result<Self> {
        serde_json::from_str(token)
            .map_err(|error| Error::internal(format!("an upload's description: {error}")))
    }

    pub(super) fn token(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// Whether an object is what this upload becomes: as large, and not what was there before.
    pub(super) fn is_completed_as(&self, part: &Part, there: &ObjectMeta) -> bool {
        there.size == part.bytes && (self.before.is_none() || self.before != there.e_tag)
    }
}
