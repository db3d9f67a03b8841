//! `longshore token create|list|revoke` and `longshore dashboard`: who may use the daemon's API. Whoever can write
//! the state folder decides.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use longshore_daemon::api::ApiPlace;
use longshore_daemon::api::limits::LOGIN_SECS;
use longshore_daemon::is_running;
use longshore_model::error::{Error, Result};
use longshore_run::ledger::{
    Ledger, NewAuditEntry, NewToken, Role, TOKEN_LIFE_LIMIT_DAYS, TokenKind,
};
use serde_json::json;

use super::table::Table;
use super::{App, show};

const SECONDS_OF_A_DAY: u64 = 24 * 3_600;

/// The name of who logs in by a link.
const DASHBOARD: &str = "dashboard";

/// What commands stand for in the audit log.
const DONE: u16 = 200;

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and print it, once
    Create {
        /// What people call it
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        role: RoleArg,
        /// After how many days it ends; never, if absent
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(TOKEN_LIFE_LIMIT_DAYS)))]
        days: Option<u32>,
    },
    /// List the tokens
    List,
    /// End a token
    Revoke {
        /// Its name
        name: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum RoleArg {
    /// Looks
    Viewer,
    /// Submits, cancels and retries runs too
    Operator,
    /// Manages plugins and tokens too
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Args)]
pub(super) struct DashboardArgs {
    /// What whoever opens the link may do
    #[arg(long, value_enum, default_value = "operator")]
    role: RoleArg,
}

pub(super) fn token(app: &App, command: TokenCommand) -> Result<()> {
    let ledger = Ledger::open(&app.settings.state)?;
    match command {
        TokenCommand::Create { name, role, days } => create(app, &ledger, &name, role.into(), days),
        TokenCommand::List => list(app, &ledger),
        TokenCommand::Revoke { name } => revoke(app, &ledger, &name),
    }
}

fn create(app: &App, ledger: &Ledger, name: &str, role: Role, days: Option<u32>) -> Result<()> {
    let lifetime = days.map(|days| Duration::from_secs(u64::from(days) * SECONDS_OF_A_DAY));
    let token = ledger.create_token(NewToken { name, role, kind: TokenKind::Token, lifetime })?;
    audit(ledger, "token create", name)?;
    if app.json {
        show::json(&json!({ "name": name, "role": role, "token": token }));
    } else {
        show::answer(&token);
    }
    Ok(())
}

fn list(app: &App, ledger: &Ledger) -> Result<()> {
    let tokens = ledger.tokens()?;
    if app.json {
        show::json(&tokens);
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "ROLE", "CREATED", "EXPIRES"]);
    for token in tokens {
        let role: &str = token.role.into();
        let expires = token.expires.unwrap_or_else(|| "never".to_owned());
        table.add([token.name, role.to_owned(), token.created, expires]);
    }
    show::answer(&table.to_text());
    Ok(())
}

fn revoke(app: &App, ledger: &Ledger, name: &str) -> Result<()> {
    if !ledger.revoke_token(name)? {
        return Err(Error::not_found(format!("no token is called `{name}`"))
            .with_hint("`longshore token list` shows them"));
    }
    audit(ledger, "token revoke", name)?;
    if app.json {
        show::json(&json!({ "name": name, "revoked": true }));
    } else {
        show::answer(&format!("{name}: revoked"));
    }
    Ok(())
}

/// Prints a link that logs a browser in, once.
pub(super) fn dashboard(app: &App, args: &DashboardArgs) -> Result<()> {
    let state = &app.settings.state;
    let place = if is_running(state)? { ApiPlace::read(state).ok() } else { None };
    let Some(url) = place.and_then(|place| place.url) else {
        return Err(Error::config(format!(
            "no daemon of {} listens on an address",
            state.display()
        ))
        .with_hint("start one with `longshore serve --listen 127.0.0.1:8460`"));
    };
    let ledger = Ledger::open(state)?;
    let login = NewToken {
        name: DASHBOARD,
        role: args.role.into(),
        kind: TokenKind::Login,
        lifetime: Some(Duration::from_secs(LOGIN_SECS)),
    };
    let link = format!("{}/login?code={}", browsable(&url), ledger.create_token(login)?);
    audit(&ledger, "dashboard", "/login")?;
    if app.json {
        show::json(&json!({ "url": link, "valid_seconds": LOGIN_SECS }));
    } else {
        show::answer(&link);
    }
    Ok(())
}

/// A browser on this machine cannot open the address that stands for all of them.
fn browsable(url: &str) -> String {
    url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
}

fn audit(ledger: &Ledger, command: &str, what: &str) -> Result<()> {
    ledger.audit(&[NewAuditEntry {
        who: std::env::var("USER").unwrap_or_default(),
        origin: "command".to_owned(),
        method: command.to_owned(),
        path: what.to_owned(),
        outcome: DONE,
    }])
}
