//! What stands before each handler: who calls, whether they may, and how much a request may take.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use longshore_model::error::Error;
use longshore_run::ledger::{NewAuditEntry, Role, TokenKind, TokenRecord};
use tokio::time::timeout;

use super::answer::ApiError;
use super::caller::{Caller, Credential, Peer};
use super::endpoint::{Access, AnswerBody, Endpoint};
use super::limits::{BODY_LIMIT_BYTES, BODY_READ_SECS, REQUEST_SECS};
use super::site::check_origin;
use super::state::SharedState;

/// The rules of an endpoint.
#[derive(Clone)]
pub(super) struct Rules {
    state: SharedState,
    access: Access,
    is_change: bool,
    is_stream: bool,
    takes_query: bool,
}

impl Rules {
    pub(super) fn of(endpoint: &Endpoint, state: &SharedState) -> Self {
        Self {
            state: state.clone(),
            access: endpoint.access,
            is_change: endpoint.is_change,
            is_stream: matches!(endpoint.answer, AnswerBody::Events),
            // What asks whether the daemon lives may add something of its own.
            takes_query: endpoint.query.is_some()
                || endpoint.takes_parameters
                || endpoint.access == Access::Public,
        }
    }
}

/// Lets a request through to its handler, or refuses it.
pub(super) async fn guard(
    State(rules): State<Rules>,
    peer: Peer,
    request: Request,
    next: Next,
) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut request = request;
    let authorised = match credential(&rules, &peer, &request) {
        Ok(credential) => {
            request.extensions_mut().insert(credential.clone());
            authorise(&rules, credential).await
        }
        Err(refusal) => Err((None, refusal)),
    };
    let (who, response) = match authorised {
        Ok(caller) => (Some(caller.clone()), answer(&rules, caller, request, next).await),
        Err((who, refusal)) => (who, refusal.into_response()),
    };
    let entry = NewAuditEntry {
        who: who.map(|caller| caller.name).unwrap_or_default(),
        origin: peer.origin.to_string(),
        method: method.to_string(),
        path,
        outcome: response.status().as_u16(),
    };
    record(&rules, entry, response).await
}

/// Writes down what was changed before it is answered, and what was refused a moment later.
async fn record(rules: &Rules, entry: NewAuditEntry, response: Response) -> Response {
    if is_refusal(response.status()) {
        rules.state.audit.refused(entry);
        return response;
    }
    if !rules.is_change {
        return response;
    }
    match rules.state.read(move |state| state.ledger.audit(&[entry])).await {
        Ok(()) => response,
        Err(error) => error.into_response(),
    }
}

/// Whether an answer tells that somebody may not do what they asked for.
pub(super) fn is_refusal(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::TOO_MANY_REQUESTS
    )
}

/// What a request is authorised by; none where everybody may call.
fn credential(
    rules: &Rules,
    peer: &Peer,
    request: &Request,
) -> Result<Option<Credential>, ApiError> {
    if rules.access == Access::Public {
        return Ok(None);
    }
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let credential = Credential::of(peer, headers)
        .ok_or_else(|| ApiError::unauthorized("the request has no token"))?;
    check_origin(peer, &credential, method, uri, headers)?;
    Ok(Some(credential))
}

/// Who calls, if they may. A refusal also says who, as far as that is known.
async fn authorise(
    rules: &Rules,
    credential: Option<Credential>,
) -> Result<Caller, (Option<Caller>, ApiError)> {
    let (Access::Role(needed), Some(credential)) = (rules.access, credential) else {
        return Ok(Caller { name: String::new(), role: Role::Viewer });
    };
    let caller = authenticated(&rules.state, credential).await.map_err(|error| (None, error))?;
    if caller.role >= needed {
        return Ok(caller);
    }
    let (has, needs): (&str, &str) = (caller.role.into(), needed.into());
    let error = Error::auth(format!("`{}` is {has}, and this needs {needs}", caller.name))
        .with_hint("use a token of that role: `longshore token create`");
    Err((Some(caller), ApiError::forbidden(error)))
}

/// The caller to whom a credential belongs.
pub(super) async fn authenticated(
    state: &SharedState,
    credential: Credential,
) -> Result<Caller, ApiError> {
    let (text, kind) = match credential {
        Credential::Socket => return Ok(Caller::of_socket()),
        Credential::Token(text) => (text, TokenKind::Token),
        Credential::Session(text) => (text, TokenKind::Session),
    };
    let found = state.read(move |state| state.ledger.authenticate(&text, kind)).await?;
    let caller = |TokenRecord { name, role, .. }| Caller { name, role };
    found.map(caller).ok_or_else(|| {
        ApiError::unauthorized(match kind {
            TokenKind::Session => "the session has ended",
            _ => "nobody has this token",
        })
    })
}

async fn answer(rules: &Rules, caller: Caller, request: Request, next: Next) -> Response {
    if let (false, Some(query)) = (rules.takes_query, request.uri().query())
        && !query.is_empty()
    {
        let name = query.split(['=', '&']).next().unwrap_or_default();
        let what = format!("the query: unknown field `{name}`: there are no parameters here");
        return ApiError::bad_request(what).into_response();
    }
    let mut request = match with_whole_body(request).await {
        Ok(request) => request,
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(caller);
    if rules.is_stream {
        return next.run(request).await;
    }
    let patience = Duration::from_secs(REQUEST_SECS);
    timeout(patience, next.run(request)).await.unwrap_or_else(|_| {
        let what = "the answer took too long";
        ApiError::timeout(StatusCode::SERVICE_UNAVAILABLE, what).into_response()
    })
}

/// Reads the body, within its limits. Nobody's body is read who may not send one.
async fn with_whole_body(request: Request) -> Result<Request, ApiError> {
    if declared_length(request.headers()).is_some_and(|length| length > BODY_LIMIT_BYTES as u64) {
        return Err(too_large());
    }
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let reading = timeout(Duration::from_secs(BODY_READ_SECS), to_bytes(body, BODY_LIMIT_BYTES));
    let bytes = reading.await.map_err(|_| {
        ApiError::timeout(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")
    })?;
    match bytes {
        Ok(bytes) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Err(error) if is_length_limit(&error) => Err(too_large()),
        Err(_) => Err(ApiError::bad_request("the body broke off")),
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_length_limit(error: &axum::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}

fn too_large() -> ApiError {
    let error = Error::config(format!("the body has more than {BODY_LIMIT_BYTES} bytes"))
        .with_hint("move what it holds into files that the job names");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, error)
}
