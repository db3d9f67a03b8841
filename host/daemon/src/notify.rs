//! Notifications of what the daemon itself finds.

use longshore_model::config::{NotifyEvent, Webhook};
use longshore_model::error::{Class, Error, Result};
use longshore_run::ledger::{Ledger, NewMessage};
use longshore_run::{Notice, NoticeError, Status};

/// Tells webhooks of an event, such as a run that is late. It is delivered in a moment, or later.
pub fn notify<'w>(
    ledger: &Ledger,
    notice: &Notice<'_>,
    webhooks: impl IntoIterator<Item = &'w Webhook>,
) -> Result<()> {
    let messages = notice.messages(webhooks);
    if messages.is_empty() { Ok(()) } else { ledger.post(&messages) }
}

/// The messages about a run whose job could not be read: only the settings say who is told.
pub(super) fn refused_messages(
    run: &str,
    name: &str,
    error: &Error,
    webhooks: &[Webhook],
) -> Vec<NewMessage> {
    if error.class() == Class::Cancelled {
        return Vec::new();
    }
    let report = error.report();
    let notice = Notice {
        run: Some(run),
        status: Some(Status::Failed),
        error: Some(NoticeError::from(&report)),
        ..Notice::new(NotifyEvent::Failed, name)
    };
    notice.messages(webhooks)
}
