//! Who sends a request: from where, with which token, and in which role.

use std::fmt;
use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use longshore_model::error::Error;
use longshore_run::ledger::Role;
use tokio_util::sync::CancellationToken;

use super::answer::ApiError;

/// The name of whoever comes over the Unix socket, which only the daemon's own user can open.
const SOCKET_CALLER: &str = "local user";

/// The cookie of a browser's session.
pub(super) const SESSION_COOKIE: &str = "longshore_session";

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The Unix socket.
    Socket,
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket => f.write_str("socket"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// A connection.
#[derive(Clone)]
pub(super) struct Peer {
    pub(super) origin: Origin,
    pub(super) is_tls: bool,
    /// Ends the connection.
    pub(super) disconnect: CancellationToken,
}

impl Peer {
    /// The scheme of its URLs.
    pub(super) fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }
}

/// What a request is authorised by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    /// The Unix socket.
    Socket,
    /// A token, as a program sends it.
    Token(String),
    /// A session, as a browser sends it with whatever a page makes it send.
    Session(String),
}

impl Credential {
    /// What a request has.
    pub(super) fn of(peer: &Peer, headers: &HeaderMap) -> Option<Self> {
        if let Some(token) = bearer(headers) {
            return Some(Self::Token(token.to_owned()));
        }
        if let Some(session) = session(headers) {
            return Some(Self::Session(session.to_owned()));
        }
        (peer.origin == Origin::Socket).then_some(Self::Socket)
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The session in the cookies of a request.
pub(super) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut pairs = cookies.filter_map(|cookies| cookies.to_str().ok()).flat_map(|c| c.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(SESSION_COOKIE)?.strip_prefix('='))
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) name: String,
    pub(super) role: Role,
}

impl Caller {
    pub(super) fn of_socket() -> Self {
        Self { name: SOCKET_CALLER.to_owned(), role: Role::Admin }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Error::internal("a request without a caller").into())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let peer = parts.extensions.get::<Self>().cloned();
        peer.ok_or_else(|| Error::internal("a request without a connection").into())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn peer(origin: Origin) -> Peer {
        Peer { origin, is_tls: false, disconnect: CancellationToken::new() }
    }

    #[test]
    fn a_token_goes_before_a_cookie_and_the_socket_comes_last() {
        let tcp = peer(Origin::Address(IpAddr::from([127, 0, 0, 1])));
        let socket = peer(Origin::Socket);
        let mut headers = HeaderMap::new();
        assert_eq!(Credential::of(&tcp, &headers), None);
        assert_eq!(Credential::of(&socket, &headers), Some(Credential::Socket));
        let cookies = HeaderValue::from_static("a=b; longshore_session=s1; c=d");
        headers.insert(header::COOKIE, cookies);
        assert_eq!(Credential::of(&tcp, &headers), Some(Credential::Session("s1".into())));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("bearer t1"));
        assert_eq!(Credential::of(&tcp, &headers), Some(Credential::Token("t1".into())));
    }
}
