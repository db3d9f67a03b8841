//! A job, checked: everything after it is valid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::access::Access;
use super::checks::{Check, RawChecks, Relations};
use super::connector::{Connector, check_connector, scheme, wanted};
use super::direct::{Location, check_direct};
use super::document::{Document, typed};
use super::drift::{DriftPolicy, check_drift};
use super::files::{Files, check_files, name_of};
use super::incremental::Incremental;
use super::load::{Load, LoadSections};
use super::notify::{Webhook, check_webhooks};
use super::parameters::{Arguments, Bound, ParameterRecord, bind};
use super::place::{Place, is_folder};
use super::plugin_requirement::PluginRequirement;
use super::policy::Policy;
use super::query_file::read_query_file;
use super::raw::{
    RawChunk, RawConsistency, RawJob, RawParallel, RawParameter, RawRelation, RawSource, RawStep,
};
use super::record::Record;
use super::register::{Register, check_register};
use super::schedule::Schedule;
use super::table_name::last_part;
use super::target::{Target, To, check_target};
use super::territory::{Territory, Usage};
use crate::error::{Error, Result, ResultExt};
use crate::format::is_steering;
use crate::relation::{Consistency, Relation};

/// The longest name of a job or a relation.
pub const NAME_LIMIT_BYTES: usize = 200;

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
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// Files of a store.
    Files(Box<Files>),
    /// Whatever a connector reads.
    Connector(Connector),
}

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
    /// What becomes of it when its columns change, if the job says it.
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
    fn check_absent(&self) -> Result<()> {
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

    fn of_named(
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
        let mut raw: RawJob = document.typed().map_err(|error| with_parts(error, document))?;
        let located = |error| document.locate(error);
        let bound = bind(raw.parameters.take(), document.tree(), arguments, access);
        let Bound { tree, record, unused } = bound.map_err(located)?;
        if let Some(tree) = tree {
            raw = typed("", tree).map_err(located)?;
        }
        let warnings = unused.into_iter().map(|error| located(error).to_string()).collect();
        let job = Self::check(raw, stem, access).map_err(located)?;
        Ok(Self { parameters: record, warnings, ..job })
    }

    /// Reads what a job file says of its schedule and of its parameters.
    pub(super) fn read_schedule(
        held: &Path,
        path: &Path,
    ) -> Result<(Option<Schedule>, BTreeMap<String, RawParameter>)> {
        let document = Document::read_at("the job file", held, path)?;
        let raw: RawJob = document.typed().map_err(|error| with_parts(error, &document))?;
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
        let source = kept(&mut faults, check_source(raw.source));
        let inputs = match &source {
            None => None,
            Some(Source::Connector(_)) => kept(&mut faults, check_relations(inputs, access)),
            Some(Source::Files(files)) => {
                kept(&mut faults, check_file_relations(inputs, files, &name, access))
            }
        };
        let sql = text_or_file("the job", "sql", raw.sql, raw.sql_file, access);
        let sql = kept(&mut faults, sql).flatten();
        let target = kept(&mut faults, check_target(raw.target));
        let drifts = target.as_ref().and_then(|target| {
            kept(&mut faults, check_drift(raw.schema, &drifts, sql.is_some(), target))
        });
        let register = match (raw.register, &target) {
            (Some(register), Some(target)) => kept(&mut faults, check_register(register, target)),
            _ => None,
        };
        let steps = kept(&mut faults, check_steps(raw.transform, access));
        let chunk = kept(&mut faults, check_chunk(raw.chunk));
        let parallel = kept(&mut faults, check_parallel(raw.parallel));
        // The daemon reads it by itself. Here it only has to be right.
        raw.schedule.and_then(|schedule| kept(&mut faults, Schedule::check(schedule)));
        let notify = kept(&mut faults, check_webhooks(raw.notify));
        Error::all(faults)?;
        let (Some(source), Some(inputs), Some(target), Some(steps)) =
            (source, inputs, target, steps)
        else {
            return Err(Error::internal("a part of the job is missing"));
        };
        let mut relations = job_relations(&name, inputs, sql, drifts.unwrap_or_default());
        give_checks(checks, &mut relations, &source, &target)?;
        for (relation, own) in relations.iter_mut().zip(sections) {
            relation.load = own.load(&relation.name, target.mode, &target.sections)?;
        }
        check_folders(&relations, &target)?;
        let is_of_files = matches!(source, Source::Files(_));
        for input in relations.iter().flat_map(|relation| &relation.inputs) {
            let fits = |own: &Incremental| own.check_fit(&input.name, target.mode, is_of_files);
            input.incremental.as_ref().map_or(Ok(()), fits)?;
        }
        relations.iter().try_for_each(JobRelation::check_absent)?;
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
            consistency: raw.consistency.map(|demanded| match demanded {
                RawConsistency::Snapshot => Consistency::Snapshot,
                RawConsistency::PerChunk => Consistency::PerChunk,
            }),
            source,
            name,
            file: PathBuf::new(),
            dropped_name: String::new(),
            folder: access.folder().to_owned(),
            digest: String::new(),
            parameters: ParameterRecord::default(),
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
                access.touched(Usage::Write, &relation.name, &folder.join(&relation.name))?;
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
fn with_parts(error: Error, document: &Document) -> Error {
    let source = document.part("source", &["direct", "kerberos"]);
    let source = source.and_then(|raw| check_source(raw).err());
    let target = document.part("target", &["mode"]).and_then(|raw| check_target(raw).err());
    let parts = source.into_iter().chain(target).map(|error| document.locate(error));
    Error::all(std::iter::once(error).chain(parts).collect())
        .err()
        .unwrap_or_else(|| Error::internal("no error of the file is left"))
}

/// The relations of the target: each input is one, or `sql` makes one of all.
fn job_relations(
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

/// What is right; what is wrong joins the rest of it.
fn kept<T>(faults: &mut Vec<Error>, checked: Result<T>) -> Option<T> {
    checked.map_err(|error| faults.push(error)).ok()
}

/// The relations of a job, in whichever way it names them.
fn all_relations(raw: &mut RawJob, name: &str) -> Result<Vec<RawRelation>> {
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

/// What the relations say of their load mode, apart from the rest of them.
fn load_sections(inputs: &mut [RawRelation], has_sql: bool) -> Result<Vec<LoadSections>> {
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
fn take_checks(raw: &mut RawJob, inputs: &mut [RawRelation]) -> RawChecks {
    let of_entries = inputs.iter_mut().map(|input| std::mem::take(&mut input.checks));
    RawChecks { of_job: std::mem::take(&mut raw.checks), of_entries: of_entries.collect() }
}

/// Gives each relation its checks.
fn give_checks(
    checks: RawChecks,
    relations: &mut [JobRelation],
    source: &Source,
    target: &Target,
) -> Result<()> {
    let names: Vec<String> = relations.iter().map(|relation| relation.name.clone()).collect();
    let checks = checks.of(Relations {
        names: &names,
        is_joined: relations.iter().any(|relation| relation.sql.is_some()),
        has_queries: matches!(source, Source::Connector(_)),
        has_quarantine: matches!(target.to, To::Folder(..)) && !target.mode.reads_first(),
    })?;
    relations.iter_mut().zip(checks).for_each(|(relation, checks)| relation.checks = checks);
    Ok(())
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

fn check_source(raw: RawSource) -> Result<Source> {
    let RawSource { url, plugin, direct, kerberos, mut config } = raw;
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

fn check_relations(raw: Vec<RawRelation>, access: Access<'_>) -> Result<Vec<Input>> {
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
fn check_file_relations(
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
            return Err(Error::config(format!("`{at}`: files have no queries of their own"))
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

/// A text given as it is, or in a file beside the job file.
fn text_or_file(
    at: &str,
    key: &str,
    text: Option<String>,
    file: Option<String>,
    access: Access<'_>,
) -> Result<Option<String>> {
    match (text, file) {
        (Some(_), Some(_)) => {
            Err(Error::config(format!("`{at}` has both `{key}` and `{key}_file`"))
                .with_hint("keep one of them"))
        }
        (None, Some(file)) => read_query_file(&format!("{at}.{key}_file"), &file, access).map(Some),
        (text, None) => Ok(text),
    }
}

/// Names become folders, which readers of lakes skip when they begin with `.` or `_`.
fn check_name(at: &str, name: &str) -> Result<()> {
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
fn check_folders(relations: &[JobRelation], target: &Target) -> Result<()> {
    let To::Folder(place, _) = &target.to else { return Ok(()) };
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

fn positive(at: &str, value: Option<u64>) -> Result<Option<u64>> {
    match value {
        Some(0) => Err(Error::config(format!("`{at}` is 0")).with_hint("give 1 or more")),
        value => Ok(value),
    }
}

fn at_once(at: &str, value: Option<u64>) -> Result<Option<usize>> {
    match value {
        Some(value) if value == 0 || value > PARALLEL_LIMIT => {
            Err(Error::config(format!("`{at}` is {value}"))
                .with_hint(format!("give 1 to {PARALLEL_LIMIT}")))
        }
        value => Ok(value.map(|value| value as usize)),
    }
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
            "source: {url: db.internal}\ntables: [a]\ntarget: {url: 'file:///x'}\n".to_owned(),
            "tables: [a\n".to_owned(),
            "- a\n".to_owned(),
        ];
        let refusals: Vec<String> = cases.iter().map(|case| refusal(case)).collect();
        insta::assert_snapshot!(refusals.join("\n\n"));
    }
}
