//! One schema of many files: columns are told apart by their names, and a type holds the values of all.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use longshore_model::error::{Error, Result};

use super::column::type_word;

/// Which types hold the values of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Of types that files say.
    Exact,
    /// Of types that were inferred from CSV: text holds everything.
    Csv,
    /// Of types that were inferred from JSON, which tells numbers from texts.
    Json,
}

impl Rule {
    fn widen(self, a: &DataType, b: &DataType) -> Option<DataType> {
        match self {
            Self::Exact => exact(a, b),
            Self::Csv => sampled(a, b),
            Self::Json => json(a, b),
        }
    }

    fn hint(self, column: &str) -> String {
        match self {
            Self::Json => {
                format!("keep the values as they stand: `source.columns: {{ {column}: string }}`")
            }
            _ => "read them as two relations, and make one of them with the job's `sql`".into(),
        }
    }
}

/// A schema that grows with each file.
#[derive(Debug)]
pub(super) struct Union {
    rule: Rule,
    columns: Vec<Column>,
    files: usize,
}

#[derive(Debug)]
struct Column {
    field: Field,
    /// The file that gave it its type.
    file: String,
    /// How many files have it.
    files: usize,
}

impl Union {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, columns: Vec::new(), files: 0 }
    }

    /// Adds a file's columns.
    pub(super) fn add(&mut self, file: &str, fields: &Fields) -> Result<()> {
        self.files += 1;
        for (place, field) in fields.iter().enumerate() {
            if fields.iter().take(place).any(|other| other.name() == field.name()) {
                let error = format!("{file}: two columns are called `{}`", field.name());
                return Err(Error::data(error).with_hint("write the file again with other names"));
            }
            let Some(column) = self.columns.iter_mut().find(|c| c.field.name() == field.name())
            else {
                let (field, file) = (bare(field), file.to_owned());
                self.columns.push(Column { field, file, files: 1 });
                continue;
            };
            column.files += 1;
            let (own, other) = (column.field.data_type(), field.data_type());
            let both = self.rule.widen(own, other).ok_or_else(|| {
                let (own, other) = told_apart(own, other);
                Error::data(format!(
                    "column `{}` is {own} in {}, and {other} in {file}",
                    field.name(),
                    column.file,
                ))
                .with_hint(self.rule.hint(field.name()))
            })?;
            let is_nullable = column.field.is_nullable() || field.is_nullable();
            column.field = column.field.clone().with_data_type(both).with_nullable(is_nullable);
        }
        Ok(())
    }

    /// All columns; one that a file lacks is NULL there.
    pub(super) fn fields(self) -> Vec<FieldRef> {
        let files = self.files;
        let field = |column: Column| {
            let is_nullable = column.field.is_nullable() || column.files < files;
            Arc::new(column.field.with_nullable(is_nullable))
        };
        self.columns.into_iter().map(field).collect()
    }
}

/// What two types are called, with as much as tells them apart.
fn told_apart(a: &DataType, b: &DataType) -> (String, String) {
    let words = (type_word(a).into_owned(), type_word(b).into_owned());
    match (a, b) {
        _ if words.0 != words.1 => words,
        (DataType::Struct(a), DataType::Struct(b)) => {
            let differs = |a: &&FieldRef| {
                b.find(a.name()).is_some_and(|(_, b)| exact(a.data_type(), b.data_type()).is_none())
            };
            let Some((own, (_, other))) =
                a.iter().find(differs).and_then(|own| Some((own, b.find(own.name())?)))
            else {
                return words;
            };
            let (inner, outer) = told_apart(own.data_type(), other.data_type());
            let name = own.name();
            (
                format!("an object whose `{name}` is {inner}"),
                format!("one whose `{name}` is {outer}"),
            )
        }
        (
            DataType::List(a) | DataType::LargeList(a),
            DataType::List(b) | DataType::LargeList(b),
        ) => {
            let (a, b) = told_apart(a.data_type(), b.data_type());
            (format!("a list of {a}"), format!("a list of {b}"))
        }
        (DataType::Timestamp(_, Some(a)), DataType::Timestamp(_, Some(b))) => {
            (format!("{} of {a}", words.0), format!("{} of {b}", words.1))
        }
        _ => (a.to_string(), b.to_string()),
    }
}

/// Without what only the file's own format has a use for.
fn bare(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.retain(|key, _| key.starts_with("ARROW:extension:"));
    field.clone().with_metadata(metadata)
}

