//! A scheduler: it hands assignments to executors that have a free slot. It knows nothing of jobs, sources or secrets.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_core::utils::default_session_builder;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::SchedulerConfig;
use ballista_scheduler::metrics::default_metrics_collector;
use ballista_scheduler::scheduler_server::SchedulerServer;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use longshore::program::Host;
use longshore_cli::cluster::{ExecutorStatus, SchedulerOptions};
use longshore_cli::stop_signals::StopSignals;
use longshore_model::error::{Error, Result};
use tonic::service::Routes;
use tonic::transport::Channel;

use crate::config::session_config;
use crate::executor_id::name_of;
use crate::http::ask;
use crate::limits::{EXECUTOR_TIMEOUT_SECS, FINISHED_JOB_SECS, MESSAGE_LIMIT_BYTES};
use crate::message::Hello;
use crate::plan::codec;
use crate::server::ClusterServer;
use crate::tls::ClusterTls;

/// Where a scheduler says who it is.
const HELLO_PATH: &str = "/longshore";

type Scheduler = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

/// Serves executors and drivers until a signal ends it.
pub(crate) async fn serve(host: &Host, options: SchedulerOptions) -> Result<()> {
    let hint = "free the port, or give another address with --listen";
    let (server, routes) = bind(host, options, hint).await?;
    let mut signals = StopSignals::listen()?;
    let ending = async move {
        signals.next().await;
    };
    server.serve_until(routes, ending).await
}

/// The same beside the other work of a process, for as long as that runs.
pub(crate) async fn serve_beside(host: &Host, options: SchedulerOptions) -> Result<()> {
    let hint = "free the port, or give another address with --scheduler-listen";
    let (server, routes) = bind(host, options, hint).await?;
    server.serve_beside(routes);
    Ok(())
}

/// Listens; gives what is to be served. `hint` is the next step where that is not possible.
async fn bind(
    host: &Host,
    options: SchedulerOptions,
    hint: &str,
) -> Result<(ClusterServer, Routes)> {
    let tls = ClusterTls::read(&host.settings.cluster)?;
    let server = ClusterServer::bind(options.listen, hint, &tls).await?;
    let address = server.address;
    let scheduler = scheduler(&address.to_string()).await?;
    let grpc = SchedulerGrpcServer::new(scheduler.clone())
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    let own = Router::new().route(HELLO_PATH, get(say_hello)).with_state(scheduler);
    let routes = Routes::from(own.merge(Routes::new(grpc).into_axum_router()));
    tracing::info!("the scheduler listens on https://{address}");
    Ok((server, routes))
}

async fn scheduler(endpoint: &str) -> Result<Scheduler> {
    let fault = |error: ballista_core::error::BallistaError| Error::internal(error.to_string());
    let cluster = BallistaCluster::new_memory(
        endpoint,
        Arc::new(default_session_builder),
        Arc::new(session_config),
    );
    let config = SchedulerConfig {
        executor_timeout_seconds: EXECUTOR_TIMEOUT_SECS,
        finished_job_data_clean_up_interval_seconds: FINISHED_JOB_SECS,
        finished_job_state_clean_up_interval_seconds: FINISHED_JOB_SECS,
        ..SchedulerConfig::default().with_scheduler_policy(TaskSchedulingPolicy::PullStaged)
    };
    let metrics = default_metrics_collector().map_err(fault)?;
    let mut scheduler =
        SchedulerServer::new(endpoint.to_owned(), cluster, codec(None), Arc::new(config), metrics);
    scheduler.init().await.map_err(fault)?;
    Ok(scheduler)
}

async fn say_hello(State(scheduler): State<Scheduler>) -> Json<Hello> {
    let executors = scheduler.state.executor_manager.get_executors_state().await;
    let executors =
        executors.unwrap_or_default().into_iter().map(|(metadata, _, _)| ExecutorStatus {
            address: format!("{}:{}", metadata.host, metadata.port),
            slots: metadata.specification.vcores,
            name: name_of(&metadata.id).to_owned(),
        });
    Json(Hello { longshore: env!("CARGO_PKG_VERSION").to_owned(), executors: executors.collect() })
}

/// Asks a scheduler who it is, and refuses one of another version.
pub(crate) async fn hello(channel: &Channel, url: &str) -> Result<Hello> {
    let said = |error: Error| {
        error.with_context(format!("the scheduler at {url}")).with_hint(
            "check that it runs there, and that its certificate is of this cluster and names that host",
        )
    };
    let answer = ask(channel, HELLO_PATH, None).await.map_err(said)?;
    let hello: Hello = serde_json::from_slice(&answer.body).map_err(|_| {
        Error::config(format!("{url} is no scheduler of Longshore's"))
            .with_hint("name one that was started by `longshore-cluster cluster scheduler`")
    })?;
    let own = env!("CARGO_PKG_VERSION");
    if hello.longshore != own {
        let theirs = &hello.longshore;
        let text = format!("the scheduler at {url} is of Longshore {theirs}, and this is {own}");
        return Err(
            Error::config(text).with_hint("run the same version on all machines of the cluster")
        );
    }
    Ok(hello)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::path::Path;

    use longshore_cli::cluster::CertificateOptions;
    use longshore_model::config::cluster::ClusterSettings;
    use longshore_model::error::Class;

    use super::*;
    use crate::certificate;

    async fn greeting(folder: &Path, says: &'static str) -> Result<Hello> {
        let out = folder.join("member");
        let hosts = vec![Ipv4Addr::LOCALHOST.to_string()];
        let authority = folder.join("authority");
        certificate::issue(&CertificateOptions { authority, out: out.clone(), hosts, days: 1 })?;
        let tls = ClusterTls::read(&ClusterSettings { tls: Some(out), ..Default::default() })?;
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let server = ClusterServer::bind(any, "", &tls).await?;
        let routes = Router::new().route(HELLO_PATH, get(move || async move { says }));
        let url = format!("https://{}", server.serve_beside(Routes::from(routes)));
        hello(&tls.channel(&url)?, &url).await
    }

    #[tokio::test]
    async fn a_scheduler_of_another_version_is_refused_with_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let other = r#"{"longshore":"0.0.1","executors":[]}"#;
        let error = greeting(folder.path(), other).await.unwrap_err();
        let said = error.to_string();
        assert_eq!(error.class(), Class::Config);
        assert!(said.contains("0.0.1") && said.contains(env!("CARGO_PKG_VERSION")), "{said}");
        let error = greeting(folder.path(), "hello").await.unwrap_err();
        assert!(error.to_string().contains("no scheduler of Longshore's"), "{error}");
        let own = concat!(r#"{"longshore":""#, env!("CARGO_PKG_VERSION"), r#"","executors":[]}"#);
        assert!(greeting(folder.path(), own).await.is_ok());
    }
}
