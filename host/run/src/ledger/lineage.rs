//! What the events of lineage of runs say: a process that takes a run up says it again.

use longshore_model::error::Result;
use rusqlite::{OptionalExtension, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::outbox::{self, NewMessage};
use super::{Ledger, fault};

/// What the events of a run say when it begins, and the messages that say it.
pub struct LineageStart {
    /// JSON, for the events that follow.
    pub events: String,
    /// The messages.
    pub messages: Vec<NewMessage>,
}

impl Ledger {
    /// What the events of a run say; none if nobody was told of it.
    pub fn lineage<E: DeserializeOwned>(&self, run: &str) -> Result<Option<E>> {
        self.with_connection(|connection| {
            let found: Option<String> = connection
                .prepare_cached("SELECT events FROM lineage WHERE run = ?1")?
                .query_row([run], |row| row.get(0))
                .optional()?;
            Ok(found.map(|text| serde_json::from_str(&text)).transpose()?)
        })
    }

    /// Records what the events of a run say, with the messages that say it.
    pub fn record_lineage(
        &self,
        run: &str,
        events: &impl Serialize,
        messages: &[NewMessage],
    ) -> Result<()> {
        let events = serde_json::to_string(events)?;
        self.change(|change| {
            put(change, run, &events)?;
            outbox::post(change, messages)
        })
    }
}

/// Records what the events of a run say when it begins.
pub(super) fn start(
    change: &Transaction<'_>,
    run: &str,
    start: &LineageStart,
) -> fault::Result<()> {
    put(change, run, &start.events)?;
    outbox::post(change, &start.messages)
}

fn put(change: &Transaction<'_>, run: &str, events: &str) -> fault::Result<()> {
    change
        .prepare_cached(
            "INSERT INTO lineage (run, events) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET events = excluded.events",
        )?
        .execute(params![run, events])?;
    Ok(())
}
