//! The outbox: messages that are delivered after the transaction of what they tell, at least once, and in
//! order for each destination. Several processes may deliver: each message is leased to one at a time.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use longshore_model::error::Result;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use strum::{EnumString, IntoStaticStr};

use super::{Ledger, fault, now};

/// The most messages that wait. The oldest are given up for newer ones.
pub const OUTBOX_LIMIT: u64 = 10_000;

/// How long an undelivered message is kept.
pub const MESSAGE_LIFE_DAYS: i64 = 7;

/// What a message is, and so how it is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum MessageKind {
    /// An event for a webhook.
    Webhook,
    /// Spans for a collector.
    Traces,
    /// An event of a run for a collector of lineage.
    Lineage,
}

/// A message to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// Its kind.
    pub kind: MessageKind,
    /// JSON: where to. It holds no secret.
    pub destination: String,
    /// The body.
    pub body: String,
}

/// A message that is leased to this process.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its place in the order.
    pub id: i64,
    /// Its kind.
    pub kind: MessageKind,
    /// JSON: where to.
    pub destination: String,
    /// The body.
    pub body: String,
    /// The attempts so far, this one included.
    pub attempts: u32,
}

impl FromSql for MessageKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str()?.parse().map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

impl Ledger {
    /// Writes messages.
    pub fn post(&self, messages: &[NewMessage]) -> Result<()> {
        self.change_for_good(|change| post(change, messages))
    }

    /// Leases the next message that is due: the oldest of a destination, unless somebody is delivering it.
    pub fn lease_message(&self, lease: Duration) -> Result<Option<Message>> {
        self.change(|change| {
            let (now, until) = (now(), moment(Utc::now() + lease));
            let leased = change
                .prepare_cached(
                    "UPDATE outbox SET due = ?2, attempts = attempts + 1, last_error = NULL WHERE id =
                       (SELECT id FROM outbox WHERE due <= ?1
                        AND id IN (SELECT min(id) FROM outbox GROUP BY destination)
                        ORDER BY id LIMIT 1)
                     RETURNING id, kind, destination, body, attempts",
                )?
                .query_row([now, until], message)
                .optional()?;
            Ok(leased)
        })
    }

    /// Removes a message: it is delivered, or given up.
    pub fn remove_message(&self, id: i64) -> Result<()> {
        self.with_connection(|connection| {
            connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
    }

    /// Puts a message off, and with it those behind it.
    pub fn put_off_message(&self, id: i64, wait: Duration, error: &str) -> Result<()> {
        self.with_connection(|connection| {
            connection
                .prepare_cached("UPDATE outbox SET due = ?2, last_error = ?3 WHERE id = ?1")?
                .execute(params![id, moment(Utc::now() + wait), error])?;
            Ok(())
        })
    }

    /// Makes the messages due that were put off, and that nobody is delivering.
    pub fn hasten_messages(&self) -> Result<()> {
        self.with_connection(|connection| {
            connection
                .prepare_cached(
                    "UPDATE outbox SET due = ?1 WHERE due > ?1 AND last_error IS NOT NULL",
                )?
                .execute([now()])?;
            Ok(())
        })
    }

    /// Removes the messages that are too old to be of use; gives how many those were.
    pub fn remove_old_messages(&self) -> Result<usize> {
        let oldest = moment(Utc::now() - TimeDelta::days(MESSAGE_LIFE_DAYS));
        self.with_connection(|connection| {
            Ok(connection
                .prepare_cached("DELETE FROM outbox WHERE created < ?1")?
                .execute([oldest])?)
        })
    }

    /// When the next message is due; none if none waits.
    pub fn next_message_due(&self) -> Result<Option<DateTime<Utc>>> {
        self.with_connection(|connection| {
            let due: Option<String> = connection
                .prepare_cached(
                    "SELECT min(due) FROM outbox
                     WHERE id IN (SELECT min(id) FROM outbox GROUP BY destination)",
                )?
                .query_row([], |row| row.get(0))?;
            let due = due.and_then(|due| DateTime::parse_from_rfc3339(&due).ok());
            Ok(due.map(|due| due.to_utc()))
        })
    }

    /// The messages that wait.
    pub fn outbox_length(&self) -> Result<u64> {
        self.with_connection(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?)
        })
    }
}

/// Writes messages in the transaction of what they tell.
pub(super) fn post(change: &Transaction<'_>, messages: &[NewMessage]) -> fault::Result<()> {
    for NewMessage { kind, destination, body } in messages {
        let kind: &str = kind.into();
        change
            .prepare_cached(
                "INSERT INTO outbox (kind, destination, body, created, due)
                 VALUES (?1, ?2, ?3, ?4, ?4)",
            )?
            .execute(params![kind, destination, body, now()])?;
    }
    if !messages.is_empty() {
        let given_up = change.execute(
            "DELETE FROM outbox WHERE id IN
               (SELECT id FROM outbox ORDER BY id DESC LIMIT -1 OFFSET ?1)",
            [OUTBOX_LIMIT],
        )?;
        if given_up > 0 {
            tracing::error!("the outbox is full: {given_up} of the oldest messages are given up");
        }
    }
    Ok(())
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        id: row.get(0)?,
        kind: row.get(1)?,
        destination: row.get(2)?,
        body: row.get(3)?,
        attempts: row.get(4)?,
    })
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
