//! A job, checked: everything after it is valid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::access::Access;
use super::cluster::ClusterUrl;
use super::connector::{Connector, check_connector, scheme, wanted};
use super::direct::{Location, check_direct};
use super::document::{Document, typed};
use super::drift::check_drift;
use super::files::{Files, check_files};
use super::incremental::Incremental;
use super::job_relations::{
    all_relations, check_file_relations, check_folders, check_name, check_relations, give_checks,
    job_relations, load_sections, take_checks,
};
use super::load::{LoadSections, loads_of_sink};
use super::notify::{Webhook, check_webhooks};
use super::parameters::{Arguments, Bound, ParameterRecord, bind};
use super::place::{Place, Side, is_folder};
use super::plain_path::to_url;
use super::plugin_requirement::PluginRequirement;
use super::policy::Policy;
use super::query_file::text_or_file;
use super::raw::{RawChunk, RawJob, RawParallel, RawParameter, RawSource, RawStep};
use super::record::Record;
use super::register::{Register, check_register};
use super::schedule::Schedule;
use super::target::{LOAD_MODES, Target, To, check_target};
use super::territory::{Territory, Usage};
use crate::error::{Error, Result, ResultExt};
use crate::limits::within;
use crate::relation::{Consistency, Relation};

pub use super::job_relations::{Input, JobRelation, NAME_LIMIT_BYTES};

/// The most relations or chunks at the same time.
pub const PARALLEL_LIMIT: u64 = 1_024;

/// A checked job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Where its file lies.
    pub file: PathBuf,
    /// What the file was called when it was dropped, and where: files that it names lie there.
    pub dropped_name: String,
    /// See `dropped_name`.
    pub folder: PathBuf,
    /// SHA-256 of the file, in hex.
    pub digest: String,
    /// The values of its parameters.
    pub parameters: ParameterRecord,
    /// The tree that it was checked from, its placeholders bound.
    pub tree: Arc<Value>,
    /// What its author should look at; nothing of it stops a run.
    pub warnings: Vec<String>,
    /// Where rows come from.
    pub source: Source,
    /// What to move; names are unique.
    pub relations: Vec<JobRelation>,
    /// What happens on the way.
    pub steps: Vec<Step>,
    /// Where rows go.
    pub target: Target,
    /// The catalog that its folders become tables of.
    pub register: Option<Register>,
    /// How large a chunk is.
    pub chunk: ChunkSize,
    /// How much is done at the same time.
    pub parallel: Parallel,
    /// The consistency that the run must have.
    pub consistency: Option<Consistency>,
    /// Whether failures are recorded.
    pub record: Record,
    /// Who is told what becomes of its runs.
    pub notify: Vec<Webhook>,
    /// Whether its runs are told to the collector of lineage.
    pub lineage: bool,
    /// The scheduler of the cluster that reads it, if the job names one.
    pub cluster: Option<ClusterUrl>,
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Files of a store.
    Files(Box<Files>),
    /// Whatever a connector reads.
    Connector(Connector),
}

/// What happens to rows on their way.
#[derive(Clone, Debug)]
pub enum Step {
    /// A query over the table `data`.
    Sql(String),
    /// A transform, by its name, and what it wants to know.
    Plugin {
        /// Which one.
        wanted: PluginRequirement,
        /// Its config, secrets as written.
        config: Map<String, Value>,
    },
}

/// How large a chunk is.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChunkSize {
    /// Rows to a chunk.
    pub rows: Option<u64>,
    /// Bytes to a chunk.
    pub bytes: Option<u64>,
}

/// How much is done at the same time; absent: automatic.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parallel {
    /// Relations.
    pub relations: Option<usize>,
    /// Chunks of each relation.
    pub chunks: Option<usize>,
}

impl Job {
    /// Reads and checks a job file, also against the operator's policy. Its parameters get values by the
    /// arguments.
    pub fn read(path: &Path, arguments: &Arguments, policy: &Policy) -> Result<Self> {
        let whole = std::path::absolute(path).map_err(|error| Error::io(path.display(), error))?;
        let folder = whole.parent().unwrap_or(Path::new("/"));
        Self::read_in(&whole, &path.display().to_string(), folder, arguments, policy)
    }

    /// The most rows of a relation that may be left out because they cannot be read, if there is a limit.
    pub fn left_out_limit(&self) -> Option<u64> {
        match &self.source {
            Source::Files(files) => files.bad_rows_limit,
            Source::Connector(_) => None,
        }
    }

