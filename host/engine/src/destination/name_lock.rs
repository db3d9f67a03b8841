//! Names in a target: which one a run gets, and that no two runs get the same.
//!
//! A run that wants a name writes the file `.longshore/names/NAME`, which only one can create, with
//! its own id in it. It removes the file when the relation is published or given up. Where that takes
//! two steps, the first is in the run's staging: a crash leaves nothing that is not the run's own.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use longshore_model::config::target::Mode;
use longshore_model::error::{Class, Error, Result};
use longshore_model::part::RelationTarget;

use super::files::{Entry, Files, read_small};
use super::{HIDDEN, HeldName, staging};

/// How many versions of a relation are looked through for a free name.
pub const VERSION_LIMIT: u32 = 100_000;

/// How long a run waits for another one that is publishing into the same relation.
pub const LOCK_WAIT_SECS: u64 = 120;

/// How often it looks.
const LOCK_LOOK_MILLIS: u64 = 250;

const NAMES: &str = "names";

fn path(name: &str) -> String {
    format!("{HIDDEN}/{NAMES}/{name}")
}

/// Refuses the name that a relation would get, if what is there has it. Holds nothing.
pub(super) async fn check(files: &dyn Files, relation: &str, mode: Mode) -> Result<()> {
    if mode == Mode::Error && !is_free(files, relation).await? {
        return Err(taken(files, relation));
    }
    Ok(())
}

/// The same of a single file.
pub(super) async fn check_file(files: &dyn Files, file: &str, mode: Mode) -> Result<()> {
    if mode == Mode::Error && files.is_taken(file).await? {
        return Err(file_taken(files, file));
    }
    Ok(())
}

/// Chooses and holds a name for a relation.
pub(super) async fn reserve(
    files: &dyn Files,
    run: &str,
    relation: &str,
    mode: Mode,
) -> Result<RelationTarget> {
    let target = |name: String| RelationTarget {
        run: run.to_owned(),
        relation: relation.to_owned(),
        name,
        mode,
    };
    match mode {
        // Held only while publishing, and while a load mode looks at what is there.
        Mode::Append
        | Mode::Replace
        | Mode::ReplacePartitions
        | Mode::Merge
        | Mode::Snapshot
        | Mode::Scd2 => Ok(target(relation.to_owned())),
        Mode::Error => {
            check(files, relation, mode).await?;
            if claim(files, run, relation).await? {
                Ok(target(relation.to_owned()))
            } else {
                Err(held(files, relation).await)
            }
        }
        Mode::Version => {
            for version in 1..=VERSION_LIMIT {
                let name = match version {
                    1 => relation.to_owned(),
                    _ => format!("{relation}_v{version}"),
                };
                if is_free(files, &name).await? && claim(files, run, &name).await? {
                    return Ok(target(name));
                }
            }
            Err(Error::config(format!(
                "there are more than {VERSION_LIMIT} versions of {relation}"
            ))
            .with_hint("remove old ones"))
        }
    }
}

/// Holds the name of a single file, from a run's beginning to its end: what it uploads has this name.
pub(super) async fn reserve_file(
    files: &dyn Files,
    run: &str,
    relation: &str,
    file: &str,
    mode: Mode,
) -> Result<RelationTarget> {
    check_file(files, file, mode).await?;
    if !mark(files, run, file).await? && holder(files, file).await? != run {
        return Err(held(files, file).await);
    }
    // What was published between the look and the mark.
    if let Err(error) = check_file(files, file, mode).await {
        release(files, run, file).await?;
        return Err(error);
    }
    let (run, relation, name) = (run.to_owned(), relation.to_owned(), file.to_owned());
    Ok(RelationTarget { run, relation, name, mode })
}

async fn is_free(files: &dyn Files, name: &str) -> Result<bool> {
    Ok(!files.exists(name).await?)
}

/// Claims a name. What was published between the look and the claim is seen by a second look.
async fn claim(files: &dyn Files, run: &str, name: &str) -> Result<bool> {
    // The run's own: an answer was lost, and the question asked again.
    if !mark(files, run, name).await? && holder(files, name).await? != run {
        return Ok(false);
    }
    if is_free(files, name).await? {
        return Ok(true);
    }
    files.remove(&path(name)).await?;
    Ok(false)
}

/// Creates the mark of a name. False if it exists already.
async fn mark(files: &dyn Files, run: &str, name: &str) -> Result<bool> {
    files.put_new(&path(name), run.as_bytes(), &format!("{}/.mark", staging(run))).await
}

/// Holds a relation's name while a run publishes into it, beside or over what is there.
pub(super) async fn lock(files: &dyn Files, run: &str, name: &str) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(LOCK_WAIT_SECS);
    while !mark(files, run, name).await? {
        if holder(files, name).await? == run {
            return Ok(());
        }
        if Instant::now() > until {
            return Err(held(files, name).await);
        }
        tokio::time::sleep(Duration::from_millis(LOCK_LOOK_MILLIS)).await;
    }
    Ok(())
}

/// Lets go of a name, if the run holds it.
pub(super) async fn release(files: &dyn Files, run: &str, name: &str) -> Result<()> {
    if holder(files, name).await? == run { files.remove(&path(name)).await } else { Ok(()) }
}

/// Lets go of every name that a run holds.
pub(super) async fn release_all(files: &dyn Files, run: &str) -> Result<()> {
    let held = files.list(&format!("{HIDDEN}/{NAMES}")).await?.unwrap_or_default();
    for entry in held {
        release(files, run, &entry.name).await?;
    }
    Ok(())
}

/// Which names of these relations runs hold, or whether one holds the single file.
pub(super) async fn held_names(
    files: &dyn Files,
    relations: &HashSet<&str>,
    file: Option<&str>,
) -> Result<Vec<HeldName>> {
    let is_asked = |name: &str| file.map_or(relations.contains(name), |file| file == name);
    let mut listed = files.list(&format!("{HIDDEN}/{NAMES}")).await?.unwrap_or_default();
    listed.retain(|entry| is_asked(&entry.name));
    let mut held = Vec::new();
    for Entry { name, .. } in listed {
        let run = holder(files, &name).await?;
        if !run.is_empty() {
            held.push(HeldName { name, run });
        }
    }
    Ok(held)
}

/// The run that holds a name; empty if none does.
async fn holder(files: &dyn Files, name: &str) -> Result<String> {
    match read_small(files.read(&path(name)).await).await {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.class() == Class::NotFound => Ok(String::new()),
        Err(error) => Err(error),
    }
}

fn taken(files: &dyn Files, name: &str) -> Error {
    Error::config(format!("{} is already there, and the mode is `error`", files.url(name)))
        .with_hint("remove it, or use `mode: version`")
}

fn file_taken(files: &dyn Files, file: &str) -> Error {
    Error::config(format!("{} is already there", files.url(file)))
        .with_hint("replace it with `mode: replace`, or name another file")
}

async fn held(files: &dyn Files, name: &str) -> Error {
    let run = holder(files, name).await.unwrap_or_default();
    Error::resource(format!("{}: run {run} is publishing there", files.url(name))).with_hint(
        format!(
            "wait for that run; if it is no more, say `longshore runs cancel {run}`, or remove {}",
            files.url(&path(name))
        ),
    )
}
