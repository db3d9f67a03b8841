//! How a relation is cut: by ranges of a key, by buckets of a hash, or not at all.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use longshore_sdk::host::odbc::{Fetch, Login, Statement, Value};
use longshore_sdk::ranges::{KeyRange, even_bounds, ranges};
use longshore_sdk::schema::DataType;
use longshore_sdk::{Chunk, ChunkHints, Consistency, Error, Lane, Plan, Relation, Result, Scan};

use crate::dialect::Limit;
use crate::relation::{Key, RelationFacts, Source, describe, key, why_changing};
use crate::types::KnownColumn;
use crate::{FetchMode, Odbc, quoted};

/// Rows that are not worth cutting.
const SMALL_ROWS: u64 = 10_000;

/// Chunks for each that is read at a time, where nobody knows how many rows there are.
const UNKNOWN_CHUNKS: u64 = 8;

/// `2026-11-22`.
const DAY_BYTES: usize = 10;

/// A moment as drivers write it, and as it is written for all.
const MOMENT: &str = "%Y-%m-%d %H:%M:%S%.f";
const WRITTEN_MOMENT: &str = "%Y-%m-%d %H:%M:%S%.6f";

/// A slice: a condition, and what stands in place of its question marks.
#[derive(Clone, Debug, PartialEq)]
struct Slice {
    label: String,
    condition: Option<String>,
    parameters: Vec<Value>,
}

impl Slice {
    /// Without parameters: what stands in their place is of this connector's own making.
    fn written_out(self) -> Self {
        let Some(condition) = &self.condition else { return self };
        let mut written = String::new();
        let mut parameters = self.parameters.iter();
        for part in condition.split_inclusive('?') {
            match (part.strip_suffix('?'), parameters.next()) {
                (Some(before), Some(Value::Integer(number))) => {
                    written += &format!("{before}{number}");
                }
                (Some(before), Some(Value::Text(text))) => {
                    written += &format!("{before}'{}'", text.replace('\'', "''"));
                }
                _ => written += part,
            }
        }
        Self { label: self.label, condition: Some(written), parameters: Vec::new() }
    }
}

/// Whether values may be longer than their columns' types say.
fn has_any_length(odbc: &Odbc, columns: &[&KnownColumn]) -> bool {
    let is_long =
        |known: &&KnownColumn| matches!(known.data_type, DataType::Utf8 | DataType::Binary);
    odbc.dialect.loose && columns.iter().any(is_long)
}

/// A whole relation.
fn whole() -> Vec<Slice> {
    vec![Slice { label: "all".into(), condition: None, parameters: Vec::new() }]
}

/// Cuts a scan into statements.
pub fn plan(odbc: &mut Odbc, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
    let described = describe(odbc, &scan.relation)?;
    let columns = projected(&described.columns, scan)?;
    let (slices, strategy) = slices(odbc, scan, &described, hints)?;
    let reading = Statement {
        login: reader(odbc, scan),
        sql: String::new(),
        parameters: Vec::new(),
        fetch: columns.iter().map(|known| known.fetch).collect(),
        by_row: odbc.config.fetch == FetchMode::Rows || has_any_length(odbc, &columns),
    };
    let count = slices.len() as u64;
    let chunks: Vec<Result<Chunk>> = slices
        .into_iter()
        .map(|slice| if odbc.dialect.binds { slice } else { slice.written_out() })
        .map(|slice| {
            let condition = slice.condition.as_deref();
            let sql = statement(odbc, scan, &described.source, &columns, condition);
            let reading = Statement { sql, parameters: slice.parameters, ..reading.clone() };
            Ok(Chunk {
                label: slice.label,
                lane: Lane::Odbc(reading),
                rows: described.rows.map(|rows| rows / count),
                bytes: described.bytes.map(|bytes| bytes / count),
            })
        })
        .collect();
    Ok(Plan { consistency: Consistency::PerChunk, strategy, chunks: Box::new(chunks.into_iter()) })
}

/// Sessions that read: those with a filter of the host's understand how it is written.
fn reader(odbc: &Odbc, scan: &Scan) -> Login {
    let mut login = odbc.login.clone();
    if scan.filter.is_some() {
        let own = odbc.dialect.own_setup.iter().map(|statement| (*statement).to_owned());
        login.setup.extend(own);
    }
    login
}

