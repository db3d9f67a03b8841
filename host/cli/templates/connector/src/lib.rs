//! The `{{name}}` connector: for a start, a table of numbers.

use std::sync::Arc;

use longshore_sdk::array::RecordBatch;
use longshore_sdk::schema::{DataType, Field, Schema, SchemaRef};
use longshore_sdk::{
    BatchBuilder, Chunk, ChunkHints, Column, Comparable, Connector, ConnectorInfo, Consistency, Error,
    Lane, Plan, Pushdown, Reader, Relation, RelationInfo, Result, Scan,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// The one table.
const TABLE: &str = "numbers";

/// Rows to a batch.
const BATCH_ROWS: u64 = 8_192;

/// What a job's `source:` holds. What is written here is its documentation.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `{{name}}:`
    #[expect(dead_code, reason = "nothing is connected to yet")]
    url: String,
    /// How many numbers there are.
    #[serde(default = "default_rows")]
    rows: u64,
}

fn default_rows() -> u64 {
    10_000
}

/// The connector, with one open session.
pub struct {{Type}} {
    rows: u64,
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("text", DataType::Utf8, true),
    ]))
}

fn check(relation: &Relation) -> Result<()> {
    match relation {
        Relation::Table(name) if name == TABLE => Ok(()),
        Relation::Table(name) => Err(Error::not_found(format!("there is no table `{name}`"))
            .with_hint(format!("there is {TABLE}"))),
        Relation::Query(_) => Err(Error::config("{{name}} runs no queries")
            .with_hint("name a `table`, and put SQL into `transform`")),
    }
}

impl Connector for {{Type}} {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "{{name}}",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Numbers, for a start",
            schemes: &["{{name}}"],
            // Name the config fields that hold a host or a URL, and their port: only there may
            // `longshore_sdk::host::Connection` and `http` go.
            endpoints: &[],
            // Name the config fields that are of type `longshore_sdk::Secret`.
            secrets: &[],
            pushdown: Pushdown { projection: true, filter: None, limit: true },
            consistency: Consistency::Snapshot,
        }
    }

    fn open(config: Config) -> Result<Self> {
        Ok(Self { rows: config.rows })
    }

    fn test(&mut self) -> Result<String> {
        Ok(format!("{} numbers", self.rows))
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        Ok(vec![TABLE.into()])
    }

    fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        check(relation)?;
        let column = |source_type: &str| Column {
            source_type: source_type.into(),
            comparable: Comparable::No,
            lossy: None,
        };
        Ok(RelationInfo {
            schema: schema(),
            columns: vec![column("number"), column("its name")],
            rows: Some(self.rows),
            bytes: Some(self.rows * 16),
        })
    }

    fn plan(&mut self, scan: &Scan, hints: &ChunkHints) -> Result<Plan> {
        check(&scan.relation)?;
        let wanted = hints.rows.unwrap_or(hints.bytes / 16).max(1);
        let per_chunk = wanted.max(self.rows.div_ceil(hints.max_chunks.into()));
        let rows = self.rows;
        let chunks = (0..rows).step_by(per_chunk as usize).map(move |from| {
            let to = (from + per_chunk).min(rows);
            Ok(Chunk {
                label: format!("{from} to {to}"),
                lane: Lane::Component(format!("{from} {to}").into_bytes()),
                rows: Some(to - from),
                bytes: Some((to - from) * 16),
            })
        });
        Ok(Plan {
            consistency: Consistency::Snapshot,
            strategy: format!("ranges of {per_chunk} numbers"),
            chunks: Box::new(chunks),
        })
    }

    fn read(&mut self, scan: &Scan, descriptor: &[u8]) -> Result<Box<dyn Reader>> {
        check(&scan.relation)?;
        let (from, to) = parse(descriptor)
            .ok_or_else(|| Error::internal("a chunk descriptor that {{name}} did not make"))?;
        let all = schema();
        let columns = match &scan.projection {
            Some(names) => names.iter().map(|name| all.index_of(name)).collect::<Result<_, _>>()?,
            None => (0..all.fields().len()).collect(),
        };
        let to = to.min(from.saturating_add(scan.limit.unwrap_or(u64::MAX)));
        Ok(Box::new(Numbers { next: from, to, columns }))
    }
}

fn parse(descriptor: &[u8]) -> Option<(u64, u64)> {
    let (from, to) = std::str::from_utf8(descriptor).ok()?.split_once(' ')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// One chunk's rows.
struct Numbers {
    next: u64,
    to: u64,
    columns: Vec<usize>,
}

impl Reader for Numbers {
    fn schema(&self) -> SchemaRef {
        let wanted = schema().project(&self.columns);
        wanted.map_or_else(|_| schema(), Arc::new)
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.next >= self.to {
            return Ok(None);
        }
        let mut rows = BatchBuilder::new(schema());
        let end = self.to.min(self.next + BATCH_ROWS);
        for number in self.next..end {
            rows.int64(0, number as i64)?.text(1, &format!("number {number}"))?.end_row();
        }
        self.next = end;
        Ok(Some(rows.finish()?.project(&self.columns)?))
    }
}

longshore_sdk::export_connector!({{Type}});

#[cfg(test)]
mod tests {
    use longshore_sdk::testkit::{FakeHost, chunks_of, read_all, scan_all};

    use super::*;

    #[test]
    fn chunks_cover_all_numbers() {
        FakeHost::new().run(|| {
            let scan = scan_all(Relation::Table(TABLE.into()));
            let chunks =
                read_all(&mut {{Type}} { rows: 1_000 }, &scan, &chunks_of(300)).unwrap();
            let rows = chunks.iter().flat_map(|(_, batches)| batches).map(RecordBatch::num_rows);
            assert_eq!((chunks.len(), rows.sum::<usize>()), (4, 1_000));
        });
    }
}
