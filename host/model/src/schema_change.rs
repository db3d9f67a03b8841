//! Schema changes: how the columns of a relation differ from those that its target holds.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// A kind of change.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ChangeKind {
    /// The target does not have the column.
    Added,
    /// The source does not have the column.
    Removed,
    /// Its type holds all values of the one in the target, and more.
    Widened,
    /// The target's type holds all values of the new one.
    Narrowed,
    /// Neither of the types holds the values of the other.
    Retyped,
    /// It may be NULL, and may not in the target.
    Nullable,
    /// It is never NULL, and may be in the target.
    NotNull,
    /// The columns come in another order.
    Reordered,
}

impl ChangeKind {
    /// Its name, as reports, manifests and metrics write it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What is done about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum ChangeAction {
    /// Nothing: the relation gets a table of its own, which has the source's columns.
    None,
    /// The target gets it.
    Evolve,
    /// The column is left out.
    Ignore,
    /// The column stays; new rows have NULL in it.
    Keep,
    /// Rows are made to fit what the target holds.
    Fit,
    /// The rows become a new version.
    Version,
    /// The run fails.
    Fail,
}

/// A change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchemaChange {
    /// Its kind.
    pub kind: ChangeKind,
    /// The column.
    pub column: String,
    /// Its type in the target, in Arrow; absent if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Its type in the source, in Arrow; absent if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The column that it may have been before somebody renamed it. Nothing is done about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maybe_renamed_from: Option<String>,
    /// What is done.
    pub action: ChangeAction,
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, from, to, .. } = self;
        let (from, to) = (from.as_deref().unwrap_or("none"), to.as_deref().unwrap_or("none"));
        match self.kind {
            ChangeKind::Added => write!(f, "`{column}` ({to}) is new at the source"),
            ChangeKind::Removed => write!(f, "`{column}` ({from}) is not at the source any more"),
            ChangeKind::Nullable => write!(f, "`{column}` may be NULL at the source"),
            ChangeKind::NotNull => write!(f, "`{column}` is never NULL at the source"),
            ChangeKind::Reordered => {
                write!(f, "the columns come in another order from `{column}` on")
            }
            ChangeKind::Widened | ChangeKind::Narrowed | ChangeKind::Retyped => {
                write!(f, "`{column}` is {from} in the target, and {to} at the source")
            }
        }?;
        if let Some(before) = &self.maybe_renamed_from {
            write!(f, " (perhaps it was called `{before}`)")?;
        }
        f.write_str(match self.action {
            ChangeAction::None => "",
            ChangeAction::Evolve if self.kind == ChangeKind::Added => ": it is added",
            ChangeAction::Evolve => ": the target takes it over",
            ChangeAction::Ignore => ": it is left out",
            ChangeAction::Keep => ": it stays, and is NULL in new rows",
            ChangeAction::Fit => ": rows are made to fit",
            ChangeAction::Version => ": the rows become a new version",
            ChangeAction::Fail => ": refused",
        })
    }
}
