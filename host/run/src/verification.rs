//! Verification: whether what was published is still what was written, and what the source has.

use longshore_engine::destination::{Folder, checksum};
use longshore_engine::drift::Expectation;
use longshore_engine::plan::RunPlan;
use longshore_model::config::Job;
use longshore_model::config::job::JobRelation;
use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result, ResultExt};
use longshore_model::part::Part;
use tokio::runtime::Handle;

use crate::drift::as_published;
use crate::fingerprint::Fingerprint;
use crate::manifest::{Manifest, RelationRecord};

/// A difference between what a run wrote and what is there.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The part's URL, or the relation's name.
    pub path: String,
    /// What it is instead.
    pub what: String,
    /// What it is a fault of.
    pub kind: FaultKind,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A part.
    Part,
    /// A relation, whose source says something else.
    Relation,
}

/// Reads all parts of a manifest again. It is an error if a later run has taken the place of all those that differ.
pub async fn check_parts(manifest: &Manifest, target: &dyn Folder) -> Result<Vec<Fault>> {
    let (mut faults, mut replaced) = (Vec::new(), None);
    for relation in &manifest.relations {
        let own = relation.parts.iter().map(|part| (&relation.published_as, part));
        let quarantine = relation.quarantine.iter();
        let apart = quarantine.flat_map(|own| own.parts.iter().map(|part| (&own.folder, part)));
        let before = faults.len();
        for (folder, part) in own.chain(apart) {
            let path = format!("{folder}/{}", part.file);
            if let Some(what) = fault(target, &path, part).await? {
                faults.push(Fault { path: target.url(&path), what, kind: FaultKind::Part });
            }
        }
        if faults.len() > before
            && let Some(later) = superseded_by(target, manifest, relation).await?
        {
            faults.truncate(before);
            replaced.get_or_insert_with(|| superseded(manifest, relation, &later));
        }
    }
    // Damage goes before what a later run explains.
    match replaced {
        Some(error) if faults.is_empty() => Err(error),
        _ => Ok(faults),
    }
}

async fn fault(target: &dyn Folder, path: &str, part: &Part) -> Result<Option<String>> {
    let Some(written) = &part.checksum else {
        return Ok(Some("the manifest has no checksum of it".into()));
    };
    let hasher = written.hasher().context(target.url(path))?;
    match checksum(target.read(path).await, hasher).await {
        Ok((bytes, _)) if bytes != part.bytes => {
            Ok(Some(format!("{bytes} bytes, {} were written", part.bytes)))
        }
        Ok((_, found)) if found != *written => Ok(Some("its bytes are others".into())),
        Ok(_) => Ok(None),
        Err(error) if error.class() == Class::NotFound => Ok(Some("is gone".into())),
        Err(error) => Err(error),
    }
}

/// The later run that took a relation's place, if one did.
async fn superseded_by(
    target: &dyn Folder,
    manifest: &Manifest,
    relation: &RelationRecord,
) -> Result<Option<String>> {
    let mut latest: Option<Manifest> = None;
    let manifests = target.manifests();
    for run in manifests.runs().await? {
        let Some(text) = manifests.get(&run).await? else { continue };
        let Ok(other) = serde_json::from_slice::<Manifest>(&text) else { continue };
        // The manifests of all single files are in one folder.
        let is_same_place = manifest.job.file.is_none() || manifest.job.target == other.job.target;
        let is_it =
            |record: &RelationRecord| is_same_place && record.published_as == relation.published_as;
        let replaces = other.job.mode != Some(Mode::Append) && other.relations.iter().any(is_it);
        let after = latest.as_ref().map_or(&manifest.finished, |latest| &latest.finished);
        if replaces && other.run != manifest.run && other.finished > *after {
            latest = Some(other);
        }
    }
    Ok(latest.map(|latest| latest.run))
}

fn superseded(manifest: &Manifest, relation: &RelationRecord, later: &str) -> Error {
    Error::data(format!(
        "run {}: `{}` was superseded by run {later}",
        manifest.run, relation.published_as
    ))
    .with_hint(format!("verify the manifest of run {later}"))
}

/// What a plan is to expect so that it makes the columns that a manifest has, where the source had other ones.
pub fn expected(manifest: &Manifest, job: &Job) -> Vec<Option<Expectation>> {
    let expected = |relation: &JobRelation| {
        let published = manifest.relations.iter().find(|record| record.name == relation.name)?;
        (!published.drift.is_empty()).then(|| as_published(published.schema.clone()))
    };
    job.relations.iter().map(expected).collect()
}

/// Reads the source as a plan says, and compares its rows with those that were published.
pub async fn compare(
    manifest: &Manifest,
    target: &dyn Folder,
    plan: &RunPlan,
    compute: &Handle,
) -> Result<Vec<Fault>> {
    if let Some(mode) = manifest.job.mode.filter(|mode| mode.reads_first()) {
        let text = format!("run {}: its mode is {}", manifest.run, mode.name());
        return Err(Error::config(format!("{text}: its parts also hold rows of earlier runs"))
            .with_hint("verify the manifest without `--source`"));
    }
    let mut faults = Vec::new();
    for relation in &plan.relations {
        let name = &relation.relation.name;
        let Some(published) = manifest.relations.iter().find(|r| r.name == *name) else {
            let what = "is not in the manifest".into();
            faults.push(Fault { path: name.clone(), what, kind: FaultKind::Relation });
            continue;
        };
        let paths: Vec<String> = published
            .parts
            .iter()
            .map(|p| format!("{}/{}", published.published_as, p.file))
            .collect();
        // What computes does so on its own runtime.
        let reading = Fingerprint::of_plan(relation.physical.clone(), plan.parallel);
        let read = compute.spawn(reading).await;
        let source =
            read.map_err(|error| Error::internal(error.to_string()))?.context(name.clone())?;
        let apart = published.quarantine.as_ref().map_or(0, |quarantine| quarantine.rows);
        // What folders tell stands in no file, and what is apart in others: only their rows are counted.
        let files = if apart > 0 || published.parts.iter().any(|part| part.file.contains('/')) {
            None
        } else {
            Fingerprint::of_files(target, &manifest.job.format, &paths).await?
        };
        let what = match files {
            _ if source.rows != published.rows + apart => {
                let rows = published.rows + apart;
                format!("the source has {} rows, {rows} were published", source.rows)
            }
            Some(files) if files != source => "the source has other values in as many rows".into(),
            _ => continue,
        };
        faults.push(Fault { path: name.clone(), what, kind: FaultKind::Relation });
    }
    Ok(faults)
}
