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

pub use replay::{Replay, Replayed, Verdict};
pub use speed::{Figures, measure};

use longshore_model::config::Settings;
use longshore_model::error::{Class, Error, Result};
use longshore_model::grant::Grant;
use longshore_plugins::{Described, Plugin, Secrets, bind};
use longshore_sandbox::Relation;
use serde_json::{Map, Value};

/// What a component is held against.
pub struct Given<'a> {
    /// Its config, as a job gives it; without one only its description can be looked at.
    pub config: Option<Map<String, Value>>,
    /// For a connector: what to read. Without any, the first of what it lists.
    pub relations: Vec<Relation>,
    /// The operator's settings.
    pub settings: &'a Settings,
}

/// What came of one promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The promise.
    pub promise: String,
    /// What broke it, if anything did.
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
pub async fn check(plugin: &Plugin, given: &Given<'_>) -> Result<Vec<Outcome>> {
    let mut suite = Suite::default();
    description::check(&mut suite, plugin).await;
    let Some(config) = &given.config else { return Ok(suite.outcomes) };
    let (config, grant) = bound(plugin, config, given.settings)?;
    let name = plugin.name();
    match &plugin.described {
        Described::Connector(described, component) => {
            let probe = connector::Probe { name, described, component, config, grant };
            connector::check(&mut suite, &probe, &given.relations).await;
        }
        Described::Transform(_, component) => {
            let probe = transform::Probe { name, component, config, grant };
            transform::check(&mut suite, &probe).await;
        }
        Described::Sink(_, component) => {
            let probe = sink::Probe { name, component, config, grant };
            sink::check(&mut suite, &probe).await;
        }
    }
    Ok(suite.outcomes)
}

/// The config as the component gets it, and what it is granted.
fn bound(
    plugin: &Plugin,
    config: &Map<String, Value>,
    settings: &Settings,
) -> Result<(String, Grant)> {
    let powers = settings.policy.powers(plugin.name(), &plugin.version, &plugin.digest)?;
    let of = &plugin.described;
    let secrets = Secrets::Folder(settings.secrets.as_deref());
    let (config_given, mut grant) =
        bind(config, of.config_schema(), of.secrets(), of.endpoints(), secrets, &powers)?;
    grant.odbc = plugin.stamp.asks_for_odbc().then(|| powers.odbc(config));
    Ok((config_given, grant))
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
