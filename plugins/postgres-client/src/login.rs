//! TLS and login.

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use longshore_sdk::host::{Connection, Endpoint, TlsOptions, TlsVerify};
use longshore_sdk::{Error, Result, Secret};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::SCRAM_SHA_256;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::messages::MessageStream;
use crate::scram::Exchange;
use crate::{Address, fault};

/// What a job says of the way into a server, beside its URL.
#[derive(Clone, Debug, Default)]
pub struct Login {
    /// The password; none for `trust`.
    pub password: Option<Secret>,
    /// Whether to speak TLS and how far to verify the server; the URL's, else `prefer`.
    pub sslmode: Option<SslMode>,
    /// The authority's certificate, PEM; the system's authorities without it.
    pub root_cert: Option<Secret>,
}

/// Whether to speak TLS, and how far to verify the server; as libpq means it.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SslMode {
    /// Never.
    Disable,
    /// If the server can; verified by nobody.
    Prefer,
    /// Always; verified by nobody, unless there is a `root_cert`.
    Require,
    /// Always; signed by a trusted authority.
    VerifyCa,
    /// Always; signed by a trusted authority, for the host's name.
    VerifyFull,
}

/// Connects, and speaks TLS as the job wants it; says whether it does.
pub(crate) fn connect(address: &Address, login: &Login) -> Result<(Connection, bool)> {
    let mode = login.sslmode.or(address.sslmode).unwrap_or(SslMode::Prefer);
    let root_cert = login.root_cert.as_ref();
    let endpoint = Endpoint { host: address.host.clone(), port: address.port };
    let verify = match (mode, root_cert) {
        (SslMode::VerifyFull, _) => TlsVerify::Full,
        (SslMode::VerifyCa, _) | (SslMode::Require, Some(_)) => TlsVerify::Authority,
        _ => TlsVerify::None,
    };
    let mut connection = Connection::connect(&endpoint)?;
    if mode == SslMode::Disable {
        return Ok((connection, false));
    }
    if !server_speaks_tls(&mut connection)? {
        return match mode {
            SslMode::Prefer => Ok((connection, false)),
            _ => {
                Err(Error::config(format!("{}:{} does not speak TLS", address.host, address.port))
                    .with_hint("switch TLS on at the server, or give `sslmode: disable`"))
            }
        };
    }
    let options = TlsOptions {
        server_name: address.host.clone(),
        verify,
        authorities: root_cert.map(Secret::reveal).transpose()?,
    };
    match connection.start_tls(&options) {
        Ok(()) => Ok((connection, true)),
        // As libpq does: what only prefers TLS goes on without.
        Err(_) if mode == SslMode::Prefer => Ok((Connection::connect(&endpoint)?, false)),
        Err(error) => Err(error),
    }
}

fn server_speaks_tls(connection: &mut Connection) -> Result<bool> {
    let mut request = BytesMut::new();
    frontend::ssl_request(&mut request);
    connection.write(&request)?;
    match connection.read(1)?.as_slice() {
        b"S" => Ok(true),
        b"N" => Ok(false),
        [] => Err(Error::connection("the server closed the connection at once")
            .with_hint("check that it is a PostgreSQL server, and that it is not full")),
        _ => Err(fault::protocol("neither yes nor no to TLS; is this a PostgreSQL server?")),
    }
}

/// Logs in by whatever the server asks for; gives the request that cancels what the session does.
pub(crate) fn log_in(
    messages: &mut MessageStream,
    address: &Address,
    password: Option<&Secret>,
) -> Result<Vec<u8>> {
    let parameters = [
        ("user", address.user.as_str()),
        ("database", address.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", "longshore"),
    ];
    messages.send(|out| frontend::startup_message(parameters, out))?;
    let (mut scram, mut cancel): (Option<Exchange<'_>>, _) = (None, Vec::new());
    loop {
        match messages.receive()? {
            Message::AuthenticationCleartextPassword => {
                let password = reveal(password)?;
                messages.send(|out| frontend::password_message(password.as_bytes(), out))?;
            }
            Message::AuthenticationMd5Password(asked) => {
                let password = reveal(password)?;
                let hash = md5_hash(address.user.as_bytes(), password.as_bytes(), asked.salt());
                messages.send(|out| frontend::password_message(hash.as_bytes(), out))?;
            }
            Message::AuthenticationSasl(asked) => {
                let offered: Vec<&str> = asked.mechanisms().collect().unwrap_or_default();
                if !offered.contains(&SCRAM_SHA_256) {
                    return Err(Error::config(format!(
                        "it wants to log in by {}",
                        offered.join(", ")
                    ))
                    .with_hint("allow scram-sha-256, md5, password or trust in pg_hba.conf"));
                }
                let exchange = Exchange::new(given(password)?);
                let first = exchange.first();
                messages.send(|out| {
                    frontend::sasl_initial_response(SCRAM_SHA_256, first.as_bytes(), out)
                })?;
                scram = Some(exchange);
            }
            Message::AuthenticationSaslContinue(body) => {
                let exchange = scram.as_mut().ok_or_else(in_disorder)?;
                let last = exchange.last(body.data())?;
                messages.send(|out| frontend::sasl_response(last.as_bytes(), out))?;
            }
            Message::AuthenticationSaslFinal(body) => {
                scram.as_ref().ok_or_else(in_disorder)?.verify(body.data())?;
            }
            Message::AuthenticationGss
            | Message::AuthenticationSspi
            | Message::AuthenticationKerberosV5 => {
                return Err(Error::config("it wants to log in by Kerberos")
                    .with_hint("allow scram-sha-256, md5, password or trust in pg_hba.conf"));
            }
            Message::BackendKeyData(key) => {
                let mut request = BytesMut::new();
                frontend::cancel_request(key.process_id(), key.secret_key(), &mut request);
                cancel = request.to_vec();
            }
            Message::ErrorResponse(error) => return Err(fault::from_server(error.fields())),
            Message::ReadyForQuery(_) => return Ok(cancel),
            _ => {}
        }
    }
}

fn reveal(password: Option<&Secret>) -> Result<String> {
    given(password)?.reveal()
}

fn given(password: Option<&Secret>) -> Result<&Secret> {
    password.ok_or_else(|| {
        Error::config("the server asks for a password, and the job gives none")
            .with_hint("add `password: { secret: NAME }` beside `url`")
    })
}

fn in_disorder() -> Error {
    fault::protocol("SCRAM in disorder")
}
