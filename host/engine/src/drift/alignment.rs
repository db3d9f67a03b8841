//! Alignments: what happens to rows whose columns differ from those of their target.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, Fields, Schema, SchemaRef};
use longshore_model::config::DriftPolicy;
use longshore_model::config::drift::{OnAdded, OnNarrowed, OnRemoved, OnWidened};
use longshore_model::schema_change::{ChangeAction, ChangeKind, SchemaChange};
use serde::{Deserialize, Serialize};

use super::change::{changes, fit_of, places};
use super::column_record::{ColumnRecord, schema_digest};
use super::promotion::Fit;
use crate::decimal_width::widen_schema;

/// What a target holds, and what is to become of rows with other columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The columns that the target holds.
    pub columns: Vec<ColumnRecord>,
    /// The rule for differences between columns.
    pub rule: Rule,
    /// The digest of columns that somebody has accepted, whatever the rule says.
    pub accepted: Option<String>,
    /// Whether the rows go beside those that are there, and not into a table of their own.
    pub is_beside: bool,
    /// Whether readers know a column by its place, as in CSV: rows of a folder have the same columns.
    pub is_by_place: bool,
}

/// What happens to differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// They are reported.
    Report,
    /// They are refused.
    Refuse,
    /// The policy of the job.
    Policy(DriftPolicy),
}

/// How rows go with their target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// The differences, and what is done about each.
    pub changes: Vec<SchemaChange>,
    /// How rows are changed, if they are.
    pub outcome: Outcome,
}

/// How rows are changed before they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They are written as they are read.
    AsRead,
    /// These columns are made of them.
    Columns(Vec<AlignedColumn>),
    /// They become a new version, as they are read.
    NewVersion,
    /// They are not written, for these reasons.
    Refused(Vec<Refusal>),
}

/// A column that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlignedColumn {
    /// Its name.
    pub name: String,
    /// The place of the column that it is made of; NULL, if absent.
    pub from: Option<usize>,
    /// Its type, where it is another one than that of the column it is made of.
    pub cast: Option<DataType>,
    /// Whether it can be NULL, in this run's rows or in those that are there.
    pub nullable: bool,
}

/// Why rows are not written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The cause.
    pub cause: String,
    /// A next step.
    pub hint: String,
}

/// What is accepted once somebody has looked at it.
const ACCEPTED: DriftPolicy = DriftPolicy {
    on_added: OnAdded::Evolve,
    on_removed: OnRemoved::Keep,
    on_widened: OnWidened::Evolve,
    on_narrowed: OnNarrowed::Fail,
};

impl Expectation {
    /// How rows of a schema go with the target.
    pub fn align(&self, schema: &SchemaRef) -> Alignment {
        self.align_seen(schema, &BTreeSet::new())
    }

    /// The same where of some columns, by their names, nothing but NULL was seen: they are of the target's types.
    pub fn align_seen(&self, schema: &SchemaRef, untyped: &BTreeSet<String>) -> Alignment {
        let mut new = ColumnRecord::of_schema(&widen_schema(schema));
        let is_accepted =
            self.accepted.as_ref().is_some_and(|digest| *digest == schema_digest(&new));
        for column in new.iter_mut().filter(|column| untyped.contains(&column.name)) {
            let there = self.columns.iter().find(|there| there.name == column.name);
            if there.is_some_and(|there| fit_of(there, column) != Fit::Same) {
                column.r#type = DataType::Null.to_string();
            }
        }
        let changes = changes(&self.columns, &new);
        match self.rule {
            Rule::Report => Alignment { changes, outcome: Outcome::AsRead },
            _ if is_accepted && !self.is_beside => Alignment { changes, outcome: Outcome::AsRead },
            Rule::Refuse if is_accepted => self.by_policy(ACCEPTED, changes, &new),
            Rule::Refuse => self.refuse_all(changes, &new),
            Rule::Policy(policy) if is_accepted => self.by_policy(accepted(policy), changes, &new),
            Rule::Policy(policy) => self.by_policy(policy, changes, &new),
        }
    }

    /// The columns of rows, of which those that nothing but NULL was seen of get the target's types; none if that changes
    /// nothing.
    pub fn typed(
        &self,
        schema: &SchemaRef,
        untyped: &BTreeSet<String>,
    ) -> Option<Vec<AlignedColumn>> {
        let there = |name: &String| self.columns.iter().find(|column| column.name == *name);
        let column = |(place, field): (usize, &FieldRef)| AlignedColumn {
            name: field.name().clone(),
            from: Some(place),
            cast: Some(field.name())
                .filter(|name| untyped.contains(*name))
                .and_then(|name| there(name)?.data_type())
                .filter(|known| known != field.data_type()),
            nullable: field.is_nullable(),
        };
        let columns: Vec<AlignedColumn> = schema.fields().iter().enumerate().map(column).collect();
        columns.iter().any(|column| column.cast.is_some()).then_some(columns)
    }

