//! Servers of a cluster: an address, TLS with a certificate on both sides, and what is served there.

use std::future::pending;
use std::net::SocketAddr;

use longshore_model::error::{Error, Result};
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::tls::{ClusterTls, told};

/// A server that listens, and that nobody is served by yet.
pub(crate) struct ClusterServer {
    server: Server,
    listener: TcpListener,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl ClusterServer {
    /// Listens; `hint` is the next step where that is not possible.
    pub(crate) async fn bind(listen: SocketAddr, hint: &str, tls: &ClusterTls) -> Result<Self> {
        let fault = |error| Error::io(format!("listening on {listen}"), error).with_hint(hint);
        let listener = TcpListener::bind(listen).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let server = Server::builder().tls_config(tls.server()).map_err(|error| {
            Error::config(told(&error)).with_hint("check the files of --cluster-tls")
        })?;
        Ok(Self { server, listener, address })
    }

    /// Serves until something ends it.
    pub(crate) async fn serve_until(
        mut self,
        routes: Routes,
        ending: impl Future<Output = ()>,
    ) -> Result<()> {
        // An answer is a small packet, which would wait for the acknowledgement of the one before: 40 ms.
        let clients = TcpIncoming::from(self.listener).with_nodelay(Some(true));
        let served = self.server.add_routes(routes).serve_with_incoming_shutdown(clients, ending);
        served.await.map_err(|error| Error::internal(told(&error)))
    }

    /// Serves for as long as the process runs; gives where.
    pub(crate) fn serve_beside(self, routes: Routes) -> SocketAddr {
        let address = self.address;
        tokio::spawn(async move {
            if let Err(error) = self.serve_until(routes, pending()).await {
                tracing::error!("{address} is no longer served: {error}");
            }
        });
        address
    }
}
