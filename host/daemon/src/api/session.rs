//! Sessions of browsers: a login link becomes one, once.

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use longshore_model::error::Error;
use longshore_run::ledger::{NewAuditEntry, NewToken, Role, TokenKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ApiError, Json, no_content};
use super::caller::{Caller, Peer, SESSION_COOKIE, session};
use super::extract::Params;
use super::limits::SESSION_SECS;
use super::state::{ApiState, SharedState};

/// A login link.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LoginQuery {
    /// What `longshore dashboard` has printed.
    code: String,
}

/// Who asks.
#[derive(Serialize, JsonSchema)]
pub(super) struct SessionAnswer {
    name: String,
    role: Role,
}

pub(super) async fn login(
    State(state): State<SharedState>,
    peer: Peer,
    Params(LoginQuery { code }): Params<LoginQuery>,
) -> Result<Response, ApiError> {
    let origin = peer.origin.to_string();
    let redeem = move |state: &ApiState| {
        let Some(login) = state.ledger.redeem_login(&code)? else { return Ok(None) };
        let session = NewToken {
            name: &login.name,
            role: login.role,
            kind: TokenKind::Session,
            lifetime: Some(Duration::from_secs(SESSION_SECS)),
        };
        let text = state.ledger.create_token(session)?;
        state.ledger.audit(&[NewAuditEntry {
            who: login.name.clone(),
            origin,
            method: "GET".to_owned(),
            path: "/login".to_owned(),
            outcome: StatusCode::SEE_OTHER.as_u16(),
        }])?;
        Ok(Some(text))
    };
    let Some(session) = state.read(redeem).await? else {
        let error = Error::auth("the login link was used, or is too old")
            .with_hint("`longshore dashboard` prints a new one");
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, error));
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, HeaderValue::from_static("/"));
    headers.insert(header::SET_COOKIE, cookie(&session, SESSION_SECS, peer.is_tls)?);
    Ok(response)
}

pub(super) async fn show(caller: Caller) -> Answer<SessionAnswer> {
    Ok(Json(SessionAnswer { name: caller.name, role: caller.role }))
}

pub(super) async fn logout(
    State(state): State<SharedState>,
    peer: Peer,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(session) = session(&headers).map(str::to_owned) {
        state.read(move |state| state.ledger.end_session(&session)).await?;
    }
    let mut response = no_content();
    response.headers_mut().insert(header::SET_COOKIE, cookie("", 0, peer.is_tls)?);
    Ok(response)
}

fn cookie(session: &str, seconds: u64, is_tls: bool) -> Result<HeaderValue, ApiError> {
    let secure = if is_tls { "; Secure" } else { "" };
    let text = format!(
        "{SESSION_COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds}{secure}"
    );
    let value = HeaderValue::try_from(text);
    value.map_err(|error| Error::internal(error.to_string()).into())
}
