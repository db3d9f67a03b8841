//! What the sandbox costs, measured by itself. Prints JSON.
//!
//! `measure startup PLUGINS`: cold compile, load from cache and instantiation of each component, and how
//! long it takes from a file's arrival in a watched folder until its plugin serves.
//! `measure read PLUGINS URL TABLE`: reads one table through the component and decodes it, as
//! `ChunkScan` does, on one thread and without writing; the password is in PGPASSWORD.
//! `measure change PLUGINS TRANSFORM FILE CONFIG`: sends all batches of an Arrow file through a transform,
//! as `ComponentTransform` does; the config is JSON.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::ipc::reader::FileReader;
use longshore_engine::ipc::{IpcDecoder, decode_schema, encode_schema};
use longshore_engine::transform::{OpenTransform, TransformSchemas};
use longshore_model::config::PluginRequirement;
use longshore_model::grant::{Endpoint, Grant, SecretValue};
use longshore_model::limits::Limits;
use longshore_plugins::{Admission, Compile, Plugin, Plugins};
use longshore_sandbox::{ChunkHints, ChunkLane, Connector, Relation, Sandbox, Scan, Transform};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Instantiations that are averaged.
const INSTANCES: u32 = 100;

#[tokio::main(worker_threads = 1)]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["startup", plugins] => startup(Path::new(plugins)).await,
        ["read", plugins, url, table] => read(Path::new(plugins), url, table).await,
        ["change", plugins, transform, file, config] => {
            change(Path::new(plugins), transform, file, config).await
        }
        _ => Err("measure startup | read | change: see the head of its source".into()),
    }
}

async fn startup(plugins: &Path) -> Result<()> {
    let cache = std::env::temp_dir().join(format!("longshore-measure-{}", std::process::id()));
    let mut measured = Vec::new();
    for entry in fs::read_dir(plugins)? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "wasm") {
            continue;
        }
        let mut load_ms = Vec::new();
        for _ in ["cold", "cached"] {
            let sandbox = Sandbox::new(&cache, Limits::default())?;
            let started = Instant::now();
            Plugin::load(&sandbox, &path, &Admission::default(), Compile::AtOnce).await?;
            load_ms.push(started.elapsed().as_secs_f64() * 1e3);
        }
        let plugin = Plugin::load(
            &Sandbox::new(&cache, Limits::default())?,
            &path,
            &Admission::default(),
            Compile::AtOnce,
        )
        .await?;
        let started = Instant::now();
        for _ in 0..INSTANCES {
            // An instance and a call of `describe` in it.
            plugin.describe().await?;
        }
        let instance_us = started.elapsed().as_secs_f64() * 1e6 / f64::from(INSTANCES);
        fs::remove_dir_all(&cache)?;
        let cold_serving_ms = serving_ms(&path, &cache).await?;
        let cached_serving_ms = serving_ms(&path, &cache).await?;
        measured.push(serde_json::json!({
            "plugin": plugin.name(),
            "bytes": fs::metadata(&path)?.len(),
            "cold_ms": load_ms[0],
            "cached_ms": load_ms[1],
            "instance_us": instance_us,
            "cold_serving_ms": cold_serving_ms,
            "cached_serving_ms": cached_serving_ms,
        }));
        fs::remove_dir_all(&cache)?;
    }
    println!("{}", serde_json::Value::from(measured));
    Ok(())
}

/// From a file's arrival in a watched folder until its plugin serves.
async fn serving_ms(component: &Path, cache: &Path) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let plugins =
        Arc::new(Plugins::new(Sandbox::new(cache, Limits::default())?, &folder.path().into()));
    let _watching = plugins.watch().await?;
    let partial = folder.path().join("new.partial");
    fs::copy(component, &partial)?;
    // The watcher has seen the copy, which is not a component to it, and is at rest again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let arrived = Instant::now();
    fs::rename(&partial, folder.path().join("new.wasm"))?;
    while plugins.serving().slots().iter().all(|slot| slot.serving.is_none()) {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    Ok(arrived.elapsed().as_secs_f64() * 1e3)
}

async fn read(plugins: &Path, url: &str, table: &str) -> Result<()> {
    let cache = std::env::temp_dir().join(format!("longshore-measure-{}", std::process::id()));
    let catalog =
        Plugins::new(Sandbox::new(&cache, Limits::default())?, &plugins.into()).load().await?;
    let connector = catalog.connector("postgres", &PluginRequirement::default())?;
    let connector = connector.component::<Connector>().await?;
    fs::remove_dir_all(&cache)?;
    let parsed = url::Url::parse(url)?;
    let host = parsed.host_str().unwrap_or_default().to_owned();
    let password = std::env::var("PGPASSWORD").unwrap_or_default();
    let grant = Grant {
        odbc: None,
        kerberos: None,
        endpoints: vec![Endpoint { host, port: parsed.port().unwrap_or(5432) }],
        secrets: [("password".to_owned(), SecretValue::new(password))].into(),
    };
    let config =
        serde_json::json!({ "url": url, "password": { "secret": "password" } }).to_string();
    let scan = Scan {
        relation: Relation::Table(table.into()),
        projection: None,
        filter: None,
        limit: None,
        snapshot: None,
    };
    let hints =
        ChunkHints { rows: None, bytes: 64 << 20, parallel: 1, max_chunks: 10_000, key: None };
    let mut session = connector.open("postgres", &config, grant).await?;
    let schema = decode_schema(session.describe_relation(&scan.relation).await?.schema)?;
    let before = cpu_seconds();
    let started = Instant::now();
    let mut chunks = session.plan(&scan, &hints).await?;
    let all = chunks.next(10_000).await?;
    let mut session = chunks.close().await?;
    let mut rows = 0;
    for chunk in all {
        let ChunkLane::Component(descriptor) = &chunk.lane else { continue };
        let mut reader = session.read(&scan, descriptor).await?;
        let mut decoder = IpcDecoder::new(schema.clone());
        while let Some(pieces) = reader.next().await? {
            rows += decoder.push(pieces)?.iter().map(|batch| batch.num_rows()).sum::<usize>();
        }
        session = reader.close().await?;
    }
    let (cpu, seconds) = (cpu_seconds() - before, started.elapsed().as_secs_f64());
    println!("{}", serde_json::json!({ "rows": rows, "seconds": seconds, "cpu": cpu }));
    Ok(())
}

async fn change(plugins: &Path, transform: &str, file: &str, config: &str) -> Result<()> {
    let cache = std::env::temp_dir().join(format!("longshore-measure-{}", std::process::id()));
    let catalog =
        Plugins::new(Sandbox::new(&cache, Limits::default())?, &plugins.into()).load().await?;
    let plugin = catalog.transform(&transform.parse()?)?.component::<Transform>().await?;
    fs::remove_dir_all(&cache)?;
    let file = FileReader::try_new(fs::File::open(file)?, None)?;
    let schema = file.schema();
    let mut transformer =
        plugin.open(transform, config, Grant::default(), &encode_schema(&schema)?).await?;
    let schemas = TransformSchemas::ask(&mut transformer, &schema).await?;
    let mut opened = OpenTransform::new(transformer, schemas)?;
    let before = cpu_seconds();
    let mut rows = 0;
    for batch in file {
        rows += opened.process(&batch?).await?.iter().map(|batch| batch.num_rows()).sum::<usize>();
    }
    println!("{}", serde_json::json!({ "rows": rows, "cpu": cpu_seconds() - before }));
    Ok(())
}

/// User and system time of this process, all threads.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
