//! Mutual TLS: every process of a cluster shows a certificate that the cluster's own authority signed, and talks to
//! nobody who does not. There is no way without.

use std::path::Path;

use longshore_model::config::cluster::ClusterSettings;
use longshore_model::error::{Error, Result};
use tonic::transport::{
    Certificate, Channel, ClientTlsConfig, Endpoint, Identity, ServerTlsConfig,
};

use crate::limits::{CONNECT_SECS, KEEP_ALIVE_SECS, REQUEST_SECS};

/// The authority, in the folder of a certificate.
pub(crate) const AUTHORITY: &str = "ca.pem";

/// The certificate.
pub(crate) const CERTIFICATE: &str = "cert.pem";

/// Its key.
pub(crate) const KEY: &str = "key.pem";

/// What a process shows the others, and believes them by.
#[derive(Clone)]
pub(crate) struct ClusterTls {
    authority: Certificate,
    identity: Identity,
}

impl ClusterTls {
    /// Reads the files of the settings' folder.
    pub(crate) fn read(settings: &ClusterSettings) -> Result<Self> {
        let folder = settings.tls_folder()?;
        let authority = Certificate::from_pem(pem(folder, AUTHORITY)?);
        let identity = Identity::from_pem(pem(folder, CERTIFICATE)?, pem(folder, KEY)?);
        Ok(Self { authority, identity })
    }

    /// For a server: clients must show a certificate.
    pub(crate) fn server(&self) -> ServerTlsConfig {
        let config = ServerTlsConfig::new().identity(self.identity.clone());
        config.client_ca_root(self.authority.clone())
    }

    fn client(&self) -> ClientTlsConfig {
        let config = ClientTlsConfig::new().ca_certificate(self.authority.clone());
        config.identity(self.identity.clone())
    }

    /// The same for an endpoint.
    pub(crate) fn endpoint(&self, endpoint: Endpoint) -> Result<Endpoint, tonic::transport::Error> {
        endpoint.tls_config(self.client())
    }

    /// A connection that is made when it is first used, and again when it is lost.
    pub(crate) fn channel(&self, url: &str) -> Result<Channel> {
        use std::time::Duration;
        let unusable = |error: tonic::transport::Error| {
            Error::config(format!("{url}: {}", told(&error))).with_hint(
                "check the files in the folder of --cluster-tls: PEM, and of one cluster",
            )
        };
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(unusable)?;
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(CONNECT_SECS))
            .timeout(Duration::from_secs(REQUEST_SECS))
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(KEEP_ALIVE_SECS))
            .keep_alive_timeout(Duration::from_secs(KEEP_ALIVE_SECS))
            .keep_alive_while_idle(true);
        Ok(self.endpoint(endpoint).map_err(unusable)?.connect_lazy())
    }
}

fn pem(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).map_err(|error| Error::io(path.display(), error))
}

/// An error with its causes: the outermost alone says nothing.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}
