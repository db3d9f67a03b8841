//! The delivery of the outbox, for as long as the daemon lives.

use std::sync::Arc;
use std::time::Duration;

use longshore_model::config::Settings;
use longshore_run::ledger::Ledger;
use longshore_telemetry::Courier;
use parking_lot::Mutex;
use tokio::task::AbortHandle;

use super::log_error::log_error;

/// How often the outbox is looked through.
const LOOK_SECS: u64 = 1;

/// Delivers until it is dropped.
pub(super) struct Delivery(AbortHandle);

impl Drop for Delivery {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Delivers what is in the outbox, and what comes into it.
pub(super) fn deliver_outbox(ledger: &Ledger, settings: &Arc<Mutex<Settings>>) -> Delivery {
    let (courier, settings) = (Courier::new(ledger.clone()), settings.clone());
    let delivering = async move {
        loop {
            let secrets = settings.lock().secrets.clone();
            log_error(courier.deliver_due(secrets.as_deref()).await);
            tokio::time::sleep(Duration::from_secs(LOOK_SECS)).await;
        }
    };
    Delivery(tokio::spawn(delivering).abort_handle())
}
