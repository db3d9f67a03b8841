//! `longshore odbc drivers` and `longshore odbc sources`

use clap::Subcommand;
use longshore_model::error::Result;
use longshore_sandbox::capability::odbc;
use serde_json::json;

use super::{App, show};

#[derive(Subcommand)]
pub(super) enum OdbcCommand {
    /// List the ODBC drivers that are installed
    Drivers,
    /// List the data sources that are set up (`DSN=..`), and their drivers
    Sources,
}

pub(super) fn odbc(app: &App, command: &OdbcCommand) -> Result<()> {
    let io = app.io.handle();
    match command {
        OdbcCommand::Drivers => {
            let drivers = app.io.block_on(odbc::drivers(io))?;
            if app.json {
                show::json(&json!({ "drivers": drivers }));
                return Ok(());
            }
            if drivers.is_empty() {
                show::answer("no ODBC driver is installed: odbcinst.ini lists none");
            }
            drivers.iter().for_each(|driver| show::answer(driver));
        }
        OdbcCommand::Sources => {
            let sources = app.io.block_on(odbc::sources(io))?;
            if app.json {
                let of =
                    |(name, driver): &(String, String)| json!({ "name": name, "driver": driver });
                show::json(&json!({ "sources": sources.iter().map(of).collect::<Vec<_>>() }));
                return Ok(());
            }
            if sources.is_empty() {
                show::answer("no data source is set up: odbc.ini lists none");
            }
            for (name, driver) in &sources {
                show::answer(&format!("{name} ({driver})"));
            }
        }
    }
    Ok(())
}
