//! How Ballista is set up, the same in every process of a cluster.

use std::sync::Arc;

use ballista_core::extension::SessionConfigExt;
use datafusion::prelude::SessionConfig;

use crate::tls::ClusterTls;

/// A task has one partition: what is written of each is told apart.
const MAX_PARTITIONS_PER_TASK: (&str, &str) = ("ballista.scheduler.max_partitions_per_task", "1");

/// The config of Ballista's sessions.
pub(crate) fn session_config() -> SessionConfig {
    let (key, value) = MAX_PARTITIONS_PER_TASK;
    SessionConfig::new_with_ballista().with_ballista_use_tls(true).set_str(key, value)
}

/// The same for an executor, which asks others for rows.
pub(crate) fn executor_config(tls: ClusterTls) -> SessionConfig {
    session_config().with_ballista_override_create_grpc_client_endpoint(Arc::new(move |endpoint| {
        tls.endpoint(endpoint).map_err(Into::into)
    }))
}
