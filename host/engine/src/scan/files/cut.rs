//! A relation's files, cut into chunks: row groups and batches where files have them, lines elsewhere,
//! small files together.

use longshore_model::config::files::{FileFormat, Files, Packing};
use longshore_model::error::Result;
use longshore_sandbox::{ChunkHints, Scan};

use super::file_info::{FilesInfo, packing};
use super::json_values::Layout;
use super::{Descriptor, Slice, filter, shown};
use crate::scan::{Chunk, DESCRIPTOR_LIMIT_BYTES};
use crate::store::SourceStore;

/// Room in a descriptor for what stands around its slices.
const DESCRIPTOR_ROOM_BYTES: usize = 128;

/// A scan, cut.
pub(super) struct CutScan {
    pub(super) chunks: Vec<Chunk>,
    pub(super) strategy: String,
    /// Some chunks begin where a line of CSV ends, which the ones before make sure of.
    pub(super) depends_on_previous: bool,
}

/// A piece of a file that cannot be cut further.
struct Unit {
    slice: Slice,
    name: String,
    bytes: u64,
    rows: Option<u64>,
}

/// Cuts a scan of those of the files that are wanted.
pub(super) fn cut(
    store: &SourceStore,
    files: &Files,
    info: &FilesInfo,
    wanted: &[bool],
    scan: &Scan,
    hints: &ChunkHints,
) -> Result<CutScan> {
    let is_by_folder = wanted.iter().all(|wanted| *wanted);
    let by_folder = filter::wanted_files(scan.filter.as_deref(), info)?;
    let wanted: Vec<bool> =
        wanted.iter().zip(by_folder).map(|(own, other)| *own && other).collect();
    let bytes: u64 = info.found.iter().map(|found| found.meta.size).sum();
    // As many bytes as so many rows have on the average.
    let size = match (hints.rows, info.rows) {
        (Some(rows), Some(all)) if all > 0 => (bytes as f64 / all as f64 * rows as f64) as u64,
        _ => hints.bytes,
    };
    let mut size = size.max(1);
    let (chunks, depends_on_previous) = loop {
        let units = units(store, files, info, &wanted, size);
        let is_cut = units.iter().any(|unit| unit.slice.range.is_some());
        let depends_on_previous = is_cut && info.format == FileFormat::Csv;
        let chunks = together(units, size, &info.digest)?;
        if chunks.len() <= hints.max_chunks as usize {
            break (chunks, depends_on_previous);
        }
        size = size.saturating_mul(2);
    };
    let left = wanted.iter().filter(|wanted| **wanted).count();
    let mut strategy = match info.found.len() {
        1 if left == 1 => "1 file".to_owned(),
        files if files == left => format!("{files} files"),
        files if is_by_folder => format!("{left} of {files} files, by their folders"),
        files => format!("{left} of {files} files, by the time of their change"),
    };
    if chunks.len() > 1 {
        strategy += match info.format {
            FileFormat::Parquet => ", by row groups",
            FileFormat::Arrow => ", by batches",
            _ => ", at line ends where they are large",
        };
    }
    Ok(CutScan { chunks, strategy, depends_on_previous })
}

fn units(
    store: &SourceStore,
    files: &Files,
    info: &FilesInfo,
    wanted: &[bool],
    size: u64,
) -> Vec<Unit> {
    let mut units = Vec::new();
    for (place, found) in info.found.iter().enumerate().filter(|(place, _)| wanted[*place]) {
        let meta = &found.meta;
        let whole = Slice {
            key: meta.location.to_string(),
            bytes: meta.size,
            tag: meta.e_tag.clone(),
            changed: meta.last_modified,
            range: None,
            partitions: found.partitions.clone(),
        };
        let name = shown(store, &meta.location);
        let unit = |range, bytes, rows| Unit {
            slice: Slice { range, ..whole.clone() },
            name: name.clone(),
            bytes,
            rows,
        };
        let groups = &info.groups[place];
        let is_text = matches!(info.format, FileFormat::Csv | FileFormat::Json);
        let is_lines = packing(files, &meta.location) == Packing::None
            && info.layout == Layout::Lines
            && !(info.format == FileFormat::Csv && files.csv.newlines);
        if is_text && is_lines && meta.size > size {
            let pieces = meta.size.div_ceil(size);
            let bound = |piece: u64| {
                (u128::from(meta.size) * u128::from(piece) / u128::from(pieces)) as u64
            };
            for piece in 0..pieces {
                let (from, to) = (bound(piece), bound(piece + 1));
                units.push(unit(Some((from, to)), to - from, None));
            }
        } else if groups.len() > 1 && groups.is_sorted_by_key(|group| group.from) {
            for (at, group) in groups.iter().enumerate() {
                let to = groups.get(at + 1).map_or(meta.size, |next| next.from);
                let rows = (info.format == FileFormat::Parquet).then_some(group.rows);
                units.push(unit(Some((group.from, to)), group.bytes, rows));
            }
        } else {
            let rows: u64 = groups.iter().map(|group| group.rows).sum();
            let rows = (info.format == FileFormat::Parquet).then_some(rows);
            units.push(unit(None, meta.size, rows));
        }
    }
    units
}

/// Units, as many to a chunk as its size allows.
fn together(units: Vec<Unit>, size: u64, schema: &str) -> Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    let mut open: Vec<Unit> = Vec::new();
    let (mut bytes, mut written) = (0, 0);
    for unit in units {
        let length = serde_json::to_vec(&unit.slice)?.len() + 1;
        let is_full = bytes + unit.bytes > size
            || written + length + DESCRIPTOR_ROOM_BYTES > DESCRIPTOR_LIMIT_BYTES;
        if is_full && !open.is_empty() {
            chunks.push(chunk(std::mem::take(&mut open), schema)?);
            (bytes, written) = (0, 0);
        }
        bytes += unit.bytes;
        written += length;
        open.push(unit);
    }
    if !open.is_empty() {
        chunks.push(chunk(open, schema)?);
    }
    Ok(chunks)
}

fn chunk(units: Vec<Unit>, schema: &str) -> Result<Chunk> {
    let bytes = units.iter().map(|unit| unit.bytes).sum();
    let rows = units.iter().map(|unit| unit.rows).sum();
    let mut slices: Vec<Slice> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for unit in units {
        match (slices.last_mut(), unit.slice.range) {
            // One stretch of a file.
            (Some(Slice { key, range: Some((_, end)), .. }), Some((from, to)))
                if *key == unit.slice.key && *end == from =>
            {
                *end = to;
            }
            _ => {
                slices.push(unit.slice);
                names.push(unit.name);
            }
        }
    }
    let label = match (names.as_slice(), slices.as_slice()) {
        ([name], [Slice { range: Some((from, to)), .. }]) => {
            format!("{name}, bytes {from} to {to}")
        }
        ([name], _) => name.clone(),
        ([first, .., last], _) => format!("{} files from {first} to {last}", names.len()),
        ([], _) => String::new(),
    };
    let descriptor = serde_json::to_vec(&Descriptor { schema: schema.to_owned(), slices })?;
    Ok(Chunk { label, descriptor, rows, bytes: Some(bytes) })
}
