//! The relations of a job, in whichever way it names them, with what it says of each.

use std::collections::BTreeSet;

use super::access::Access;
use super::checks::{Check, RawChecks, Relations};
use super::drift::DriftPolicy;
use super::files::{Files, name_of};
use super::incremental::Incremental;
use super::load::{Load, LoadSections};
use super::query_file::text_or_file;
use super::raw::{RawJob, RawRelation};
use super::table_name::last_part;
use super::target::{Target, To};
use crate::error::{Error, Result};
use crate::format::is_steering;
use crate::relation::Relation;

/// The longest name of a job or a relation.
pub const NAME_LIMIT_BYTES: usize = 200;

/// One relation of the target.
#[derive(Clone, Debug)]
pub struct JobRelation {
    /// A folder's name.
    pub name: String,
    /// What is read for it; one thing, unless there is `sql`.
    pub inputs: Vec<Input>,
    /// What is made of the inputs, which are tables under their names in it.
    pub sql: Option<String>,
    /// What its rows must be like.
    pub checks: Vec<Check>,
    /// What happens to it when its columns change, if the job says it.
    pub drift: Option<DriftPolicy>,
    /// How its rows are joined with those that are there, if the mode wants to know.
    pub load: Option<Load>,
}

/// One table or query of the source.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// What to read.
    pub relation: Relation,
    /// A column to cut it by.
    pub chunk_by: Option<String>,
    /// How it is loaded piece by piece, if it is.
    pub incremental: Option<Incremental>,
}

impl JobRelation {
    /// An incremental relation does not tell which keys are absent.
    pub(super) fn check_absent(&self) -> Result<()> {
        let is_incremental = self.inputs.iter().any(|input| input.incremental.is_some());
        match &self.load {
            Some(Load::Scd2(scd2)) if scd2.closes_absent && is_incremental => {
                Err(Error::config(format!(
                    "`{}`: `scd2.absent` is close, and an incremental relation has only new rows",
                    self.name
                ))
                .with_hint("remove `absent: close`, or `incremental`"))
            }
            _ => Ok(()),
        }
    }
}

impl From<Input> for JobRelation {
    fn from(input: Input) -> Self {
        Self {
            name: input.name.clone(),
            inputs: vec![input],
            sql: None,
            checks: Vec::new(),
            load: None,
            drift: None,
        }
    }
}

/// The relations of a job, in whichever way it names them.
pub(super) fn all_relations(raw: &mut RawJob, name: &str) -> Result<Vec<RawRelation>> {
    let mut inputs: Vec<RawRelation> = std::mem::take(&mut raw.relations);
    inputs.extend(
        std::mem::take(&mut raw.tables)
            .into_iter()
            .map(|table| RawRelation { table: Some(table), ..RawRelation::default() }),
    );
    if raw.query.is_some() || raw.query_file.is_some() {
        inputs.push(RawRelation {
            table: None,
            query: raw.query.take(),
            query_file: raw.query_file.take(),
            name: Some(name.to_owned()),
            chunk_by: raw.chunk_by.take(),
            checks: Vec::new(),
            incremental: None,
            schema: None,
            merge: None,
            snapshot: None,
            scd2: None,
        });
    } else if raw.chunk_by.is_some() {
        return Err(Error::config("`chunk_by` without `query`")
            .with_hint("give `chunk_by` beside the table, under `relations`"));
    }
    Ok(inputs)
}

