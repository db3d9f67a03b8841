//! Direct read: a connector's tables whose files the host may read itself, past the server. The connector says
//! where the files are; whether they may be read is the job's word, and whether they hold the table as
//! it was described is looked into.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use longshore_model::config::direct::{Direct, Location};
use longshore_model::config::{Access, Policy, Reach};
use longshore_model::error::{Class, Error, Result};
use longshore_plugins::Bound;
use longshore_sandbox::{
    ChunkHints, Comparable, Connector, Pushdown, Relation, Scan, SnapshotResult, Storage,
    TableFiles, TableFolder,
};
use parking_lot::Mutex;

use super::batch_sender::BatchSender;
use super::chunk::{Chunk, ReadBy, open};
use super::component::ComponentSource;
use super::described::{RelationDescription, ScanPlan};
use super::files::{FileSource, Folder};
use super::source::{ChunkRead, Source};

/// The most folders of one table.
pub const FOLDER_LIMIT: usize = 100_000;

/// A connector whose tables are read from their files where that can be.
#[derive(Debug)]
pub struct DirectSource {
    server: ComponentSource,
    direct: Direct,
    /// The operator's folder of secrets.
    secrets: Option<PathBuf>,
    policy: Policy,
    /// Tables that are loaded piece by piece: the server chooses their rows.
    incremental: BTreeSet<String>,
    decided: Mutex<HashMap<String, Way>>,
    /// Stores that did not answer, and what became of it: not every table waits for them.
    out_of_reach: Mutex<HashMap<String, String>>,
}

/// How a table is read.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// From its files.
    Files(Arc<FileSource>),
    /// Through the server, and why.
    Server(String),
}

impl DirectSource {
    /// Nothing is decided yet.
    pub fn new(
        server: ComponentSource,
        direct: Direct,
        secrets: Option<PathBuf>,
        policy: Policy,
        incremental: BTreeSet<String>,
    ) -> Self {
        let (decided, out_of_reach) = Default::default();
        Self { server, direct, secrets, policy, incremental, decided, out_of_reach }
    }

    /// Whether the operator lets a folder be read that the catalog names.
    fn is_allowed(&self, location: &Location) -> bool {
        Access::new(&self.policy, Path::new("/")).direct(&self.direct, location).is_ok()
    }

    /// How a relation is read, as far as it was looked up.
    fn way(&self, relation: &Relation) -> Option<Way> {
        let Relation::Table(name) = relation else { return None };
        self.decided.lock().get(name).cloned()
    }

    /// The files that a relation is read from.
    fn files_of(&self, relation: &Relation) -> Result<Arc<FileSource>> {
        match self.way(relation) {
            Some(Way::Files(files)) => Ok(files),
            _ => Err(Error::new(Class::Stale, "a table's files cannot be read any more")),
        }
    }

    /// Decides how a relation is read, and describes it so.
    async fn decide(
        &self,
        relation: &Relation,
        described: RelationDescription,
    ) -> Result<RelationDescription> {
        let Relation::Table(name) = relation else { return Ok(described) };
        // Much of what is told has the connector's words in it.
        let clean = |text: &str| self.server.bound().grant.clean(text);
        let looked = self.look(relation, &described.schema).await;
        let way = match looked.map_err(|error| error.told(clean)) {
            Ok(Way::Server(why)) => Way::Server(clean(&why)),
            Ok(way) => way,
            Err(error) if self.direct.always => return Err(error.with_context(always(name))),
            Err(error) if error.class().is_transient() => return Err(error),
            Err(error) => Way::Server(error.to_string()),
        };
        let described = match &way {
            Way::Server(why) if self.direct.always => {
                return Err(Error::config(format!("{}: {why}", always(name)))
                    .with_hint("`auto` reads such tables through the server"));
            }
            Way::Server(_) => described,
            Way::Files(files) => as_files(files, relation, described).await?,
        };
        self.decided.lock().insert(name.clone(), way);
        Ok(described)
    }

