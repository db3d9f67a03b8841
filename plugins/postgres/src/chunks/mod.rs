//! Cutting a relation into chunks: by pages where its tables have them, else by ranges of a key.
//! Only the catalog, the statistics and the optimiser are asked.

mod estimate;
mod keys;
mod pages;
mod slice;
mod stable;

use longshore_sdk::{Chunk, ChunkHints, Consistency, Error, Lane, Plan, Result, Scan};

use crate::relation::{self, File, Form, Leaf, Table};
use crate::session::Session;
use estimate::{Estimate, estimate};
pub(crate) use slice::Slice;

/// The first version that reads a range of `ctid` without reading the whole table.
const CTID_RANGES_SINCE: u32 = 140_000;

/// A chunk to be.
struct ChunkPlan {
    slice: Slice,
    rows: Option<u64>,
    bytes: Option<u64>,
}

/// Cuts a scan of a table.
pub(crate) fn plan(
    session: &mut Session,
    table: &Table,
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<Plan> {
    let (strategy, cuts) = cut(session, table, scan, hints)?;
    let chunk = |cut: ChunkPlan| {
        Ok(Chunk {
            label: cut.slice.label(),
            lane: Lane::Component(cut.slice.descriptor()?),
            rows: cut.rows,
            bytes: cut.bytes,
        })
    };
    let chunks = cuts.into_iter().map(chunk).collect::<Result<Vec<_>>>()?;
    Ok(Plan {
        consistency: match scan.snapshot {
            Some(_) => Consistency::Snapshot,
            None => Consistency::PerChunk,
        },
        strategy,
        chunks: Box::new(chunks.into_iter().map(Ok)),
    })
}

fn cut(
    session: &mut Session,
    table: &Table,
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<(String, Vec<ChunkPlan>)> {
    let asks = scan.filter.is_some() || hints.key.is_some();
    let expected = match &table.form {
        Form::Table { .. } if !asks => None,
        _ => Some(expect(session, table, scan)?),
    };
    let files = match &expected {
        Some(expected) => relation::of_places(session, &expected.tables)?,
        None => table.files(),
    };
    if let Some(name) = &hints.key {
        let whole = whole(table, expected.as_ref(), files);
        if let Some(why) = stable::why_not(session, table, &scan.relation)? {
            // A column that is not there is an error all the same.
            table.column(name)?;
            return Ok((format!("one chunk, not cut by `{name}`: {why}"), vec![whole]));
        }
        return cut_by(session, table, name, &whole, hints);
    }
    if let Some(expected) = &expected
        && let Some(why) = why_one(table, expected, hints)
    {
        return Ok((format!("one chunk: {why}"), vec![whole(table, Some(expected), files)]));
    }
    let Form::Table { leaves, .. } = &table.form else {
        return Err(Error::internal("unreachable: all else is one chunk"));
    };
    if leaves.is_empty() {
        return Ok(("no chunk: it has no partitions".into(), Vec::new()));
    }
    if expected.as_ref().is_some_and(|expected| expected.tables.is_empty()) {
        return Ok(("no chunk: the filter rules out every row".into(), Vec::new()));
    }
    if session.server().is_greenplum || session.server().version < CTID_RANGES_SINCE {
        return cut_without_pages(session, table, files, hints);
    }
    let leaves = expected_leaves(leaves, expected.as_ref());
    if leaves.len() > 1 && is_small(sum(&leaves), hints) {
        return Ok(("one chunk: it is small".into(), vec![whole(table, expected.as_ref(), files)]));
    }
    let step = pages::step(&leaves, hints);
    let cuts: Vec<ChunkPlan> = leaves.iter().flat_map(|leaf| pages::ranges(leaf, step)).collect();
    let of = match leaves.len() {
        1 => String::new(),
        many => format!(" of {many} tables"),
    };
    let pages: u64 = leaves.iter().filter_map(|leaf| leaf.pages).sum();
    match cuts.as_slice() {
        [only] if only.slice.pages.is_none() => Ok(("one chunk: it is small".into(), cuts)),
        _ => Ok((format!("ctid ranges of {step} pages of {pages}{of}"), cuts)),
    }
}

/// Rows and bytes of all leaves.
fn sum(leaves: &[Leaf]) -> (Option<u64>, Option<u64>) {
    (leaves.iter().map(|leaf| leaf.rows).sum(), Some(leaves.iter().map(|leaf| leaf.bytes).sum()))
}

/// Whether so many rows and bytes are no more than one chunk.
fn is_small((rows, bytes): (Option<u64>, Option<u64>), hints: &ChunkHints) -> bool {
    match hints.rows {
        Some(wanted) => rows.is_some_and(|rows| rows <= wanted),
        None => bytes.is_some_and(|bytes| bytes <= hints.bytes),
    }
}

/// Why a scan is best made in one go, if it is.
fn why_one(table: &Table, expected: &Estimate, hints: &ChunkHints) -> Option<&'static str> {
    match &table.form {
        Form::Query { .. } => Some("a query; `chunk_by` would name a column to cut it by"),
        Form::View { .. } => {
            Some("it has no pages of its own; `chunk_by` would name a column to cut it by")
        }
        Form::Table { .. } if expected.tables.is_empty() || expected.reads_all => None,
        Form::Table { .. } => (expected.bytes <= hints.bytes).then_some("an index finds its rows"),
    }
}

/// By the column that the job names.
fn cut_by(
    session: &mut Session,
    table: &Table,
    name: &str,
    whole: &ChunkPlan,
    hints: &ChunkHints,
) -> Result<(String, Vec<ChunkPlan>)> {
    let key = keys::named(session, table, name)?;
    match key.ranges(session, whole, hints)? {
        Some(cuts) => Ok((format!("ranges of `{name}`, by the job's wish"), cuts)),
        None => Err(Error::config(format!("`chunk_by`: the server has no statistics of `{name}`"))
            .with_hint("run ANALYZE on its table, or leave `chunk_by` away")),
    }
}

/// Greenplum, and PostgreSQL before 14.
fn cut_without_pages(
    session: &mut Session,
    table: &Table,
    files: Vec<File>,
    hints: &ChunkHints,
) -> Result<(String, Vec<ChunkPlan>)> {
    let whole = whole(table, None, files);
    if is_small((whole.rows, whole.bytes), hints) {
        return Ok(("one chunk: it is small".into(), vec![whole]));
    }
    if let Some(key) = keys::indexed(session, table)?
        && let Some(cuts) = key.ranges(session, &whole, hints)?
    {
        return Ok((format!("ranges of `{}`, by its statistics", key.name()), cuts));
    }
    if session.server().is_greenplum {
        return Ok(("one chunk for each segment".into(), segments(session, whole)?));
    }
    let why = "one chunk: page ranges need PostgreSQL 14, and it has no index with statistics";
    Ok((why.into(), vec![whole]))
}

/// Every row of Greenplum lies on one segment, and each segment reads only its own.
fn segments(session: &mut Session, whole: ChunkPlan) -> Result<Vec<ChunkPlan>> {
    let rows = session.query(
        "SELECT DISTINCT content FROM gp_segment_configuration WHERE content >= 0 ORDER BY 1",
    )?;
    let numbers: Vec<String> = rows.into_iter().flatten().flatten().collect();
    if numbers.is_empty() {
        return Ok(vec![whole]);
    }
    let share = |of: Option<u64>| of.map(|of| of / numbers.len() as u64);
    let cut = |number: &String| ChunkPlan {
        slice: Slice {
            condition: Some(format!("gp_segment_id = {number}")),
            ..whole.slice.clone()
        },
        rows: share(whole.rows),
        bytes: share(whole.bytes),
    };
    Ok(numbers.iter().map(cut).collect())
}

fn whole(table: &Table, expected: Option<&Estimate>, files: Vec<File>) -> ChunkPlan {
    ChunkPlan {
        slice: Slice { files, ..Slice::default() },
        rows: expected.map(|expected| expected.rows).or(table.rows),
        bytes: expected.map(|expected| expected.bytes).or(table.bytes),
    }
}

fn expect(session: &mut Session, table: &Table, scan: &Scan) -> Result<Estimate> {
    let columns = table.project(scan.projection.as_deref())?;
    let conditions: Vec<&str> = scan.filter.iter().map(String::as_str).collect();
    estimate(session, &Table::select(&columns, &table.from, &conditions, scan.limit))
}

/// Partitions that the filter rules out are not read.
fn expected_leaves(leaves: &[Leaf], expected: Option<&Estimate>) -> Vec<Leaf> {
    let Some(expected) = expected else { return leaves.to_vec() };
    let read = |leaf: &&Leaf| expected.tables.contains(&leaf.place);
    match leaves.len() {
        1 => leaves.to_vec(),
        _ => leaves.iter().filter(read).cloned().collect(),
    }
}
