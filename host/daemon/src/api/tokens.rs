//! The tokens of programs, and the audit log.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use longshore_run::ledger::{
    AuditEntry, NewToken, Role, TOKEN_LIFE_LIMIT_DAYS, TokenKind, TokenRecord,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::answer::{Answer, ApiError, Json, no_content};
use super::extract::{JsonBody, Names, Params};
use super::limits::PAGE_LIMIT;
use super::runs::checked_limit;
use super::state::SharedState;

const SECONDS_OF_A_DAY: u64 = 24 * 3_600;

/// A token that is made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenBody {
    /// What people call it.
    name: String,
    role: Role,
    /// After how many days it ends; it does not, if absent.
    #[schemars(range(min = 1, max = 36500))]
    days: Option<u32>,
}

/// A token that was made.
#[derive(Serialize, JsonSchema)]
pub(super) struct NewTokenAnswer {
    name: String,
    role: Role,
    /// The token. Nothing tells it again.
    token: String,
}

/// All tokens.
#[derive(Serialize, JsonSchema)]
pub(super) struct TokensAnswer {
    tokens: Vec<TokenRecord>,
}

/// Which entries of the audit log are read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Those before the entry of this id.
    before: Option<i64>,
    /// The most entries.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<usize>,
}

/// Entries of the audit log.
#[derive(Serialize, JsonSchema)]
pub(super) struct AuditAnswer {
    /// The entries, newest first.
    entries: Vec<AuditEntry>,
    /// What to give as `before` for older ones; null where there are none.
    next: Option<i64>,
}

pub(super) async fn list(State(state): State<SharedState>) -> Answer<TokensAnswer> {
    Ok(Json(TokensAnswer { tokens: state.read(|state| state.ledger.tokens()).await? }))
}

pub(super) async fn create(
    State(state): State<SharedState>,
    JsonBody(body): JsonBody<TokenBody>,
) -> Result<Response, ApiError> {
    let TokenBody { name, role, days } = body;
    if days.is_some_and(|days| !(1..=TOKEN_LIFE_LIMIT_DAYS).contains(&days)) {
        let what = format!("`days` is not from 1 to {TOKEN_LIFE_LIMIT_DAYS}");
        return Err(ApiError::bad_request(what));
    }
    let lifetime = days.map(|days| Duration::from_secs(u64::from(days) * SECONDS_OF_A_DAY));
    let named = name.clone();
    let create = move |state: &super::state::ApiState| {
        let kind = TokenKind::Token;
        state.ledger.create_token(NewToken { name: &named, role, kind, lifetime })
    };
    let token = state.read(create).await?;
    Ok((StatusCode::CREATED, Json(NewTokenAnswer { name, role, token })).into_response())
}

pub(super) async fn revoke(
    State(state): State<SharedState>,
    Names(name): Names<String>,
) -> Result<Response, ApiError> {
    if state.read(move |state| state.ledger.revoke_token(&name)).await? {
        return Ok(no_content());
    }
    Err(ApiError::not_found("no token has this name"))
}

pub(super) async fn audit(
    State(state): State<SharedState>,
    Params(query): Params<AuditQuery>,
) -> Answer<AuditAnswer> {
    let limit = checked_limit(query.limit.unwrap_or(PAGE_LIMIT))?;
    let entries = state.read(move |state| state.ledger.audit_log(query.before, limit)).await?;
    let next = entries.last().filter(|_| entries.len() == limit).map(|entry| entry.id);
    Ok(Json(AuditAnswer { entries, next }))
}
