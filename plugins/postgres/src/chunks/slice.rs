//! A slice of a relation: what a chunk's descriptor says.

use longshore_sdk::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::relation::File;

/// What of a relation a chunk is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slice {
    /// What stands after FROM; without it, the relation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from: Option<String>,
    /// The tables that it reads, where they are known.
    pub(crate) files: Vec<File>,
    /// From the first page to before the second; without a second, to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<(u64, Option<u64>)>,
    /// The rows for which this is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) condition: Option<String>,
}

impl Slice {
    pub(crate) fn parse(descriptor: &[u8]) -> Result<Self> {
        serde_json::from_slice(descriptor)
            .map_err(|_| Error::internal("a chunk descriptor that postgres did not make"))
    }

    pub(crate) fn descriptor(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::internal(error.to_string()))
    }

    /// Which rows of its table it is; none for all.
    pub(crate) fn conditions(&self) -> Vec<String> {
        let pages = self.pages.map(|(from, to)| match to {
            Some(to) => format!("ctid >= '({from},0)'::tid AND ctid < '({to},0)'::tid"),
            None => format!("ctid >= '({from},0)'::tid"),
        });
        pages.into_iter().chain(self.condition.clone()).collect()
    }

    pub(crate) fn label(&self) -> String {
        let from = self.from.as_ref().map(|from| from.trim_start_matches("ONLY ").to_owned());
        let pages = self.pages.map(|(from, to)| match to {
            Some(to) => format!("pages {from} to {}", to - 1),
            None => format!("pages {from} to the end"),
        });
        let parts: Vec<String> =
            [from, pages, self.condition.clone()].into_iter().flatten().collect();
        if parts.is_empty() { "everything".into() } else { parts.join(": ") }
    }
}
