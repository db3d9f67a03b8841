//! A source whose rows are read through a connector in the sandbox, or over ODBC where the connector
//! says so.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use longshore_model::error::{Class, Error, Result};
use longshore_model::relation::Consistency;
use longshore_plugins::Bound;
use longshore_sandbox::capability::HostEnv;
use longshore_sandbox::capability::connection::cancel_messages_sent;
use longshore_sandbox::capability::tape::Recorder;
use longshore_sandbox::tape::{Script, Tapes};
use longshore_sandbox::{
    ChunkHints, Connector, OdbcStatement, Pushdown, Relation, Scan, Session, SnapshotResult,
    Storage, TableRegistration,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::batch_sender::{BatchSender, WAITING_BATCH_LIMIT_BYTES};
use super::chunk::{Chunk, ReadBy, open};
use super::described::{RelationDescription, ScanPlan};
use super::odbc::{OdbcLane, SESSION_ESTIMATE_BYTES};
use super::source::{ChunkRead, Source};
use crate::batch::batch_bytes;
use crate::ipc::{IpcDecoder, ReadLimits, decode_schema, encode_schema};
use crate::pool::{Pool, close};

/// A session that large batches have made larger than this is not kept for the next chunk: its memory never
/// shrinks. What a connector needs for itself, such as the text of `tpch`, is made once and kept.
const KEPT_SESSION_LIMIT_BYTES: u64 = 32 << 20;

/// How many chunks are asked for at a time.
const CHUNKS_PER_CALL: u32 = 1_000;

/// A source of one run: a connector, and the sessions that are open.
pub struct ComponentSource {
    connector: Arc<Bound<Connector>>,
    sessions: Pool<Session>,
    /// The session that the run's snapshot is open in.
    snapshot_session: Mutex<Option<Session>>,
    /// Tables that are planned next, with the number of the session that knows of them.
    prepared: Mutex<HashMap<String, u64>>,
    odbc: OdbcLane,
}

impl fmt::Debug for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentSource({})", self.connector.name())
    }
}

impl ComponentSource {
    /// A source with no session open yet; those over ODBC will belong to the runtime `io`.
    pub fn new(connector: Arc<Bound<Connector>>, io: Handle) -> Self {
        let (sessions, snapshot_session, prepared) = Default::default();
        Self { connector, sessions, snapshot_session, prepared, odbc: OdbcLane::new(io) }
    }

    /// The connector.
    pub fn bound(&self) -> &Bound<Connector> {
        &self.connector
    }

    /// Asks where a relation's files are, if it consists of files.
    pub async fn storage(&self, relation: &Relation) -> Result<Storage> {
        let mut session = self.session().await?;
        let storage = session.storage(relation).await?;
        self.sessions.put(session);
        Ok(storage)
    }

    /// Checks whether folders can become tables of the source's catalog.
    pub async fn check_tables(&self, tables: &[TableRegistration]) -> Result<()> {
        let mut session = self.session().await?;
        session.check_tables(tables).await?;
        self.sessions.put(session);
        Ok(())
    }

