//! The client of the HTTP API.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use longshore_model::error::{Class, Error, Result};
use longshore_model::trace_context::TraceParent;
use longshore_sandbox::capability::tls::{TlsOptions, TlsVerify, client_config};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;

/// The socket of a daemon on this machine, in its state folder.
const SOCKET: &str = "api.sock";

/// The beginning of a socket's name.
const UNIX: &str = "unix:";

/// The variable that holds a token.
const TOKEN_VARIABLE: &str = "LONGSHORE_TOKEN";

/// The daemon that a command asks.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RemoteArgs {
    /// The daemon that `runs`, `submit` and `wait` ask: a URL, or unix:PATH of its socket
    #[arg(long, global = true, env = "LONGSHORE_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The file of the token for that daemon [default: what LONGSHORE_TOKEN holds]
    #[arg(long, global = true, env = "LONGSHORE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The certificates that sign for that daemon, in PEM [default: those of the system]
    #[arg(long, global = true, env = "LONGSHORE_SERVER_CA", value_name = "FILE")]
    server_ca: Option<PathBuf>,
}

/// A client of one daemon.
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// The body of an answer that tells of an error.
#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

#[derive(Deserialize)]
struct ErrorBody {
    class: Class,
    message: String,
    next_step: Option<String>,
    exit_code: Option<u8>,
}

impl RemoteArgs {
    /// Whether a daemon is named.
    pub(crate) fn is_given(&self) -> bool {
        self.server.is_some()
    }

    /// A client of the daemon that is named, or else of the one that has this state folder.
    pub(crate) fn client(&self, state: &Path) -> Result<Client> {
        let own = format!("{UNIX}{}", state.join(SOCKET).display());
        let server = self.server.as_deref().unwrap_or(&own);
        let builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .use_preconfigured_tls(Arc::unwrap_or_clone(client_config(&self.tls()?)?));
        let (builder, base) = match server.strip_prefix(UNIX) {
            Some(path) => (builder.unix_socket(Path::new(path)), "http://localhost".to_owned()),
            None => (builder, server.trim_end_matches('/').to_owned()),
        };
        let http = builder.build().map_err(|error| {
            Error::config(format!("--server {server}: {error}")).with_hint(
                "write it as in http://127.0.0.1:8460 or unix:/var/lib/longshore/api.sock",
            )
        })?;
        Ok(Client { http, base: format!("{base}/api/v1"), token: self.token()? })
    }

    fn tls(&self) -> Result<TlsOptions> {
        let read = |file: &PathBuf| {
            fs::read_to_string(file).map_err(|error| Error::io(file.display(), error))
        };
        let authorities = self.server_ca.as_ref().map(read).transpose()?;
        Ok(TlsOptions { server_name: String::new(), verify: TlsVerify::Full, authorities })
    }

    fn token(&self) -> Result<Option<String>> {
        let Some(file) = &self.token_file else {
            return Ok(std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty()));
        };
        let text = fs::read_to_string(file).map_err(|error| Error::io(file.display(), error))?;
        Ok(Some(text.trim().to_owned()))
    }
}

impl Client {
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.request(Method::POST, path);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let request = match TraceParent::of_environment() {
            Some(parent) => request.header("traceparent", parent.to_string()),
            None => request,
        };
        self.send(request).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value> {
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|_| self.not_a_daemon());
        }
        let Ok(ErrorAnswer { error }) = serde_json::from_slice(&bytes) else {
            return Err(self.not_a_daemon());
        };
        let mut told = Error::new(error.class, error.message);
        if let Some(hint) = error.next_step {
            told = told.with_hint(hint);
        }
        Err(match error.exit_code {
            Some(exit_code) => told.with_exit_code(exit_code),
            None => told,
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Error {
        let cause = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
        let cause = cause.last().map(ToString::to_string).unwrap_or_default();
        Error::connection(format!("{}: {cause}", self.base))
            .with_hint("look whether the daemon runs, and whether --server names it")
    }

    fn not_a_daemon(&self) -> Error {
        Error::config(format!("{}: what answers there is no daemon of Longshore", self.base))
            .with_hint("check --server")
    }
}
