//! The options of load modes: as a job gives them, and checked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::mode::Mode;
use crate::error::{Error, Result};

/// What `mode: merge` wants to know.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMerge {
    /// The columns that tell rows apart. NULL is a value like others.
    #[schemars(length(min = 1))]
    pub(super) key: Vec<String>,
    /// Of several rows with one key, the one with the greatest value here is taken. Without it, they are an
    /// error.
    pub(super) order_by: Option<String>,
    /// What happens to several rows with one key.
    pub(super) duplicates: Option<RawDuplicates>,
    /// A condition in SQL, such as `is_deleted` or `op = 'D'`: a row for which it is true removes the row with its
    /// key.
    pub(super) deleted: Option<String>,
}

/// What `mode: snapshot` wants to know.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSnapshot {
    /// The column that says when a row arrived: a date, a timestamp or a whole number. Rows that are there and are
    /// no older than the oldest row that comes are replaced.
    pub(super) arrival: String,
}

/// What `mode: scd2` wants to know.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawScd2 {
    /// The columns that tell what the versions are of. NULL is a value like others.
    #[schemars(length(min = 1))]
    pub(super) key: Vec<String>,
    /// The columns whose change makes a new version; all but the key if absent.
    pub(super) track: Option<Vec<String>>,
    /// The column that says since when a row is so, a date or a timestamp: it becomes `valid_from`. The run's
    /// beginning if absent.
    pub(super) changed_at: Option<String>,
    /// What happens to several rows with one key and one time.
    pub(super) duplicates: Option<RawDuplicates>,
    /// What the column is called that says since when a version holds.
    #[serde(default = "valid_from")]
    pub(super) valid_from: String,
    /// What the column is called that says until when a version holds.
    #[serde(default = "valid_to")]
    pub(super) valid_to: String,
    /// What the column is called that says whether a version holds; none if absent.
    pub(super) current: Option<String>,
    /// The day that `valid_to` has while a version holds; NULL if it is null.
    #[serde(default = "end_of_time")]
    pub(super) end: Option<String>,
    /// What the column is called that holds a UUID for each version; none if absent.
    pub(super) surrogate_key: Option<String>,
    /// What happens to a key that is not among the rows of the run.
    #[serde(default)]
    pub(super) absent: RawAbsent,
}

fn valid_from() -> String {
    "valid_from".into()
}

fn valid_to() -> String {
    "valid_to".into()
}

fn end_of_time() -> Option<String> {
    Some("9999-12-31".into())
}

/// What happens to a key that is not among the rows of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawAbsent {
    /// Its version holds on.
    #[default]
    Keep,
    /// Its version ends with the run.
    Close,
}

/// What happens to several rows with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawDuplicates {
    /// The run fails and names three of them.
    Fail,
    /// The last one is taken: by `order_by`, else in the order of reading.
    Latest,
}

/// What the load modes want to know, of a relation or of all of them.
#[derive(Clone, Debug, Default)]
pub struct LoadSections {
    pub(super) merge: Option<RawMerge>,
    pub(super) snapshot: Option<RawSnapshot>,
    pub(super) scd2: Option<RawScd2>,
}

/// The column that tells a sink which rows remove the rows with their keys.
pub const REMOVES: &str = "longshore removes";

/// How a relation's rows are joined with those that are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Load {
    /// By key.
    Merge(Merge),
    /// By the time of their arrival.
    Snapshot(Snapshot),
    /// As versions.
    Scd2(Scd2),
}

/// A merge by key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Merge {
    /// The columns of the key.
    pub key: Vec<String>,
    /// Which of several rows with one key is taken.
    pub duplicates: Duplicates,
    /// The condition of rows that remove.
    pub deleted: Option<String>,
}

/// A load of what arrived since a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The column of the arrival.
    pub arrival: String,
}

/// A history of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scd2 {
    /// The columns of the key.
    pub key: Vec<String>,
    /// The columns whose change makes a new version; all others if absent.
    pub track: Option<Vec<String>>,
    /// The column that says since when a row is so.
    pub changed_at: Option<String>,
    /// Which of several rows with one key and one time is taken.
    pub duplicates: Duplicates,
    /// The column of the beginning.
    pub valid_from: String,
    /// The column of the end.
    pub valid_to: String,
    /// The column that says whether a version holds.
    pub current: Option<String>,
    /// The end of a version that holds.
    pub end: Option<String>,
    /// The column of the UUID.
    pub surrogate_key: Option<String>,
    /// Whether the versions of absent keys end.
    pub closes_absent: bool,
}

/// Which of several rows with one key is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// None: the run fails.
    Fail,
    /// The one with the greatest value of this column, or the last that was read.
    Latest(Option<String>),
}

impl Load {
    /// As a sink's config says it. Which rows remove others is a column there.
    fn of_sink(&self) -> Result<Value> {
        let mut told = serde_json::to_value(self)
            .map_err(|error| Error::internal(format!("a load mode: {error}")))?;
        if let Some(deleted) = told.get_mut("deleted").filter(|deleted| !deleted.is_null()) {
            *deleted = json!(REMOVES);
        }
        Ok(told)
    }
}

