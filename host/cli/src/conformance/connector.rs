//! Connectors: chunks that cover what they should, and read the same whenever they are read.

use std::error::Error as _;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use longshore_engine::ipc::{IpcDecoder, ReadLimits, decode_schema};
use longshore_engine::scan::{OdbcLane, check_size};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::format::counted;
use longshore_run::Fingerprint;
use longshore_sandbox::{
    ChunkHints, ChunkLane, Comparable, Connector, PlannedChunk as Chunk, PluginTrap, Relation,
    RelationInfo, Scan, Session, SnapshotResult,
};
use tokio::runtime::Handle;

use super::{Probe, Suite, broken, refused};

/// Chunks that a relation is cut into, at the most, beside one and two.
const MANY_CHUNKS: u32 = 7;

/// Columns that are read alone.
const COLUMN_LIMIT: usize = 8;

/// A relation, looked up.
pub(super) struct Subject {
    pub(super) scan: Scan,
    pub(super) schema: SchemaRef,
    info: RelationInfo,
}

impl Probe<Connector> {
    pub(super) async fn open(&self) -> Result<Session> {
        self.component.open(self.name(), &self.config, self.grant.clone()).await
    }

    pub(super) async fn look_up(
        &self,
        relation: &Relation,
        snapshot: Option<String>,
    ) -> Result<Subject> {
        let info = self.open().await?.describe_relation(relation).await?;
        let schema = decode_schema(info.schema.clone())?;
        if info.columns.len() != schema.fields().len() {
            return broken(format!(
                "{} columns are described, the schema has {}",
                info.columns.len(),
                schema.fields().len()
            ));
        }
        let scan = Scan {
            relation: relation.clone(),
            projection: None,
            filter: None,
            limit: None,
            snapshot,
        };
        Ok(Subject { scan, schema, info })
    }

    pub(super) async fn plan(
        &self,
        scan: &Scan,
        subject: &Subject,
        chunks: u32,
    ) -> Result<Vec<Chunk>> {
        let size = |all: Option<u64>, least: u64| (all.unwrap_or(0) / u64::from(chunks)).max(least);
        let hints = ChunkHints {
            rows: None,
            bytes: size(subject.info.bytes, 1),
            parallel: chunks,
            max_chunks: chunks,
            key: None,
        };
        let mut open = self.open().await?.plan(scan, &hints).await?;
        let mut planned = Vec::new();
        loop {
            match open.next(chunks).await?.as_slice() {
                [] => break,
                next if next.len() > chunks as usize => {
                    return broken("more chunks than asked for");
                }
                next => planned.extend_from_slice(next),
            }
            if planned.len() > chunks as usize {
                return broken(format!("more than {chunks} chunks, which was the most"));
            }
        }
        for chunk in &planned {
            check_size(&chunk.lane).context(chunk.label.clone())?;
        }
        Ok(planned)
    }

    /// A chunk's rows; `each` sees every batch.
    async fn read(
        &self,
        scan: &Scan,
        schema: &SchemaRef,
        chunk: &Chunk,
        mut each: impl FnMut(&RecordBatch) -> Result<()>,
    ) -> Result<Fingerprint> {
        let mut rows = Fingerprint::default();
        let descriptor = match &chunk.lane {
            ChunkLane::Component(descriptor) => descriptor,
            ChunkLane::Odbc(reading) => {
                let lane = OdbcLane::new(Handle::current());
                let mut read = lane.read(&self.grant, reading, schema).await?;
                while let Some(batches) = read.next().await? {
                    for batch in &batches {
                        rows.add(batch)?;
                        each(batch)?;
                    }
                }
                return Ok(rows);
            }
        };
        let mut reader = self.open().await?.read(scan, descriptor).await?;
        let mut decoder = IpcDecoder::new(schema.clone());
        let mut pace = ReadLimits::new(self.component.limits());
        while let Some(pieces) = reader.next().await? {
            pace.call()?;
            let mut take = |batch: &RecordBatch| {
                pace.batch(batch)?;
                rows.add(batch)?;
                each(batch)
            };
            decoder.push(pieces)?.iter().try_for_each(&mut take)?;
        }
        decoder.finish()?;
        reader.close().await?.end().await?;
        Ok(rows)
    }

    async fn read_all(
        &self,
        scan: &Scan,
        schema: &SchemaRef,
        chunks: &[Chunk],
    ) -> Result<Fingerprint> {
        let mut all = Fingerprint::default();
        for chunk in chunks {
            let rows = self.read(scan, schema, chunk, |_| Ok(())).await;
            all = all.join(rows.context(chunk.label.clone())?);
        }
        Ok(all)
    }
}