    /// A job that reads files and writes nothing: for a look at them, under a name for people.
    pub fn of_files(name: &str, url: &str) -> Result<Self> {
        let raw = json!({ "source": { "url": url }, "target": { "url": "file:///" } });
        let (policy, here) = (Policy::default(), Path::new("."));
        let access = Access::new(&policy, here);
        let mut job = Self::check(typed("", raw)?, "preview", access)?;
        for relation in &mut job.relations {
            name.clone_into(&mut relation.name);
        }
        Ok(job)
    }

    /// Reads and checks a job file that was called `name` and lay in `folder` when it was dropped.
    pub fn read_in(
        path: &Path,
        name: &str,
        folder: &Path,
        arguments: &Arguments,
        policy: &Policy,
    ) -> Result<Self> {
        Self::read_at(path, path, name, folder, arguments, policy)
    }

    /// The same of a file whose folder is held open: `held` is where it is read, whatever `path` leads to by
    /// then.
    pub fn read_at(
        held: &Path,
        path: &Path,
        name: &str,
        folder: &Path,
        arguments: &Arguments,
        policy: &Policy,
    ) -> Result<Self> {
        Access::new(policy, folder).job_file(held).context(name)?;
        let document = Document::read_at("the job file", held, path)?;
        let job = Self::of_named(&document, name, folder, arguments, policy)?;
        Ok(Self { file: path.to_owned(), ..job })
    }

    /// Checks the text of a job file that is called `name`, whose ending says its format, and that would lie in
    /// `folder`.
    pub fn of_text(
        text: &str,
        name: &str,
        folder: &Path,
        arguments: &Arguments,
        policy: &Policy,
    ) -> Result<Self> {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        let document = Document::parse(text, ending.unwrap_or_default()).context(name)?;
        Self::of_named(&document, name, folder, arguments, policy)
    }

    /// Checks the text of a job that a command stands for. Paths in it are whole; its errors name keys of the job,
    /// and no places in a file.
    pub fn of_command(text: &str, policy: &Policy) -> Result<Self> {
        let document = Document::parse(text, "yaml")?.in_no_file();
        let here = std::path::absolute(".").map_err(|error| Error::io("this folder", error))?;
        let access = Access::new(policy, &here);
        let job = Self::of_document(&document, "copy", &Arguments::none(), access)?;
        job.check_access(&access)?;
        Ok(Self { digest: document.digest, ..job })
    }

    /// Checks a document that is called `name`, as if it lay in `folder`.
    pub fn of_named(
        document: &Document,
        name: &str,
        folder: &Path,
        arguments: &Arguments,
        policy: &Policy,
    ) -> Result<Self> {
        let access = Access::new(policy, folder);
        let stem = Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("job");
        let job = Self::of_document(document, stem, arguments, access).context(name)?;
        job.check_access(&access).context(name)?;
        Ok(Self {
            dropped_name: name.to_owned(),
            folder: folder.to_owned(),
            digest: document.digest.clone(),
            warnings: job.warnings.iter().map(|warning| format!("{name}: {warning}")).collect(),
            ..job
        })
    }

    /// Checks a job file, once its placeholders have values.
    fn of_document(
        document: &Document,
        stem: &str,
        arguments: &Arguments,
        access: Access<'_>,
    ) -> Result<Self> {
        let with_parts = |error| with_parts(error, document, access.folder());
        let mut raw: RawJob = document.typed().map_err(with_parts)?;
        let located = |error| document.locate(error);
        let bound = bind(raw.parameters.take(), document.tree(), arguments, access);
        let Bound { tree, record, unused } = bound.map_err(located)?;
        let tree = match tree {
            None => document.shared_tree(),
            Some(bound) => {
                raw = typed("", bound.clone()).map_err(located)?;
                bound.into()
            }
        };
        let warnings = unused.into_iter().map(|error| located(error).to_string()).collect();
        let job = Self::check(raw, stem, access).map_err(located)?;
        Ok(Self { parameters: record, warnings, tree, ..job })
    }

    /// Reads what a job file says of its schedule and of its parameters.
    pub(super) fn read_schedule(
        held: &Path,
        path: &Path,
    ) -> Result<(Option<Schedule>, BTreeMap<String, RawParameter>)> {
        let document = Document::read_at("the job file", held, path)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let with_parts = |error| with_parts(error, &document, folder);
        let raw: RawJob = document.typed().map_err(with_parts)?;
        let schedule = raw.schedule.map(Schedule::check).transpose();
        let schedule = schedule.map_err(|error| document.locate(error))?;
        Ok((schedule, raw.parameters.unwrap_or_default()))
    }

