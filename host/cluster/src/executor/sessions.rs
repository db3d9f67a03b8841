//! The runs that an executor works on. Each is opened with its first attempt, and closed when its driver lets go of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http::StatusCode;
use longshore::program::Host;
use longshore_model::error::{Class, Error, Result};
use longshore_plugins::{Admission, Catalog, Compile, Plugin};
use longshore_run::cluster::{ExecutorRun, RunSpec};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

use super::driver_line::DriverLine;
use crate::address::unguessable;
use crate::http::{Answer, REFUSED, ask};
use crate::limits::{DRIVER_LIMIT, DRIVER_SILENCE_SECS, SESSION_LOOK_SECS, STOP_NOTICE_SECS};
use crate::message::Assignment;
use crate::tls::ClusterTls;

/// The runs, and the connections to their drivers.
pub(super) struct Sessions {
    host: Host,
    tls: ClusterTls,
    drivers: Mutex<HashMap<String, Channel>>,
    runs: Mutex<HashMap<String, Arc<OnceCell<Arc<ExecutorRun>>>>>,
    /// Where each run has a folder for what it needs of this machine's disk.
    scratch: PathBuf,
    /// The lines of the attempts that are running.
    lines: Mutex<Vec<Weak<DriverLine>>>,
}

impl Sessions {
    pub(super) fn new(host: Host, tls: ClusterTls, scratch: PathBuf) -> Self {
        Self {
            host,
            tls,
            drivers: Mutex::default(),
            runs: Mutex::default(),
            scratch,
            lines: Mutex::default(),
        }
    }

    /// Remembers that an attempt is under way, as long as somebody has the line.
    pub(super) fn begun(&self, line: &Arc<DriverLine>) {
        let mut lines = self.lines.lock();
        lines.retain(|line| line.strong_count() > 0);
        lines.push(Arc::downgrade(line));
    }

    /// Tells the drivers of what is under way that it is given up: they need not wait until they miss this executor.
    pub(super) async fn give_up(&self, name: &str) {
        let lines: Vec<_> = self.lines.lock().drain(..).filter_map(|line| line.upgrade()).collect();
        let told = lines.iter().map(|line| {
            line.end(Err(Error::connection(format!("executor {name} was told to stop"))))
        });
        // Who does not answer misses it later.
        let _ = timeout(Duration::from_secs(STOP_NOTICE_SECS), join_all(told)).await;
    }

    /// The runtime that serves connections.
    pub(super) fn io(&self) -> &Handle {
        self.host.threads.io.handle()
    }

    /// The connection to a driver. Call it on the runtime that serves connections.
    pub(super) fn driver(&self, url: &str) -> Result<Channel> {
        let mut drivers = self.drivers.lock();
        if let Some(channel) = drivers.get(url) {
            return Ok(channel.clone());
        }
        // Most are of processes that have ended. Those in use are held by their users, too.
        if drivers.len() >= DRIVER_LIMIT {
            drivers.clear();
        }
        let channel = self.tls.channel(url)?;
        drivers.insert(url.to_owned(), channel.clone());
        Ok(channel)
    }

    /// The run of an assignment.
    pub(super) async fn run(
        self: &Arc<Self>,
        assignment: &Assignment,
        driver: &Channel,
    ) -> Result<Arc<ExecutorRun>> {
        let cell = self.runs.lock().entry(assignment.session.clone()).or_default().clone();
        let (own, session, driver) = (self.clone(), assignment.session.clone(), driver.clone());
        let open = || async {
            let opening = self.io().spawn(async move { own.open(session, driver).await });
            opening.await.map_err(fault)?
        };
        let run = cell.get_or_try_init(open).await.cloned();
        if run.is_err() {
            let mut runs = self.runs.lock();
            drop(cell);
            // Another attempt may be opening the run by the same cell, or has.
            let is_idle =
                |cell: &Arc<OnceCell<_>>| Arc::strong_count(cell) == 1 && !cell.initialized();
            if runs.get(&assignment.session).is_some_and(is_idle) {
                runs.remove(&assignment.session);
            }
        }
        run
    }

    async fn open(self: Arc<Self>, session: String, driver: Channel) -> Result<Arc<ExecutorRun>> {
        let spec = get(&driver, &format!("/sessions/{session}")).await?;
        let spec: RunSpec = serde_json::from_slice(&spec.body)?;
        tracing::info!("run {}: taken up", spec.run);
        let catalog = self.catalog(&session, &driver, &spec).await?;
        // No name that comes from outside.
        let scratch = self.scratch.join(unguessable()?);
        let run = ExecutorRun::open(spec, &catalog, &self.host.settings, scratch).await?;
        let run = Arc::new(run);
        tokio::spawn(self.clone().keep(session, driver, run.clone()));
        Ok(run)
    }

    /// The plugins of this machine, and those of the run that it has not.
    async fn catalog(
        &self,
        session: &str,
        driver: &Channel,
        spec: &RunSpec,
    ) -> Result<Arc<Catalog>> {
        if spec.built_by.plugins.is_empty() {
            return Ok(Arc::default());
        }
        let catalog = self.host.catalog().await?;
        let mut fetched = Vec::new();
        for digest in spec.built_by.plugins.values() {
            if !catalog.has(digest) {
                fetched.push(self.fetch(session, driver, digest).await?);
            }
        }
        if fetched.is_empty() { Ok(catalog) } else { Ok(Arc::new(catalog.with(fetched))) }
    }

    /// A plugin of the driver's: it is held against this machine's policy as one of its own.
    async fn fetch(&self, session: &str, driver: &Channel, digest: &str) -> Result<Plugin> {
        let file = get(driver, &format!("/sessions/{session}/plugins/{digest}")).await?;
        let name = format!("the driver's plugin sha256:{digest}");
        let admission = Admission::signed(self.host.settings.policy.signers());
        let (sandbox, bytes) = (self.host.sandbox()?, Arc::from(&file.body[..]));
        let plugin = Plugin::load_bytes(&sandbox, &name, bytes, &admission, Compile::OnUse).await?;
        if plugin.digest() != digest {
            return Err(Error::config(format!("{name} is sha256:{} by now", plugin.digest()))
                .with_hint("run the job again: its plugin was replaced while it ran"));
        }
        Ok(plugin)
    }

    /// Closes a run when its driver has let go of it.
    async fn keep(self: Arc<Self>, session: String, driver: Channel, run: Arc<ExecutorRun>) {
        let mut heard = Instant::now();
        loop {
            sleep(Duration::from_secs(SESSION_LOOK_SECS)).await;
            match ask(&driver, &format!("/sessions/{session}/alive"), None).await {
                Ok(answer) if answer.status == StatusCode::OK => heard = Instant::now(),
                Err(error)
                    if error.code() != Some(REFUSED)
                        && heard.elapsed().as_secs() < DRIVER_SILENCE_SECS => {}
                _ => break,
            }
        }
        self.runs.lock().remove(&session);
        run.close().await;
    }
}

fn fault(error: JoinError) -> Error {
    Error::internal(format!("opening a run: {error}"))
}

async fn get(driver: &Channel, path: &str) -> Result<Answer> {
    let answer = ask(driver, path, None).await?;
    match answer.status {
        StatusCode::OK => Ok(answer),
        StatusCode::GONE => Err(Error::new(Class::Cancelled, "the driver has let go of the run")),
        StatusCode::NOT_FOUND => Err(Error::not_found("the driver has lost a plugin of the run")
            .with_hint("install it on the executors as well")),
        other => Err(Error::internal(format!("the driver answered {other}"))),
    }
}
