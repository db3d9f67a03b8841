//! A connector that means harm, for the tests: `abuse` in its config says how.

use std::sync::Arc;

use longshore_sdk::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use longshore_sdk::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use longshore_sdk::host::{self, Connection, Endpoint, Level};
use longshore_sdk::schema::{DataType, Field, Schema, SchemaRef};
use longshore_sdk::{
    Chunk, ChunkWish, Column, Comparable, Connector, ConnectorInfo, Consistency, Error, Plan,
    Pushdown, Reader, Relation, RelationInfo, Result, Scan, Secret,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// What a job's `source:` holds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `hostile:`
    #[serde(rename = "url")]
    _url: String,
    /// What to do.
    abuse: String,
    /// Something to give away.
    password: Secret,
}

/// The connector.
pub struct Hostile(Config);

impl Connector for Hostile {
    type Config = Config;

    fn describe() -> ConnectorInfo {
        ConnectorInfo {
            name: "hostile",
            version: env!("CARGO_PKG_VERSION"),
            summary: "Means harm",
            schemes: &["hostile"],
            endpoints: &[],
            secrets: &["password"],
            pushdown: Pushdown { projection: false, filter: None, limit: false },
            consistency: Consistency::Unknown,
        }
    }

    fn open(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn test(&mut self) -> Result<String> {
        self.0.password.reveal()
    }

    fn relations(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn describe_relation(&mut self, _: &Relation) -> Result<RelationInfo> {
        let column = || Column { source_type: "x".into(), comparable: Comparable::No, lossy: None };
        let schema = described();
        let columns = schema.fields().iter().map(|_| column()).collect();
        Ok(RelationInfo { schema, columns, rows: None, bytes: None })
    }

    fn plan(&mut self, _: &Scan, _: &ChunkWish) -> Result<Plan> {
        let chunk =
            |descriptor: Vec<u8>| Chunk { label: "c".into(), descriptor, rows: None, bytes: None };
        let (count, size) = match self.0.abuse.as_str() {
            "many-chunks" => (usize::MAX, 1),
            "big-descriptor" => (1, 1 << 20),
            _ => (1, 1),
        };
        Ok(Plan {
            consistency: Consistency::Unknown,
            strategy: "harm".into(),
            chunks: Box::new((0..count).map(move |_| Ok(chunk(vec![0; size])))),
        })
    }

    fn read(&mut self, _: &Scan, _: &[u8]) -> Result<Box<dyn Reader>> {
        match self.0.abuse.as_str() {
            "loop" => loop {
                std::hint::black_box(());
            },
            "memory" => {
                let mut hoard = Vec::new();
                loop {
                    hoard.push(vec![1_u8; 16 << 20]);
                    std::hint::black_box(&hoard);
                }
            }
            "recursion" => Err(Error::internal(deeper(1).to_string())),
            "panic" => panic!("the plugin's own words"),
            "elsewhere" => {
                let endpoint = Endpoint { host: "169.254.169.254".into(), port: 80 };
                Connection::connect(&endpoint).map(|_| ())?;
                Err(Error::internal("it connected"))
            }
            "connections" => {
                for port in 1..=1_000 {
                    Connection::connect(&Endpoint { host: "127.0.0.1".into(), port })
                        .map(|_| ())?;
                }
                Err(Error::internal("it scanned the ports"))
            }
            "secret" => Err(Error::internal(host::secret("other")?)),
            "tell" => {
                let message = format!("the password is {}", self.0.password.reveal()?);
                host::log(Level::Error, &message);
                Err(Error::data(message))
            }
            "flood" => {
                for _ in 0..100_000 {
                    host::log(Level::Trace, &"x".repeat(100));
                }
                Ok(Box::new(Rows(described(), None)))
            }
            "schema" => {
                let batch = RecordBatch::try_from_iter([(
                    "other",
                    Arc::new(Int64Array::from(vec![1])) as ArrayRef,
                )])?;
                Ok(Box::new(Rows(batch.schema(), Some(batch))))
            }
            "utf8" => Ok(Box::new(Rows(described(), Some(lying(b"\xff\xfe", 1))))),
            "rows" => Ok(Box::new(Rows(described(), Some(lying(b"ok", 1 << 20))))),
            other => Err(Error::config(format!("no abuse `{other}`"))),
        }
    }
}

fn described() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, true)]))
}

#[expect(unconditional_recursion, reason = "that is the abuse")]
fn deeper(level: u64) -> u64 {
    level ^ deeper(std::hint::black_box(level + 1)).rotate_left(3)
}

/// One text, which may be none, in a batch that claims so many rows.
fn lying(text: &[u8], rows: usize) -> RecordBatch {
    let offsets = OffsetBuffer::new(ScalarBuffer::from(vec![0, text.len() as i32]));
    // SAFETY: none; lying is what this is for, and it is the host that must not believe it.
    let text = unsafe { StringArray::new_unchecked(offsets, Buffer::from(text), None) };
    // SAFETY: as above.
    unsafe { RecordBatch::new_unchecked(described(), vec![Arc::new(text)], rows) }
}

struct Rows(SchemaRef, Option<RecordBatch>);

impl Reader for Rows {
    fn schema(&self) -> SchemaRef {
        self.0.clone()
    }

    fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.1.take())
    }
}

longshore_sdk::export_connector!(Hostile);
