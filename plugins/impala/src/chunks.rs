//! Cutting a relation into chunks: by the key that the job names, by partitions, or, where a large
//! table has none, by a hash. Only the catalog is asked; the ends of a key are two values of a query.

use longshore_sdk::ranges::{KeyRange, even_bounds, ranges};
use longshore_sdk::{Chunk, ChunkHints, Consistency, Error, Lane, Plan, Result, Scan};
use serde::{Deserialize, Serialize};

use crate::address::Product;
use crate::relation::{self, Partition, Size, from};
use crate::service::Column;
use crate::session::{Session, quote, quote_text};
use crate::text;

/// The longest condition: a descriptor may have 64 KiB.
const CONDITION_LIMIT_BYTES: usize = 60_000;

/// How many chunks to each reader, where sizes are not known: the quick ones help the slow.
const CHUNKS_PER_READER: u64 = 4;

/// The most chunks of partitions whose sizes are not known, of which each is a query.
const PARTITION_CHUNKS: usize = 100;

/// What of a relation a chunk is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The rows for which this is true; all without it.
    pub condition: Option<String>,
}

impl Slice {
    pub fn parse(descriptor: &[u8]) -> Result<Self> {
        serde_json::from_slice(descriptor)
            .map_err(|_| Error::internal("a chunk descriptor that impala did not make"))
    }
}

/// A chunk to be.
struct ChunkPlan {
    label: String,
    condition: Option<String>,
    size: Size,
}