    /// Refuses every change but of what may be NULL, which files say each by itself, and of what is nothing else.
    fn refuse_all(&self, mut changes: Vec<SchemaChange>, new: &[ColumnRecord]) -> Alignment {
        let mut refusals = Vec::new();
        for change in &mut changes {
            if matches!(change.kind, ChangeKind::Nullable | ChangeKind::NotNull) {
                continue;
            }
            if change.to == Some(DataType::Null.to_string()) {
                change.action = ChangeAction::Fit;
                continue;
            }
            let hint = "say what happens to such columns with `schema`, make them the same in an `sql` \
                        step, or choose `mode: version` or `replace`";
            refusals.push(Refusal { cause: change.to_string(), hint: hint.to_owned() });
            change.action = ChangeAction::Fail;
        }
        let outcome = if refusals.is_empty() {
            Outcome::of_columns(self.aligned(&changes, new), new)
        } else {
            Outcome::Refused(refusals)
        };
        Alignment { changes, outcome }
    }

    fn by_policy(
        &self,
        policy: DriftPolicy,
        mut changes: Vec<SchemaChange>,
        new: &[ColumnRecord],
    ) -> Alignment {
        for change in &mut changes {
            change.action = action(policy, change.kind);
        }
        let has = |action| changes.iter().any(|change| change.action == action);
        if has(ChangeAction::Version) && !has(ChangeAction::Fail) {
            // A new version has the source's columns.
            for change in &mut changes {
                change.action = ChangeAction::Version;
            }
            return Alignment { changes, outcome: Outcome::NewVersion };
        }
        let refusals: Vec<Option<Refusal>> =
            changes.iter().map(|change| self.refusal(change, &changes, new)).collect();
        if refusals.iter().all(Option::is_none) {
            let outcome = Outcome::of_columns(self.aligned(&changes, new), new);
            return Alignment { changes, outcome };
        }
        for (change, refusal) in changes.iter_mut().zip(&refusals) {
            change.action = if refusal.is_some() { ChangeAction::Fail } else { ChangeAction::None };
        }
        Alignment { changes, outcome: Outcome::Refused(refusals.into_iter().flatten().collect()) }
    }

    /// Why a change is refused, if it is.
    fn refusal(
        &self,
        change: &SchemaChange,
        changes: &[SchemaChange],
        new: &[ColumnRecord],
    ) -> Option<Refusal> {
        let refused = |cause: String, hint: &str| Some(Refusal { cause, hint: hint.to_owned() });
        if change.action == ChangeAction::Fail {
            return Some(by_policy_refused(change));
        }
        if change.kind == ChangeKind::Added
            && let Some(twin) = self.twin(change, changes, new)
        {
            return Some(twin);
        }
        let is_evolved = change.action == ChangeAction::Evolve;
        if change.kind == ChangeKind::Added && is_evolved && self.is_by_place && self.is_beside {
            return refused(
                format!(
                    "{}, and readers of a folder of CSV files take the columns of one for those of all",
                    bare(change)
                ),
                "leave it out with `schema: { on_added: ignore }` or in an `sql` step, or write another format",
            );
        }
        let old = self.columns.iter().find(|column| column.name == change.column);
        if change.action == ChangeAction::Keep && old.is_some_and(|old| old.data_type().is_none()) {
            return refused(
                format!("{}, and no NULL of its type can be made here", bare(change)),
                "make such a column in an `sql` step, or choose `mode: version` or `replace`",
            );
        }
        None
    }

    /// A column whose name differs from that of another in capitals only: most readers take them for one.
    fn twin(
        &self,
        change: &SchemaChange,
        changes: &[SchemaChange],
        new: &[ColumnRecord],
    ) -> Option<Refusal> {
        let name = change.column.to_lowercase();
        let is_gone = |column: &ColumnRecord| {
            changes.iter().any(|c| c.kind == ChangeKind::Removed && c.column == column.name)
        };
        let is_twin = |column: &&ColumnRecord| {
            column.name.to_lowercase() == name
                && column.name != change.column
                && (change.action == ChangeAction::Evolve || is_gone(column))
        };
        let twin = self.columns.iter().chain(new).find(is_twin)?;
        let (column, twin) = (&change.column, &twin.name);
        Some(Refusal {
            cause: format!(
                "`{column}` is new at the source, and differs from `{twin}` in capitals only, which most \
                 readers do not tell apart"
            ),
            hint: format!(
                "name it in an `sql` step: SELECT \"{column}\" AS \"{twin}\", .. FROM data"
            ),
        })
    }