    /// All that the job reads of its source.
    pub fn reads(&self) -> Vec<Relation> {
        let inputs = self.relations.iter().flat_map(|relation| &relation.inputs);
        inputs.map(|input| input.relation.clone()).collect()
    }

    /// The tables that are loaded piece by piece.
    pub fn incremental_tables(&self) -> BTreeSet<String> {
        let inputs = self.relations.iter().flat_map(|relation| &relation.inputs);
        let table = |input: &Input| match &input.relation {
            Relation::Table(name) if input.incremental.is_some() => Some(name.clone()),
            _ => None,
        };
        inputs.filter_map(table).collect()
    }

    /// Whether the job needs any plugin: files to files, with SQL at most, need none.
    pub fn uses_plugins(&self) -> bool {
        matches!(self.source, Source::Connector(_))
            || matches!(self.target.to, To::Sink(_))
            || self.register.is_some()
            || self.steps.iter().any(|step| matches!(step, Step::Plugin { .. }))
    }

    /// Checks a job; files that it names lie in `folder`.
    fn check(mut raw: RawJob, default_name: &str, access: Access<'_>) -> Result<Self> {
        let name = raw.name.take().unwrap_or_else(|| default_name.to_owned());
        check_name("name", &name)?;
        let mut inputs = all_relations(&mut raw, &name)?;
        let checks = take_checks(&mut raw, &mut inputs);
        let drifts: Vec<_> = inputs.iter().map(|input| input.schema).collect();
        let sections = load_sections(&mut inputs, raw.sql.is_some() || raw.sql_file.is_some())?;
        // Each part by itself: all that is wrong is told together.
        let mut faults = Vec::new();
        let source = kept(&mut faults, check_source(raw.source, access.folder()));
        let inputs = source.as_ref().and_then(|source| {
            let checked = match source {
                Source::Connector(_) => check_relations(inputs, access),
                Source::Files(files) => check_file_relations(inputs, files, &name, access),
            };
            kept(&mut faults, checked)
        });
        let sql = text_or_file("the job", "sql", raw.sql, raw.sql_file, access);
        let sql = kept(&mut faults, sql).flatten();
        let target = kept(&mut faults, check_target(raw.target, access.folder()));
        let drifts = target.as_ref().and_then(|target| {
            kept(&mut faults, check_drift(raw.schema, &drifts, sql.is_some(), target))
        });
        let register = raw.register.zip(target.as_ref());
        let register = register.map(|(raw, target)| check_register(raw, target)).transpose();
        let register = kept(&mut faults, register).flatten();
        let steps = kept(&mut faults, check_steps(raw.transform, access));
        let chunk = kept(&mut faults, check_chunk(raw.chunk));
        let parallel = kept(&mut faults, check_parallel(raw.parallel));
        // The daemon reads it by itself. Here it only has to be right.
        raw.schedule.and_then(|schedule| kept(&mut faults, Schedule::check(schedule)));
        let notify = kept(&mut faults, check_webhooks(raw.notify));
        let cluster = kept(&mut faults, check_cluster(raw.cluster)).flatten();
        Error::all(faults)?;
        let (Some(source), Some(inputs), Some(mut target), Some(steps)) =
            (source, inputs, target, steps)
        else {
            return Err(Error::internal("a part of the job is missing"));
        };
        let mut relations = job_relations(&name, inputs, sql, drifts.unwrap_or_default());
        give_checks(checks, &mut relations, matches!(source, Source::Connector(_)), &target)?;
        give_loads(sections, &mut relations, &mut target)?;
        check_relations_fit(&relations, &source, &target)?;
        Ok(Self {
            relations,
            steps,
            target,
            register,
            chunk: chunk.unwrap_or_default(),
            parallel: parallel.unwrap_or_default(),
            record: raw.record,
            notify: notify.unwrap_or_default(),
            lineage: raw.lineage.unwrap_or(true),
            cluster,
            consistency: raw.consistency.map(Into::into),
            source,
            name,
            file: PathBuf::new(),
            dropped_name: String::new(),
            folder: access.folder().to_owned(),
            digest: String::new(),
            parameters: ParameterRecord::default(),
            tree: Arc::default(),
            warnings: Vec::new(),
        })
    }