pub(super) fn check_relations(raw: Vec<RawRelation>, access: Access<'_>) -> Result<Vec<Input>> {
    if raw.is_empty() {
        return Err(Error::config("the job names nothing to move")
            .with_hint("add `tables: [..]`, `query: ..` or `relations: [..]`"));
    }
    let mut names = BTreeSet::new();
    let mut relations = Vec::new();
    for (index, relation) in raw.into_iter().enumerate() {
        let at = format!("relations[{index}]");
        let query = text_or_file(&at, "query", relation.query, relation.query_file, access)?;
        let chunk_by = relation.chunk_by;
        let at_incremental = format!("{at}.incremental");
        let incremental = relation.incremental.map(|raw| Incremental::check(&at_incremental, raw));
        let incremental = incremental.transpose()?;
        let relation = match (relation.table, query) {
            (Some(table), None) => {
                let name = relation.name.unwrap_or_else(|| last_part(&table));
                Input { name, relation: Relation::Table(table), chunk_by, incremental }
            }
            (None, Some(query)) => {
                let name = relation.name.ok_or_else(|| {
                    Error::config(format!("`{at}`: a query without a name"))
                        .with_hint("add `as: NAME`, which becomes its folder in the target")
                })?;
                Input { name, relation: Relation::Query(query), chunk_by, incremental }
            }
            _ => {
                return Err(Error::config(format!("`{at}` is not one thing to move"))
                    .with_hint("give it one of `table`, `query`, `query_file`"));
            }
        };
        check_name(&format!("{at}.as"), &relation.name)?;
        if !names.insert(relation.name.clone()) {
            return Err(Error::config(format!("two relations are called `{}`", relation.name))
                .with_hint("give one of them another name with `as: NAME`"));
        }
        relations.push(relation);
    }
    Ok(relations)
}

/// Relations of files: their paths are not databases' names, and the URL can be all that is wanted.
pub(super) fn check_file_relations(
    mut raw: Vec<RawRelation>,
    files: &Files,
    job: &str,
    access: Access<'_>,
) -> Result<Vec<Input>> {
    if raw.is_empty() {
        let relation = Relation::Table(String::new());
        let (chunk_by, incremental) = (None, None);
        return Ok(vec![Input { name: job.to_owned(), relation, chunk_by, incremental }]);
    }
    for (index, relation) in raw.iter_mut().enumerate() {
        let at = format!("relations[{index}]");
        if relation.query.is_some() || relation.query_file.is_some() {
            return Err(Error::config(format!("`{at}.query`: files have no queries of their own"))
                .with_hint("name the files as a table, and query them with the job's `sql`"));
        }
        if relation.chunk_by.is_some() {
            return Err(Error::config(format!("`{at}.chunk_by`: files are not cut by a column"))
                .with_hint("remove it"));
        }
        if !files.sought.name.is_empty() {
            return Err(Error::config(format!("`{at}`: `source.url` names files already"))
                .with_hint(
                    "name their folder in the URL, with a `/` at its end, and the files here",
                ));
        }
        let Some(path) = &relation.table else { continue };
        let path = path.trim_matches('/').to_owned();
        if path.split('/').any(|part| part == "..") {
            return Err(Error::config(format!("`{at}`: `{path}` leads out of `source.url`"))
                .with_hint("name the folder that holds them all in the URL"));
        }
        if relation.name.is_none() {
            let name = name_of(&path).ok_or_else(|| {
                Error::config(format!("`{at}`: `{path}` gives no name"))
                    .with_hint("add `as: NAME`, which becomes its folder in the target")
            });
            relation.name = Some(name?);
        }
        relation.table = Some(path);
    }
    check_relations(raw, access)
}

/// The relations of the target: each input is one, or `sql` makes one of all.
pub(super) fn job_relations(
    name: &str,
    inputs: Vec<Input>,
    sql: Option<String>,
    drifts: Vec<Option<DriftPolicy>>,
) -> Vec<JobRelation> {
    let mut relations: Vec<JobRelation> = match sql {
        None => inputs.into_iter().map(JobRelation::from).collect(),
        sql => vec![JobRelation {
            name: name.to_owned(),
            inputs,
            sql,
            checks: Vec::new(),
            drift: None,
            load: None,
        }],
    };
    for (relation, drift) in relations.iter_mut().zip(drifts) {
        relation.drift = drift;
    }
    relations
}

