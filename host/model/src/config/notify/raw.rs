//! A webhook as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::event::NotifyEvent;

/// A webhook: where events are posted, as JSON.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWebhook {
    /// Where to, such as `https://hooks.internal/longshore`.
    pub(super) url: String,
    /// The events to post; `failed` if absent.
    #[serde(default = "failed")]
    pub(super) on: Vec<NotifyEvent>,
    /// The key of the signature, as a secret: `{ secret: NAME }`. Without it, nothing is signed.
    pub(super) secret: Option<Value>,
    /// More headers: texts, or secrets.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Value>,
}

fn failed() -> Vec<NotifyEvent> {
    vec![NotifyEvent::Failed]
}