    /// Whether the policy lets it use all that it names.
    fn check_access(&self, access: &Access<'_>) -> Result<()> {
        match &self.source {
            Source::Files(files) => access.place(Usage::Read, "source", &files.place)?,
            Source::Connector(connector) => access.connector("source", connector)?,
        }
        match &self.target.to {
            To::Folder(place, _) => access.place(Usage::Write, "target", place)?,
            // Its plugin knows what other keys name servers, and their ports: they are held when it is bound.
            To::Sink(sink) => access.sink(sink, "url", None, &access.powers())?,
        }
        for (index, webhook) in self.notify.iter().enumerate() {
            webhook.check_access(&format!("notify[{index}]"), access)?;
        }
        if let To::Folder(Place::Local(folder), _) = &self.target.to {
            for relation in &self.relations {
                let name = self.target.file.as_ref().unwrap_or(&relation.name);
                access.touched(Usage::Write, &relation.name, &folder.join(name))?;
            }
        }
        let Some(register) = &self.register else { return Ok(()) };
        access.connector("register", &register.connector)?;
        match Location::parse(&register.base).as_ref().and_then(Territory::of_location) {
            Some(base) => access.territory(Usage::Write, "register.location", &base),
            None if access.powers().limits(Usage::Write) => Err(access.powers().refusal(
                Usage::Write.key(),
                format!("`register.location`: {} may not be written", register.base),
            )),
            None => Ok(()),
        }
    }
}

/// An error of the whole file, with what else is wrong within its source and its target.
fn with_parts(error: Error, document: &Document, folder: &Path) -> Error {
    let source = document.part("source", &["direct", "kerberos"]);
    let source = source.and_then(|raw| check_source(raw, folder).err());
    let target = document.part("target", &["mode"]);
    let target = target.and_then(|raw| check_target(raw, folder).err());
    let parts = source.into_iter().chain(target).map(|error| document.locate(error));
    Error::all(std::iter::once(error).chain(parts).collect())
        .err()
        .unwrap_or_else(|| Error::internal("no error of the file is left"))
}

fn check_cluster(raw: Option<String>) -> Result<Option<ClusterUrl>> {
    raw.map(|url| ClusterUrl::parse("cluster", &url)).transpose()
}

/// Gives each relation its load mode. A sink joins rows with those that are there by itself: it is told how.
fn give_loads(
    sections: Vec<LoadSections>,
    relations: &mut [JobRelation],
    target: &mut Target,
) -> Result<()> {
    for (relation, own) in relations.iter_mut().zip(sections) {
        relation.load = own.load(&relation.name, target.mode, &target.sections)?;
    }
    if let (To::Sink(sink), true) = (&mut target.to, target.mode.is_load()) {
        let loads = relations.iter().map(|relation| (&relation.name, relation.load.as_ref()));
        let told = loads_of_sink(loads, &target.partition_by)?;
        sink.config.insert(LOAD_MODES.to_owned(), told);
    }
    Ok(())
}

/// Whether the relations go with the source and the target.
fn check_relations_fit(relations: &[JobRelation], source: &Source, target: &Target) -> Result<()> {
    check_folders(relations, target)?;
    let is_of_files = matches!(source, Source::Files(_));
    for input in relations.iter().flat_map(|relation| &relation.inputs) {
        let fits = |own: &Incremental| own.check_fit(&input.name, target.mode, is_of_files);
        input.incremental.as_ref().map_or(Ok(()), fits)?;
    }
    relations.iter().try_for_each(JobRelation::check_absent)
}

/// What is right; what is wrong joins the rest of it.
fn kept<T>(faults: &mut Vec<Error>, checked: Result<T>) -> Option<T> {
    checked.map_err(|error| faults.push(error)).ok()
}

fn check_chunk(raw: Option<RawChunk>) -> Result<ChunkSize> {
    let Some(chunk) = raw else { return Ok(ChunkSize::default()) };
    Ok(ChunkSize {
        rows: positive("chunk.rows", chunk.rows)?,
        bytes: positive("chunk.bytes", chunk.bytes)?,
    })
}

fn check_parallel(raw: Option<RawParallel>) -> Result<Parallel> {
    let Some(parallel) = raw else { return Ok(Parallel::default()) };
    Ok(Parallel {
        relations: at_once("parallel.relations", parallel.relations)?,
        chunks: at_once("parallel.chunks", parallel.chunks)?,
    })
}

