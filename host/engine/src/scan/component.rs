//! The component lane: a source whose rows are read by a connector in the sandbox.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::Grant;
use longshore_model::limits::Limits;
use longshore_plugins::ConnectorPlugin;
use longshore_sandbox::capability::HostEnv;
use longshore_sandbox::capability::connection::farewells_sent;
use longshore_sandbox::capability::tape::Recorder;
use longshore_sandbox::tape::{PluginLabel, Script, Tapes};
use longshore_sandbox::{
    ChunkWish, Hold, OdbcReading, OpenReader, Registration, Relation, Scan, Session, Storage,
};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::chunk::Chunk;
use super::described::{Described, ScanPlan};
use super::odbc::{OdbcLane, OdbcRows};
use crate::ipc::{decode_schema, encode_schema};

/// How long a session may take to say goodbye.
const CLOSE_TIMEOUT_SECS: u64 = 5;

/// A session that large batches have made larger than this is not kept for the next chunk: its memory never
/// shrinks. What a connector needs for itself, such as the text of `tpch`, is made once and kept.
const KEPT_SESSION_LIMIT_BYTES: u64 = 32 << 20;

/// How many chunks are asked for at a time.
const CHUNKS_PER_CALL: u32 = 1_000;

/// A source of one run: a connector, its config, its grant, and the sessions that are open.
pub struct ComponentSource {
    plugin: ConnectorPlugin,
    config: String,
    grant: Grant,
    idle: Mutex<Vec<Session>>,
    busy: Arc<Busy>,
    /// Holds the run's snapshot.
    leader: Mutex<Option<Session>>,
    odbc: OdbcLane,
}

impl fmt::Debug for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ComponentSource({})", self.plugin.described.name)
    }
}

impl ComponentSource {
    /// A source with no session open yet; those over ODBC will belong to the runtime `io`.
    pub fn new(plugin: ConnectorPlugin, config: String, grant: Grant, io: Handle) -> Self {
        let (idle, busy, leader) = Default::default();
        Self { plugin, config, grant, idle, busy, leader, odbc: OdbcLane::new(io) }
    }

    /// The connector.
    pub fn plugin(&self) -> &ConnectorPlugin {
        &self.plugin
    }

    /// Its config, as it gets it: secrets are only named in it.
    pub fn config(&self) -> &str {
        &self.config
    }

    /// What one instance of it may use.
    pub fn limits(&self) -> &Limits {
        self.plugin.component.limits()
    }

    /// What it was granted.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Checks that the source can be used.
    pub async fn test(&self) -> Result<String> {
        let mut session = self.session().await?;
        let answer = session.test().await?;
        self.keep(session);
        Ok(answer)
    }

