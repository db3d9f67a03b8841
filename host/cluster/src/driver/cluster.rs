//! Clusters, as runs ask for them: by the URLs of their schedulers.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use longshore_model::config::cluster::{ClusterSettings, ClusterUrl};
use longshore_model::error::Result;
use longshore_run::cluster::{Cluster, ClusterRun, PluginFile, RunSpec};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::members::MembersWatch;
use super::run::DriverRun;
use super::scheduler_client::SchedulerClient;
use super::service::{Session, Sessions, serve};
use crate::address::{in_url, listen_for, own_address, unguessable};
use crate::tls::ClusterTls;

/// Clusters of Ballista.
#[derive(Default)]
pub(crate) struct BallistaClusters {
    sessions: Sessions,
    /// The URLs of this driver, by the addresses that schedulers are reached from.
    drivers: Mutex<HashMap<IpAddr, String>>,
}

impl fmt::Debug for BallistaClusters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BallistaClusters")
    }
}

#[async_trait]
impl Cluster for BallistaClusters {
    async fn open(
        &self,
        url: &ClusterUrl,
        settings: &ClusterSettings,
        spec: RunSpec,
        plugins: Vec<PluginFile>,
        scratch: &Path,
    ) -> Result<Arc<dyn ClusterRun>> {
        let tls = ClusterTls::read(settings)?;
        let scheduler = SchedulerClient::new(url, &tls)?;
        let hello = scheduler.greet().await?;
        let driver = self.driver(url, settings, &tls).await?;
        let name = unguessable()?;
        let session = Arc::new(Session {
            spec: Bytes::from(serde_json::to_vec(&spec)?),
            plugins: plugins.into_iter().map(|file| (file.digest, file.path)).collect(),
            attempts: Default::default(),
            scratch: scratch.to_owned(),
        });
        self.sessions.lock().insert(name.clone(), session.clone());
        let (sessions, io) = (self.sessions.clone(), Handle::current());
        let members = MembersWatch::start(spec.run, scheduler.clone(), &hello);
        Ok(Arc::new(DriverRun {
            driver,
            name,
            session,
            sessions,
            scheduler,
            io,
            _members: members,
            plans_differ: Default::default(),
        }))
    }
}

impl BallistaClusters {
    /// The URL by which executors reach this process. It is served from the first time on.
    async fn driver(
        &self,
        scheduler: &ClusterUrl,
        settings: &ClusterSettings,
        tls: &ClusterTls,
    ) -> Result<String> {
        let own = own_address(scheduler.authority()).await?;
        let mut drivers = self.drivers.lock().await;
        if let Some(url) = drivers.get(&own) {
            return Ok(url.clone());
        }
        let (listen, host) = match &settings.address {
            // Others may know this machine by an address that it does not know itself.
            Some(address) => (listen_for(address), address.host.clone()),
            None => (SocketAddr::new(own, 0), in_url(own)),
        };
        let port = serve(listen, tls, self.sessions.clone()).await?.port();
        let url = format!("https://{host}:{port}");
        tracing::debug!("executors reach this process at {url}");
        drivers.insert(own, url.clone());
        Ok(url)
    }
}
