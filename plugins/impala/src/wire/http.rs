//! HTTP: each call is a POST, each answer its body. Cookies keep calls with the server that knows the
//! session.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use longshore_sdk::host::{Kerberos, Request, Response};
use longshore_sdk::{Error, Result, Secret};

use crate::address::Address;
use crate::{Auth, Config, Tls};

/// The longest wait for an answer to begin: calls are polled, none takes long.
const ANSWER_TIMEOUT_MILLIS: u32 = 300_000;

/// The most that is shown of a refusal.
const REFUSAL_LIMIT_BYTES: u32 = 2_000;

/// How each request says who makes it.
enum Authorization {
    /// By the same words.
    Same(String),
    /// By a ticket for this service on this host.
    Kerberos { service: String, host: String },
}

pub struct Http {
    url: String,
    authorities: Option<String>,
    authorization: Authorization,
    cookies: Vec<(String, String)>,
    answer: Option<Response>,
}

impl Authorization {
    fn header(&self) -> Result<String> {
        match self {
            Self::Same(login) => Ok(login.clone()),
            Self::Kerberos { service, host } => {
                let (token, _) = Kerberos::begin(service, host)?.step(&[])?;
                Ok(format!("Negotiate {}", BASE64.encode(token)))
            }
        }
    }
}

impl Http {
    pub fn new(address: &Address, config: &Config) -> Result<Self> {
        let scheme = match config.tls {
            Tls::Disable => "http",
            Tls::VerifyFull => "https",
            Tls::Require | Tls::VerifyCa => {
                return Err(Error::config(
                    "`tls`: over HTTP a server is verified in full, or not at all",
                )
                .with_hint("give verify-full, with `root_cert` for an authority of your own"));
            }
        };
        let host = if address.host.contains(':') {
            format!("[{}]", address.host)
        } else {
            address.host.clone()
        };
        let path = config.http_path.trim_start_matches('/');
        let password = config.password.as_ref().map(Secret::reveal).transpose()?;
        let login = |password: String| {
            format!("Basic {}", BASE64.encode(format!("{}:{password}", address.user)))
        };
        Ok(Self {
            url: format!("{scheme}://{host}:{}/{path}", address.port),
            authorities: config.root_cert.as_ref().map(Secret::reveal).transpose()?,
            authorization: match config.auth(address) {
                Auth::Kerberos => Authorization::Kerberos {
                    service: config.service(address).to_owned(),
                    host: address.host.clone(),
                },
                // Servers without passwords want to know the user all the same.
                _ => Authorization::Same(login(password.unwrap_or_else(|| "-".into()))),
            },
            cookies: Vec::new(),
            answer: None,
        })
    }

    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        let mut headers = vec![("content-type".to_owned(), "application/x-thrift".to_owned())];
        headers.push(("authorization".into(), self.authorization.header()?));
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            headers.push(("cookie".into(), cookies.join("; ")));
        }
        let answer = Response::to(&Request {
            method: "POST".into(),
            url: self.url.clone(),
            headers,
            body: message.to_vec(),
            timeout_ms: ANSWER_TIMEOUT_MILLIS,
            authorities: self.authorities.clone(),
        })?;
        if let Some(cookie) = answer.header("set-cookie") {
            self.keep(&cookie);
        }
        match answer.status() {
            200 => self.answer = Some(answer),
            status => return Err(refused(status, answer)),
        }
        Ok(())
    }

    pub fn read(&mut self, max: u32) -> Result<Vec<u8>> {
        match &mut self.answer {
            Some(answer) => answer.read(max),
            None => Ok(Vec::new()),
        }
    }

    fn keep(&mut self, cookie: &str) {
        let Some((name, value)) = cookie.split(';').next().and_then(|first| first.split_once('='))
        else {
            return;
        };
        self.cookies.retain(|(known, _)| known != name);
        self.cookies.push((name.trim().to_owned(), value.trim().to_owned()));
    }
}

fn refused(status: u16, answer: Response) -> Error {
    let said = answer.body(REFUSAL_LIMIT_BYTES).unwrap_or_default();
    let message = format!("the server answered {status}: {}", String::from_utf8_lossy(&said));
    match status {
        401 | 403 => Error::auth(message).with_hint("check the user and the password"),
        404 | 405 => Error::config(message).with_hint("check `http_path`: Hive's is cliservice"),
        429 | 503 => Error::new(longshore_sdk::ErrorClass::Throttled, message),
        _ => Error::connection(message).with_hint("check `transport`, host and port"),
    }
}
