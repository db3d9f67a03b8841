//! What surrounds every answer: whether the request was meant for this server, and the headers of all answers.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use longshore_run::ledger::NewAuditEntry;

use super::answer::with_security_headers;
use super::caller::Peer;
use super::state::SharedState;

/// The rules of the outermost layer.
#[derive(Clone)]
pub(super) struct OuterRules(SharedState);

impl OuterRules {
    pub(super) fn of(state: &SharedState) -> Self {
        Self(state.clone())
    }
}

/// Refuses a request that was meant for another server; adds the headers of every answer.
pub(super) async fn outer(
    State(OuterRules(state)): State<OuterRules>,
    peer: Peer,
    request: Request,
    next: Next,
) -> Response {
    let checked = state.site.check_host(&peer, request.uri(), request.headers());
    let Err(refusal) = checked else { return with_security_headers(next.run(request).await) };
    let response = refusal.into_response();
    state.audit.refused(NewAuditEntry {
        who: String::new(),
        origin: peer.origin.to_string(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        outcome: response.status().as_u16(),
    });
    with_security_headers(response)
}
