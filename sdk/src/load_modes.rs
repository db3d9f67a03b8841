//! How a sink loads into what is there: what the host tells it in its config.
//!
//! A sink that has load modes has a field `load_modes` of [`LoadModes`] in its config. The host fills it in, and
//! refuses jobs with such a mode where a sink has none. For the relations that are in it, [`crate::Load::mode`] is
//! [`crate::Mode::Append`]: what is there stays, but for what the load mode says.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// How relations are loaded, by their names.
pub type LoadModes = BTreeMap<String, LoadMode>;

/// How a relation is loaded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum LoadMode {
    /// The rows that have the same values in these columns as a row that comes give way to those that come.
    ReplacePartitions(ReplacePartitions),
    /// A row takes the place of the one with its key, or is added, or removes it.
    Merge(Merge),
    /// The rows that arrived since the earliest one that comes give way to those that come.
    Snapshot(Snapshot),
    /// The history of each key is kept as versions.
    Scd2(Scd2),
}

/// The columns of partitions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplacePartitions {
    /// At least one. NULL is a value like others.
    pub partition_by: Vec<String>,
}

/// A merge by key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// The columns that tell rows apart. NULL is a value like others.
    pub key: Vec<String>,
    /// Which of several rows with one key is taken.
    pub duplicates: Duplicates,
    /// The column, of Booleans, that is true of rows that remove the row with their key. It comes with the rows, and
    /// is no column of the relation.
    pub deleted: Option<String>,
}

/// A load of what arrived since a time.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The column that says when a row arrived.
    pub arrival: String,
}

/// A history of versions.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scd2 {
    /// The columns that tell what the versions are of. NULL is a value like others.
    pub key: Vec<String>,
    /// The columns whose change makes a new version; all but the key if absent.
    pub track: Option<Vec<String>>,
    /// The column that says since when a row is so; the beginning of the run if absent.
    pub changed_at: Option<String>,
    /// Which of several rows with one key and one time is taken.
    pub duplicates: Duplicates,
    /// The column of the beginning of a version.
    pub valid_from: String,
    /// The column of its end.
    pub valid_to: String,
    /// The column that says whether it holds, if there is one.
    pub current: Option<String>,
    /// The day that `valid_to` has while a version holds; NULL if absent.
    pub end: Option<String>,
    /// The column of a UUID for each version, if there is one.
    pub surrogate_key: Option<String>,
    /// Whether the versions of keys that do not come end.
    pub closes_absent: bool,
}

/// Which of several rows with one key is taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// None: they are an error.
    Fail,
    /// The one with the greatest value of this column, of those the one that was read last: the order of reading is
    /// that of the chunks, and of the rows in them. NULL is the least value.
    Latest(Option<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_host_tells_is_understood() {
        let told = r#"{
            "orders": {"mode": "merge", "key": ["id"], "duplicates": {"latest": "at"}, "deleted": null},
            "days": {"mode": "replace_partitions", "partition_by": ["day"]},
            "facts": {"mode": "snapshot", "arrival": "at"},
            "staff": {"mode": "scd2", "key": ["id"], "track": null, "changed_at": null, "duplicates": "fail",
                      "valid_from": "valid_from", "valid_to": "valid_to", "current": null, "end": "9999-12-31",
                      "surrogate_key": null, "closes_absent": false}
        }"#;
        let modes: LoadModes = serde_json::from_str(told).unwrap();
        assert!(
            matches!(&modes["staff"], LoadMode::Scd2(how) if how.duplicates == Duplicates::Fail)
        );
        assert!(
            matches!(&modes["orders"], LoadMode::Merge(how) if how.duplicates == Duplicates::Latest(Some("at".into())))
        );
    }
}
