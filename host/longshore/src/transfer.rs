//! A transfer: a job, the values of its parameters, and the settings that it runs with.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use longshore_model::config::{Access, Arguments, Document, Job, ParameterRecord, Policy};
use longshore_model::error::{Error, Result, ResultExt};
use longshore_model::watermark::Backfill;
use longshore_run::RunReport;
use longshore_run::inspection::{ConnectionTest, RelationPreview, plan_json, validate_with};
use longshore_run::ledger::Ledger;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::host::Host;
use crate::plan::Plan;
use crate::run::{Run, panicked};
use crate::settings::Settings;
use crate::threads::{on_large_stack, threads};
use crate::work::{Task, Work};

/// What a job without a file is called where something is said of it, and its name without an ending is that of the
/// job.
const NAME: &str = "transfer.json";

/// A transfer: a job, the values of its parameters, and the settings that it runs with.
///
/// Its methods have the names of the job file's keys. A key that is set takes the place of what the job says.
/// Nothing is checked before it runs, or is looked at.
#[derive(Clone)]
#[must_use = "a transfer does nothing until it runs"]
pub struct Transfer {
    document: Document,
    origin: Origin,
    parameters: BTreeMap<String, Value>,
    settings: Option<Settings>,
    run_key: Option<String>,
    backfill: Option<Backfill>,
}

/// Where the job comes from.
#[derive(Clone)]
struct Origin {
    /// What it is called where something is said of it.
    name: String,
    /// Its file, if it has one.
    file: Option<PathBuf>,
    /// The folder of files that it names.
    folder: PathBuf,
}