    /// Tables and views that can be read.
    pub async fn relations(&self) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let relations = session.relations().await?;
        self.keep(session);
        Ok(relations)
    }

    /// Holds one instant of these relations still, if the source can, until [`Self::release`] or
    /// the source's end.
    pub async fn hold(&self, relations: &[Relation]) -> Result<Hold> {
        let mut session = self.session().await?;
        let hold = session.hold(relations).await?;
        match hold {
            Hold::Held(_) => {
                *self.leader.lock() = Some(session);
            }
            Hold::Unavailable(_) => self.keep(session),
        }
        Ok(hold)
    }

    /// Lets go of what is held, and of idle sessions: nothing more is read.
    pub async fn release(&self) {
        let leader = self.leader.lock().take();
        let idle = std::mem::take(&mut *self.idle.lock());
        for session in leader.into_iter().chain(idle) {
            end(session).await;
        }
        self.odbc.release();
        farewells_sent().await;
    }

    /// Looks a relation up.
    pub async fn describe(&self, relation: &Relation) -> Result<Described> {
        let mut session = self.session().await?;
        let info = session.describe_relation(relation).await?;
        self.keep(session);
        let schema = decode_schema(info.schema)?;
        if info.columns.len() != schema.fields().len() {
            return Err(Error::internal(format!(
                "{} described {} columns and a schema of {}",
                self.plugin.described.name,
                info.columns.len(),
                schema.fields().len()
            )));
        }
        Ok(Described { schema, columns: info.columns, rows: info.rows, bytes: info.bytes })
    }

    /// Where a relation's rows lie, if they are files.
    pub async fn storage(&self, relation: &Relation) -> Result<Storage> {
        let mut session = self.session().await?;
        let storage = session.storage(relation).await?;
        self.keep(session);
        Ok(storage)
    }

    /// Whether folders can become tables of the source's catalog.
    pub async fn check_tables(&self, tables: &[Registration]) -> Result<()> {
        let mut session = self.session().await?;
        session.check_tables(tables).await?;
        self.keep(session);
        Ok(())
    }

    /// Makes tables of folders, or brings the tables up to date; gives their names.
    pub async fn register(&self, tables: &[Registration]) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let names = session.register(tables).await?;
        self.keep(session);
        Ok(names)
    }

    /// Takes back what [`Self::register`] did.
    pub async fn withdraw(&self, tables: &[Registration]) -> Result<()> {
        let mut session = self.session().await?;
        session.withdraw(tables).await?;
        self.keep(session);
        Ok(())
    }

    /// Cuts a scan into chunks.
    pub async fn plan(&self, scan: &Scan, wish: &ChunkWish) -> Result<ScanPlan> {
        let mut open = self.session().await?.plan(scan, wish).await?;
        let mut chunks: Vec<Chunk> = Vec::new();
        loop {
            let next = open.next(CHUNKS_PER_CALL).await?;
            if next.is_empty() {
                break;
            }
            let sealed = next.into_iter().map(Chunk::of).collect::<Result<Vec<_>>>();
            chunks.extend(sealed.map_err(|error| self.fault(error.to_string()))?);
            if chunks.len() > wish.max_chunks as usize {
                return Err(self.fault(format!("planned more than {} chunks", wish.max_chunks)));
            }
        }
        let (consistency, strategy) = (open.consistency, open.strategy.clone());
        self.keep(open.close().await?);
        Ok(ScanPlan::new(scan, chunks, consistency, strategy))
    }

    /// Opens one chunk in a session of its own, which counts as busy as long as the second value
    /// lives.
    pub(super) async fn read(
        &self,
        scan: &Scan,
        descriptor: &[u8],
        schema: &SchemaRef,
        tapes: Option<&Tapes>,
    ) -> Result<(OpenReader, Lent)> {
        let session = match tapes {
            None => self.session().await?,
            Some(tapes) => {
                let script = Script::Connector {
                    config: serde_json::from_str(&self.config)?,
                    scan: scan.clone(),
                    descriptor: descriptor.to_vec(),
                    schema: encode_schema(schema)?,
                };
                let ConnectorPlugin { described, version, digest, .. } = &self.plugin;
                let plugin = PluginLabel::new(&described.name, version, digest);
                self.new_session(|| tapes.record(plugin.clone(), &self.grant, script.clone()))
                    .await?
            }
        };
        let lent = Lent::new(self.busy.clone());
        Ok((session.read(scan, descriptor).await?, lent))
    }

    /// Begins to read one chunk over ODBC, as the connector said.
    pub(super) async fn read_odbc(
        &self,
        reading: &OdbcReading,
        schema: &SchemaRef,
    ) -> Result<OdbcRows> {
        self.odbc.read(&self.grant, reading, schema).await
    }

    /// Takes back a session that is in order, for the next chunk. One that was recorded is over; so is one that
    /// large batches have made large.
    pub(super) async fn take_back(
        &self,
        session: Session,
        tapes: Option<&Tapes>,
        had_large_batches: bool,
    ) {
        let is_large = had_large_batches && session.usage().memory_bytes > KEPT_SESSION_LIMIT_BYTES;
        if tapes.is_some() || is_large {
            end(session).await;
        } else {
            self.keep(session);
        }
    }

    fn keep(&self, session: Session) {
        self.idle.lock().push(session);
    }

    /// An idle session, or a new one.
    async fn session(&self) -> Result<Session> {
        self.new_session(|| None).await
    }

    /// An idle session, or a new one; where the source gives no more of them, the next one that
    /// becomes free. One that is to be recorded is always new.
    async fn new_session(&self, record: impl Fn() -> Option<Recorder>) -> Result<Session> {
        loop {
            // Before looking: what becomes free meanwhile is not missed.
            let freed = self.busy.freed.notified();
            let recorder = record();
            let idle = self.idle.lock().pop();
            match (idle, &recorder) {
                (Some(session), None) => return Ok(session),
                // It makes room for the new one.
                (Some(session), Some(_)) => end(session).await,
                (None, _) => {}
            }
            let name = &self.plugin.described.name;
            let outside = HostEnv::recorded(self.grant.clone(), recorder);
            let opened = self.plugin.component.open(name, &self.config, outside).await;
            match opened {
                Err(error) if error.class() == Class::Throttled && self.busy.any() => {
                    tracing::info!("{error}: waiting for one of the run's own sessions");
                    freed.await;
                }
                opened => return opened,
            }
        }
    }

    fn fault(&self, what: String) -> Error {
        Error::internal(format!("{} {what}", self.plugin.described.name))
    }
}

async fn end(session: Session) {
    let closing = timeout(Duration::from_secs(CLOSE_TIMEOUT_SECS), session.end());
    if let Ok(Err(error)) = closing.await {
        tracing::debug!("closing a session: {error}");
    }
}

/// The sessions that chunks are read in.
#[derive(Default)]
struct Busy {
    count: AtomicUsize,
    freed: Notify,
}

impl Busy {
    fn any(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }
}

/// One busy session.
pub(super) struct Lent(Arc<Busy>);

impl Lent {
    fn new(busy: Arc<Busy>) -> Self {
        busy.count.fetch_add(1, Ordering::SeqCst);
        Self(busy)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::SeqCst);
        self.0.freed.notify_waiters();
    }
}
