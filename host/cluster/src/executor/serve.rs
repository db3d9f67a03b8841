//! The service of an executor, from its start to its end.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::serde::protobuf::ExecutorRegistration;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::scheduler::{
    ExecutorOperatingSystemSpecification, ExecutorSpecification,
};
use ballista_core::{BALLISTA_PROTOCOL_VERSION, ConfigProducer, RuntimeProducer};
use ballista_executor::execution_loop::poll_loop;
use ballista_executor::executor::Executor;
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::health::ExecutorHealth;
use datafusion::execution::runtime_env::RuntimeEnv;
use longshore::program::Host;
use longshore_cli::cluster::ExecutorOptions;
use longshore_cli::stop_signals::StopSignals;
use longshore_model::config::cluster::{ClusterAddress, ClusterUrl};
use longshore_model::error::{Error, Result};
use longshore_model::layout::SCRATCH;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep, timeout};
use tonic::service::Routes;
use tonic::transport::Channel;

use super::carry_out::Worker;
use super::engine::{QuietMetrics, StageEngine};
use super::sessions::Sessions;
use super::shuffle_folder::ShuffleFolder;
use crate::address::{in_url, listen_for, own_address};
use crate::config::executor_config;
use crate::executor_id::new_id;
use crate::http::NO_TLS;
use crate::limits::{
    BUSY_POLL_MILLIS, BUSY_SECS, FULL_DISK_SECS, IDLE_POLL_MILLIS, MESSAGE_LIMIT_BYTES,
};
use crate::plan::codec;
use crate::scheduler::hello;
use crate::server::ClusterServer;
use crate::tls::ClusterTls;

/// How long an executor waits before it asks once more for a scheduler that is not there.
const SCHEDULER_WAIT: Duration = Duration::from_secs(1);

/// Serves a scheduler until a signal ends it.
pub(crate) async fn serve(host: &Host, options: ExecutorOptions) -> Result<()> {
    let tls = ClusterTls::read(&host.settings.cluster)?;
    let channel = tls.channel(&options.scheduler.to_string())?;
    let mut signals = StopSignals::listen()?;
    tokio::select! {
        greeted = greet(&channel, &options) => greeted?,
        _ = signals.next() => return Ok(()),
    }
    let shuffles = ShuffleFolder::make(&host.settings.state)?;
    let folder = shuffles.path().display().to_string();
    let own = host.settings.cluster.address.as_ref();
    let listening = serve_rows(&options, own, &tls, &folder).await?;
    let address = Address {
        host: own.map_or_else(|| in_url(listening.ip()), |own| own.host.clone()),
        port: listening.port(),
    };
    let name = options.name.clone().unwrap_or_else(|| address.to_string());
    let (slots, asking) = (Arc::new(Semaphore::new(options.slots)), Arc::new(Notify::new()));
    let full = Arc::new(Notify::new());
    let executor = Arc::new(executor(&name, &address, &options, &folder, tls.clone())?);
    let sessions = Arc::new(Sessions::new(host.clone(), tls, shuffles.path().join(SCRATCH)));
    let worker = Arc::new(Worker {
        name: name.clone(),
        sessions: sessions.clone(),
        compute: host.threads.compute.handle().clone(),
        done: asking.clone(),
        full: full.clone(),
    });
    let (scheduler, free) = (&options.scheduler, options.slots);
    tracing::info!(
        "executor {name} serves {scheduler} with {free} slots, and listens on {address}"
    );
    let scheduler = SchedulerGrpcClient::new(channel)
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    let health = ExecutorHealth::new();
    let polling = poll_loop(
        scheduler,
        executor,
        codec(Some(worker)),
        Some(asking.clone()),
        Some(slots.clone()),
        health.clone(),
    );
    tokio::select! {
        ended = polling => ended.map_err(|error| Error::internal(error.to_string())),
        () = keep_asking(&asking, &slots, options.slots) => Ok(()),
        () = tell_silence(&health, &options.scheduler) => Ok(()),
        () = pause_when_full(&full, &slots, options.slots) => Ok(()),
        () = drained(&mut signals, &slots, &options) => {
            sessions.give_up(&name).await;
            Ok(())
        }
    }
}

