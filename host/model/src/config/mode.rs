//! What happens when a relation is already in the target, and what the load modes need.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::error::{Error, Result};

/// The only format that is read back.
const PARQUET: &str = "parquet";

/// What happens when the target is already there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Mode {
    /// It is kept, and the new one becomes `orders_v2`.
    #[default]
    Version,
    /// The new parts are added to it.
    Append,
    /// The new one takes its place.
    Replace,
    /// The run is refused.
    Error,
    /// Those of its partitions that the run has rows of are replaced. Needs `partition_by`.
    ReplacePartitions,
    /// Rows with the same key are replaced, and the others stay. Needs `merge`.
    Merge,
    /// Rows that arrived since the earliest that comes are replaced, and older ones stay. Needs `snapshot`.
    Snapshot,
    /// The history of each key is kept as versions. Needs `scd2`.
    Scd2,
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
        self == Self::ReplacePartitions || self.reads_first()
    }

    /// Whether all rows must be read before the first part is written: they are joined with those that are there.
    pub fn reads_first(self) -> bool {
        matches!(self, Self::Merge | Self::Snapshot | Self::Scd2)
    }
}

/// Whether the tables of a sink can be loaded so, as far as can be told without the sink.
pub(super) fn check_sink(mode: Mode, partition_by: &[String]) -> Result<()> {
    check_partitions(mode, partition_by)?;
    if mode == Mode::ReplacePartitions || partition_by.is_empty() {
        return Ok(());
    }
    Err(Error::config("`target.partition_by`: the target has no folders")
        .with_hint("remove it; only `mode: replace_partitions` needs it"))
}

fn check_partitions(mode: Mode, partition_by: &[String]) -> Result<()> {
    if mode != Mode::ReplacePartitions || !partition_by.is_empty() {
        return Ok(());
    }
    Err(Error::config("`target.mode` is replace_partitions, and there are none")
        .with_hint("name the columns in `target.partition_by`, or choose `mode: replace`"))
}

/// Whether a folder of files can be loaded so.
pub(super) fn check_folder(mode: Mode, partition_by: &[String], format: &str) -> Result<()> {
    check_partitions(mode, partition_by)?;
    if mode.reads_first() && format != PARQUET {
        let mode = mode.name();
        return Err(Error::config(format!(
            "`target.mode` is {mode}, and {format} files are not read back"
        ))
        .with_hint("write Parquet, or choose `mode: append` or `replace`"));
    }
    Ok(())
}