impl Transfer {
    /// The job of a file: YAML, TOML or JSON, by its ending.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let file = std::path::absolute(path).map_err(|error| Error::io(&name, error))?;
        let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
        let document = on_large_stack(|| Document::read(path))?;
        Ok(Self::new(document, Origin { name, file: Some(file), folder }))
    }

    /// The job of a text. `name` is what it would be called as a file, such as `shop.yaml`: its ending says the format.
    /// Files that the job names lie in the working folder.
    pub fn from_text(name: &str, text: &str) -> Result<Self> {
        let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
        let parse = || Document::parse(text, ending.unwrap_or_default()).context(name);
        Ok(Self::new(on_large_stack(parse)?, Origin::without_file(name)))
    }

    /// A job from one URL to another: `source.url` and `target.url`.
    pub fn copy(source: &str, target: &str) -> Self {
        let tree = json!({ "source": { "url": source }, "target": { "url": target } });
        Self::new(Document::of_value(tree), Origin::without_file(NAME))
    }

    fn new(document: Document, origin: Origin) -> Self {
        let parameters = BTreeMap::new();
        Self { document, origin, parameters, settings: None, run_key: None, backfill: None }
    }

    /// The job's `name`.
    pub fn name(self, name: &str) -> Self {
        self.set("name", name)
    }

    /// The `tables` to move.
    pub fn tables<T: Into<String>>(self, tables: impl IntoIterator<Item = T>) -> Self {
        self.set("tables", tables.into_iter().map(Into::into).collect::<Vec<String>>())
    }

    /// One more of the `relations`: a table or a query, with all that a job file says of it.
    pub fn relation(self, relation: impl Into<Value>) -> Self {
        Self { document: self.document.with_item("relations", relation.into()), ..self }
    }

    /// The `query` whose result to move, in the source's own language.
    pub fn query(self, query: &str) -> Self {
        self.set("query", query)
    }

    /// One more step of `transform`: `{ "sql": .. }`, or `{ "plugin": .. }` with what that plugin wants to know.
    pub fn transform(self, step: impl Into<Value>) -> Self {
        Self { document: self.document.with_item("transform", step.into()), ..self }
    }

    /// A key of `source`, such as `password`.
    pub fn source(self, key: &str, value: impl Into<Value>) -> Self {
        self.set(&format!("source.{key}"), value)
    }

    /// A key of `target`, such as `mode` or `compression`.
    pub fn target(self, key: &str, value: impl Into<Value>) -> Self {
        self.set(&format!("target.{key}"), value)
    }

    /// Any key of the job file, such as `consistency` or `chunk.rows`.
    pub fn set(self, key: &str, value: impl Into<Value>) -> Self {
        Self { document: self.document.with(key, value.into()), ..self }
    }

    /// The value of a parameter that the job declares.
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// The settings; those of [`Settings::builder`] without any call by default.
    pub fn settings(self, settings: &Settings) -> Self {
        Self { settings: Some(settings.clone()), ..self }
    }

    /// A name for this piece of work: the same key resumes its run, and runs nothing again that has succeeded. It
    /// needs a state folder.
    pub fn run_key(self, key: &str) -> Self {
        Self { run_key: Some(key.to_owned()), ..self }
    }

    /// Loads a window of the incremental relations once more: from one value to before another. The watermark stays.
    pub fn backfill(self, from: &str, to: &str) -> Self {
        Self { backfill: Some(Backfill { from: from.to_owned(), to: to.to_owned() }), ..self }
    }

    /// Begins the run, on Longshore's own threads. It needs no runtime.
    pub fn start(self) -> Run {
        Run::begin(move || self.task())
    }

    /// Runs the job. To be awaited on any runtime, of Tokio or not. If the future is dropped, the run is cancelled, as
    /// a [`Run`] that is dropped.
    pub async fn run(self) -> Result<RunReport> {
        self.start().await
    }

    /// Runs the job, and waits for it. It needs no runtime, and refuses to hold up one.
    pub fn run_blocking(self) -> Result<RunReport> {
        if Handle::try_current().is_ok() {
            return Err(Error::config(
                "`run_blocking` would hold up the Tokio runtime that calls it",
            )
            .with_hint(
                "await `run()` there; in `spawn_blocking`, give it to `Handle::current().block_on`",
            ));
        }
        futures::executor::block_on(self.run())
    }

    /// Checks the job, without a connection. Tells all that is wrong with it.
    pub async fn validate(self) -> Result<()> {
        self.look(|looking| async move {
            let catalog = looking.host.catalog_for(&looking.job).await?;
            let found = validate_with(&looking.job, &catalog, &looking.host.settings).await;
            Error::all(found.faults).context(looking.name)
        })
        .await
    }

    /// Asks the source, the target and the catalog.
    pub async fn test_connection(self) -> Result<ConnectionTest> {
        self.look(|JobInspection { host, job, .. }| async move { host.test_connection(&job).await })
            .await
    }

    /// Tells what a run would do, without reading rows.
    pub async fn plan(self) -> Result<Plan> {
        self.look(|JobInspection { host, job, .. }| async move {
            let (plan, there) = host.plan(&job).await?;
            Plan::of_json(plan_json(&job, &plan, &there))
        })
        .await
    }

    /// Reads the first rows of each relation, as they would be published.
    pub async fn preview(self, rows: usize) -> Result<Vec<RelationPreview>> {
        self.look(
            move |JobInspection { host, job, .. }| async move { host.preview(&job, rows).await },
        )
        .await
    }

    /// Looks at the job on a thread of Longshore's own, until the future is dropped.
    async fn look<T, F>(self, look: impl FnOnce(JobInspection) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>>,
    {
        let (mut send, receive) = oneshot::channel();
        let io = &threads()?.io;
        io.spawn_blocking(move || {
            let looking = async {
                let host = self.host()?;
                let job = self.job(&self.arguments(), &host.settings.policy)?;
                look(JobInspection { host, job, name: self.origin.name }).await
            };
            let done = io.block_on(async {
                tokio::select! {
                    done = looking => Some(done),
                    () = send.closed() => None,
                }
            });
            // Somebody may have gone just now.
            done.map(|done| send.send(done).ok())
        });
        receive.await.unwrap_or_else(|_| Err(panicked()))
    }

    /// What there is to do for a run.
    fn task(self) -> Result<Task> {
        let has_state = self.settings.as_ref().is_some_and(|settings| settings.0.state.is_some());
        let host = self.host()?;
        let job = self.job(&self.arguments(), &host.settings.policy)?;
        self.check_state(&job, has_state)?;
        let ledger = Ledger::open(&host.settings.state)?;
        let work = Work::new(host, ledger, job)?;
        if let Some(backfill) = &self.backfill {
            work.ledger.set_backfill(&work.run, backfill)?;
        }
        let Some(key) = &self.run_key else { return Ok(Task::Run(Box::new(work))) };
        let policy = work.host.settings.policy.clone();
        let again = |begun: &ParameterRecord| self.job(&Arguments::of_run(begun), &policy);
        Task::of_key(key, &self.parameters, work, again)
    }

    /// Refuses what would be lost with the state folder, and keys that no window belongs to.
    fn check_state(&self, job: &Job, has_state: bool) -> Result<()> {
        let needs_state = |what: &str| {
            Error::config(format!("{what} needs a state folder, which outlives the run"))
                .with_hint("name one by `Settings::builder().state(FOLDER)`")
        };
        if self.run_key.is_some() && self.backfill.is_some() {
            return Err(Error::config("a run key and a window to load once more are given")
                .with_hint("give one of `run_key` and `backfill`"));
        }
        if self.run_key.is_some() && !has_state {
            return Err(needs_state("a run key"));
        }
        let mut inputs = job.relations.iter().flat_map(|relation| &relation.inputs);
        match inputs.find(|input| input.incremental.is_some()) {
            Some(input) if !has_state => {
                Err(needs_state(&format!("the incremental relation `{}`", input.name)))
            }
            _ => Ok(()),
        }
    }

    fn host(&self) -> Result<Host> {
        match &self.settings {
            Some(settings) => Host::new(settings),
            None => Host::new(&Settings::builder().build()?),
        }
    }

    fn arguments(&self) -> Arguments {
        Arguments::of_caller(self.parameters.clone())
    }

    /// The job, checked.
    fn job(&self, arguments: &Arguments, policy: &Policy) -> Result<Job> {
        let Origin { name, file, folder } = &self.origin;
        if let Some(file) = file {
            Access::new(policy, folder).job_file(file).context(name)?;
        }
        let job = Job::of_named(&self.document, name, folder, arguments, policy)?;
        job.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        Ok(Job { file: file.clone().unwrap_or_default(), ..job })
    }
}

impl Origin {
    fn without_file(name: &str) -> Self {
        let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        Self { name: name.to_owned(), file: None, folder }
    }
}

/// A job may hold passwords: it is not shown.
impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transfer({})", self.origin.name)
    }
}

/// A job that is looked at.
struct JobInspection {
    host: Host,
    job: Job,
    name: String,
}
