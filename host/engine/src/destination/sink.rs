//! A target that is not files: a sink in the sandbox takes the rows, and makes them visible at the
//! run's commit.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::future::join_all;
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::part::{Part, RelationTarget};
use longshore_plugins::Bound;
use longshore_sandbox::capability::HostEnv;
use longshore_sandbox::capability::tape::Recorder;
use longshore_sandbox::tape::{Script, Tapes};
use longshore_sandbox::{FinishedLoad, Load, LoadMode, OpenTarget, OpenWriter, Sink};

use super::local::LocalFolder;
use super::{Manifests, Publication, PublishResult, Target};
use crate::ipc::encode_schema;
use crate::pool::{Pool, close};

/// The most bytes of one chunk's receipt.
pub const RECEIPT_LIMIT_BYTES: usize = 4_096;

/// What is said of a commit that was carried out, or was not.
const NOT_KNOWN: &str = "it is not known whether the commit was carried out";

/// A target over a sink.
pub struct SinkTarget {
    sink: Arc<Bound<Sink>>,
    /// The URL, without a password.
    url: String,
    /// Where manifests are kept: a sink has no place for them.
    manifests: LocalFolder,
    sessions: Pool<OpenTarget>,
    /// A commit was cut off: nobody knows what is visible.
    unsure: AtomicBool,
}

impl fmt::Debug for SinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SinkTarget({})", self.name())
    }
}

impl SinkTarget {
    /// A target of which nothing is open yet.
    pub fn new(sink: Arc<Bound<Sink>>, url: &str) -> Self {
        Self {
            sink,
            url: url.trim_end_matches('/').to_owned(),
            manifests: LocalFolder::new(Path::new("")),
            sessions: Pool::default(),
            unsure: AtomicBool::new(false),
        }
    }

    /// Keeps manifests in this folder.
    pub fn with_manifests(self, manifests: &Path) -> Self {
        Self { manifests: LocalFolder::new(manifests), ..self }
    }

    /// Checks that the target can be written; one line on what answered.
    pub async fn test(&self) -> Result<String> {
        let mut open = self.open().await?;
        let answer = open.test().await.context(self.name())?;
        self.sessions.put(open);
        Ok(answer)
    }

    /// Starts a chunk, in a session of its own.
    pub async fn write(
        &self,
        target: &RelationTarget,
        chunk: u64,
        attempt: u32,
        tapes: Option<&Tapes>,
    ) -> Result<OpenWriter> {
        let load = load(target);
        let open = match tapes {
            None => self.open().await?,
            Some(tapes) => {
                let Bound { plugin, config, grant, .. } = &*self.sink;
                let (config, load) = (serde_json::from_str(config)?, load.clone());
                let script = Script::Sink { config, load, chunk, attempt };
                self.new_target(tapes.record(plugin.label(), grant, script)).await?
            }
        };
        open.write(&load, chunk, attempt).await.context(self.name())
    }

    /// Ends a chunk; gives its receipt as a part's token.
    pub async fn finish(&self, writer: OpenWriter, tapes: Option<&Tapes>) -> Result<String> {
        let (receipt, open) = writer.finish().await.context(self.name())?;
        if receipt.len() > RECEIPT_LIMIT_BYTES {
            return Err(Error::internal(format!(
                "{} gave a receipt over {RECEIPT_LIMIT_BYTES} bytes",
                self.name()
            ))
            .with_hint("this is a fault of the plugin: report it to its author"));
        }
        match tapes {
            None => self.sessions.put(open),
            Some(_) => close(open).await,
        }
        Ok(hex::encode(&receipt))
    }

    /// Its name in errors.
    pub fn name(&self) -> String {
        format!("sink `{}`", self.sink.name())
    }

    async fn open(&self) -> Result<OpenTarget> {
        match self.sessions.take() {
            Some(open) => Ok(open),
            None => self.new_target(None).await,
        }
    }

    async fn new_target(&self, recorder: Option<Recorder>) -> Result<OpenTarget> {
        let Bound { component, config, grant, .. } = &*self.sink;
        let env = HostEnv::recorded(grant.clone(), recorder);
        component.open(self.sink.name(), config, env).await.context(self.name())
    }

    /// Closes what is open: nothing more comes.
    pub async fn close(&self) {
        join_all(self.sessions.drain().into_iter().map(close)).await;
    }
}