    async fn look(&self, relation: &Relation, schema: &SchemaRef) -> Result<Way> {
        if matches!(relation, Relation::Table(name) if self.incremental.contains(name)) {
            return Ok(Way::Server("it is loaded piece by piece".into()));
        }
        let TableFiles { folders, caveat } = match self.server.storage(relation).await? {
            Storage::Files(stored) => stored,
            Storage::Unavailable(why) => return Ok(Way::Server(why)),
        };
        if let Some(caveat) = caveat.filter(|_| !self.direct.always) {
            return Ok(Way::Server(caveat));
        }
        match self.open(relation, folders, schema).await {
            // A store that cannot be reached is no reason to wait: the server can reach it.
            Err(error) if !self.direct.always => Ok(Way::Server(error.to_string())),
            opened => opened,
        }
    }

    async fn open(
        &self,
        relation: &Relation,
        folders: Vec<TableFolder>,
        schema: &SchemaRef,
    ) -> Result<Way> {
        let (store, folders, columns) = match self.folders(folders, schema) {
            Ok(folders) => folders,
            Err(why) => return Ok(Way::Server(why)),
        };
        let name = format!("{}://{}", store.scheme, store.authority);
        let lost = || self.out_of_reach.lock();
        if let Some(why) = lost().get(&name).filter(|_| !self.direct.always) {
            return Ok(Way::Server(why.clone()));
        }
        let place = self.direct.place(&store)?;
        let columns = (schema.clone(), columns);
        let reach = Reach::new(&self.policy, Path::new("/"));
        let files = FileSource::of_table(place, folders, columns, self.secrets.as_deref(), reach)?;
        match files.unfit(relation).await {
            Ok(Some(why)) => Ok(Way::Server(why)),
            Ok(None) => Ok(Way::Files(Arc::new(files))),
            Err(error) => {
                if error.class().is_transient() {
                    lost().insert(name, error.to_string());
                }
                Err(error)
            }
        }
    }

    /// The folders, one that tells their store, and how many of the table's columns their files hold; else why
    /// they cannot be read.
    fn folders(
        &self,
        stored: Vec<TableFolder>,
        schema: &SchemaRef,
    ) -> Result<(Location, Vec<Folder>, usize), String> {
        if stored.len() > FOLDER_LIMIT {
            return Err(format!("it has over {FOLDER_LIMIT} folders"));
        }
        let place = |folder: &TableFolder| {
            let place = Location::parse(&folder.location);
            place
                .filter(|place| self.direct.allows(place))
                .ok_or_else(|| format!("the job does not allow to read {}", folder.location))
                .and_then(|place| {
                    if self.is_allowed(&place) {
                        Ok(place)
                    } else {
                        Err(format!("the policy does not allow to read {}", folder.location))
                    }
                })
        };
        let places = stored.iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let (Some(first), Some(one)) = (places.first().cloned(), stored.first()) else {
            return Err("it has no partitions yet".into());
        };
        if !places.iter().all(|place| place.is_beside(&first)) {
            return Err("its partitions are in several stores".into());
        }
        let columns = schema.fields().len().saturating_sub(one.partition.len());
        let of_folders = &schema.fields()[columns..];
        let folder = |(place, stored): (Location, TableFolder)| {
            Ok(Folder { path: place.path, partitions: values(of_folders, stored.partition)? })
        };
        let folders = places.into_iter().zip(stored).map(folder).collect::<Result<_, String>>()?;
        Ok((first, folders, columns))
    }
}

#[async_trait]
impl Source for DirectSource {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn version(&self) -> &str {
        self.server.version()
    }

    fn connector(&self) -> Option<&Bound<Connector>> {
        self.server.connector()
    }

    fn config(&self) -> &str {
        self.server.config()
    }

    fn pushdown(&self, relation: &Relation) -> Pushdown {
        match self.way(relation) {
            Some(Way::Files(files)) => files.pushdown(relation),
            _ => self.server.pushdown(relation),
        }
    }