    /// The target's columns, and behind them those that come.
    fn aligned(&self, changes: &[SchemaChange], new: &[ColumnRecord]) -> Vec<AlignedColumn> {
        let places = places(new);
        let old = |old: &ColumnRecord| {
            let from = places.get(old.name.as_str()).copied();
            let own = from.map(|place| &new[place]);
            AlignedColumn {
                name: old.name.clone(),
                from,
                cast: match own {
                    Some(own) if own.r#type == old.r#type => None,
                    Some(own) if fit_of(old, own) == Fit::Wider => None,
                    _ => old.data_type(),
                },
                nullable: old.nullable || own.is_none_or(|own| own.nullable),
            }
        };
        let mut columns: Vec<AlignedColumn> = self.columns.iter().map(old).collect();
        let is_evolved = |column: &ColumnRecord| {
            changes.iter().any(|change| {
                change.kind == ChangeKind::Added
                    && change.action == ChangeAction::Evolve
                    && change.column == column.name
            })
        };
        let added = new.iter().enumerate().filter(|(_, column)| is_evolved(column));
        columns.extend(added.map(|(place, column)| AlignedColumn {
            name: column.name.clone(),
            from: Some(place),
            cast: None,
            // Rows that are there have NULL in it.
            nullable: column.nullable || self.is_beside,
        }));
        columns
    }
}

impl Alignment {
    /// A schema of rows that are aligned, with what may be NULL in the target.
    pub fn nullable(&self, schema: &SchemaRef) -> SchemaRef {
        let Outcome::Columns(columns) = &self.outcome else { return schema.clone() };
        let field = |(field, column): (&FieldRef, &AlignedColumn)| {
            Arc::new(field.as_ref().clone().with_nullable(column.nullable))
        };
        let fields: Fields = schema.fields().iter().zip(columns).map(field).collect();
        Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
    }

    /// Why the rows are not written; nothing, if they are.
    pub fn refusals(&self) -> &[Refusal] {
        match &self.outcome {
            Outcome::Refused(refusals) => refusals,
            _ => &[],
        }
    }

    /// Whether the rows become a new version.
    pub fn is_new_version(&self) -> bool {
        self.outcome == Outcome::NewVersion
    }
}

impl Outcome {
    fn of_columns(columns: Vec<AlignedColumn>, new: &[ColumnRecord]) -> Self {
        let is_read = |(place, column): (usize, &AlignedColumn)| {
            column.from == Some(place)
                && column.cast.is_none()
                && column.nullable == new[place].nullable
        };
        if columns.len() == new.len() && columns.iter().enumerate().all(is_read) {
            return Self::AsRead;
        }
        Self::Columns(columns)
    }
}

/// A policy, with what fails by it accepted.
fn accepted(policy: DriftPolicy) -> DriftPolicy {
    let DriftPolicy { on_added, on_removed, on_widened, on_narrowed } = policy;
    DriftPolicy {
        on_added: if on_added == OnAdded::Fail { ACCEPTED.on_added } else { on_added },
        on_removed: if on_removed == OnRemoved::Fail { ACCEPTED.on_removed } else { on_removed },
        on_widened: if on_widened == OnWidened::Fail { ACCEPTED.on_widened } else { on_widened },
        on_narrowed,
    }
}

fn action(policy: DriftPolicy, kind: ChangeKind) -> ChangeAction {
    match kind {
        ChangeKind::Added => match policy.on_added {
            OnAdded::Evolve => ChangeAction::Evolve,
            OnAdded::Ignore => ChangeAction::Ignore,
            OnAdded::Fail => ChangeAction::Fail,
        },
        ChangeKind::Removed => match policy.on_removed {
            OnRemoved::Keep => ChangeAction::Keep,
            OnRemoved::Fail => ChangeAction::Fail,
        },
        ChangeKind::Widened | ChangeKind::Nullable => match policy.on_widened {
            OnWidened::Evolve => ChangeAction::Evolve,
            OnWidened::Fail => ChangeAction::Fail,
        },
        ChangeKind::Retyped => match policy.on_narrowed {
            OnNarrowed::Version => ChangeAction::Version,
            OnNarrowed::Fail => ChangeAction::Fail,
        },
        // What is there holds all that comes.
        ChangeKind::Narrowed | ChangeKind::NotNull | ChangeKind::Reordered => ChangeAction::Fit,
    }
}

fn by_policy_refused(change: &SchemaChange) -> Refusal {
    let (key, hint) = match change.kind {
        ChangeKind::Added => {
            ("on_added", "say `on_added: evolve` or `ignore`, or accept the columns")
        }
        ChangeKind::Removed => ("on_removed", "say `on_removed: keep`, or accept the columns"),
        ChangeKind::Widened | ChangeKind::Nullable => {
            ("on_widened", "say `on_widened: evolve`, or accept the columns")
        }
        _ => (
            "on_narrowed",
            "cast it in an `sql` step, say `on_narrowed: version`, or choose `mode: version` or `replace`",
        ),
    };
    let hint = match change.kind {
        ChangeKind::Retyped => hint.to_owned(),
        _ => format!("{hint} with `longshore schema accept JOB`"),
    };
    Refusal { cause: format!("`schema.{key}` is fail, and {}", bare(change)), hint }
}

/// A change, without what is done about it.
fn bare(change: &SchemaChange) -> String {
    SchemaChange { action: ChangeAction::None, ..change.clone() }.to_string()
}