#[async_trait]
impl Target for SinkTarget {
    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// A sink chooses the name at its commit.
    async fn reserve(&self, run: &str, relation: &str, mode: Mode) -> Result<RelationTarget> {
        self.test().await?;
        let (run, relation) = (run.to_owned(), relation.to_owned());
        Ok(RelationTarget { run, name: relation.clone(), relation, mode })
    }

    async fn begin(&self, target: &RelationTarget, schema: &SchemaRef) -> Result<()> {
        let mut open = self.open().await?;
        let begun = open.begin(&load(target), &encode_schema(schema)?).await;
        begun.context(self.name()).context(target.relation.clone())?;
        self.sessions.put(open);
        Ok(())
    }

    async fn is_intact(&self, target: &RelationTarget, part: &Part) -> Result<bool> {
        let mut open = self.open().await?;
        let held = open.is_intact(&load(target), &receipt(part)?).await.context(self.name())?;
        self.sessions.put(open);
        Ok(held)
    }

    async fn publish(&self, relations: &[Publication]) -> Result<PublishResult> {
        let Some(first) = relations.first() else { return Ok(PublishResult::As(Vec::new())) };
        let written = |relation: &Publication| {
            let receipts = relation.parts.iter().map(receipt).collect::<Result<_>>()?;
            Ok(FinishedLoad { load: load(&relation.target), receipts })
        };
        let loads: Vec<FinishedLoad> = relations.iter().map(written).collect::<Result<_>>()?;
        let mut open = self.open().await?;
        self.unsure.store(true, Ordering::Relaxed);
        let committed = open.commit(&first.target.run, &loads).await.context(self.name());
        let is_known = committed.as_ref().err().is_none_or(|error| !error.class().is_transient());
        self.unsure.store(!is_known, Ordering::Relaxed);
        let names = match committed {
            // What stopped the plugin did so at any moment.
            Err(error) if error.class() == Class::Internal => {
                return Err(error.with_hint(format!("{NOT_KNOWN}: look what the target holds")));
            }
            committed => committed?,
        };
        self.sessions.put(open);
        if names.iter().any(String::is_empty) {
            return Err(Error::internal(format!("{} gave an empty name", self.name())).with_hint(
                "the rows are there: this is a fault of the plugin, report it to its author",
            ));
        }
        if names.len() != relations.len() {
            return Err(Error::internal(format!(
                "{} gave {} names for {} relations",
                self.name(),
                names.len(),
                relations.len()
            ))
            .with_hint(format!("{NOT_KNOWN}: look what the target holds")));
        }
        Ok(PublishResult::As(names))
    }

    /// A sink has no load modes: there is nothing to remove.
    async fn remove_replaced(&self, _: &Publication) -> Result<()> {
        Ok(())
    }

    /// A commit that a sink refuses has made nothing visible.
    async fn retract(&self, relation: &Publication) -> Result<()> {
        if self.unsure.load(Ordering::Relaxed) {
            return Err(Error::connection(format!("{}: {NOT_KNOWN}", relation.target.relation)));
        }
        Ok(())
    }

    /// Those of all sinks: each names its target.
    fn manifests(&self) -> Manifests<'_> {
        Manifests::apart(&self.manifests)
    }

    async fn discard(&self, run: &str) -> Result<()> {
        let mut open = self.open().await?;
        open.discard(run).await.context(self.name())?;
        self.sessions.put(open);
        self.close().await;
        Ok(())
    }

    async fn release(&self, run: &str, _: &[RelationTarget]) -> Result<()> {
        self.discard(run).await
    }
}

fn load(target: &RelationTarget) -> Load {
    Load {
        run: target.run.clone(),
        relation: target.relation.clone(),
        mode: plugin_mode(target.mode),
    }
}

/// A mode, as plugins know it: what load modes load into stays.
pub fn plugin_mode(mode: Mode) -> LoadMode {
    match mode {
        Mode::Version => LoadMode::Version,
        Mode::Replace => LoadMode::Replace,
        Mode::Error => LoadMode::Error,
        Mode::Append | Mode::ReplacePartitions | Mode::Merge | Mode::Snapshot | Mode::Scd2 => {
            LoadMode::Append
        }
    }
}

/// The receipt that a part's token holds.
fn receipt(part: &Part) -> Result<Vec<u8>> {
    let digits = |at| part.token.get(at..at + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
    let bytes: Option<Vec<u8>> = (0..part.token.len()).step_by(2).map(digits).collect();
    bytes.ok_or_else(|| Error::internal(format!("{}: not a receipt", part.file)))
}
