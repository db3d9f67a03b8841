//! The `tpch` connector: rows of the TPC-H benchmark, generated as they are read.
//!
//! A source that needs no server: for a first try, for demos, for measuring everything but a
//! source. The rows are those of the official generator, at any scale factor; the generator
//! itself splits a table into parts, and a part is a chunk.

mod comments;
mod part;
mod stream;
mod tables;
mod text;
mod words;

use comments::Comments;
use longshore_sdk::array::{RecordBatch, RecordBatchReader};
use longshore_sdk::schema::SchemaRef;
use longshore_sdk::{
    Chunk, ChunkHints, Column, Comparable, Connector, ConnectorInfo, Consistency, Error, Lane,
    Plan, Pushdown, Reader, Relation, RelationInfo, Result, Scan,
};
use part::Part;
use schemars::JsonSchema;
use serde::Deserialize;
use tables::Table;

/// Rows in a batch: about 2 MiB of `lineitem`.
const BATCH_ROWS: usize = 16_384;

/// Below this, cutting a table gains less than starting a generator costs.
const MIN_CHUNK_ROWS: u64 = 100_000;

/// The text of the official generator.
const TEXT_MIB: u32 = 300;

/// What a job's `source:` holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `tpch:`
    #[serde(rename = "url")]
    _url: String,
    /// The scale factor: 1 is about 1 GB and 6,001,215 rows of `lineitem`.
    #[serde(default = "one")]
    #[schemars(range(min = 0.0, max = 100_000.0))]
    scale: f64,
    /// How much text comments are cut out of. 300 is TPC-H's; with less, comments are others, and a
    /// session needs less memory.
    #[serde(default = "whole_text")]
    #[schemars(range(min = 1, max = 300))]
    text_mib: u32,
}

fn one() -> f64 {
    1.0
}

fn whole_text() -> u32 {
    TEXT_MIB
}

/// The connector, open at a scale.
pub struct Tpch {
    scale: f64,
    text_mib: u32,
}

impl Connector for Tpch {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "tpch",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Rows of the TPC-H benchmark, generated as they are read",
            schemes: &["tpch"],
            endpoints: &[],
            secrets: &[],
            pushdown: Pushdown { projection: true, filter: None, limit: true },
            consistency: Consistency::Snapshot,
        }
    }

    fn open(config: Config) -> Result<Self> {
        let Config { scale, text_mib, .. } = config;
        if !(scale > 0.0 && scale <= 100_000.0) {
            let error = format!("`scale`: {scale} is not above 0 and at most 100000");
            return Err(Error::config(error));
        }
        if !(1..=TEXT_MIB).contains(&text_mib) {
            return Err(Error::config(format!("`text_mib`: {text_mib} is not 1 to {TEXT_MIB}")));
        }
        Ok(Self { scale, text_mib })
    }

    fn test(&mut self) -> Result<String> {
        Ok(format!("TPC-H at scale factor {}", self.scale))
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        Ok(Table::ALL.iter().map(|table| table.name().to_string()).collect())
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let table = find(relation)?;
        let schema = table.schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| Column {
                source_type: tables::sql_type(field.data_type()),
                comparable: Comparable::No,
                lossy: None,
            })
            .collect();
        let rows = table.rows(self.scale);
        Ok(RelationInfo {
            schema,
            columns,
            rows: Some(rows),
            bytes: Some(rows * table.row_bytes()),
        })
    }

    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
        let table = find(&scan.relation)?;
        let rows = table.rows(self.scale);
        let parts = parts(table, rows, hints);
        let chunk = move |part: u64| Chunk {
            label: format!("part {part} of {parts}"),
            lane: Lane::Component(format!("{part}/{parts}").into_bytes()),
            rows: Some(rows / parts),
            bytes: Some(rows / parts * table.row_bytes()),
        };
        Ok(Plan {
            consistency: Consistency::Snapshot,
            strategy: format!("{parts} of the generator's own parts"),
            chunks: Box::new((1..=parts).map(move |part| Ok(chunk(part)))),
        })
    }

    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>> {
        let table = find(&scan.relation)?;
        let (number, of) = parse_descriptor(descriptor)?;
        let text_bytes = (self.text_mib << 20) as i32;
        let part = Part::new(self.scale, number, of, text_bytes);
        let batches = table.generate(&part, BATCH_ROWS);
        let projection = match &scan.projection {
            Some(names) => names
                .iter()
                .map(|name| Ok(batches.schema().index_of(name)?))
                .collect::<Result<Vec<usize>>>()?,
            None => (0..batches.schema().fields().len()).collect(),
        };
        let schema = batches.schema().project(&projection)?.into();
        let left = scan.limit.unwrap_or(u64::MAX);
        let has_comments = projection.contains(&(batches.schema().fields().len() - 1));
        let comments = has_comments.then(|| Comments::new(table.comments(), &part));
        Ok(Box::new(Rows { batches, comments, projection, schema, left }))
    }
}

fn find(relation: &Relation) -> Result<&'static Table> {
    match relation {
        Relation::Table(name) => Table::find(name).ok_or_else(|| {
            let known: Vec<&str> = Table::ALL.iter().map(Table::name).collect();
            Error::not_found(format!("no table `{name}` in TPC-H"))
                .with_hint(format!("name one of {}", known.join(", ")))
        }),
        Relation::Query(_) => Err(Error::config("tpch generates tables and runs no queries")
            .with_hint("name a `table`, and put SQL into `transform`")),
    }
}

