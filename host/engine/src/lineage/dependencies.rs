//! What a value depends on: columns of inputs, and how each of them takes part.

use std::collections::{BTreeMap, BTreeSet};

use strum::IntoStaticStr;

/// A column of one of a relation's inputs, both by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InputColumn {
    /// The input.
    pub input: usize,
    /// The column of it.
    pub column: usize,
}

/// How a column takes part in a value, as OpenLineage names it. Those up to `Aggregation` are direct: the value is
/// made of the column. The others only have a say in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// The value is the column's.
    Identity,
    /// The value is computed from the column's in the same row.
    Transformation,
    /// The value is computed from the column's in many rows.
    Aggregation,
    /// The column decides which rows there are.
    Filter,
    /// The column decides which rows meet.
    Join,
    /// The column decides which rows are one group.
    GroupBy,
    /// The column decides the order.
    Sort,
    /// The column decides over which rows a window function works.
    Window,
    /// The column decides which of several values it is.
    Conditional,
}

impl Kind {
    /// Whether the value is made of the column.
    pub fn is_direct(self) -> bool {
        self <= Self::Aggregation
    }

    /// Its name in OpenLineage.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// How a column takes part in a value, and whether it can still be recognised there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transformation {
    /// How it takes part.
    pub kind: Kind,
    /// Whether the value hides the column's.
    pub is_masking: bool,
}

impl From<Kind> for Transformation {
    fn from(kind: Kind) -> Self {
        Self { kind, is_masking: false }
    }
}

impl Transformation {
    /// A value that hides what it is computed from.
    pub const MASK: Self = Self { kind: Kind::Transformation, is_masking: true };

    /// This one, of what another one gave.
    pub fn after(self, inner: Self) -> Self {
        let kind = if !self.kind.is_direct() {
            self.kind
        } else if !inner.kind.is_direct() {
            inner.kind
        } else {
            self.kind.max(inner.kind)
        };
        Self { kind, is_masking: self.is_masking || inner.is_masking }
    }
}

/// The input columns that a value depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies(BTreeMap<InputColumn, BTreeSet<Transformation>>);

impl Dependencies {
    /// On a column that the value is.
    pub fn of(column: InputColumn) -> Self {
        Self([(column, [Kind::Identity.into()].into())].into())
    }

    /// Adds what another value depends on, which takes part in this one.
    pub fn add(&mut self, other: &Self, how: Transformation) {
        for (column, transformations) in &other.0 {
            let own = self.0.entry(*column).or_default();
            own.extend(transformations.iter().map(|inner| how.after(*inner)));
        }
    }

    /// The columns, and how each takes part.
    pub fn iter(&self) -> impl Iterator<Item = (InputColumn, &BTreeSet<Transformation>)> {
        self.0.iter().map(|(column, transformations)| (*column, transformations))
    }

    /// The column that the value is, if it is one.
    pub fn sole_identity(&self) -> Option<InputColumn> {
        let (column, transformations) = self.0.first_key_value().filter(|_| self.0.len() == 1)?;
        let is_identity = transformations.iter().eq([&Kind::Identity.into()]);
        is_identity.then_some(*column)
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