pub(super) async fn check(suite: &mut Suite, probe: &Probe<Connector>, relations: &[Relation]) {
    let Some(mut session) = suite.note("it opens a session", probe.open().await) else { return };
    suite.note("it says what answered", session.test().await);
    let listed = suite.note("it lists what can be read", session.relations().await);
    drop(session);
    let relations = match relations {
        [] => listed.into_iter().flatten().take(1).map(Relation::Table).collect(),
        relations => relations.to_vec(),
    };
    suite.note(
        "there is something to read",
        if relations.is_empty() {
            broken("it lists nothing; name a table with --table, or a query with --query")
        } else {
            Ok(())
        },
    );
    let nowhere = Relation::Table("longshore_check_nowhere".into());
    let unknown = probe.look_up(&nowhere, None).await.map(drop);
    suite.note("what does not exist is refused in words", refused("an unknown table", unknown));
    suite.note(
        "what is looked up with others is described as it is alone",
        prepared(probe, &relations, &nowhere).await,
    );
    let (leader, snapshot) = open_snapshot(suite, probe, &relations).await;
    for relation in &relations {
        let name = match relation {
            Relation::Table(name) => name.clone(),
            Relation::Query(_) => "the query".to_owned(),
        };
        check_relation(suite, probe, relation, &name, snapshot.clone()).await;
    }
    drop(leader);
}

/// Looks relations up in a session that has heard of all of them, and of one that is not there.
async fn prepared(
    probe: &Probe<Connector>,
    relations: &[Relation],
    nowhere: &Relation,
) -> Result<()> {
    let all: Vec<Relation> = relations.iter().chain([nowhere]).cloned().collect();
    let mut session = probe.open().await?;
    session.prepare(&all).await?;
    for relation in relations {
        let together = session.describe_relation(relation).await?;
        let alone = probe.open().await?.describe_relation(relation).await?;
        if (&together.schema, &together.columns) != (&alone.schema, &alone.columns) {
            return broken("it has another schema");
        }
    }
    Ok(())
}

async fn open_snapshot(
    suite: &mut Suite,
    probe: &Probe<Connector>,
    relations: &[Relation],
) -> (Option<Session>, Option<String>) {
    let held = async {
        let mut leader = probe.open().await?;
        let opened = leader.open_snapshot(relations).await?;
        Ok((leader, opened))
    };
    match suite.note("it holds one instant, or says why not", held.await) {
        Some((leader, SnapshotResult::Opened(snapshot))) => (Some(leader), Some(snapshot.token)),
        _ => (None, None),
    }
}

async fn check_relation(
    suite: &mut Suite,
    probe: &Probe<Connector>,
    relation: &Relation,
    name: &str,
    snapshot: Option<String>,
) {
    let looked_up = probe.look_up(relation, snapshot).await;
    let looked_up = suite.note(format!("{name}: it is described, column by column"), looked_up);
    let Some(subject) = looked_up else { return };
    let Some(whole) = coverage(suite, probe, &subject, name).await else { return };
    let chunks = probe.plan(&subject.scan, &subject, MANY_CHUNKS).await.unwrap_or_default();
    if let Some(chunk) = chunks.first() {
        let again = read_again(probe, &subject, chunk).await;
        suite.note(format!("{name}: a chunk that is read again gives the same rows"), again);
        let stopped = stopped(probe, &subject, chunk).await;
        suite.note(
            format!("{name}: a chunk that was left in the middle can be read again"),
            stopped,
        );
        let damaged = probe.open().await;
        let damaged = match damaged {
            Ok(session) => session.read(&subject.scan, b"\0longshore").await.map(drop),
            Err(error) => Err(error),
        };
        suite.note(
            format!("{name}: a chunk that it did not make is refused"),
            match damaged {
                Ok(()) => broken("it was taken"),
                Err(error) if has_trapped(&error) => Err(error),
                Err(_) => Ok(()),
            },
        );
    }
    let pushdown = &probe.plugin.info.pushdown();
    if pushdown.projection {
        let projected = projection(probe, &subject, whole).await;
        suite.note(
            format!("{name}: a projection gives the columns wanted, with all rows"),
            projected,
        );
    }
    if pushdown.limit {
        suite.note(format!("{name}: a limit is kept"), limit(probe, &subject, whole).await);
    }
    if let Some(dialect) = &pushdown.filter {
        let filtered = filter(probe, &subject, dialect, whole).await;
        suite.note(format!("{name}: a filter gives the rows for which it is true"), filtered);
    }
}

fn has_trapped(error: &Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<PluginTrap>())
}

/// Whatever a relation is cut into, the rows are the same.
async fn coverage(
    suite: &mut Suite,
    probe: &Probe<Connector>,
    subject: &Subject,
    name: &str,
) -> Option<Fingerprint> {
    let Subject { scan, schema, .. } = subject;
    let mut whole: Option<Fingerprint> = None;
    for wished in [1, 2, MANY_CHUNKS] {
        let read = async {
            let chunks = probe.plan(scan, subject, wished).await?;
            let rows = probe.read_all(scan, schema, &chunks).await?;
            Ok((chunks.len(), rows))
        };
        let compared = read.await.and_then(|(chunks, rows)| match whole {
            Some(whole) if whole != rows => {
                let chunks = counted(chunks as u64, "chunk");
                broken(format!(
                    "{} rows in {chunks}, {} in one, or other values",
                    rows.rows, whole.rows
                ))
            }
            _ => Ok(rows),
        });
        let promise = match wished {
            1 => format!("{name}: it is read whole, as one chunk"),
            wished => {
                format!("{name}: {wished} chunks at the most cover it without loss or overlap")
            }
        };
        whole = Some(suite.note(promise, compared)?);
    }
    whole
}