fn parts(table: &Table, rows: u64, hints: &ChunkHints) -> u64 {
    if !table.is_divisible() {
        return 1;
    }
    let wanted = match hints.rows {
        Some(per_chunk) => rows.div_ceil(per_chunk.max(1)),
        None => {
            let by_size = (rows * table.row_bytes()).div_ceil(hints.bytes.max(1));
            by_size.max(u64::from(hints.parallel)).min(rows.div_ceil(MIN_CHUNK_ROWS))
        }
    };
    wanted.clamp(1, u64::from(hints.max_chunks.max(1)))
}

fn parse_descriptor(descriptor: &[u8]) -> Result<(i32, i32)> {
    std::str::from_utf8(descriptor)
        .ok()
        .and_then(|text| text.split_once('/'))
        .and_then(|(part, parts)| Some((part.parse().ok()?, parts.parse().ok()?)))
        .ok_or_else(|| Error::internal("a chunk descriptor that tpch did not make"))
}

struct Rows {
    batches: Box<dyn RecordBatchReader>,
    /// The comments, if they are read.
    comments: Option<Comments>,
    projection: Vec<usize>,
    schema: SchemaRef,
    left: u64,
}

impl Reader for Rows {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(batch) = self.batches.next().transpose()? else { return Ok(None) };
        let rows = batch.num_rows().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.left -= rows as u64;
        let batch = match &mut self.comments {
            Some(comments) => with_comments(batch, comments)?,
            None => batch,
        };
        Ok(Some(batch.slice(0, rows).project(&self.projection)?))
    }
}

fn with_comments(batch: RecordBatch, comments: &mut Comments) -> Result<RecordBatch> {
    let column = comments.column(&batch);
    let (schema, mut columns, _) = batch.into_parts();
    columns.pop();
    columns.push(column);
    Ok(RecordBatch::try_new(schema, columns)?)
}

longshore_sdk::export_connector!(Tpch);

#[cfg(test)]
mod tests {
    use longshore_sdk::testkit::{FakeHost, chunks_of, read_all, scan_all};
    use tpchgen::text::TextPool;

    use super::*;

    fn tpch(scale: f64) -> Tpch {
        Tpch { scale, text_mib: TEXT_MIB }
    }

    fn rows(table: &str, scale: f64, per_chunk: u64) -> (usize, usize) {
        FakeHost::new()
            .run(|| {
                let scan = scan_all(Relation::Table(table.into()));
                let chunks = read_all(&mut tpch(scale), &scan, &chunks_of(per_chunk)).unwrap();
                let rows =
                    chunks.iter().flat_map(|(_, batches)| batches).map(RecordBatch::num_rows);
                (chunks.len(), rows.sum())
            })
            .0
    }

    #[test]
    fn chunks_cover_a_table_without_loss_or_overlap() {
        assert_eq!(rows("lineitem", 0.01, 1_000_000), (1, 60_175));
        assert_eq!(rows("lineitem", 0.01, 7_000), (9, 60_175));
        assert_eq!(rows("nation", 0.01, 7), (1, 25));
        assert_eq!(rows("region", 3.0, 1), (1, 5));
    }

    #[test]
    fn a_projection_and_a_limit_are_honoured() {
        let mut scan = scan_all(Relation::Table("orders".into()));
        scan.projection = Some(vec!["o_comment".into(), "o_orderkey".into()]);
        scan.limit = Some(10);
        let chunks = read_all(&mut tpch(0.01), &scan, &chunks_of(1_000_000)).unwrap();
        let batch = &chunks[0].1[0];
        assert_eq!(batch.num_rows(), 10);
        assert_eq!(batch.schema().field(0).name(), "o_comment");
        assert_eq!(batch.num_columns(), 2);
    }

    #[test]
    fn only_comments_change_with_the_text() {
        let read = |text_mib| {
            let read = || {
                let scan = scan_all(Relation::Table("partsupp".into()));
                let mut source = Tpch { scale: 0.001, text_mib };
                read_all(&mut source, &scan, &chunks_of(1_000_000)).unwrap().remove(0).1.remove(0)
            };
            FakeHost::new().run(read).0
        };
        let (whole, less) = (read(TEXT_MIB), read(1));
        let comment = whole.num_columns() - 1;
        assert_eq!(whole.schema().field(comment).name(), "ps_comment");
        assert_ne!(whole.column(comment), less.column(comment));
        let others: Vec<usize> = (0..comment).collect();
        assert_eq!(whole.project(&others).unwrap(), less.project(&others).unwrap());
    }

    #[test]
    fn rows_are_those_of_the_official_generator() {
        let text = TextPool::get_or_init_default();
        for table in Table::ALL {
            let of = if table.is_divisible() { 3 } else { 1 };
            for number in 1..=of {
                let part = Part::new(0.02, number, of, text.size());
                let mut comments = Comments::new(table.comments(), &part);
                let official = table.generate(&Part { text, ..part }, 1_000);
                for (ours, official) in table.generate(&part, 1_000).zip(official) {
                    let ours = with_comments(ours.unwrap(), &mut comments).unwrap();
                    assert_eq!(ours, official.unwrap(), "{} {number} of {of}", table.name());
                }
            }
        }
    }

    #[test]
    fn an_unknown_table_is_named_with_the_known_ones() {
        let error = tpch(1.0)
            .describe_relation(&Relation::Table("line_item".into()))
            .map(|_| ())
            .unwrap_err();
        assert_eq!(error.message(), "no table `line_item` in TPC-H");
    }
}