fn projected<'a>(columns: &'a [KnownColumn], scan: &Scan) -> Result<Vec<&'a KnownColumn>> {
    let Some(names) = &scan.projection else { return Ok(columns.iter().collect()) };
    let find = |name: &String| {
        let known = columns.iter().find(|known| known.name == *name);
        known.ok_or_else(|| Error::not_found(format!("no column `{name}`")))
    };
    names.iter().map(find).collect()
}

fn statement(
    odbc: &Odbc,
    scan: &Scan,
    Source { with, from }: &Source,
    columns: &[&KnownColumn],
    slice: Option<&str>,
) -> String {
    let names: Vec<String> = columns.iter().map(|known| selected(odbc, known)).collect();
    let names = if names.is_empty() { "1".to_owned() } else { names.join(", ") };
    let conditions: Vec<String> =
        scan.filter.as_deref().into_iter().chain(slice).map(|of| format!("({of})")).collect();
    let filter = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let rest = format!("{names} FROM {from}{filter}");
    match (scan.limit, odbc.dialect.limit) {
        (None, _) => format!("{with}SELECT {rest}"),
        (Some(rows), Limit::Last) => format!("{with}SELECT {rest} LIMIT {rows}"),
        (Some(rows), Limit::Top) => format!("{with}SELECT TOP {rows} {rest}"),
        (Some(rows), Limit::Fetch) => format!("{with}SELECT {rest} FETCH FIRST {rows} ROWS ONLY"),
    }
}

/// A column as it is selected: a text that its driver would cut is an error of the database's.
fn selected(odbc: &Odbc, known: &KnownColumn) -> String {
    let name = quoted(&known.name, &odbc.quote);
    let is_cut =
        known.data_type == DataType::Utf8 && (odbc.dialect.loose || known.fetch == Fetch::Wide);
    let Some(guard) = odbc.dialect.guard.filter(|_| is_cut) else { return name };
    let message = format!("column `{}` holds a NUL character", known.name);
    guard.replace("{m}", &format!("'{}'", message.replace('\'', "''"))).replace("{k}", &name)
}

/// What a relation is cut by, or why it is not cut.
enum KeyChoice {
    Key(Key),
    None(String),
}

fn chosen_key(
    odbc: &mut Odbc,
    scan: &Scan,
    described: &RelationFacts,
    hints: &ChunkHints,
) -> Result<KeyChoice> {
    let uncut = |why: &str| Ok(KeyChoice::None(why.to_owned()));
    if scan.limit.is_some() {
        return uncut("a limit");
    }
    if let Some(name) = &hints.key {
        let known = described.columns.iter().find(|known| known.name == *name);
        let known = known.ok_or_else(|| {
            Error::not_found(format!("`chunk_by`: the relation has no column `{name}`"))
        })?;
        return Ok(match why_changing(odbc, &scan.relation)? {
            Some(why) => KeyChoice::None(format!("not cut by `{name}`: {why}")),
            None => KeyChoice::Key(Key { column: name.clone(), known: Some(known.clone()) }),
        });
    }
    if described.rows.is_some_and(|rows| rows <= SMALL_ROWS) && hints.rows.is_none() {
        return uncut("it is small");
    }
    if let Relation::Query(_) = scan.relation {
        return uncut("a query; `chunk_by` names a column to cut it by");
    }
    match key(odbc, &scan.relation, described) {
        Some(key) => Ok(KeyChoice::Key(key)),
        None => uncut("it has no key; `chunk_by` names a column to cut it by"),
    }
}