/// The type that holds the values of both without a loss. What means the same is the same: how a list
/// calls its items, `UTC` and `+00:00`, a dictionary and its values, large and small.
pub(super) fn exact(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    let rank = |t: &DataType| [Int8, Int16, Int32, Int64].iter().position(|other| other == t);
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Dictionary(_, a), Dictionary(_, b)) => return exact(a, b),
        (Dictionary(_, values), other) | (other, Dictionary(_, values)) => {
            return exact(values, other);
        }
        _ if rank(a).is_some() && rank(b).is_some() => {
            if rank(a) > rank(b) {
                a.clone()
            } else {
                b.clone()
            }
        }
        (Float32, Float64) | (Float64, Float32) => Float64,
        (Float64, Int8 | Int16 | Int32) | (Int8 | Int16 | Int32, Float64) => Float64,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8 | Utf8View) => LargeUtf8,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary | BinaryView) => LargeBinary,
        (Decimal128(p, s), Decimal128(q, t)) => {
            let scale = *s.max(t);
            let whole = (i16::from(*p) - i16::from(*s)).max(i16::from(*q) - i16::from(*t));
            let precision = u8::try_from(whole + i16::from(scale)).ok().filter(|p| *p <= 38)?;
            Decimal128(precision, scale)
        }
        (Timestamp(a, zone), Timestamp(b, other))
            if same_zone(zone.as_deref(), other.as_deref()) =>
        {
            Timestamp(*a.max(b), zone.clone())
        }
        (List(a), List(b)) => List(Arc::new(exact_field(a, b)?)),
        (List(a) | LargeList(a), List(b) | LargeList(b)) => LargeList(Arc::new(exact_field(a, b)?)),
        (Struct(a), Struct(b)) => Struct(exact_fields(a, b)?),
        (Map(a, _), Map(b, _)) => Map(Arc::new(exact_entries(a, b)?), false),
        _ => return None,
    })
}

/// One place in both.
fn exact_field(a: &Field, b: &Field) -> Option<Field> {
    let data_type = exact(a.data_type(), b.data_type())?;
    Some(a.clone().with_data_type(data_type).with_nullable(a.is_nullable() || b.is_nullable()))
}

/// Of maps: a key and a value, however they are called.
fn exact_entries(a: &Field, b: &Field) -> Option<Field> {
    let (DataType::Struct(own), DataType::Struct(other)) = (a.data_type(), b.data_type()) else {
        return None;
    };
    let pairs = own.iter().zip(other);
    let fields = pairs.map(|(own, other)| exact_field(own, other)).collect::<Option<Vec<_>>>()?;
    Some(a.clone().with_data_type(DataType::Struct(fields.into())))
}

/// By name, in the first one's order; what one lacks is NULL there.
fn exact_fields(a: &Fields, b: &Fields) -> Option<Fields> {
    let mut fields = Vec::new();
    for own in a {
        fields.push(match b.find(own.name()) {
            Some((_, other)) => Arc::new(exact_field(own, other)?),
            None => Arc::new(own.as_ref().clone().with_nullable(true)),
        });
    }
    let is_new = |field: &&FieldRef| a.find(field.name()).is_none();
    fields
        .extend(b.iter().filter(is_new).map(|f| Arc::new(f.as_ref().clone().with_nullable(true))));
    Some(fields.into())
}

fn same_zone(a: Option<&str>, b: Option<&str>) -> bool {
    let is_utc = |zone: &str| matches!(zone, "UTC" | "Etc/UTC" | "Z" | "+00:00" | "+00" | "+0000");
    match (a, b) {
        (Some(a), Some(b)) => a == b || (is_utc(a) && is_utc(b)),
        (None, None) => true,
        _ => false,
    }
}

/// The type that holds what was told from two samples of CSV: text holds everything.
pub(super) fn sampled(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match (a, b) {
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => {
            Timestamp(*a.max(b), zone.clone())
        }
        _ if a == b => a.clone(),
        _ => Utf8,
    })
}

/// The type that holds what was told from two samples of JSON, as it stands there.
fn json(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::*;
    Some(match (a, b) {
        _ if a == b => a.clone(),
        (Null, other) | (other, Null) => other.clone(),
        (Int64, Float64) | (Float64, Int64) => Float64,
        (Int64, wide @ Decimal128(..)) | (wide @ Decimal128(..), Int64) => wide.clone(),
        (List(a), List(b)) => {
            List(Arc::new(Field::new_list_field(json(a.data_type(), b.data_type())?, true)))
        }
        (Struct(a), Struct(b)) => {
            let mut union = super::schema::Union::new(Rule::Json);
            union.add("", a).ok()?;
            union.add("", b).ok()?;
            Struct(union.fields().into())
        }
        _ => return None,
    })
}

/// What text is read as: whole microseconds, unless there are more digits; what was never there, as text.
pub(super) fn settled(data_type: &DataType) -> DataType {
    mapped(data_type, &|leaf| match leaf {
        DataType::Null => DataType::Utf8,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond, zone) => {
            DataType::Timestamp(TimeUnit::Microsecond, zone.clone())
        }
        other => other.clone(),
    })
}

/// What keeps its meaning in files that are written: Parquet has no seconds, and no dates in milliseconds.
pub(super) fn carried(data_type: &DataType) -> DataType {
    mapped(data_type, &|leaf| match leaf {
        DataType::Date64 => DataType::Timestamp(TimeUnit::Millisecond, None),
        DataType::Time32(TimeUnit::Second) => DataType::Time32(TimeUnit::Millisecond),
        DataType::Timestamp(TimeUnit::Second, zone) => {
            DataType::Timestamp(TimeUnit::Millisecond, zone.clone())
        }
        other => other.clone(),
    })
}

/// A type with others in the places of its leaves.
fn mapped(data_type: &DataType, leaf: &dyn Fn(&DataType) -> DataType) -> DataType {
    let field = |field: &FieldRef| {
        let data_type = mapped(field.data_type(), leaf);
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        // No format that is written has a dictionary of lists.
        DataType::Dictionary(_, values) if values.is_nested() => mapped(values, leaf),
        other => leaf(other),
    }
}
