//! The options of `longshore serve` that say where its API is, and for whom.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use longshore_daemon::api::ApiOptions;

#[derive(Args)]
pub(super) struct ApiArgs {
    /// The address of the HTTP API and the dashboard, such as 127.0.0.1:8460 [default: only the socket
    /// `api.sock` in the state folder]
    #[arg(long, env = "LONGSHORE_LISTEN", value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
    /// Listen without TLS also where others reach the address
    #[arg(long, env = "LONGSHORE_LISTEN_PLAIN")]
    listen_plain: bool,
    /// The API's certificates, in PEM: its own first
    #[arg(long, env = "LONGSHORE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the API's certificate, in PEM
    #[arg(long, env = "LONGSHORE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A name that clients may call the API by, beside its address; may be repeated
    #[arg(
        long = "allowed-host",
        env = "LONGSHORE_ALLOWED_HOSTS",
        value_delimiter = ',',
        value_name = "NAME"
    )]
    allowed_hosts: Vec<String>,
}

/// An address and a port. Of names only that of this machine is known before anything is looked up.
fn address(text: &str) -> Result<SocketAddr, String> {
    let written = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    let wrong = "write an IP address and a port, as in 127.0.0.1:8460 or [::1]:8460";
    written.parse().map_err(|_| wrong.to_owned())
}

impl From<ApiArgs> for ApiOptions {
    fn from(args: ApiArgs) -> Self {
        Self {
            listen: args.listen,
            is_plain_allowed: args.listen_plain,
            tls: args.tls_cert.zip(args.tls_key),
            allowed_hosts: args.allowed_hosts,
        }
    }
}