/// How relations are loaded, as a sink's config says it under `load_modes`. `loads` has their names, and what the
/// mode wants to know of them.
pub(super) fn loads_of_sink<'a>(
    loads: impl Iterator<Item = (&'a String, Option<&'a Load>)>,
    partition_by: &[String],
) -> Result<Value> {
    let mut told = Map::new();
    for (name, load) in loads {
        let partitions =
            || json!({ "mode": Mode::ReplacePartitions, "partition_by": partition_by });
        told.insert(name.clone(), load.map_or_else(|| Ok(partitions()), Load::of_sink)?);
    }
    Ok(Value::Object(told))
}

impl LoadSections {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.merge.is_none() && self.snapshot.is_none() && self.scd2.is_none()
    }

    /// What `mode` wants to know of a relation: its own section, or else that of the target.
    pub(super) fn load(self, name: &str, mode: Mode, target: &Self) -> Result<Option<Load>> {
        refuse_others(name, &self, mode)?;
        refuse_others("target", target, mode)?;
        let missing = |what: &str, example: &str| {
            let mode = mode.name();
            Error::config(format!("`{name}`: `target.mode` is {mode}, and no {what} is given"))
                .with_hint(format!("write `{example}` beside the table, or under `target` for all"))
        };
        match mode {
            Mode::Merge => {
                let merge = self.merge.as_ref().or(target.merge.as_ref());
                let merge = merge.ok_or_else(|| missing("key", "merge: { key: [id] }"))?;
                merge.check(name).map(|merge| Some(Load::Merge(merge)))
            }
            Mode::Snapshot => {
                let snapshot = self.snapshot.as_ref().or(target.snapshot.as_ref());
                let RawSnapshot { arrival } = snapshot
                    .ok_or_else(|| missing("arrival", "snapshot: { arrival: arrived_at }"))?;
                Ok(Some(Load::Snapshot(Snapshot { arrival: arrival.clone() })))
            }
            Mode::Scd2 => {
                let scd2 = self.scd2.as_ref().or(target.scd2.as_ref());
                let scd2 = scd2.ok_or_else(|| missing("key", "scd2: { key: [id] }"))?;
                scd2.check(name).map(|scd2| Some(Load::Scd2(scd2)))
            }
            _ => Ok(None),
        }
    }
}

/// A section of another mode would do nothing.
fn refuse_others(whose: &str, sections: &LoadSections, mode: Mode) -> Result<()> {
    let given = [
        (Mode::Merge, sections.merge.is_some()),
        (Mode::Snapshot, sections.snapshot.is_some()),
        (Mode::Scd2, sections.scd2.is_some()),
    ];
    let other = given.into_iter().find(|(section, is_given)| *is_given && *section != mode);
    let Some((other, _)) = other else { return Ok(()) };
    let other = other.name();
    Err(Error::config(format!("`{whose}` has `{other}`, and `target.mode` is {}", mode.name()))
        .with_hint(format!("choose `mode: {other}`, or remove `{other}`")))
}

impl RawScd2 {
    fn check(&self, name: &str) -> Result<Scd2> {
        check_key(name, &self.key)?;
        let own = self.clone();
        Ok(Scd2 {
            key: own.key,
            track: own.track,
            changed_at: own.changed_at,
            duplicates: match self.duplicates {
                Some(RawDuplicates::Latest) => Duplicates::Latest(None),
                Some(RawDuplicates::Fail) | None => Duplicates::Fail,
            },
            valid_from: own.valid_from,
            valid_to: own.valid_to,
            current: own.current,
            end: own.end,
            surrogate_key: own.surrogate_key,
            closes_absent: self.absent == RawAbsent::Close,
        })
    }
}

impl RawMerge {
    fn check(&self, name: &str) -> Result<Merge> {
        check_key(name, &self.key)?;
        let duplicates = match (self.duplicates, &self.order_by) {
            (Some(RawDuplicates::Fail), Some(_)) => {
                return Err(Error::config(format!(
                    "`{name}`: `merge.order_by` is given, and `merge.duplicates` is fail"
                ))
                .with_hint("write `duplicates: latest`, or remove one of them"));
            }
            (Some(RawDuplicates::Fail) | None, None) => Duplicates::Fail,
            (_, by) => Duplicates::Latest(by.clone()),
        };
        Ok(Merge { key: self.key.clone(), duplicates, deleted: self.deleted.clone() })
    }
}

fn check_key(name: &str, key: &[String]) -> Result<()> {
    if key.is_empty() {
        return Err(Error::config(format!("`{name}`: the key has no columns"))
            .with_hint("name the columns that tell rows apart: `key: [id]`"));
    }
    let twice = key.iter().enumerate().find(|(place, name)| key[..*place].contains(name));
    match twice {
        None => Ok(()),
        Some((_, twice)) => Err(Error::config(format!("`{name}`: the key names `{twice}` twice"))
            .with_hint("name each column once")),
    }
}
