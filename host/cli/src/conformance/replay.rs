//! Running a tape again: the same calls, answered from the tape, by the component that was recorded or
//! by another build of it.

use std::path::Path;

use arrow::array::RecordBatch;
use longshore_engine::ipc::{IpcDecoder, ReadLimits, decode_schema};
use longshore_engine::transform::TransformSchemas;
use longshore_model::error::{Error, Result};
use longshore_plugins::{Plugin, PluginKind};
use longshore_sandbox::capability::HostEnv;
use longshore_sandbox::capability::tape::{Ending, InstanceUse, Player, Tape};
use longshore_sandbox::tape::{Label, Script};
use longshore_sandbox::{Connector, Load, OpenTarget, Scan, Session, Sink, Transform, Transformer};
use strum::IntoStaticStr;

/// A tape that was read, ready to be run again.
pub struct Replay {
    /// The plugin of the tape.
    pub label: Label,
    ending: Ending,
    player: Player,
    inputs: Vec<Vec<Vec<u8>>>,
}

/// The result of the replay.
#[derive(Debug)]
pub struct ReplayResult {
    /// How the work on the tape ended.
    pub then: Ending,
    /// How it compares with what is on the tape.
    pub verdict: Verdict,
    /// Rows that the plugin gave.
    pub rows: u64,
    /// Calls that gave something.
    pub outputs: u64,
    /// How it ended this time.
    pub error: Option<Error>,
}

/// How a replay compares with what is on its tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
pub enum Verdict {
    /// It gave the same, bit for bit, and failed in the same way.
    Same,
    /// It went on where it had failed, or ended well.
    Passed,
    /// It failed in another way.
    FailedOtherwise,
    /// It failed in the same way, but had given something else in this call, from 0.
    GaveOther(u64),
}

impl Replay {
    /// Reads a tape.
    pub fn read(path: &Path) -> Result<Self> {
        let Tape { label, player, inputs, ending } = Tape::read(path)?;
        Ok(Self { label, ending, player, inputs })
    }

    /// Runs it again with this plugin.
    pub async fn run(self, plugin: &Plugin) -> Result<(Label, ReplayResult)> {
        let Self { label, ending, player, inputs } = self;
        let seen = player.seen();
        let (name, outside) = (plugin.name(), HostEnv::played(player));
        let mut rows = 0;
        let done = match (&label.script, plugin.kind()) {
            (Script::Connector { config, scan, descriptor, schema }, PluginKind::Connector) => {
                let component = plugin.component::<Connector>().await?;
                let opened = component.open(name, &config.to_string(), outside).await;
                let pace = ReadLimits::new(component.limits());
                read(opened, scan, descriptor, schema, pace, &mut rows).await
            }
            (Script::Transform { config, input, output, mapping }, PluginKind::Transform) => {
                let component = plugin.component::<Transform>().await?;
                let opened = component.open(name, &config.to_string(), outside, input).await;
                let [input, output] = [input, output].map(|schema| decode_schema(schema.clone()));
                let schemas = TransformSchemas::new(&input?, &output?, mapping.clone())?;
                let pace = ReadLimits::new(component.limits());
                change(opened, &schemas, &inputs, pace, &mut rows).await
            }
            (Script::Sink { config, load, chunk, attempt }, PluginKind::Sink) => {
                let component = plugin.component::<Sink>().await?;
                let opened = component.open(name, &config.to_string(), outside).await;
                write(opened, load, *chunk, *attempt, &inputs).await
            }
            _ => {
                return Err(Error::config(format!("{name} is of another kind than the tape's"))
                    .with_hint("name a build of the plugin that was recorded"));
            }
        };
        let seen = *seen.lock();
        Ok((label, compared(ending, done, seen, rows)))
    }
}

async fn read(
    opened: Result<Session>,
    scan: &Scan,
    descriptor: &[u8],
    schema: &[u8],
    mut pace: ReadLimits<'_>,
    rows: &mut u64,
) -> Result<()> {
    let mut reader = opened?.read(scan, descriptor).await?;
    let mut decoder = IpcDecoder::new(decode_schema(schema.to_vec())?);
    while let Some(pieces) = reader.next().await? {
        pace.call()?;
        for batch in decoder.push(pieces)? {
            pace.batch(&batch)?;
            *rows += batch.num_rows() as u64;
        }
    }
    decoder.finish()?;
    reader.close().await?.end().await
}

async fn change(
    opened: Result<Transformer>,
    schemas: &TransformSchemas,
    inputs: &[Vec<Vec<u8>>],
    mut pace: ReadLimits<'_>,
    rows: &mut u64,
) -> Result<()> {
    let mut transformer = opened?;
    if transformer.column_mapping().await? != schemas.mapping {
        return Err(Error::config("it reads or computes other columns than the tape has")
            .with_hint("replay the build that was recorded"));
    }
    let mut given = IpcDecoder::new(schemas.sent.clone());
    let mut decoder = IpcDecoder::new(schemas.computed.clone());
    let mut count = |given: usize, computed: Vec<RecordBatch>| {
        schemas.check_rows(given, &computed)?;
        *rows += rows_of(&computed) as u64;
        computed.iter().try_for_each(|batch| pace.batch(batch).map(drop))
    };
    for pieces in inputs {
        let computed = decoder.push(transformer.process(pieces).await?)?;
        count(rows_of(&given.push(pieces.clone())?), computed)?;
    }
    let last = decoder.push(transformer.finish().await?)?;
    decoder.finish()?;
    count(0, last)
}

fn rows_of(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

async fn write(
    opened: Result<OpenTarget>,
    load: &Load,
    chunk: u64,
    attempt: u32,
    inputs: &[Vec<Vec<u8>>],
) -> Result<()> {
    let mut writer = opened?.write(load, chunk, attempt).await?;
    for pieces in inputs {
        writer.write(pieces).await?;
    }
    writer.finish().await?.1.end().await
}

fn compared(then: Ending, done: Result<()>, seen: InstanceUse, rows: u64) -> ReplayResult {
    let InstanceUse { outputs, differs_at, went_on } = seen;
    let error = done.err().filter(|_| !went_on);
    let verdict = match &error {
        None => Verdict::Passed,
        Some(now) if is_same(now, &then.error) => {
            differs_at.map_or(Verdict::Same, Verdict::GaveOther)
        }
        Some(_) => Verdict::FailedOtherwise,
    };
    ReplayResult { then, verdict, rows, outputs, error }
}

/// Whether an error is the one on the tape, which may stand in the words of its run.
fn is_same(now: &Error, then: &Error) -> bool {
    now.class() == then.class() && then.to_string().ends_with(&now.to_string())
}
