//! The record of what a run loaded of an incremental relation.

use longshore_model::watermark::{Advance, Watermark, Window, WindowRange};
use serde::{Deserialize, Serialize};

/// What a run loaded of an incremental table or query.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WindowRecord {
    /// The table or query, by its name in the job.
    pub relation: String,
    /// What was loaded.
    #[serde(flatten)]
    pub range: WindowRange,
    /// How far it has been loaded since; none where the watermark stayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
}

impl WindowRecord {
    /// The record of a window.
    pub(crate) fn new(window: &Window) -> Self {
        let Window { relation, range, after, .. } = window.clone();
        Self { relation, range, watermark: after }
    }

    /// The same without its watermark, which can be long.
    pub(crate) fn range_only(&self) -> Self {
        Self { watermark: None, ..self.clone() }
    }

    /// The watermark that moves when the run has published, if it moves one.
    pub(crate) fn advance(&self) -> Option<Advance> {
        let after = self.watermark.clone()?;
        Some(Advance { relation: self.relation.clone(), before: None, after })
    }
}
