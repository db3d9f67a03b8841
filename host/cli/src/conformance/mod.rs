//! The conformance suite: what a component must keep to, whatever language it is written in. A
//! promise is a line that people read; what breaks it is told beside it. And how fast it is, and what
//! it makes of a tape.

mod connector;
mod description;
mod replay;
mod rows;
mod sink;
mod speed;
mod transform;

pub use replay::{Replay, ReplayResult, Verdict};
pub use speed::{Figures, measure};

use std::ops::Deref;
use std::sync::Arc;

use longshore_model::config::Settings;
use longshore_model::error::{Class, Error, Result};
use longshore_plugins::{Binding, Bound, Plugin, PluginKind, Secrets, bind};
use longshore_sandbox::{Kind, Relation};
use serde_json::{Map, Value};

/// The inputs of the conformance suite.
pub struct SuiteInputs<'a> {
    /// Its config, as a job gives it; without one only its description can be looked at.
    pub config: Option<Map<String, Value>>,
    /// For a connector: what to read. Without any, the first of what it lists.
    pub relations: Vec<Relation>,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The promise.
    pub promise: String,
    /// Why the promise is broken, if it is.
    pub fault: Option<String>,
}

/// The outcomes so far.
#[derive(Default)]
struct Suite {
    outcomes: Vec<Outcome>,
}

impl Suite {
    /// Notes whether a promise is kept; gives what its check gave.
    fn note<T>(&mut self, promise: impl Into<String>, checked: Result<T>) -> Option<T> {
        let fault = checked.as_ref().err().map(ToString::to_string);
        self.outcomes.push(Outcome { promise: promise.into(), fault });
        checked.ok()
    }
}

/// Holds a component against the suite.
pub async fn check(plugin: &Arc<Plugin>, given: &SuiteInputs<'_>) -> Result<Vec<Outcome>> {
    let mut suite = Suite::default();
    description::check(&mut suite, plugin).await;
    let Some(config) = &given.config else { return Ok(suite.outcomes) };
    let binding = bound(plugin, config, given.settings)?;
    match plugin.kind() {
        PluginKind::Connector => {
            let probe = Probe(binding.compile().await?);
            connector::check(&mut suite, &probe, &given.relations).await;
        }
        PluginKind::Transform => {
            transform::check(&mut suite, &Probe(binding.compile().await?)).await;
        }
        PluginKind::Sink => sink::check(&mut suite, &Probe(binding.compile().await?)).await,
    }
    Ok(suite.outcomes)
}

/// A plugin under examination: each question is asked in an instance of its own.
struct Probe<K: Kind>(Arc<Bound<K>>);

impl<K: Kind> Deref for Probe<K> {
    type Target = Bound<K>;

    fn deref(&self) -> &Bound<K> {
        &self.0
    }
}

/// The plugin with its config, and what that grants.
fn bound(
    plugin: &Arc<Plugin>,
    config: &Map<String, Value>,
    settings: &Settings,
) -> Result<Binding> {
    let scope = settings.policy.powers(plugin.name(), &plugin.version, plugin.digest())?;
    let secrets = Secrets::Folder(settings.secrets.as_deref());
    let (config_given, mut grant) = bind(config, &plugin.info, secrets, &scope)?;
    grant.odbc = plugin.stamp().asks_for_odbc().then(|| scope.odbc(config));
    Ok(Binding { plugin: plugin.clone(), config: config_given, grant })
}

/// A promise that is not kept.
fn broken<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::data(what.into()))
}

/// That something is refused, in words, and not by a fault of the component.
fn refused<T>(what: &str, answer: Result<T>) -> Result<()> {
    match answer {
        Ok(_) => broken(format!("{what} was taken")),
        Err(error) if error.class() == Class::Internal => {
            broken(format!("{what} is a fault of the plugin, not an error for people: {error}"))
        }
        Err(_) => Ok(()),
    }
}