fn slices(
    odbc: &mut Odbc,
    scan: &Scan,
    described: &RelationFacts,
    hints: &ChunkHints,
) -> Result<(Vec<Slice>, String)> {
    let uncut = |why: &str| Ok((whole(), format!("one chunk: {why}")));
    let key = match chosen_key(odbc, scan, described, hints)? {
        KeyChoice::Key(key) => key,
        KeyChoice::None(why) => return uncut(&why),
    };
    let counted = |rows: u64| match hints.rows {
        Some(wished) => rows.div_ceil(wished.max(1)),
        None => {
            let all = described.bytes.unwrap_or(rows * 64);
            all.div_ceil(hints.bytes.max(1)).max(u64::from(hints.parallel)).min(rows / SMALL_ROWS)
        }
    };
    let at_most = |count: u64| count.clamp(1, u64::from(hints.max_chunks.max(1)));
    if let Some(steps) = Steps::of(&key) {
        let Some((low, high)) = ends(odbc, &described.source, &key, steps)? else {
            return uncut("its key has no values");
        };
        let span = high.saturating_sub(low).saturating_add(1).max(1) as u64;
        let count = match described.rows {
            Some(rows) => counted(rows),
            // There are no more than values of the key, and may be few.
            None => counted(span).min(UNKNOWN_CHUNKS * u64::from(hints.parallel)),
        };
        let count = at_most(count).min(span);
        let nullable = key.known.as_ref().is_some_and(|known| known.nullable);
        let name = quoted(&key.column, &odbc.quote);
        let slices = by_ranges(&name, steps, odbc.dialect.moment, (low, high), count, nullable)?;
        return Ok((slices, format!("ranges of `{}`, from its least to its greatest", key.column)));
    }
    let rows = described.rows.unwrap_or(SMALL_ROWS * u64::from(hints.parallel.max(1)));
    match (odbc.dialect.bucket, at_most(counted(rows))) {
        (_, 1) => uncut("it is small"),
        (Some(bucket), count) => {
            let bucket = bucket.replace("{k}", &quoted(&key.column, &odbc.quote));
            let slices = buckets(&bucket.replace("{n}", &count.to_string()), count);
            Ok((slices, format!("buckets of a hash of `{}`", key.column)))
        }
        (None, _) if hints.key.is_some() => Err(Error::config(format!(
            "`chunk_by`: `{}` is neither a whole number nor a date, and {} has no hash here",
            key.column, odbc.dialect.name
        ))
        .with_hint("name another column")),
        (None, _) => uncut("its key is neither a whole number nor a date"),
    }
}

/// What a key's values are counted in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Steps {
    Ones,
    Days,
    Micros,
}

impl Steps {
    fn of(key: &Key) -> Option<Self> {
        let Some(known) = &key.known else { return Some(Self::Ones) };
        match known.data_type {
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
                Some(Self::Ones)
            }
            DataType::UInt8 | DataType::UInt16 | DataType::UInt32 => Some(Self::Ones),
            DataType::Decimal128(..=18, 0) => Some(Self::Ones),
            DataType::Date32 => Some(Self::Days),
            DataType::Timestamp(_, None) => Some(Self::Micros),
            _ => None,
        }
    }

    fn read(self, text: &str) -> Option<i64> {
        let text = text.trim();
        let day = |text: &str| text.parse::<NaiveDate>().ok();
        match self {
            Self::Ones => text.split('.').next()?.parse().ok(),
            Self::Days => Some(day(text.get(..DAY_BYTES)?)?.to_epoch_days().into()),
            Self::Micros => {
                let moment = text.replacen('T', " ", 1);
                let moment = NaiveDateTime::parse_from_str(&moment, MOMENT).ok();
                let midnight = || day(text)?.and_hms_opt(0, 0, 0);
                Some(moment.or_else(midnight)?.and_utc().timestamp_micros())
            }
        }
    }

    /// The value at a boundary, which lies between two that were read.
    fn write(self, at: i64) -> Result<Value> {
        let beyond = || Error::internal(format!("a boundary beyond the calendar: {at}"));
        Ok(match self {
            Self::Ones => Value::Integer(at),
            Self::Days => {
                let day = i32::try_from(at).ok().and_then(NaiveDate::from_epoch_days);
                Value::Text(day.ok_or_else(beyond)?.to_string())
            }
            Self::Micros => {
                let moment = DateTime::from_timestamp_micros(at).ok_or_else(beyond)?;
                Value::Text(moment.naive_utc().format(WRITTEN_MOMENT).to_string())
            }
        })
    }
}

/// A key's least and greatest value: an index has them at its ends.
fn ends(
    odbc: &mut Odbc,
    Source { with, from }: &Source,
    key: &Key,
    steps: Steps,
) -> Result<Option<(i64, i64)>> {
    let name = quoted(&key.column, &odbc.quote);
    let sql = format!("{with}SELECT MIN({name}), MAX({name}) FROM {from}");
    let rows = odbc.session.query(&sql, &[], 1)?;
    let Some([Some(low), Some(high)]) = rows.first().map(Vec::as_slice) else { return Ok(None) };
    let read = |text: &String| {
        let value = steps.read(text);
        value.ok_or_else(|| Error::data(format!("`{}`: `{text}` is no key's value", key.column)))
    };
    Ok(Some((read(low)?, read(high)?)))
}