    /// Makes tables of folders, or brings the tables up to date; gives their names.
    pub async fn register(&self, tables: &[TableRegistration]) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let names = session.register(tables).await?;
        self.sessions.put(session);
        Ok(names)
    }

    /// Undoes [`Self::register`].
    pub async fn unregister(&self, tables: &[TableRegistration]) -> Result<()> {
        let mut session = self.session().await?;
        session.unregister(tables).await?;
        self.sessions.put(session);
        Ok(())
    }

    /// Reads a chunk through the component, in a session of its own.
    async fn read_component(
        &self,
        chunk: ChunkRead<'_>,
        descriptor: &[u8],
        batches: &mut BatchSender,
    ) -> Result<()> {
        let session = self.session_for(chunk, descriptor).await?;
        let _lease = self.sessions.lease();
        let mut reader = session.read(chunk.scan, descriptor).await?;
        let mut decoder = IpcDecoder::new(chunk.schema.clone());
        let mut limits = ReadLimits::new(self.connector.component.limits());
        let mut had_large_batches = false;
        while let Some(pieces) = reader.next().await? {
            limits.call()?;
            batches.note_held(reader.usage().memory_bytes);
            for batch in self.connector.cleaned(decoder.push(pieces))? {
                let bytes = limits.batch(&batch)?;
                had_large_batches |= bytes > WAITING_BATCH_LIMIT_BYTES;
                if !batches.send(batch, bytes).await {
                    return Ok(());
                }
            }
        }
        self.connector.cleaned(decoder.finish())?;
        self.take_back(reader.close().await?, chunk.tapes, had_large_batches).await;
        Ok(())
    }

    /// Reads a chunk over ODBC, as the connector said.
    async fn read_odbc(
        &self,
        schema: &SchemaRef,
        statement: &OdbcStatement,
        batches: &mut BatchSender,
    ) -> Result<()> {
        batches.count_held(SESSION_ESTIMATE_BYTES as u64);
        let opened = self.odbc.read(&self.connector.grant, statement, schema).await;
        let mut rows = self.connector.cleaned(opened)?;
        while let Some(read) = self.connector.cleaned(rows.next().await)? {
            for batch in read {
                let bytes = batch_bytes(&batch);
                if !batches.send(batch, bytes).await {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A session for one chunk; a new one if it is to be recorded, so that the tape is all it ever saw.
    async fn session_for(&self, chunk: ChunkRead<'_>, descriptor: &[u8]) -> Result<Session> {
        let Some(tapes) = chunk.tapes else { return self.session().await };
        let script = Script::Connector {
            config: serde_json::from_str(&self.connector.config)?,
            scan: chunk.scan.clone(),
            descriptor: descriptor.to_vec(),
            schema: encode_schema(chunk.schema)?,
        };
        let Bound { plugin, grant, .. } = &*self.connector;
        self.new_session(|| tapes.record(plugin.label(), grant, script.clone())).await
    }

    /// Takes back a session that is in order, for the next chunk. One that was recorded is over; so is one that
    /// large batches have made large.
    async fn take_back(&self, session: Session, tapes: Option<&Tapes>, had_large_batches: bool) {
        let is_large = had_large_batches && session.usage().memory_bytes > KEPT_SESSION_LIMIT_BYTES;
        if tapes.is_some() || is_large {
            close(session).await;
        } else {
            self.sessions.put(session);
        }
    }

    /// An idle session, or a new one.
    async fn session(&self) -> Result<Session> {
        self.new_session(|| None).await
    }

    /// The session that is prepared for a relation, or any.
    async fn session_prepared_for(&self, relation: &Relation) -> Result<Session> {
        let prepared = match relation {
            Relation::Table(name) => self.prepared.lock().get(name).copied(),
            Relation::Query(_) => None,
        };
        let session =
            prepared.and_then(|id| self.sessions.take_where(|session| session.id() == id));
        match session {
            Some(session) => Ok(session),
            None => self.session().await,
        }
    }

    /// An idle session, or a new one; where the source gives no more of them, the next one that
    /// becomes free. One that is to be recorded is always new.
    async fn new_session(&self, record: impl Fn() -> Option<Recorder>) -> Result<Session> {
        loop {
            // Before looking: what becomes free meanwhile is not missed.
            let freed = self.sessions.freed();
            let recorder = record();
            match (self.sessions.take(), &recorder) {
                (Some(session), None) => return Ok(session),
                // It makes room for the new one.
                (Some(session), Some(_)) => close(session).await,
                (None, _) => {}
            }
            let Bound { component, config, grant, .. } = &*self.connector;
            let env = HostEnv::recorded(grant.clone(), recorder);
            match component.open(self.connector.name(), config, env).await {
                Err(error) if error.class() == Class::Throttled && self.sessions.is_in_use() => {
                    tracing::info!("{error}: waiting for one of the run's own sessions");
                    freed.await;
                }
                opened => return opened,
            }
        }
    }

    fn fault(&self, what: String) -> Error {
        Error::internal(format!("{} {what}", self.connector.name()))
    }
}

#[async_trait]
impl Source for ComponentSource {
    fn name(&self) -> &str {
        self.connector.name()
    }

    fn version(&self) -> &str {
        self.connector.plugin.info.version()
    }

    fn connector(&self) -> Option<&Bound<Connector>> {
        Some(&self.connector)
    }

    fn config(&self) -> &str {
        &self.connector.config
    }

    fn pushdown(&self, _: &Relation) -> Pushdown {
        self.connector.plugin.info.pushdown()
    }

    fn filters_exactly(&self, _: &Relation) -> bool {
        true
    }

    /// Only what lies beyond this machine outlives the process.
    fn needs_holder(&self) -> bool {
        let info = &self.connector.plugin.info;
        info.consistency() == Some(Consistency::Snapshot) && !info.endpoints().is_empty()
    }

    async fn test(&self) -> Result<String> {
        let mut session = self.session().await?;
        let answer = session.test().await?;
        self.sessions.put(session);
        Ok(answer)
    }

    async fn relations(&self) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let relations = session.relations().await?;
        self.sessions.put(session);
        Ok(relations)
    }

    async fn open_snapshot(&self, relations: &[Relation]) -> Result<SnapshotResult> {
        let mut session = self.session().await?;
        let opened = session.open_snapshot(relations).await?;
        match opened {
            SnapshotResult::Opened(_) => {
                let mut held = self.snapshot_session.lock();
                *held = Some(session);
            }
            SnapshotResult::Unavailable(_) => self.sessions.put(session),
        }
        Ok(opened)
    }

    async fn release(&self) {
        let held = self.snapshot_session.lock().take();
        for session in held.into_iter().chain(self.sessions.drain()) {
            close(session).await;
        }
        self.odbc.release();
        cancel_messages_sent().await;
    }

    async fn prepare(&self, relations: &[Relation]) -> Result<()> {
        if relations.len() < 2 {
            return Ok(());
        }
        let mut session = self.session().await?;
        match session.prepare(relations).await {
            Ok(false) => {}
            Ok(true) => {
                let tables = relations.iter().filter_map(|relation| match relation {
                    Relation::Table(name) => Some((name.clone(), session.id())),
                    Relation::Query(_) => None,
                });
                self.prepared.lock().extend(tables);
            }
            Err(error) => {
                tracing::debug!("{}: relations are looked up one by one: {error}", self.name());
                return Ok(());
            }
        }
        self.sessions.put(session);
        Ok(())
    }

    async fn tables_of_query(&self, query: &str) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let tables = session.tables_of_query(query).await?;
        self.sessions.put(session);
        Ok(tables)
    }

    async fn describe(&self, relation: &Relation) -> Result<RelationDescription> {
        let mut session = self.session_prepared_for(relation).await?;
        let info = session.describe_relation(relation).await?;
        self.sessions.put(session);
        let schema = decode_schema(info.schema)?;
        if info.columns.len() != schema.fields().len() {
            return Err(self.fault(format!(
                "described {} columns and a schema of {}",
                info.columns.len(),
                schema.fields().len()
            )));
        }
        Ok(RelationDescription {
            schema,
            columns: info.columns,
            untyped: BTreeSet::new(),
            rows: info.rows,
            bytes: info.bytes,
        })
    }

    async fn plan(&self, scan: &Scan, hints: &ChunkHints) -> Result<ScanPlan> {
        let session = self.session_prepared_for(&scan.relation).await?;
        let mut open = session.plan(scan, hints).await?;
        let mut chunks: Vec<Chunk> = Vec::new();
        loop {
            let next = open.next(CHUNKS_PER_CALL).await?;
            if next.is_empty() {
                break;
            }
            let sealed = next.into_iter().map(Chunk::of).collect::<Result<Vec<_>>>();
            chunks.extend(sealed.map_err(|error| self.fault(error.to_string()))?);
            if chunks.len() > hints.max_chunks as usize {
                return Err(self.fault(format!("planned more than {} chunks", hints.max_chunks)));
            }
        }
        let (consistency, strategy) = (open.consistency, open.strategy.clone());
        self.sessions.put(open.close().await?);
        Ok(ScanPlan::new(scan, chunks, consistency, strategy))
    }

    async fn read(&self, chunk: ChunkRead<'_>, batches: &mut BatchSender) -> Result<()> {
        match open(chunk.descriptor)? {
            ReadBy::Component(descriptor) => self.read_component(chunk, &descriptor, batches).await,
            ReadBy::Odbc(statement) => self.read_odbc(chunk.schema, &statement, batches).await,
            ReadBy::Files(_) => Err(Error::new(
                Class::Stale,
                "the run began to read a table's files, and the job reads none now",
            )),
        }
    }
}
