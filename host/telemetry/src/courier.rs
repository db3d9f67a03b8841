//! The courier: delivers the messages of the outbox, at least once, and in order for each destination. What
//! cannot be delivered now is tried again, after a wait that doubles.

use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use longshore_model::error::{Error, Result};
use longshore_model::grant::{Endpoint, Grant};
use longshore_run::ledger::{Ledger, MESSAGE_LIFE_DAYS, Message, MessageKind};
use longshore_sandbox::capability::http::{HttpClient, Request};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::lineage::{self, Delivery};
use super::request::request;

/// How long a command delivers after its run has ended. The rest is left to the next process.
pub const COMMAND_PATIENCE: Duration = Duration::from_secs(10);

/// Messages that are delivered at the same time, each to another destination.
const AT_ONCE: usize = 8;

/// How often it looks for more while some are delivered.
const LOOK: Duration = Duration::from_secs(1);

/// How long a message belongs to one process: longer than a server may take to answer.
const LEASE: Duration = Duration::from_secs(15);

/// The wait before the second attempt, and the longest one, without the random part.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(16 * 3_600);

/// Answers that would be the same to another attempt.
const REFUSALS: [u16; 5] = [400, 410, 413, 415, 422];

/// Why a message is not delivered.
enum DeliveryError {
    /// It is tried again.
    Later(Error),
    /// Another attempt would end alike.
    Never(Error),
}

/// Delivers the messages of a ledger.
#[derive(Clone)]
pub struct Courier {
    ledger: Ledger,
}

impl Courier {
    /// For the outbox of a ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Delivers what is due. `secrets` is the folder of secrets.
    pub async fn deliver_due(&self, secrets: Option<&Path>) -> Result<()> {
        // Mostly there is nothing: to look costs no write.
        if self.ledger.next_message_due()?.is_none_or(|due| due > Utc::now()) {
            return Ok(());
        }
        let mut deliveries = FuturesUnordered::new();
        loop {
            while deliveries.len() < AT_ONCE
                && let Some(message) = self.ledger.lease_message(LEASE)?
            {
                deliveries.push(self.deliver(message, secrets));
            }
            // A destination that hangs keeps its own messages waiting, and no others that come meanwhile.
            match timeout(LOOK, deliveries.next()).await {
                Ok(Some(delivered)) => delivered?,
                Ok(None) => break,
                Err(_) => {}
            }
        }
        match self.ledger.remove_old_messages()? {
            0 => {}
            old => tracing::error!("{old} messages were not delivered in {MESSAGE_LIFE_DAYS} days"),
        }
        Ok(())
    }

    /// Delivers until the outbox is empty, but no longer than this. What was put off is tried at once: the server may
    /// be back. Gives how many messages wait then.
    pub async fn drain(&self, secrets: Option<&Path>, patience: Duration) -> Result<u64> {
        let until = Instant::now() + patience;
        self.ledger.hasten_messages()?;
        let draining = async {
            loop {
                self.deliver_due(secrets).await?;
                let Some(due) = self.ledger.next_message_due()? else { return Ok::<(), Error>(()) };
                let wait = (due - Utc::now()).to_std().unwrap_or_default();
                if Instant::now() + wait >= until {
                    return Ok(());
                }
                sleep(wait).await;
            }
        };
        if let Ok(drained) = timeout_at(until, draining).await {
            drained?;
        }
        self.ledger.outbox_length()
    }

    async fn deliver(&self, message: Message, secrets: Option<&Path>) -> Result<()> {
        match send(&message, secrets).await {
            Ok(()) => self.ledger.remove_message(message.id),
            Err(DeliveryError::Never(error)) => {
                tracing::error!("a message is given up: {error}");
                self.ledger.remove_message(message.id)
            }
            Err(DeliveryError::Later(error)) => {
                let wait = wait_after(message.attempts);
                // Once is enough: it may be away for days.
                if message.attempts == 1 {
                    tracing::warn!("a message waits: {error}");
                } else {
                    tracing::debug!("a message waits for {} s: {error}", wait.as_secs());
                }
                self.ledger.put_off_message(message.id, wait, &error.to_string())
            }
        }
    }
}

async fn send(message: &Message, secrets: Option<&Path>) -> Result<(), DeliveryError> {
    // A secret that is not there may be put there; a file may become one that can be written.
    if message.kind != MessageKind::Lineage {
        let (endpoint, request) = request(message, secrets).map_err(DeliveryError::Later)?;
        return send_request(endpoint, request).await;
    }
    match lineage::delivery(message, secrets).map_err(DeliveryError::Later)? {
        Delivery::Request(endpoint, request) => send_request(endpoint, request).await,
        Delivery::File(path) => {
            lineage::append(path, &message.body).await.map_err(DeliveryError::Later)
        }
        Delivery::Console => lineage::print(&message.body).map_err(DeliveryError::Later),
    }
}

async fn send_request(endpoint: Endpoint, request: Request) -> Result<(), DeliveryError> {
    let grant = Grant { endpoints: vec![endpoint.clone()], ..Grant::default() };
    let answer = HttpClient::default().send(&Handle::current(), &grant, request).await;
    let status = answer.map_err(DeliveryError::Later)?.status();
    match status {
        200..=299 => Ok(()),
        _ if REFUSALS.contains(&status) => Err(DeliveryError::Never(answered(&endpoint, status))),
        _ => Err(DeliveryError::Later(answered(&endpoint, status))),
    }
}

/// The path of a URL may be known to few: only the server is named.
fn answered(endpoint: &Endpoint, status: u16) -> Error {
    Error::connection(format!("{endpoint} answered with status {status}"))
}

/// The wait after so many attempts: doubled with each, and up to half of it added at random.
fn wait_after(attempts: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << attempts.saturating_sub(1).min(20));
    let base = doubled.min(LONGEST_WAIT);
    let mut random = [0; 4];
    // Without randomness, all wait alike.
    let _ = getrandom::fill(&mut random);
    base + base.mul_f64(0.5 * f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_never_last_more_than_a_day() {
        let seconds = |attempts| wait_after(attempts).as_secs_f64();
        assert!((1.0..=1.5).contains(&seconds(1)));
        assert!((8.0..=12.0).contains(&seconds(4)));
        assert!(seconds(30) <= 24.0 * 3_600.0 && seconds(30) >= 16.0 * 3_600.0);
    }
}
