//! The changes between two lists of columns. Columns are told apart by their names, capitals too.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use longshore_model::schema_change::{ChangeAction, ChangeKind, SchemaChange};

use super::column_record::ColumnRecord;
use super::promotion::{Fit, fit};

/// The changes from what is there to what is new. Nothing is done about them yet.
pub(super) fn changes(there: &[ColumnRecord], new: &[ColumnRecord]) -> Vec<SchemaChange> {
    let places = places(new);
    let mut changes = Vec::new();
    for old in there {
        match places.get(old.name.as_str()) {
            Some(place) => changes.extend(changes_of(old, &new[*place])),
            None => changes.push(change(ChangeKind::Removed, Some(old), None)),
        }
    }
    let known = self::places(there);
    let added: Vec<usize> =
        (0..new.len()).filter(|place| !known.contains_key(new[*place].name.as_str())).collect();
    for place in &added {
        changes.push(SchemaChange {
            maybe_renamed_from: renamed_from(there, new, *place, added.len()),
            ..change(ChangeKind::Added, None, Some(&new[*place]))
        });
    }
    changes.extend(reordered(there, new));
    changes
}

/// The places of columns, by their names.
pub(super) fn places(columns: &[ColumnRecord]) -> HashMap<&str, usize> {
    columns.iter().enumerate().map(|(place, column)| (column.name.as_str(), place)).collect()
}

/// How a column goes with the one that is there.
pub(super) fn fit_of(old: &ColumnRecord, new: &ColumnRecord) -> Fit {
    if old.r#type == new.r#type {
        return Fit::Same;
    }
    let known: Option<(DataType, DataType)> = old.data_type().zip(new.data_type());
    known.map_or(Fit::None, |(old, new)| fit(&old, &new))
}

fn changes_of(old: &ColumnRecord, new: &ColumnRecord) -> Vec<SchemaChange> {
    let kind = match fit_of(old, new) {
        Fit::Same => None,
        Fit::Wider => Some(ChangeKind::Widened),
        Fit::Narrower => Some(ChangeKind::Narrowed),
        Fit::None => Some(ChangeKind::Retyped),
    };
    let nullability = match (old.nullable, new.nullable) {
        (false, true) => Some(ChangeKind::Nullable),
        (true, false) => Some(ChangeKind::NotNull),
        _ => None,
    };
    kind.into_iter().chain(nullability).map(|kind| change(kind, Some(old), Some(new))).collect()
}

fn change(
    kind: ChangeKind,
    old: Option<&ColumnRecord>,
    new: Option<&ColumnRecord>,
) -> SchemaChange {
    let column = old.or(new).map(|column| column.name.clone());
    SchemaChange {
        kind,
        column: column.unwrap_or_default(),
        from: old.map(|column| column.r#type.clone()),
        to: new.map(|column| column.r#type.clone()),
        maybe_renamed_from: None,
        action: ChangeAction::None,
    }
}

/// The column that is gone and may have got this name: one of the same type, in the same place, or the only one
/// that is gone where one only has come.
fn renamed_from(
    there: &[ColumnRecord],
    new: &[ColumnRecord],
    place: usize,
    added: usize,
) -> Option<String> {
    let names = places(new);
    let is_gone = |column: &&ColumnRecord| !names.contains_key(column.name.as_str());
    let is_like = |column: &&ColumnRecord| fit_of(column, &new[place]) == Fit::Same;
    let in_place = there.get(place).filter(is_gone).filter(is_like);
    let mut gone = there.iter().filter(is_gone);
    let only = match (gone.next(), gone.next(), added) {
        (Some(only), None, 1) => Some(only).filter(is_like),
        _ => None,
    };
    in_place.or(only).map(|column| column.name.clone())
}

/// Whether the columns that both have come in another order.
fn reordered(there: &[ColumnRecord], new: &[ColumnRecord]) -> Option<SchemaChange> {
    let (known, places) = (places(there), places(new));
    let left = there.iter().filter(|column| places.contains_key(column.name.as_str()));
    let right = new.iter().filter(|column| known.contains_key(column.name.as_str()));
    let (_, moved) = left.zip(right).find(|(left, right)| left.name != right.name)?;
    Some(SchemaChange {
        kind: ChangeKind::Reordered,
        column: moved.name.clone(),
        from: None,
        to: None,
        maybe_renamed_from: None,
        action: ChangeAction::None,
    })
}
