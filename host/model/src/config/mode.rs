//! What happens when a relation is already in the target, and what the load modes need.

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::error::{Error, Result};

/// What happens when the target is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// It is kept, and the new one becomes `orders_v2`.
    Version,
    /// The new parts are added to it.
    Append,
    /// The new one takes its place.
    Replace,
    /// The run is refused.
    Error,
    /// Those of its partitions that the run has rows of are replaced.
    ReplacePartitions,
}

impl Mode {
    /// As a job says it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the parts go into the relation's folder, beside the files that are there.
    pub fn adds_beside(self) -> bool {
        self == Self::Append || self.is_load()
    }

    /// Whether it is a load mode: the run finds out which of the files that are there its parts take the place of.
    pub fn is_load(self) -> bool {
        self == Self::ReplacePartitions
    }
}

/// Refuses a load mode where it cannot be had.
pub(super) fn refuse(mode: Mode, why: &str) -> Result<()> {
    if !mode.is_load() {
        return Ok(());
    }
    Err(Error::config(format!("`target.mode` is {}: {why}", mode.name()))
        .with_hint("write into a folder without `register`, or choose `append` or `replace`"))
}

/// Whether a folder of files can be loaded so.
pub(super) fn check_folder(mode: Mode, partition_by: &[String]) -> Result<()> {
    if mode == Mode::ReplacePartitions && partition_by.is_empty() {
        return Err(Error::config("`target.mode` is replace_partitions, and there are none")
            .with_hint("name the columns in `target.partition_by`, or choose `mode: replace`"));
    }
    Ok(())
}