fn check_source(raw: RawSource, folder: &Path) -> Result<Source> {
    let RawSource { url, plugin, direct, kerberos, mut config } = raw;
    let url = to_url("source.url", &url, folder, Side::Source)?;
    if is_folder(&scheme("source", &url)?) && plugin.is_none() {
        if direct.is_some() {
            return Err(Error::config("`source.direct`: files are read directly anyway")
                .with_hint("remove it"));
        }
        if kerberos.is_some() {
            return Err(Error::config("`source.kerberos`: stores have keys of their own")
                .with_hint("give `source.hdfs: { principal: .., keytab: .. }` for HDFS"));
        }
        return Ok(Source::Files(Box::new(check_files(&url, config)?)));
    }
    config.insert("url".into(), Value::String(url.clone()));
    let connector = check_connector("source", &url, plugin, kerberos, config)?;
    let direct = direct.map(check_direct).transpose()?.flatten().map(Box::new);
    Ok(Source::Connector(Connector { direct, ..connector }))
}

fn check_steps(raw: Vec<RawStep>, access: Access<'_>) -> Result<Vec<Step>> {
    let check = |(index, step): (usize, RawStep)| {
        let at = format!("transform[{index}]");
        let sql = text_or_file(&at, "sql", step.sql, step.sql_file, access)?;
        match (sql, step.plugin) {
            (Some(sql), None) => match step.config.keys().next() {
                None => Ok(Step::Sql(sql)),
                Some(key) => Err(Error::config(format!("unknown key `{at}.{key}`"))
                    .with_hint("a step with `sql` takes no other keys")),
            },
            (None, Some(text)) => {
                let wanted = wanted(&format!("{at}.plugin"), &text)?;
                Ok(Step::Plugin { wanted, config: step.config })
            }
            _ => Err(Error::config(format!("`{at}` is not one step"))
                .with_hint("give it one of `sql`, `sql_file`, `plugin`")),
        }
    };
    raw.into_iter().enumerate().map(check).collect()
}

fn positive(at: &str, value: Option<u64>) -> Result<Option<u64>> {
    match value {
        Some(0) => Err(Error::config(format!("`{at}` is 0")).with_hint("give 1 or more")),
        value => Ok(value),
    }
}

fn at_once(at: &str, value: Option<u64>) -> Result<Option<usize>> {
    let value = value.map(|value| within(at, value, 1..=PARALLEL_LIMIT)).transpose()?;
    Ok(value.map(|value| value as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(yaml: &str) -> Result<Job> {
        let raw = Document::parse(yaml, "yaml")?.typed()?;
        let policy = Policy::default();
        Job::check(raw, "shop", Access::new(&policy, Path::new(".")))
    }

    fn refusal(yaml: &str) -> String {
        let error = job(yaml).expect_err("must be refused");
        format!("{error}\n-> {}", error.hint().unwrap_or_default())
    }

    const REST: &str = "source: {url: 'tpch:'}\ntarget: {url: 'file:///lake'}\n";

    #[test]
    fn short_and_long_forms_mean_the_same() {
        let job = job(&format!("{REST}tables: [public.orders, '\"My.Items\"']\nquery: SELECT 1\n"))
            .unwrap();
        let names: Vec<&str> = job.relations.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["orders", "My.Items", "shop"]);
    }

    #[test]
    fn refusals_name_the_key_the_cause_and_the_next_step() {
        let cases = [
            "source: {url: 'tpch:'}\ntarget: {url: 'file:///lake'}\ntabels: [a]\n".to_owned(),
            format!("{REST}relations: [{{tabel: a}}]\n"),
            format!("{REST}relations: [{{table: a, query: b}}]\n"),
            format!("{REST}relations: [{{query: SELECT 1}}]\n"),
            format!("{REST}tables: [a.x, b.x]\n"),
            format!("{REST}tables: [../x]\n"),
            format!("{REST}tables: []\n"),
            format!("{REST}tables: [a]\nparallel: {{chunks: 0}}\n"),
            format!("{REST}tables: [a]\ntransform: [{{sql: SELECT 1, colums: [a]}}]\n"),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 'file:///x', formt: csv}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 'file:///x', plugin: http-sink}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 'http://x', plugin: http@new}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 's3://x/y', hdfs: {}}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 'file:///x', format: csv, csv: {delimiter: ab}}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: 'file:///x', compression: zstd:99}\n".to_owned(),
            "source: {url: ~somebody/x}\ntables: [a]\ntarget: {url: 'file:///x'}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a, b]\ntarget: {url: out.csv.gz}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: out.csv, format: json}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: out.csv, mode: append}\n".to_owned(),
            "source: {url: 'tpch:'}\ntables: [a]\ntarget: {url: out.csv, partition_by: [a]}\n".to_owned(),
            "tables: [a\n".to_owned(),
            "- a\n".to_owned(),
        ];
        let refusals: Vec<String> = cases.iter().map(|case| refusal(case)).collect();
        insta::assert_snapshot!(refusals.join("\n\n"));
    }
}
