//! How fast a component is, and what it takes: the same work by more and more instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use longshore_engine::ipc::{IpcDecoder, IpcEncoder, encode_schema};
use longshore_engine::transform::{OpenTransform, TransformSchemas};
use longshore_model::error::{Error, Result};
use longshore_plugins::{Plugin, PluginKind};
use longshore_run::new_run_id;
use longshore_sandbox::{
    ChunkLane, Connector, Load, LoadMode, PlannedChunk as Chunk, Relation, Sink, Transform, Usage,
};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{Probe, SuiteInputs, bound, rows};

/// Chunks that a connector's relation is cut into, at the most.
const CHUNKS: u32 = 64;

/// Rows of a batch that is handed to a transform or a sink.
const BATCH_ROWS: i64 = 8_192;

/// The speed of several instances together.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Instances at the same time.
    pub instances: usize,
    /// Rows that went through.
    pub rows: u64,
    /// Their bytes, as Arrow IPC.
    pub bytes: u64,
    /// How long it took.
    pub wall_secs: f64,
    /// What the whole process computed meanwhile.
    pub cpu_secs: f64,
    /// The linear memory of the largest instance.
    pub memory_bytes: u64,
    /// Calls of the host, of all instances.
    pub host_calls: u64,
}

/// The work of one instance.
#[derive(Default)]
struct Done {
    rows: u64,
    bytes: u64,
    usage: Usage,
}

impl Done {
    fn count(&mut self, rows: usize, pieces: &[Vec<u8>]) {
        self.rows += rows as u64;
        self.bytes += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
    }
}

/// Has so many instances do the work: all chunks of a connector's relation, or `rows` rows of a sample
/// for the other kinds.
pub async fn measure(
    plugin: &Arc<Plugin>,
    given: &SuiteInputs<'_>,
    rows: u64,
    instances: usize,
    compute: &Handle,
) -> Result<Figures> {
    let config = given.config.clone().unwrap_or_default();
    let binding = bound(plugin, &config, given.settings)?;
    let (cpu, begun) = (cpu_time(), Instant::now());
    let done = match plugin.kind() {
        PluginKind::Connector => {
            let probe = Probe(binding.compile().await?);
            connector(&probe, given.relations.first(), instances, compute).await?
        }
        PluginKind::Transform => {
            transform(&Probe(binding.compile().await?), rows, instances, compute).await?
        }
        PluginKind::Sink => {
            sink(&Probe(binding.compile().await?), rows, instances, compute).await?
        }
    };
    Ok(Figures {
        instances,
        rows: done.iter().map(|done| done.rows).sum(),
        bytes: done.iter().map(|done| done.bytes).sum(),
        wall_secs: begun.elapsed().as_secs_f64(),
        cpu_secs: (cpu_time() - cpu).as_secs_f64(),
        memory_bytes: done.iter().map(|done| done.usage.memory_bytes).max().unwrap_or(0),
        host_calls: done.iter().map(|done| done.usage.host_calls).sum(),
    })
}