    fn filters_exactly(&self, relation: &Relation) -> bool {
        match self.way(relation) {
            Some(Way::Files(files)) => files.filters_exactly(relation),
            _ => self.server.filters_exactly(relation),
        }
    }

    fn needs_holder(&self) -> bool {
        self.server.needs_holder()
    }

    async fn test(&self) -> Result<String> {
        self.server.test().await
    }

    async fn relations(&self) -> Result<Vec<String>> {
        self.server.relations().await
    }

    async fn open_snapshot(&self, relations: &[Relation]) -> Result<SnapshotResult> {
        self.server.open_snapshot(relations).await
    }

    async fn release(&self) {
        self.server.release().await;
    }

    async fn prepare(&self, relations: &[Relation]) -> Result<()> {
        self.server.prepare(relations).await
    }

    async fn tables_of_query(&self, query: &str) -> Result<Vec<String>> {
        self.server.tables_of_query(query).await
    }

    async fn describe(&self, relation: &Relation) -> Result<RelationDescription> {
        let described = self.server.describe(relation).await?;
        self.decide(relation, described).await
    }

    async fn plan(&self, scan: &Scan, hints: &ChunkHints) -> Result<ScanPlan> {
        match self.way(&scan.relation) {
            Some(Way::Files(files)) => {
                let scanned = files.plan(scan, hints).await?;
                let strategy = format!("{}, directly", scanned.strategy);
                let chunks = scanned.chunks.into_iter().map(Chunk::of_files).collect();
                Ok(ScanPlan { chunks, strategy, ..scanned })
            }
            Some(Way::Server(why)) => {
                let scanned = self.server.plan(scan, hints).await?;
                let strategy = format!("{} (not directly: {why})", scanned.strategy);
                Ok(ScanPlan { strategy, ..scanned })
            }
            None => self.server.plan(scan, hints).await,
        }
    }

    async fn read(&self, chunk: ChunkRead<'_>, batches: &mut BatchSender) -> Result<()> {
        let ReadBy::Files(descriptor) = open(chunk.descriptor)? else {
            return self.server.read(chunk, batches).await;
        };
        let files = self.files_of(&chunk.scan.relation)?;
        files.read(ChunkRead { descriptor: &descriptor, ..chunk }, batches).await
    }
}

/// A folder's values, under the names of the table's last columns; else why they are not theirs.
fn values(
    fields: &[FieldRef],
    of_folder: Vec<(String, Option<String>)>,
) -> Result<Vec<(String, Option<String>)>, String> {
    if fields.len() != of_folder.len() {
        return Err("its partitions are not of one kind".into());
    }
    let value = |(field, (name, value)): (&FieldRef, (String, Option<String>))| {
        if !field.name().eq_ignore_ascii_case(&name) {
            return Err("its partitions are not its last columns".to_owned());
        }
        let parsed = |text: &String| ScalarValue::try_from_string(text.clone(), field.data_type());
        if let Some(text) = value.as_ref().filter(|text| parsed(text).is_err()) {
            return Err(format!("its partition {name}={text} is no {}", field.data_type()));
        }
        Ok((field.name().clone(), value))
    };
    fields.iter().zip(of_folder).map(value).collect()
}

fn always(name: &str) -> String {
    format!("`source.direct` is always: {name}")
}

/// A table, as its files tell of it.
async fn as_files(
    files: &FileSource,
    of: &Relation,
    described: RelationDescription,
) -> Result<RelationDescription> {
    let RelationDescription { rows, bytes, columns: own, .. } = files.describe(of).await?;
    let RelationDescription { schema, mut columns, untyped, .. } = described;
    for ((column, own), field) in columns.iter_mut().zip(own).zip(schema.fields()) {
        column.lossy = own.lossy.or(column.lossy.take());
        if !field.data_type().is_nested() {
            column.comparable = Comparable::Order;
        }
    }
    Ok(RelationDescription { schema, columns, untyped, rows, bytes })
}
