//! A column of a relation: what it is in Arrow, and what is told of it.

use longshore_sdk::schema::{DECIMAL128_MAX_PRECISION, Field};
use longshore_sdk::{Comparable, Error, Result};

use crate::kind::Kind;
use crate::policy::{Policy, SpecialValues, UnknownTypes};
use crate::types::Types;
use longshore_values::padded;

/// `char(n)`.
const CHAR_OID: u32 = 1042;

/// A column of a relation.
#[derive(Clone, Debug)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) source_type: String,
    pub(crate) kind: Kind,
    pub(crate) nullable: bool,
    /// Its texts are filled up with blanks, which do not count.
    padded: bool,
    /// What the server makes of it first, such as `::text`.
    pub(crate) cast: &'static str,
    pub(crate) special_values: SpecialValues,
    comparable: Comparable,
    notes: Vec<String>,
}

/// What the server says of a column.
pub(crate) struct ColumnInfo<'a> {
    pub(crate) name: &'a str,
    pub(crate) type_oid: u32,
    pub(crate) type_modifier: i32,
    /// Declared dimensions of an array; 0 where none are.
    pub(crate) dimensions: usize,
    pub(crate) source_type: &'a str,
    pub(crate) nullable: bool,
    /// Whether `=` on its texts compares bytes.
    pub(crate) deterministic: bool,
}

impl Column {
    /// Finds a column's way to Arrow.
    pub(crate) fn new(described: &ColumnInfo<'_>, types: &Types, policy: Policy) -> Result<Self> {
        let ColumnInfo { type_oid, type_modifier, dimensions, .. } = *described;
        let mut way = types.way(policy, type_oid, type_modifier, dimensions);
        if way.foreign && policy.unknown_types == UnknownTypes::Refuse {
            let ColumnInfo { name, source_type, .. } = described;
            return Err(Error::data(format!(
                "column `{name}` is {source_type}, which is not a type of PostgreSQL's own"
            ))
            .with_hint(
                "remove `unknown_types: refuse` from `source`, or cast the column in a query",
            ));
        }
        let nullified = policy.special_values == SpecialValues::Nullify && way.kind.has_special();
        if nullified {
            way.notes.push("values that Arrow has not become null".into());
        }
        Ok(Self {
            name: described.name.to_owned(),
            source_type: described.source_type.to_owned(),
            comparable: if way.cast.is_empty() && !nullified {
                comparable(&way.kind, described)
            } else {
                Comparable::No
            },
            nullable: described.nullable || nullified,
            padded: described.type_oid == CHAR_OID && way.cast.is_empty(),
            kind: way.kind,
            cast: way.cast,
            special_values: policy.special_values,
            notes: way.notes,
        })
    }

    /// Another name than the server's.
    pub(crate) fn rename(&mut self, name: String) {
        self.notes.push(format!("the query gives two columns `{}`", self.name));
        self.name = name;
    }

    /// Its field in the Arrow schema.
    pub(crate) fn field(&self) -> Field {
        let field = self.kind.field(&self.name, self.nullable);
        if self.padded { padded(field) } else { field }
    }

    /// What the host is told of it.
    pub(crate) fn describe(&self) -> longshore_sdk::Column {
        longshore_sdk::Column {
            source_type: self.source_type.clone(),
            comparable: self.comparable,
            lossy: (!self.notes.is_empty()).then(|| self.notes.join("; ")),
        }
    }

    #[cfg(test)]
    pub(crate) fn of_kind(name: &str, kind: Kind) -> Self {
        Self {
            name: name.into(),
            source_type: "?".into(),
            kind,
            nullable: true,
            padded: false,
            cast: "",
            special_values: SpecialValues::Refuse,
            comparable: Comparable::No,
            notes: Vec::new(),
        }
    }
}

fn comparable(kind: &Kind, described: &ColumnInfo<'_>) -> Comparable {
    const TEXTS: [u32; 3] = [19, 25, 1043];
    match kind {
        Kind::Bool
        | Kind::Int2
        | Kind::Int4
        | Kind::Int8
        | Kind::Date
        | Kind::Timestamp { utc: false } => Comparable::Order,
        Kind::Numeric(digits) if digits.precision <= DECIMAL128_MAX_PRECISION => Comparable::Order,
        // Not blank-padded ones, where PostgreSQL ignores trailing blanks and Arrow does not.
        Kind::Text if described.deterministic && TEXTS.contains(&described.type_oid) => {
            Comparable::Equality
        }
        _ => Comparable::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_type_is_text_or_refused_by_name() {
        let types = Types::of_foreign(30_000);
        let described = ColumnInfo {
            name: "area",
            type_oid: 30_000,
            type_modifier: -1,
            dimensions: 0,
            source_type: "geometry",
            nullable: true,
            deterministic: true,
        };
        let column = Column::new(&described, &types, Policy::default()).unwrap();
        assert!(column.cast == "::text" && column.describe().lossy.is_some());
        let strict = Policy { unknown_types: UnknownTypes::Refuse, ..Policy::default() };
        let error = Column::new(&described, &types, strict).unwrap_err();
        assert!(error.message().starts_with("column `area` is geometry"), "{error}");
    }
}