/// Waits for the scheduler; one of another version or another cluster is refused.
async fn greet(channel: &Channel, options: &ExecutorOptions) -> Result<()> {
    let url = options.scheduler.to_string();
    let mut is_told = false;
    loop {
        match hello(channel, &url).await {
            Ok(_) => return Ok(()),
            Err(error) if error.class().is_transient() && error.code() != Some(NO_TLS) => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!("{error}: waiting for it");
                }
            }
            Err(error) => return Err(error),
        }
        sleep(SCHEDULER_WAIT).await;
    }
}

/// Says when the scheduler no longer answers, and when it does again.
async fn tell_silence(health: &ExecutorHealth, scheduler: &ClusterUrl) {
    // It was greeted.
    let mut answered = true;
    loop {
        sleep(SCHEDULER_WAIT).await;
        match (answered, health.is_ready()) {
            (true, false) => tracing::warn!("{scheduler} does not answer: waiting for it"),
            (false, true) => tracing::info!("{scheduler} answers"),
            _ => {}
        }
        answered = health.is_ready();
    }
}

/// Where the others reach this executor.
struct Address {
    host: String,
    port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Serves rows that other executors need of this one; gives where it listens.
async fn serve_rows(
    options: &ExecutorOptions,
    own: Option<&ClusterAddress>,
    tls: &ClusterTls,
    folder: &str,
) -> Result<SocketAddr> {
    let listen = match (options.listen, own) {
        (Some(listen), _) => listen,
        // Others may know this machine by an address that it does not know itself.
        (None, Some(own)) => listen_for(own),
        (None, None) => SocketAddr::new(own_address(options.scheduler.authority()).await?, 0),
    };
    let hint = "give another address with --listen";
    let server = ClusterServer::bind(listen, hint, tls).await?;
    let flight = FlightServiceServer::new(BallistaFlightService::new(folder.to_owned()))
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES)
        .max_encoding_message_size(MESSAGE_LIMIT_BYTES);
    Ok(server.serve_beside(Routes::new(flight)))
}

fn executor(
    name: &str,
    address: &Address,
    options: &ExecutorOptions,
    folder: &str,
    tls: ClusterTls,
) -> Result<Executor> {
    let slots = u32::try_from(options.slots).unwrap_or(u32::MAX);
    let metadata = ExecutorRegistration {
        id: new_id(name)?,
        host: Some(address.host.clone()),
        port: address.port.into(),
        grpc_port: 0,
        specification: Some(ExecutorSpecification::default().with_vcores(slots).into()),
        os_info: Some(ExecutorOperatingSystemSpecification::default().into()),
        ballista_protocol_version: BALLISTA_PROTOCOL_VERSION,
    };
    let runtime = Arc::new(RuntimeEnv::default());
    let runtime: RuntimeProducer = Arc::new(move |_| Ok(runtime.clone()));
    let config = executor_config(tls);
    let config: ConfigProducer = Arc::new(move || config.clone());
    Ok(Executor::new(
        metadata,
        folder,
        runtime,
        config,
        Arc::default(),
        Arc::new(QuietMetrics),
        options.slots,
        Arc::new(StageEngine::default()),
    ))
}

/// Has the executor ask for work: often while it has some, else now and then.
async fn keep_asking(asking: &Notify, slots: &Semaphore, all: usize) {
    let mut busy = Instant::now();
    loop {
        if slots.available_permits() < all {
            busy = Instant::now();
        }
        let is_busy = busy.elapsed().as_secs() < BUSY_SECS;
        sleep(Duration::from_millis(if is_busy { BUSY_POLL_MILLIS } else { IDLE_POLL_MILLIS }))
            .await;
        asking.notify_one();
    }
}

/// Takes no more work for a while whenever the disk is full.
async fn pause_when_full(full: &Notify, slots: &Semaphore, all: usize) {
    let all = u32::try_from(all).unwrap_or(u32::MAX);
    loop {
        full.notified().await;
        let _all = slots.acquire_many(all).await;
        sleep(Duration::from_secs(FULL_DISK_SECS)).await;
    }
}

/// After a signal, lets what is under way end, and takes nothing more.
async fn drained(signals: &mut StopSignals, slots: &Semaphore, options: &ExecutorOptions) {
    signals.next().await;
    tracing::info!("no more work is taken; what is under way may take {} s", options.drain_secs);
    let all = u32::try_from(options.slots).unwrap_or(u32::MAX);
    let wait = Duration::from_secs(options.drain_secs);
    if timeout(wait, slots.acquire_many(all)).await.is_err() {
        tracing::warn!("what is under way is given up, and done by others");
    }
}