pub fn plan(
    session: &mut Session,
    columns: &[Column],
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<Plan> {
    let (strategy, cuts) = cut(session, columns, scan, hints)?;
    let chunk = |cut: ChunkPlan| {
        let slice = Slice { condition: cut.condition };
        let descriptor =
            serde_json::to_vec(&slice).map_err(|error| Error::internal(error.to_string()))?;
        let lane = Lane::Component(descriptor);
        Ok(Chunk { label: cut.label, lane, rows: cut.size.rows, bytes: cut.size.bytes })
    };
    let chunks: Vec<Result<Chunk>> = cuts.into_iter().map(chunk).collect();
    Ok(Plan { consistency: Consistency::PerChunk, strategy, chunks: Box::new(chunks.into_iter()) })
}

fn cut(
    session: &mut Session,
    columns: &[Column],
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<(String, Vec<ChunkPlan>)> {
    let size = relation::size(session, &scan.relation)?;
    if let Some(key) = &hints.key {
        return by_key(session, columns, scan, hints, size, key);
    }
    let whole = |why: &str| {
        let cut = ChunkPlan { label: "everything".into(), condition: None, size };
        (format!("one chunk: {why}"), vec![cut])
    };
    if is_small(size, hints) {
        return Ok(whole("it is small"));
    }
    let partitions = relation::partitions(session, &scan.relation)?;
    if partitions.len() > 1 {
        let cuts = by_partitions(&partitions, columns, size, hints);
        return Ok((format!("{} partitions", partitions.len()), cuts));
    }
    let Some(wanted) = wanted_chunks(size, hints) else {
        return Ok(whole("its size is not known"));
    };
    // Each bucket is a scan of all: no more of them than run at the same time.
    let buckets = wanted.min(hints.parallel.into());
    let hashable = columns.iter().find(|column| column.hive_type.is_hashable());
    match hashable {
        Some(column) if buckets > 1 => Ok(by_hash(session.address.product, column, buckets, size)),
        _ => Ok(whole("it has neither partitions nor a column to hash")),
    }
}

fn is_small(size: Size, hints: &ChunkHints) -> bool {
    match hints.rows {
        Some(wanted) => size.rows.is_some_and(|rows| rows <= wanted),
        None => size.bytes.is_some_and(|bytes| bytes <= hints.bytes),
    }
}

/// How many chunks a size asks for, if it is known.
fn wanted_chunks(size: Size, hints: &ChunkHints) -> Option<u64> {
    let wanted = match hints.rows {
        Some(wanted) => size.rows?.div_ceil(wanted.max(1)),
        None => size.bytes?.div_ceil(hints.bytes.max(1)),
    };
    Some(wanted.clamp(1, hints.max_chunks.into()))
}

fn by_key(
    session: &mut Session,
    columns: &[Column],
    scan: &Scan,
    hints: &ChunkHints,
    size: Size,
    key: &str,
) -> Result<(String, Vec<ChunkPlan>)> {
    let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(key));
    let column = column.ok_or_else(|| {
        let known: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        Error::not_found(format!("`chunk_by`: no column `{key}`"))
            .with_hint(format!("the columns are {}", known.join(", ")))
    })?;
    if let Some(why) = relation::why_changing(session, &scan.relation)? {
        let cut = ChunkPlan { label: "everything".into(), condition: None, size };
        return Ok((format!("one chunk, not cut by `{key}`: {why}"), vec![cut]));
    }
    let kind = column.hive_type;
    if !kind.is_whole_number() && !kind.is_date() {
        return Err(Error::config(format!("`chunk_by`: `{key}` is a {}", kind.name()))
            .with_hint("name a column of whole numbers or dates"));
    }
    let name = quote(&column.name);
    let filter = scan.filter.as_ref().map(|filter| format!(" WHERE {filter}")).unwrap_or_default();
    let ends = session.rows(&format!(
        "SELECT CAST(MIN({name}) AS STRING), CAST(MAX({name}) AS STRING) FROM {}{filter}",
        from(&scan.relation)?
    ))?;
    let end = |column: usize| ends.rows.first().and_then(|row| row.get(column)?.as_deref());
    let (Some(first), Some(last)) = (end(0), end(1)) else {
        let cut = ChunkPlan { label: "everything".into(), condition: None, size };
        return Ok(("one chunk: its key has no values".into(), vec![cut]));
    };
    let number = |text: &str| {
        if kind.is_date() {
            text::date(text.as_bytes()).map(i64::from)
        } else {
            text.parse().map_err(|_| Error::internal(format!("`{text}` is not a number")))
        }
    };
    let value = |number: &i64| {
        if kind.is_date() {
            format!("DATE_ADD(CAST('1970-01-01' AS DATE), {number})")
        } else {
            number.to_string()
        }
    };
    let (first, last) = (number(first)?, number(last)?);
    let readers = u64::from(hints.parallel).max(1);
    let chunks = wanted_chunks(size, hints).unwrap_or(readers * CHUNKS_PER_READER);
    let ranges = ranges(&even_bounds(first, last, chunks));
    let cut = |range: &KeyRange<i64>| {
        let condition = range.map(value).condition(&name, true).map(|own| format!("({own})"));
        let label = condition.clone().unwrap_or_else(|| "everything".into());
        ChunkPlan { label, condition, size: share(size, ranges.len() as u64) }
    };
    let strategy = format!("ranges of {key} from {} to {}", value(&first), value(&last));
    Ok((strategy, ranges.iter().map(cut).collect()))
}

fn share(size: Size, of: u64) -> Size {
    let share = |whole: Option<u64>| whole.map(|whole| whole / of.max(1));
    Size { rows: share(size.rows), bytes: share(size.bytes) }
}

/// Neighbouring partitions together, until they are worth a chunk.
fn by_partitions(
    partitions: &[Partition],
    columns: &[Column],
    size: Size,
    hints: &ChunkHints,
) -> Vec<ChunkPlan> {
    let each = share(size, partitions.len() as u64);
    let are_known = partitions.iter().all(|partition| partition.size != Size::default());
    let most_chunks = if are_known {
        hints.max_chunks.max(1) as usize
    } else {
        PARTITION_CHUNKS.min(hints.max_chunks.max(1) as usize)
    };
    let fewest = partitions.len().div_ceil(most_chunks);
    let (mut cuts, mut group): (Vec<ChunkPlan>, Vec<(String, Size)>) = (Vec::new(), Vec::new());
    for partition in partitions {
        let own = match partition.size.bytes.or(partition.size.rows) {
            Some(_) => partition.size,
            None => each,
        };
        group.push((condition(partition, columns), own));
        let length: usize = group.iter().map(|(condition, _)| condition.len() + 4).sum();
        let sum = sum(&group);
        // What is not known to be small is a chunk of its own.
        let is_full = !is_small(sum, hints) && group.len() >= fewest;
        if is_full || length > CONDITION_LIMIT_BYTES / 2 {
            cuts.extend(grouped(&mut group));
        }
    }
    cuts.extend(grouped(&mut group));
    cuts
}

fn sum(group: &[(String, Size)]) -> Size {
    Size {
        rows: group.iter().map(|(_, size)| size.rows).sum(),
        bytes: group.iter().map(|(_, size)| size.bytes).sum(),
    }
}

fn grouped(group: &mut Vec<(String, Size)>) -> Option<ChunkPlan> {
    let size = sum(group);
    let conditions: Vec<String> = std::mem::take(group).into_iter().map(|(own, _)| own).collect();
    let label = match conditions.as_slice() {
        [] => return None,
        [only] => only.clone(),
        [first, .., last] => format!("{first} to {last}"),
    };
    Some(ChunkPlan { label, condition: Some(format!("({})", conditions.join(" OR "))), size })
}

fn condition(partition: &Partition, columns: &[Column]) -> String {
    let key = |(key, value): &(String, Option<String>)| {
        let name = quote(key);
        let Some(value) = value else { return format!("{name} IS NULL") };
        let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(key));
        let is_plain = column.is_some_and(|column| column.hive_type.is_number())
            && value.parse::<f64>().is_ok();
        let is_date = column.is_some_and(|column| column.hive_type.is_date());
        match (is_plain, is_date) {
            (true, _) => format!("{name} = {value}"),
            (_, true) => format!("{name} = CAST({} AS DATE)", quote_text(value)),
            _ => format!("{name} = {}", quote_text(value)),
        }
    };
    let keys: Vec<String> = partition.keys.iter().map(key).collect();
    match keys.as_slice() {
        [only] => only.clone(),
        _ => format!("({})", keys.join(" AND ")),
    }
}

fn by_hash(
    product: Product,
    column: &Column,
    buckets: u64,
    size: Size,
) -> (String, Vec<ChunkPlan>) {
    let name = quote(&column.name);
    // Rows without a value are in the first bucket: what the hash of null is, is the server's secret.
    let bucket = match product {
        Product::Impala => format!("COALESCE(ABS(FNV_HASH({name}) % {buckets}), 0)"),
        Product::Hive => format!("COALESCE(PMOD(HASH({name}), {buckets}), 0)"),
    };
    let cut = |number: u64| ChunkPlan {
        label: format!("bucket {} of {buckets}", number + 1),
        condition: Some(format!("{bucket} = {number}")),
        size: share(size, buckets),
    };
    (format!("{buckets} buckets of a hash of {}", column.name), (0..buckets).map(cut).collect())
}