async fn connector(
    probe: &Probe<Connector>,
    relation: Option<&Relation>,
    instances: usize,
    compute: &Handle,
) -> Result<Vec<Done>> {
    let relation = match relation {
        Some(relation) => relation.clone(),
        None => {
            let listed = probe.open().await?.relations().await?;
            let first = listed.into_iter().next().map(Relation::Table);
            first.ok_or_else(|| Error::config("it lists nothing").with_hint("name a --table"))?
        }
    };
    let subject = probe.look_up(&relation, None).await?;
    let chunks: Arc<Vec<Chunk>> = Arc::new(probe.plan(&subject.scan, &subject, CHUNKS).await?);
    let (scan, next) = (Arc::new(subject.scan), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for _ in 0..instances {
        let (component, name) = (probe.component.clone(), probe.name().to_owned());
        let (config, grant) = (probe.config.clone(), probe.grant.clone());
        let (scan, schema) = (scan.clone(), subject.schema.clone());
        let (chunks, next) = (chunks.clone(), next.clone());
        let worker = async move {
            let mut session = component.open(&name, &config, grant).await?;
            let mut done = Done::default();
            while let Some(chunk) = chunks.get(next.fetch_add(1, Ordering::Relaxed)) {
                let ChunkLane::Component(descriptor) = &chunk.lane else {
                    return Err(Error::config("its rows do not pass through it")
                        .with_hint("measure a run: `longshore run JOB`"));
                };
                let mut reader = session.read(&scan, descriptor).await?;
                let mut decoder = IpcDecoder::new(schema.clone());
                while let Some(pieces) = reader.next().await? {
                    done.count(0, &pieces);
                    let batches = decoder.push(pieces)?;
                    done.rows += batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
                }
                decoder.finish()?;
                session = reader.close().await?;
            }
            done.usage = session.usage();
            session.end().await?;
            Ok(done)
        };
        workers.spawn_on(worker, compute);
    }
    joined(workers).await
}

async fn transform(
    probe: &Probe<Transform>,
    rows: u64,
    instances: usize,
    compute: &Handle,
) -> Result<Vec<Done>> {
    let sample = rows::sample(BATCH_ROWS)?;
    let mut workers = JoinSet::new();
    for batches in shares(rows, instances) {
        let (component, name) = (probe.component.clone(), probe.name().to_owned());
        let (config, grant, sample) = (probe.config.clone(), probe.grant.clone(), sample.clone());
        let worker = async move {
            let schema = encode_schema(&sample.schema())?;
            let mut transformer = component.open(&name, &config, grant, &schema).await?;
            let schemas = TransformSchemas::ask(&mut transformer, &sample.schema()).await?;
            let mut opened = OpenTransform::new(transformer, schemas)?;
            // Whichever of its columns cross.
            let pieces = IpcEncoder::new(&sample.schema())?.encode(&sample)?;
            let mut done = Done::default();
            for _ in 0..batches {
                done.count(sample.num_rows(), &pieces);
                opened.process(&sample).await?;
            }
            opened.finish().await?;
            done.usage = opened.usage();
            Ok(done)
        };
        workers.spawn_on(worker, compute);
    }
    joined(workers).await
}

async fn sink(
    probe: &Probe<Sink>,
    rows: u64,
    instances: usize,
    compute: &Handle,
) -> Result<Vec<Done>> {
    let sample: RecordBatch = rows::sample(BATCH_ROWS)?;
    let run = new_run_id()?;
    let load =
        Load { run: run.clone(), relation: "longshore_bench".into(), mode: LoadMode::Version };
    probe.begin(&load, &sample).await?;
    let mut workers = JoinSet::new();
    for (chunk, batches) in shares(rows, instances).enumerate() {
        let (component, name) = (probe.component.clone(), probe.name().to_owned());
        let (config, grant) = (probe.config.clone(), probe.grant.clone());
        let (sample, load) = (sample.clone(), load.clone());
        let worker = async move {
            let target = component.open(&name, &config, grant).await?;
            let mut writer = target.write(&load, chunk as u64, 0).await?;
            let mut encoder = IpcEncoder::new(&sample.schema())?;
            let mut done = Done::default();
            for _ in 0..batches {
                let pieces = encoder.encode(&sample)?;
                done.count(sample.num_rows(), &pieces);
                writer.write(&pieces).await?;
            }
            let (_, target) = writer.finish().await?;
            done.usage = target.usage();
            target.end().await?;
            Ok(done)
        };
        workers.spawn_on(worker, compute);
    }
    let done = joined(workers).await;
    // Nothing of it was to stay.
    probe.open().await?.discard(&run).await?;
    done
}

/// How many batches each instance gets, so that all together get as many rows, or a batch each.
fn shares(rows: u64, instances: usize) -> impl Iterator<Item = u64> {
    let batches = (rows / BATCH_ROWS.unsigned_abs()).max(instances as u64);
    (0..instances as u64).map(move |n| (batches + n) / instances as u64)
}

async fn joined(mut workers: JoinSet<Result<Done>>) -> Result<Vec<Done>> {
    let mut all = Vec::new();
    while let Some(done) = workers.join_next().await {
        all.push(done.map_err(|error| Error::internal(error.to_string()))??);
    }
    Ok(all)
}

/// What the process has computed so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_gets_its_share() {
        let of = |rows, instances| shares(rows, instances).collect::<Vec<_>>();
        assert_eq!(of(10 * 8_192, 3), [3, 3, 4]);
        assert_eq!(of(1, 2), [1, 1]);
    }
}
