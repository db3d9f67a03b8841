//! The request that delivers a message: where to, and with which headers. Secrets get their values here, and
//! are kept nowhere.

use std::path::Path;

use chrono::Utc;
use longshore_model::config::Webhook;
use longshore_model::config::traces::trace_headers;
use longshore_model::error::Result;
use longshore_model::grant::Endpoint;
use longshore_run::ledger::{Message, MessageKind};
use longshore_sandbox::capability::http::Request;

use super::signature::{SIGNATURE_HEADER, sign};

/// The header of what is sent.
pub(super) const JSON: [&str; 2] = ["Content-Type", "application/json"];

/// The header that names a message: who gets it twice knows.
const DELIVERY_HEADER: &str = "Longshore-Delivery";

/// How long a server may take to answer.
const ANSWER_MILLIS: u32 = 10_000;

/// The request for a notification or for traces, and the server that it is for.
pub(super) fn request(message: &Message, secrets: Option<&Path>) -> Result<(Endpoint, Request)> {
    let webhook: Webhook = serde_json::from_str(&message.destination)?;
    let mut headers = vec![JSON.map(str::to_owned).into()];
    for (name, value) in webhook.header_values(secrets)? {
        headers.push((name, value.reveal().to_owned()));
    }
    if message.kind == MessageKind::Traces {
        headers.extend(trace_headers());
    } else {
        headers.push((DELIVERY_HEADER.to_owned(), message.id.to_string()));
        if let Some(key) = webhook.key(secrets)? {
            let signature = sign(&key, Utc::now().timestamp(), &message.body)?;
            headers.push((SIGNATURE_HEADER.to_owned(), signature));
        }
    }
    Ok((webhook.endpoint()?, post(webhook.url.clone(), headers, &message.body)))
}

/// A request that posts a text.
pub(super) fn post(url: String, headers: Vec<(String, String)>, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        headers,
        body: body.as_bytes().to_vec(),
        timeout_millis: ANSWER_MILLIS,
        authorities: None,
        url,
    }
}
