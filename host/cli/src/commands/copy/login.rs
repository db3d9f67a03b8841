//! Passwords of a copy. None is an argument: everybody on the machine reads those.

use std::io::{IsTerminal, stdin};
use std::path::PathBuf;

use clap::Args;
use console::Term;
use longshore_engine::plan::Planner;
use longshore_model::config::job::{Job, Source};
use longshore_model::error::{Class, Error, Result};
use serde_json::{Map, Value, json};

use super::super::{App, show};
use super::secrets::{SOURCE, TARGET};

/// The key of a password, in sources and in sinks.
const PASSWORD: &str = "password";

#[derive(Args)]
pub(super) struct LoginArgs {
    /// The environment variable with the source's password; it is asked for on a terminal if the source wants one
    #[arg(long, value_name = "NAME", conflicts_with = "password_file")]
    password_env: Option<String>,
    /// The file with the source's password
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The environment variable with the target's password
    #[arg(long, value_name = "NAME", conflicts_with = "target_password_file")]
    target_password_env: Option<String>,
    /// The file with the target's password
    #[arg(long, value_name = "FILE")]
    target_password_file: Option<PathBuf>,
}

impl LoginArgs {
    pub(super) fn put_source(&self, source: &mut Map<String, Value>) -> Result<()> {
        SOURCE.check_options(source)?;
        if let Some(secret) = secret(&self.password_env, &self.password_file)? {
            source.insert(PASSWORD.into(), secret);
        }
        Ok(())
    }

    /// A store takes its password in a section of its own.
    pub(super) fn put_target(&self, url: &str, target: &mut Map<String, Value>) -> Result<()> {
        TARGET.check_options(target)?;
        let Some(secret) = secret(&self.target_password_env, &self.target_password_file)? else {
            return Ok(());
        };
        let section = if url.starts_with("sftp:") {
            let section = target.entry("sftp").or_insert_with(|| json!({}));
            section.as_object_mut()
        } else {
            Some(target)
        };
        if let Some(section) = section {
            section.insert(PASSWORD.into(), secret);
        }
        Ok(())
    }
}

/// Where a secret is found, as a job says it.
fn secret(env: &Option<String>, file: &Option<PathBuf>) -> Result<Option<Value>> {
    if let Some(name) = env {
        return Ok(Some(json!({ "env": name })));
    }
    let Some(file) = file else { return Ok(None) };
    let whole = std::path::absolute(file).map_err(|error| Error::io(file.display(), error))?;
    Ok(Some(json!({ "file": whole })))
}

/// Asks for the source's password on a terminal, if the source refuses to answer without one.
pub(super) fn ask_if_wanted(app: &App, job: &mut Job) -> Result<()> {
    let Source::Connector(connector) = &job.source else { return Ok(()) };
    let is_given = connector.config.contains_key(PASSWORD) || connector.kerberos.is_some();
    if is_given || !stdin().is_terminal() || !wants_password(app, job)? {
        return Ok(());
    }
    let term = Term::stderr();
    let url = connector.config.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
    let asked =
        term.write_str(&format!("password for {url}: ")).and_then(|()| term.read_secure_line());
    let password = asked.map_err(|error| Error::io("asking for the password", error))?;
    if let Source::Connector(connector) = &mut job.source {
        // The job's text does not hold it, and with it neither the ledger nor a saved file.
        connector.config.insert(PASSWORD.into(), Value::String(password));
    }
    Ok(())
}

/// Whether the source refuses a login without a password. What else is wrong is told by the run.
fn wants_password(app: &App, job: &Job) -> Result<bool> {
    let tested = app.io.block_on(async {
        let plugins = app.resolve(job).await?;
        Planner::new(plugins, &app.settings).source(job)?.test().await
    });
    match tested {
        Err(error) if speaks_of_password(&error) => {
            show::note(&error.to_string());
            Ok(true)
        }
        _ => Ok(false),
    }
}

/// A refused login; or a job that lacks what the server asks for, which connectors can only say in words.
fn speaks_of_password(error: &Error) -> bool {
    match error.class() {
        Class::Auth => true,
        Class::Config => error.to_string().contains(PASSWORD),
        _ => false,
    }
}