/// Slices by ranges of a key; rows without a value are a slice of their own.
fn by_ranges(
    name: &str,
    steps: Steps,
    moment: &str,
    (low, high): (i64, i64),
    count: u64,
    nullable: bool,
) -> Result<Vec<Slice>> {
    if count <= 1 {
        return Ok(whole());
    }
    let bounds: Vec<Value> = even_bounds(low, high, count)
        .into_iter()
        .map(|at| steps.write(at))
        .collect::<Result<_>>()?;
    let mark = match steps {
        Steps::Ones => "?",
        Steps::Days | Steps::Micros => moment,
    };
    let slice = |range: KeyRange<Value>| Slice {
        label: label(&range),
        condition: range.map(|_| mark).condition(name, false),
        parameters: range.from.into_iter().chain(range.to).collect(),
    };
    let mut slices: Vec<Slice> = ranges(&bounds).into_iter().map(slice).collect();
    if nullable {
        slices.push(Slice {
            label: "null".into(),
            condition: Some(format!("{name} IS NULL")),
            parameters: Vec::new(),
        });
    }
    Ok(slices)
}

fn label(range: &KeyRange<Value>) -> String {
    let shown = range.map(|value| match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
    });
    match (shown.from, shown.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        (None, Some(to)) => format!("before {to}"),
        (Some(from), None) => format!("from {from}"),
        (None, None) => "all".to_owned(),
    }
}

fn buckets(bucket: &str, count: u64) -> Vec<Slice> {
    let slice = |index: u64| Slice {
        label: format!("bucket {} of {count}", index + 1),
        condition: Some(format!("{bucket} = {index}")),
        parameters: Vec::new(),
    };
    (0..count).map(slice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_leave_nothing_out_and_take_nothing_twice() {
        let slices = by_ranges("\"k\"", Steps::Ones, "?", (-5, 5), 3, true).unwrap();
        let text = |slice: &Slice| {
            format!(
                "{}: {} {:?}",
                slice.label,
                slice.condition.as_deref().unwrap(),
                slice.parameters
            )
        };
        let texts: Vec<String> = slices.iter().map(text).collect();
        assert_eq!(
            texts,
            [
                "before -2: \"k\" < ? [Value::Integer(-2)]",
                "-2 to 2: \"k\" >= ? AND \"k\" < ? [Value::Integer(-2), Value::Integer(2)]",
                "from 2: \"k\" >= ? [Value::Integer(2)]",
                "null: \"k\" IS NULL []",
            ]
        );
        assert_eq!(
            by_ranges("k", Steps::Ones, "?", (i64::MIN, i64::MAX), 2, false).unwrap().len(),
            2
        );
        assert_eq!(by_ranges("k", Steps::Ones, "?", (1, 1), 1, true).unwrap(), whole());
    }

    #[test]
    fn what_would_be_bound_can_be_written_out() {
        let middle = by_ranges("k", Steps::Days, "?", (0, 8), 3, false).unwrap().remove(1);
        let Slice { condition, parameters, .. } = Slice::written_out(middle);
        assert_eq!(condition.unwrap(), "k >= '1970-01-04' AND k < '1970-01-07'");
        assert_eq!(parameters, []);
    }

    #[test]
    fn moments_come_back() {
        for (steps, text) in [
            (Steps::Days, "1970-01-01"),
            (Steps::Days, "0001-01-01"),
            (Steps::Days, "9999-12-31"),
            (Steps::Micros, "2026-11-22 23:59:59.000001"),
        ] {
            let at = steps.read(text).unwrap();
            assert_eq!(steps.write(at).unwrap(), Value::Text(text.into()));
        }
        assert_eq!(Steps::Micros.read("1970-01-02"), Some(86_400_000_000));
        assert_eq!(Steps::Days.read("1970-01-02 00:00:00"), Some(1));
        assert_eq!(Steps::Ones.read("42.0"), Some(42));
    }
}
