//! The names of this server. A request that another name led here is refused: a page of an attacker's can
//! resolve its own name to this address. So is a change that a page of another site sends.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use longshore_model::error::Error;

use super::answer::ApiError;
use super::caller::{Credential, Origin, Peer};

/// The names of this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    /// The address that it listens on.
    pub(super) address: Option<IpAddr>,
    /// The names that the operator allows.
    pub(super) allowed_hosts: Vec<String>,
}

impl Site {
    /// Refuses a request that a name of somebody else led here.
    pub(super) fn check_host(
        &self,
        peer: &Peer,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), ApiError> {
        if peer.origin == Origin::Socket {
            return Ok(());
        }
        let is_ours = host(uri, headers).is_some_and(|host| self.is_ours(&host));
        if is_ours {
            return Ok(());
        }
        let error = Error::config("the request's Host is not a name of this server")
            .with_hint("use the address that it listens on, or start it with --allowed-host NAME");
        Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, error))
    }

    fn is_ours(&self, host: &Authority) -> bool {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        if self.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(name)) {
            return true;
        }
        let address: Option<IpAddr> = name.parse().ok();
        address.is_some_and(|address| address.is_loopback() || Some(address) == self.address)
    }
}

/// Refuses a change that a page of another site sends. A browser adds its cookie by itself: then the page must
/// be known.
pub(super) fn check_origin(
    peer: &Peer,
    credential: &Credential,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), ApiError> {
    if method.is_safe() {
        return Ok(());
    }
    let is_session = matches!(credential, Credential::Session(_));
    let Some(origin) = headers.get(header::ORIGIN) else {
        return if is_session { Err(foreign()) } else { Ok(()) };
    };
    let own = host(uri, headers).map(|host| format!("{}://{host}", peer.scheme()));
    let is_own = own.is_some_and(|own| origin.as_bytes().eq_ignore_ascii_case(own.as_bytes()));
    if is_own { Ok(()) } else { Err(foreign()) }
}

fn foreign() -> ApiError {
    ApiError::forbidden(
        Error::auth("a page of another site sends this, or the browser does not say which does")
            .with_hint("use the dashboard, or a token"),
    )
}

fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    if let Some(authority) = uri.authority() {
        return Some(authority.clone());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok();
    host.filter(|_| hosts.next().is_none())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn peer() -> Peer {
        let origin = Origin::Address(IpAddr::from([127, 0, 0, 1]));
        Peer { origin, is_tls: false, disconnect: CancellationToken::new() }
    }

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        headers
    }

    #[test]
    fn only_names_of_this_server_lead_here() {
        let site = Site {
            address: Some(IpAddr::from([10, 0, 0, 5])),
            allowed_hosts: vec!["lake.example".into()],
        };
        let is_ours = |host: &str| {
            site.check_host(&peer(), &Uri::from_static("/"), &headers(host, None)).is_ok()
        };
        for ours in ["localhost:8460", "127.0.0.1", "[::1]:8460", "10.0.0.5:1", "LAKE.example"] {
            assert!(is_ours(ours), "{ours}");
        }
        for foreign in ["evil.example", "10.0.0.6", "localhost.evil.example", "", "a b", "x:y:z"] {
            assert!(!is_ours(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_change_with_a_cookie_comes_from_our_own_page() {
        let (session, token) = (Credential::Session("s".into()), Credential::Token("t".into()));
        let is_allowed = |credential: &Credential, method: &Method, origin| {
            let headers = headers("localhost:8460", origin);
            check_origin(&peer(), credential, method, &Uri::from_static("/"), &headers).is_ok()
        };
        let own = Some("http://localhost:8460");
        assert!(is_allowed(&session, &Method::POST, own));
        assert!(is_allowed(&session, &Method::GET, None));
        assert!(is_allowed(&token, &Method::POST, None));
        for other in ["http://evil.example", "https://localhost:8460", "http://localhost:1", "null"]
        {
            assert!(!is_allowed(&session, &Method::POST, Some(other)), "{other}");
            assert!(!is_allowed(&token, &Method::POST, Some(other)), "{other}");
        }
        assert!(!is_allowed(&session, &Method::DELETE, None));
    }
}