async fn read_again(probe: &Probe<Connector>, subject: &Subject, chunk: &Chunk) -> Result<()> {
    let Subject { scan, schema, .. } = subject;
    let once = probe.read(scan, schema, chunk, |_| Ok(())).await?;
    let again = probe.read(scan, schema, chunk, |_| Ok(())).await?;
    if once != again {
        return broken(format!("{} rows, then {} rows or other values", once.rows, again.rows));
    }
    Ok(())
}

async fn stopped(probe: &Probe<Connector>, subject: &Subject, chunk: &Chunk) -> Result<()> {
    let Subject { scan, schema, .. } = subject;
    match &chunk.lane {
        ChunkLane::Component(descriptor) => {
            probe.open().await?.read(scan, descriptor).await?.next().await?;
        }
        ChunkLane::Odbc(reading) => {
            let lane = OdbcLane::new(Handle::current());
            lane.read(&probe.grant, reading, schema).await?.next().await?;
        }
    }
    probe.read(scan, schema, chunk, |_| Ok(())).await.map(drop)
}

async fn projection(probe: &Probe<Connector>, subject: &Subject, whole: Fingerprint) -> Result<()> {
    let columns = subject.schema.fields().len().min(COLUMN_LIMIT);
    let chunks = probe.plan(&subject.scan, subject, 1).await?;
    let mut expected = vec![Fingerprint::default(); columns];
    for chunk in &chunks {
        let each = |batch: &RecordBatch| {
            expected.iter_mut().enumerate().try_for_each(|(column, rows)| {
                rows.add(&batch.project(&[column]).map_err(|e| Error::internal(e.to_string()))?)
            })
        };
        probe.read(&subject.scan, &subject.schema, chunk, each).await?;
    }
    for (column, expected) in expected.into_iter().enumerate() {
        let field = subject.schema.field(column);
        let schema = SchemaRef::new(Schema::new(vec![field.clone()]));
        let found = projected(probe, subject, &schema).await.context(field.name().clone())?;
        if found != expected {
            return broken(format!(
                "`{}` alone has other values, or {} rows",
                field.name(),
                found.rows
            ));
        }
    }
    let none = projected(probe, subject, &SchemaRef::new(Schema::empty())).await;
    match none.context("without any column")?.rows {
        rows if rows == whole.rows => Ok(()),
        rows => broken(format!("{rows} rows without any column, {} with all", whole.rows)),
    }
}

async fn projected(
    probe: &Probe<Connector>,
    subject: &Subject,
    schema: &SchemaRef,
) -> Result<Fingerprint> {
    let names = schema.fields().iter().map(|field| field.name().clone()).collect();
    let scan = Scan { projection: Some(names), ..subject.scan.clone() };
    let chunks = probe.plan(&scan, subject, 2).await?;
    probe.read_all(&scan, schema, &chunks).await
}

async fn limit(probe: &Probe<Connector>, subject: &Subject, whole: Fingerprint) -> Result<()> {
    for limit in [0, 1, whole.rows / 2] {
        let scan = Scan { limit: Some(limit), ..subject.scan.clone() };
        let chunks = probe.plan(&scan, subject, 1).await?;
        let rows = probe.read_all(&scan, &subject.schema, &chunks).await?.rows;
        if rows != limit.min(whole.rows) {
            return broken(format!("{rows} rows where no more than {limit} are needed"));
        }
    }
    Ok(())
}

/// Rows whose value is null, and the others, are all rows.
async fn filter(
    probe: &Probe<Connector>,
    subject: &Subject,
    dialect: &str,
    whole: Fingerprint,
) -> Result<()> {
    let quote = if dialect == "mysql" { '`' } else { '"' };
    let columns = subject.schema.fields().iter().zip(&subject.info.columns);
    let comparable = columns.filter(|(_, column)| column.comparable != Comparable::No);
    for (field, _) in comparable.take(COLUMN_LIMIT) {
        let column =
            format!("{quote}{}{quote}", field.name().replace(quote, &format!("{quote}{quote}")));
        let mut all = Fingerprint::default();
        for condition in ["IS NULL", "IS NOT NULL"] {
            let filter = Some(format!("{column} {condition}"));
            let scan = Scan { filter, ..subject.scan.clone() };
            let chunks = probe.plan(&scan, subject, 2).await?;
            all = all.join(probe.read_all(&scan, &subject.schema, &chunks).await?);
        }
        if all != whole {
            return broken(format!(
                "`{}`: {} rows are null or not null, of {}",
                field.name(),
                all.rows,
                whole.rows
            ));
        }
    }
    Ok(())
}
