//! Connectors in the sandbox: sessions, plans, readers.

use longshore_model::error::Result;
use longshore_model::relation;
use wasmtime::component::ResourceAny;

use crate::capability::HostEnv;
use crate::component::{Component, Connector, Instance, call, on_each};
use crate::contract::PerVersion;
use crate::contract::v0_6::connector_types::{
    Chunk, ChunkHints, RelationInfo, Scan, Snapshot, SnapshotResult, Storage, TableFiles,
    TableRegistration,
};
use crate::contract::v0_6::types::{Ipc, Relation};
use crate::store::{Usage, begin_call, call_error, finish};

/// An open session with a source.
pub type Session = Instance<Connector>;

impl Component<Connector> {
    /// Opens a session with the source.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
    ) -> Result<Session> {
        let (mut store, exports) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let opened = on_each!(&exports, &mut store, session.call_open | call_open(config));
        let resource = finish(&store, "open", opened)?;
        Ok(Session::new(store, exports, resource))
    }
}

/// The most rows or bytes that a connector's estimate counts for: sums of estimates must not overflow.
const ESTIMATE_LIMIT: u64 = 1 << 48;

fn estimate(of: u64) -> u64 {
    of.min(ESTIMATE_LIMIT)
}

impl Session {
    /// Checks that the source can be used; one line on what answered.
    pub async fn test(&mut self) -> Result<String> {
        let line = call!(self, "test", session.call_test(self.resource))?;
        Ok(self.clean(&line))
    }

    /// Lists the tables and views that can be read.
    pub async fn relations(&mut self) -> Result<Vec<String>> {
        let relations = call!(self, "relations", session.call_relations(self.resource))?;
        Ok(relations.iter().map(|relation| self.clean(relation)).collect())
    }

    /// Opens a snapshot of these relations, which lasts as long as the session.
    pub async fn open_snapshot(&mut self, relations: &[Relation]) -> Result<SnapshotResult> {
        begin_call(&mut self.store);
        let (store, session) = (&mut self.store, self.resource);
        let opened = match &self.exports {
            PerVersion::Current(connector) => {
                connector.api().session().call_open_snapshot(store, session, relations).await
            }
            PerVersion::Previous(connector) => {
                let held = connector.api().session().call_hold(store, session, relations).await;
                held.map(|held| held.map(SnapshotResult::from))
            }
        };
        let opened = finish(&self.store, "open-snapshot", opened)?;
        Ok(match opened {
            SnapshotResult::Opened(Snapshot { token, label }) => {
                SnapshotResult::Opened(Snapshot { token, label: self.clean(&label) })
            }
            SnapshotResult::Unavailable(reason) => SnapshotResult::Unavailable(self.clean(&reason)),
        })
    }

    /// Says which relations are described and planned next in this session. Whether the connector can do with
    /// that.
    pub async fn prepare(&mut self, relations: &[Relation]) -> Result<bool> {
        let PerVersion::Current(connector) = &self.exports else { return Ok(false) };
        let Some(lookup) = connector.lookup() else { return Ok(false) };
        begin_call(&mut self.store);
        let prepared = lookup.call_prepare(&mut self.store, self.resource, relations).await;
        finish(&self.store, "prepare", prepared)?;
        Ok(true)
    }

    /// The tables that a query reads; none if they are not known.
    pub async fn tables_of_query(&mut self, query: &str) -> Result<Vec<String>> {
        let PerVersion::Current(connector) = &self.exports else { return Ok(Vec::new()) };
        let Some(lookup) = connector.lookup() else { return Ok(Vec::new()) };
        begin_call(&mut self.store);
        let tables = lookup.call_tables_of_query(&mut self.store, self.resource, query).await;
        let tables = finish(&self.store, "tables-of-query", tables)?;
        Ok(tables.iter().map(|table| self.clean(table)).collect())
    }

    /// Looks a relation up.
    pub async fn describe_relation(&mut self, relation: &Relation) -> Result<RelationInfo> {
        let mut info = call!(
            self,
            "describe-relation",
            session.call_describe_relation(self.resource, relation)
        )?;
        for column in &mut info.columns {
            column.source_type = self.clean(&column.source_type);
            column.lossy = column.lossy.as_deref().map(|lossy| self.clean(lossy));
        }
        info.rows = info.rows.map(estimate);
        info.bytes = info.bytes.map(estimate);
        Ok(info)
    }

    /// Asks where a relation's files are, if it consists of files.
    pub async fn storage(&mut self, relation: &Relation) -> Result<Storage> {
        let storage = call!(self, "storage", session.call_storage(self.resource, relation))?;
        Ok(match storage {
            Storage::Files(TableFiles { folders, caveat }) => {
                let caveat = caveat.map(|text| self.clean(&text));
                Storage::Files(TableFiles { folders, caveat })
            }
            Storage::Unavailable(reason) => Storage::Unavailable(self.clean(&reason)),
        })
    }

    /// Checks whether folders can become tables.
    pub async fn check_tables(&mut self, tables: &[TableRegistration]) -> Result<()> {
        call!(self, "check-tables", session.call_check_tables(self.resource, tables))
    }

    /// Makes tables of folders, or brings the tables up to date; gives their names.
    pub async fn register(&mut self, tables: &[TableRegistration]) -> Result<Vec<String>> {
        let names = call!(self, "register", session.call_register(self.resource, tables))?;
        Ok(names.iter().map(|name| self.clean(name)).collect())
    }

    /// Undoes [`Self::register`].
    pub async fn unregister(&mut self, tables: &[TableRegistration]) -> Result<()> {
        call!(self, "unregister", session.call_unregister | call_withdraw(self.resource, tables))
    }

    /// Splits a scan into chunks.
    pub async fn plan(mut self, scan: &Scan, hints: &ChunkHints) -> Result<OpenChunks> {
        let chunks = call!(self, "plan", session.call_plan(self.resource, scan, hints))?;
        let store = &mut self.store;
        let consistency = on_each!(
            &self.exports,
            &mut *store,
            chunks.call_consistency | call_consistency(chunks)
        );
        let consistency = consistency.map_err(|error| call_error(store, "consistency", error))?;
        let strategy =
            on_each!(&self.exports, &mut *store, chunks.call_strategy | call_strategy(chunks));
        let strategy = strategy.map_err(|error| call_error(store, "strategy", error))?;
        let (consistency, strategy) = (consistency.into(), self.clean(&strategy));
        Ok(OpenChunks { session: self, chunks, consistency, strategy })
    }

    /// Opens one chunk.
    pub async fn read(mut self, scan: &Scan, descriptor: &[u8]) -> Result<OpenReader> {
        let reader = call!(self, "read", session.call_read(self.resource, scan, descriptor))?;
        Ok(OpenReader { session: self, reader })
    }
}

/// A plan's chunks, as a stream.
pub struct OpenChunks {
    session: Session,
    chunks: ResourceAny,
    /// What the chunks will see.
    pub consistency: relation::Consistency,
    /// How the relation was split and why.
    pub strategy: String,
}

impl OpenChunks {
    /// The next chunks; none left: empty.
    pub async fn next(&mut self, max: u32) -> Result<Vec<Chunk>> {
        let session = &mut self.session;
        let mut next = call!(session, "chunks.next", chunks.call_next(self.chunks, max))?;
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
    pub async fn next(&mut self) -> Result<Option<Ipc>> {
        let session = &mut self.session;
        let next = call!(session, "reader.next", reader.call_next(self.reader))?;
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
