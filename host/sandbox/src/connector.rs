//! Connectors in the sandbox: sessions, plans, readers.

use longshore_model::error::{Error, Result};
use longshore_model::grant::Grant;
use longshore_model::limits::Limits;
use longshore_model::relation::Consistency;
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::bindings::connector::Connector;
use super::bindings::connector::ConnectorPre;
use super::bindings::connector_api::{
    Chunk, ChunkWish, Description, Hold, Registration, RelationInfo, Scan, Snapshot, Storage,
    Stored,
};
use super::bindings::types::Relation;
use super::engine::Compiled;
use super::store::{State, Usage, begin_call, call_error, finish};
use crate::capability::HostEnv;

/// A connector's component.
#[derive(Clone)]
pub struct ConnectorComponent {
    compiled: Compiled,
    pre: ConnectorPre<State>,
}

impl ConnectorComponent {
    /// A compiled component, as a connector.
    pub fn new(compiled: Compiled) -> Result<Self> {
        let pre = ConnectorPre::new(compiled.instance.clone())
            .map_err(|error| Error::config(format!("not a connector: {error:#}")))?;
        Ok(Self { compiled, pre })
    }

    /// What the connector says that it is.
    pub async fn describe(&self, plugin: &str) -> Result<Description> {
        let (mut store, connector) =
            self.instantiate(plugin, Grant::default().into(), self.limits().describe_secs).await?;
        let api = connector.longshore_plugin_connector_api();
        let described = api.call_describe(&mut store).await;
        described.map_err(|error| call_error(&store, "describe", error))
    }

    /// Opens a session with the source.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
    ) -> Result<Session> {
        let (mut store, connector) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let api = connector.longshore_plugin_connector_api();
        let opened = api.session().call_open(&mut store, config).await;
        let session = finish(&store, "open", opened)?;
        Ok(Session { store, connector, session })
    }

    /// What one instance may use.
    pub fn limits(&self) -> &Limits {
        self.compiled.sandbox.limits()
    }

    async fn instantiate(
        &self,
        plugin: &str,
        env: HostEnv,
        call_secs: u64,
    ) -> Result<(Store<State>, Connector)> {
        let mut store = self.compiled.sandbox.store(plugin, env, call_secs);
        let instance = self.pre.instantiate_async(&mut store).await;
        let connector = instance.map_err(|error| call_error(&store, "instantiate", error))?;
        Ok((store, connector))
    }
}

/// The most rows or bytes that are believed, before they are there: sums of estimates must not
/// overflow.
const ESTIMATE_LIMIT: u64 = 1 << 48;

fn estimate(of: u64) -> u64 {
    of.min(ESTIMATE_LIMIT)
}

/// An open session: an instance of its own. Drop it after an error.
pub struct Session {
    store: Store<State>,
    connector: Connector,
    session: ResourceAny,
}

/// Calls a method of one of the connector's resources.
macro_rules! call {
    ($session:ident, $resource:ident.$method:ident($($arg:expr),*), $name:literal) => {{
        begin_call(&mut $session.store);
        let api = $session.connector.longshore_plugin_connector_api();
        api.$resource().$method(&mut $session.store, $($arg),*).await
    }};
}

impl Session {
    /// Checks that the source can be used; one line on what answered.
    pub async fn test(&mut self) -> Result<String> {
        let tested = call!(self, session.call_test(self.session), "test");
        let line = finish(&self.store, "test", tested)?;
        Ok(self.clean(&line))
    }

    /// Tables and views that can be read.
    pub async fn relations(&mut self) -> Result<Vec<String>> {
        let listed = call!(self, session.call_relations(self.session), "relations");
        let relations = finish(&self.store, "relations", listed)?;
        Ok(relations.iter().map(|relation| self.clean(relation)).collect())
    }

    /// Holds one instant of these relations still, for as long as the session lives.
    pub async fn hold(&mut self, relations: &[Relation]) -> Result<Hold> {
        let held = call!(self, session.call_hold(self.session, relations), "hold");
        Ok(match finish(&self.store, "hold", held)? {
            Hold::Held(Snapshot { token, label }) => {
                Hold::Held(Snapshot { token, label: self.clean(&label) })
            }
            Hold::Unavailable(reason) => Hold::Unavailable(self.clean(&reason)),
        })
    }

