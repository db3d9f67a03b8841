//! The destination of a run's rows: a folder of files, or a sink.

use std::path::PathBuf;
use std::sync::Arc;

use longshore_engine::destination;
use longshore_engine::destination::{Folder, SinkTarget, Target};
use longshore_engine::write::{FileParts, Parts, SinkParts, format_before_join};
use longshore_model::config::place::Place;
use longshore_model::config::target::{Format, Mode, ParquetCodec, To};
use longshore_model::config::territory::real_path;
use longshore_model::config::{Job, Reach, Settings};
use longshore_model::error::{Error, Result};
use longshore_model::layout::MANIFESTS;
use longshore_model::part::RelationTarget;
use longshore_plugins::PluginSet;

use super::scratch::Scratch;

/// An open target.
pub(super) enum Destination {
    Files {
        folder: Arc<dyn Folder>,
        format: Format,
        partition_by: Vec<String>,
        /// The run's scratch folder, where its rows are read into it first.
        scratch: Option<Arc<dyn Folder>>,
        /// The format of what is read into it.
        scratch_format: Format,
    },
    Sink(Arc<SinkTarget>),
}

impl Destination {
    /// Opens a job's target; `scratch` is the folder of the run that writes into it, if one does.
    pub(super) async fn open(
        job: &Job,
        plugins: &PluginSet,
        settings: &Settings,
        scratch: Option<&Scratch>,
    ) -> Result<Self> {
        match &job.target.to {
            To::Folder(place, format) => {
                let folder = Self::open_folder(job, place, settings).await?;
                let scratch = match scratch.filter(|_| job.target.reads_first()) {
                    None => None,
                    Some(scratch) => {
                        let place = Place::Local(scratch.path().to_owned());
                        Some(destination::open(&place, None, None).await?)
                    }
                };
                let partition_by = job.target.partition_by.clone();
                let scratch_format = match job.target.file {
                    Some(_) => format_before_join(format),
                    None => Format::Parquet(ParquetCodec::Snappy),
                };
                let format = format.clone();
                Ok(Self::Files { folder, format, partition_by, scratch, scratch_format })
            }
            To::Sink(_) => {
                let sink = plugins.sink.clone();
                let sink = sink.ok_or_else(|| Error::internal("a target without its sink"))?;
                let manifests = settings.state.join(MANIFESTS);
                let target = SinkTarget::new(sink, &job.target.url).with_manifests(&manifests);
                Ok(Self::Sink(Arc::new(target)))
            }
        }
    }

    /// Opens the place of a job that writes files.
    pub(super) async fn open_folder(
        job: &Job,
        place: &Place,
        settings: &Settings,
    ) -> Result<Arc<dyn Folder>> {
        let reach = Some(Reach::new(&settings.policy, &job.folder));
        let secrets = settings.secrets.as_deref();
        match &job.target.file {
            None => destination::open(place, secrets, reach).await,
            Some(file) => {
                let manifests = settings.state.join(MANIFESTS);
                destination::open_file(place, file, &manifests, secrets, reach).await
            }
        }
    }

    /// The target, of whatever kind.
    pub(super) fn target(&self) -> &dyn Target {
        match self {
            Self::Files { folder, .. } => folder.as_ref(),
            Self::Sink(sink) => sink.as_ref(),
        }
    }

    /// The writer of the rows that a relation has in quarantine; none in a sink.
    pub(super) fn quarantine(&self, target: &RelationTarget) -> Option<Arc<dyn Parts>> {
        let Self::Files { folder, format, .. } = self else { return None };
        Some(Arc::new(FileParts {
            folder: folder.clone(),
            target: quarantine_target(target),
            format: format.clone(),
            partition_by: Vec::new(),
        }))
    }

    /// Whether rows are read into the run's scratch folder first.
    pub(super) fn reads_into_scratch(&self) -> bool {
        matches!(self, Self::Files { scratch: Some(_), .. })
    }

    /// What holds the parts that are read, until the relation's own are made of them.
    pub(super) fn read_into(&self) -> &dyn Target {
        match self {
            Self::Files { scratch: Some(scratch), .. } => scratch.as_ref(),
            _ => self.target(),
        }
    }

    /// The writer of the parts that are read.
    pub(super) fn parts(&self, target: &RelationTarget) -> Arc<dyn Parts> {
        let target = target.clone();
        match self {
            Self::Files { scratch: Some(scratch), scratch_format, .. } => Arc::new(FileParts {
                folder: scratch.clone(),
                target,
                format: scratch_format.clone(),
                partition_by: Vec::new(),
            }),
            Self::Files { folder, format, partition_by, .. } => Arc::new(FileParts {
                folder: folder.clone(),
                target,
                format: format.clone(),
                partition_by: partition_by.clone(),
            }),
            Self::Sink(sink) => Arc::new(SinkParts { sink: sink.clone(), target }),
        }
    }
}

/// The place of the rows of a relation that are quarantined: a folder of the run's own, beside the table.
pub(super) fn quarantine_target(target: &RelationTarget) -> RelationTarget {
    let RelationTarget { run, relation, .. } = target;
    RelationTarget {
        run: run.clone(),
        // No relation's name begins with a dot.
        relation: format!(".quarantine/{relation}"),
        name: format!(".longshore/quarantine/{relation}/{run}"),
        mode: Mode::Error,
    }
}

/// Refuses a target in a folder of Longshore's own, or in the place of one.
pub(super) fn check_target(job: &Job, own_folders: &[PathBuf]) -> Result<()> {
    let To::Folder(Place::Local(folder), _) = &job.target.to else { return Ok(()) };
    let folder = real_path(folder);
    let names: Vec<&String> = match &job.target.file {
        Some(file) => vec![file],
        None => job.relations.iter().map(|relation| &relation.name).collect(),
    };
    for own in own_folders {
        let own = real_path(own);
        let hides = |name: &str| own.starts_with(folder.join(name));
        if folder.starts_with(&own) || names.iter().any(|name| hides(name)) {
            return Err(Error::config(format!(
                "`target.url`: {} is a folder of Longshore's own",
                own.display()
            ))
            .with_hint("name a folder beside it"));
        }
    }
    Ok(())
}
