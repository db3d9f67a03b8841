//! Delivery beside a run: what tells of it is delivered while it is under way.

use std::path::PathBuf;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::courier::Courier;

/// How often the outbox is looked through.
const LOOK_SECS: u64 = 1;

/// A delivery that goes on until it is ended.
pub struct BackgroundDelivery {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl BackgroundDelivery {
    /// Begins to deliver. `secrets` is the folder of secrets.
    pub fn begin(io: &Handle, courier: Courier, secrets: Option<PathBuf>) -> Self {
        let (end, mut ended) = oneshot::channel();
        let delivering = async move {
            loop {
                if let Err(error) = courier.deliver_due(secrets.as_deref()).await {
                    tracing::warn!("delivering: {error}");
                }
                tokio::select! {
                    _ = &mut ended => return,
                    () = sleep(Duration::from_secs(LOOK_SECS)) => {}
                }
            }
        };
        Self { end, task: io.spawn(delivering) }
    }

    /// Ends it, when what is under way is delivered: nobody else may deliver it before. It is given up at `until`.
    pub async fn end(self, until: Instant) {
        // It may have ended already.
        let _ = self.end.send(());
        let task = self.task.abort_handle();
        if timeout_at(until, self.task).await.is_err() {
            task.abort();
        }
    }
}