    /// Looks a relation up.
    pub async fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let described = call!(
            self,
            session.call_describe_relation(self.session, relation),
            "describe-relation"
        );
        let mut info = finish(&self.store, "describe-relation", described)?;
        for column in &mut info.columns {
            column.source_type = self.clean(&column.source_type);
            column.lossy = column.lossy.as_deref().map(|lossy| self.clean(lossy));
        }
        info.rows = info.rows.map(estimate);
        info.bytes = info.bytes.map(estimate);
        Ok(info)
    }

    /// Where a relation's rows lie, if they are files.
    pub async fn storage(&mut self, relation: &Relation) -> Result<Storage> {
        let asked = call!(self, session.call_storage(self.session, relation), "storage");
        Ok(match finish(&self.store, "storage", asked)? {
            Storage::Files(Stored { folders, caveat }) => {
                Storage::Files(Stored { folders, caveat: caveat.map(|text| self.clean(&text)) })
            }
            Storage::Unavailable(reason) => Storage::Unavailable(self.clean(&reason)),
        })
    }

    /// Whether folders can become tables.
    pub async fn check_tables(&mut self, tables: &[Registration]) -> Result<()> {
        let checked = call!(self, session.call_check_tables(self.session, tables), "check-tables");
        finish(&self.store, "check-tables", checked)
    }

    /// Makes tables of folders, or brings the tables up to date; gives their names.
    pub async fn register(&mut self, tables: &[Registration]) -> Result<Vec<String>> {
        let registered = call!(self, session.call_register(self.session, tables), "register");
        let names = finish(&self.store, "register", registered)?;
        Ok(names.iter().map(|name| self.clean(name)).collect())
    }

    /// Takes back what [`Self::register`] did.
    pub async fn withdraw(&mut self, tables: &[Registration]) -> Result<()> {
        let withdrawn = call!(self, session.call_withdraw(self.session, tables), "withdraw");
        finish(&self.store, "withdraw", withdrawn)
    }

    /// Cuts a scan into chunks.
    pub async fn plan(mut self, scan: &Scan, wish: &ChunkWish) -> Result<OpenChunks> {
        let planned = call!(self, session.call_plan(self.session, scan, wish), "plan");
        let chunks = finish(&self.store, "plan", planned)?;
        let consistency = call!(self, chunks.call_consistency(chunks), "consistency")
            .map_err(|error| call_error(&self.store, "consistency", error))?;
        let strategy = call!(self, chunks.call_strategy(chunks), "strategy")
            .map_err(|error| call_error(&self.store, "strategy", error))?;
        let strategy = self.clean(&strategy);
        Ok(OpenChunks { session: self, chunks, consistency: consistency.into(), strategy })
    }

    /// Opens one chunk.
    pub async fn read(mut self, scan: &Scan, descriptor: &[u8]) -> Result<OpenReader> {
        let opened = call!(self, session.call_read(self.session, scan, descriptor), "read");
        let reader = finish(&self.store, "read", opened)?;
        Ok(OpenReader { session: self, reader })
    }

    fn clean(&self, text: &str) -> String {
        self.store.data().env.grant.clean(text)
    }

    /// What its instance has used.
    pub fn usage(&self) -> Usage {
        self.store.data().usage()
    }

    /// Ends the session in peace.
    pub async fn end(mut self) -> Result<()> {
        self.close(self.session, "drop session").await
    }

    async fn close(&mut self, resource: ResourceAny, call: &str) -> Result<()> {
        begin_call(&mut self.store);
        let dropped = resource.resource_drop_async(&mut self.store).await;
        dropped.map_err(|error| call_error(&self.store, call, error))
    }
}

/// A plan's chunks, as a stream.
pub struct OpenChunks {
    session: Session,
    chunks: ResourceAny,
    /// What the chunks will see.
    pub consistency: Consistency,
    /// How the relation was cut and why.
    pub strategy: String,
}

impl OpenChunks {
    /// The next chunks; none left: empty.
    pub async fn next(&mut self, max: u32) -> Result<Vec<Chunk>> {
        let session = &mut self.session;
        let next = call!(session, chunks.call_next(self.chunks, max), "chunks.next");
        let mut next = finish(&session.store, "chunks.next", next)?;
        for chunk in &mut next {
            chunk.label = session.clean(&chunk.label);
            chunk.rows = chunk.rows.map(estimate);
            chunk.bytes = chunk.bytes.map(estimate);
        }
        Ok(next)
    }

    /// Closes the plan; the session can be used again.
    pub async fn close(mut self) -> Result<Session> {
        self.session.close(self.chunks, "drop chunks").await?;
        Ok(self.session)
    }
}

/// A chunk's rows, as an IPC stream.
pub struct OpenReader {
    session: Session,
    reader: ResourceAny,
}

impl OpenReader {
    /// The next stretch of the stream; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        let session = &mut self.session;
        let next = call!(session, reader.call_next(self.reader), "reader.next");
        let next = finish(&session.store, "reader.next", next)?;
        if let Some(pieces) = &next {
            session.store.data_mut().env.output(pieces);
        }
        Ok(next)
    }

    /// What its instance has used.
    pub fn usage(&self) -> Usage {
        self.session.usage()
    }

    /// Closes the reader; the session can be used again.
    pub async fn close(mut self) -> Result<Session> {
        self.session.close(self.reader, "drop reader").await?;
        Ok(self.session)
    }
}