/// What the relations say of their load mode, apart from the rest of them.
pub(super) fn load_sections(
    inputs: &mut [RawRelation],
    has_sql: bool,
) -> Result<Vec<LoadSections>> {
    let take = |input: &mut RawRelation| LoadSections {
        merge: input.merge.take(),
        snapshot: input.snapshot.take(),
        scd2: input.scd2.take(),
    };
    let mut sections: Vec<LoadSections> = inputs.iter_mut().map(take).collect();
    if has_sql && sections.iter().any(|section| !section.is_empty()) {
        return Err(Error::config("the job's `sql` makes one relation of several")
            .with_hint("say under `target` how it is loaded, and not beside the inputs"));
    }
    // Without relations, a folder of files is one.
    sections.resize_with(sections.len().max(1), LoadSections::default);
    Ok(sections)
}

/// Takes the checks out of a job.
pub(super) fn take_checks(raw: &mut RawJob, inputs: &mut [RawRelation]) -> RawChecks {
    let of_entries = inputs.iter_mut().map(|input| std::mem::take(&mut input.checks));
    RawChecks { of_job: std::mem::take(&mut raw.checks), of_entries: of_entries.collect() }
}

/// Gives each relation its checks.
pub(super) fn give_checks(
    checks: RawChecks,
    relations: &mut [JobRelation],
    has_queries: bool,
    target: &Target,
) -> Result<()> {
    let names: Vec<String> = relations.iter().map(|relation| relation.name.clone()).collect();
    let checks = checks.of(Relations {
        names: &names,
        is_joined: relations.iter().any(|relation| relation.sql.is_some()),
        has_queries,
        publishes_what_it_reads: !target.mode.reads_first(),
        has_quarantine: matches!(target.to, To::Folder(..)) && !target.reads_first(),
    })?;
    relations.iter_mut().zip(checks).for_each(|(relation, checks)| relation.checks = checks);
    Ok(())
}

/// Names become folders, which readers of lakes skip when they begin with `.` or `_`.
pub(super) fn check_name(at: &str, name: &str) -> Result<()> {
    let refused = |cause: &str| {
        let error = Error::config(format!("`{at}`: the name `{name}` {cause}"));
        Err(match at {
            "name" => error.with_hint("give the job another name"),
            _ => error.with_hint("give it another one with `as: NAME`"),
        })
    };
    match name {
        "" => refused("is empty"),
        _ if name.len() > NAME_LIMIT_BYTES => refused("is too long"),
        _ if name.starts_with(['.', '_']) => refused("begins with `.` or `_`, which readers skip"),
        _ if name.chars().any(|c| c == '/' || c.is_control()) => {
            refused("holds a character that no folder can have")
        }
        _ if at == "name" && name.contains(is_steering) => {
            refused("holds a character that turns the text around it")
        }
        _ => Ok(()),
    }
}

/// Whether the target's store can hold the relations' folders.
pub(super) fn check_folders(relations: &[JobRelation], target: &Target) -> Result<()> {
    let To::Folder(place, _) = &target.to else { return Ok(()) };
    if let Some(file) = &target.file {
        return check_only(relations, file);
    }
    let unfit =
        |relation: &JobRelation| Some((relation.name.clone(), place.unfit(&relation.name)?));
    match relations.iter().find_map(unfit) {
        None => Ok(()),
        Some((name, why)) => {
            Err(Error::config(format!("{}: no place for the relation `{name}`: {why}", target.url))
                .with_hint("give it another name with `as: NAME`"))
        }
    }
}

/// A single file holds one relation.
fn check_only(relations: &[JobRelation], file: &str) -> Result<()> {
    if relations.len() == 1 {
        return Ok(());
    }
    let names: Vec<&str> = relations.iter().map(|relation| relation.name.as_str()).collect();
    Err(Error::config(format!(
        "`target.url` names one file, `{file}`, and the job has {} relations: {}",
        names.len(),
        names.join(", ")
    ))
    .with_hint("name a folder, with a `/` at its end, or make one relation of them with `sql`"))
}
