//! Where a run's rows come from, whichever way they reach the host.

use std::sync::Arc;

use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::Grant;
use longshore_model::relation::{self, Consistency};
use longshore_sandbox::{ChunkWish, Hold, Pushdown, Relation, Scan};

use super::chunk::Chunk;
use super::component::ComponentSource;
use super::described::{Described, ScanPlan};
use super::direct::{DirectReader, Way};
use super::files::FileSource;

/// The dialect that filters on files are written in.
const FILES_DIALECT: &str = "generic";

/// What holds a source of files still.
const FILES_HOLD: &str = "files are read as they were listed, or not at all";

/// Where a run's rows come from.
#[derive(Debug)]
pub enum Source {
    /// A connector in the sandbox; some of its tables may be read from their files.
    Component(Box<ComponentSource>, Option<Box<DirectReader>>),
    /// Files, which the host reads.
    Files(Box<FileSource>),
}

impl Source {
    /// The connector's name, or what stands for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Component(source, _) => &source.plugin().described.name,
            Self::Files(_) => "files",
        }
    }

    /// The connector's version; files are read by Longshore's own.
    pub fn version(&self) -> &str {
        match self {
            Self::Component(source, _) => &source.plugin().described.version,
            Self::Files(_) => env!("CARGO_PKG_VERSION"),
        }
    }

    /// The digest of the component that reads, if one does.
    pub fn digest(&self) -> Option<&str> {
        match self {
            Self::Component(source, _) => Some(&source.plugin().digest),
            Self::Files(_) => None,
        }
    }

    /// What the job says of it; secrets are only named in it.
    pub fn config(&self) -> &str {
        match self {
            Self::Component(source, _) => source.config(),
            Self::Files(source) => source.config(),
        }
    }

    /// What a component was granted.
    pub fn grant(&self) -> Option<&Grant> {
        match self {
            Self::Component(source, _) => Some(source.grant()),
            Self::Files(_) => None,
        }
    }

    /// What it carries out of a relation's scan itself.
    pub fn pushdown(&self, relation: &Relation) -> Pushdown {
        match (self, self.way(relation)) {
            (Self::Files(_), _) | (_, Some(Way::Files(_))) => {
                Pushdown { projection: true, filter: Some(FILES_DIALECT.into()), limit: true }
            }
            (Self::Component(source, _), _) => source.plugin().described.pushdown.clone(),
        }
    }

    /// Whether rows of a relation that a pushed filter should leave out never come.
    pub fn filters_exactly(&self, relation: &Relation) -> bool {
        matches!(self, Self::Component(..)) && !matches!(self.way(relation), Some(Way::Files(_)))
    }

    /// How a connector's relation is read, where that was to be decided.
    fn way(&self, relation: &Relation) -> Option<Way> {
        match self {
            Self::Component(_, direct) => direct.as_ref()?.way(relation),
            Self::Files(_) => None,
        }
    }

    /// The files that a connector's relation is read from.
    pub(super) fn files_of(&self, relation: &Relation) -> Result<Arc<FileSource>> {
        match self.way(relation) {
            Some(Way::Files(files)) => Ok(files),
            _ => Err(Error::new(Class::Stale, "a table's files cannot be read any more")),
        }
    }

    /// Whether somebody must stay with what it holds, so that it outlives this process.
    pub fn needs_holder(&self) -> bool {
        match self {
            Self::Component(source, _) => {
                let described = &source.plugin().described;
                // Only what lies beyond this machine does.
                Consistency::from(described.consistency) == Consistency::Snapshot
                    && !described.endpoints.is_empty()
            }
            Self::Files(_) => false,
        }
    }

    /// Checks that the source can be used.
    pub async fn test(&self) -> Result<String> {
        match self {
            Self::Component(source, _) => source.test().await,
            Self::Files(source) => source.test().await,
        }
    }

    /// What can be named as a table.
    pub async fn relations(&self) -> Result<Vec<String>> {
        match self {
            Self::Component(source, _) => source.relations().await,
            Self::Files(source) => source.relations().await,
        }
    }

    /// Holds one instant of these relations still, if the source can, until [`Self::release`] or
    /// the source's end.
    pub async fn hold(&self, relations: Vec<relation::Relation>) -> Result<Hold> {
        match self {
            Self::Component(source, _) => {
                let relations: Vec<Relation> = relations.into_iter().map(Into::into).collect();
                source.hold(&relations).await
            }
            Self::Files(_) => Ok(Hold::Unavailable(FILES_HOLD.into())),
        }
    }

    /// Lets go of what is held: nothing more is read.
    pub async fn release(&self) {
        match self {
            Self::Component(source, _) => source.release().await,
            Self::Files(_) => {}
        }
    }

    /// Looks a relation up.
    pub async fn describe(&self, relation: &Relation) -> Result<Described> {
        match self {
            Self::Component(source, direct) => {
                let described = source.describe(relation).await?;
                match direct {
                    Some(direct) => direct.describe(source, relation, described).await,
                    None => Ok(described),
                }
            }
            Self::Files(source) => source.describe(relation).await,
        }
    }

    /// Cuts a scan into chunks.
    pub async fn plan(&self, scan: &Scan, wish: &ChunkWish) -> Result<ScanPlan> {
        match self {
            Self::Component(source, _) => match self.way(&scan.relation) {
                Some(Way::Files(files)) => {
                    let planned = files.plan(scan, wish).await?;
                    let strategy = format!("{}, directly", planned.strategy);
                    let chunks = planned.chunks.into_iter().map(Chunk::of_files).collect();
                    Ok(ScanPlan { chunks, strategy, ..planned })
                }
                Some(Way::Server(why)) => {
                    let planned = source.plan(scan, wish).await?;
                    let strategy = format!("{} (not directly: {why})", planned.strategy);
                    Ok(ScanPlan { strategy, ..planned })
                }
                None => source.plan(scan, wish).await,
            },
            Self::Files(source) => source.plan(scan, wish).await,
        }
    }
}
