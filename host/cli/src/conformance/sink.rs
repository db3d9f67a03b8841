//! Sinks: chunks that come again replace, and a commit that comes again changes nothing.

use arrow::array::RecordBatch;
use longshore_engine::destination::RECEIPT_LIMIT_BYTES;
use longshore_engine::ipc::{IpcEncoder, encode_schema};
use longshore_model::error::Result;
use longshore_run::new_run_id;
use longshore_sandbox::{FinishedLoad, Load, LoadMode, OpenTarget, Sink};

use super::{Probe, Suite, broken, rows};

/// Rows of a chunk.
const ROWS: i64 = 100;

/// The relation that is written; it stays in the target.
const RELATION: &str = "longshore_check";

impl Probe<Sink> {
    pub(super) async fn open(&self) -> Result<OpenTarget> {
        self.component.open(self.name(), &self.config, self.grant.clone()).await
    }

    pub(super) async fn begin(&self, load: &Load, sample: &RecordBatch) -> Result<()> {
        self.open().await?.begin(load, &encode_schema(&sample.schema())?).await
    }

    /// Writes a chunk, and ends it or not.
    async fn write(
        &self,
        load: &Load,
        sample: &RecordBatch,
        (chunk, attempt): (u64, u32),
        finishes: bool,
    ) -> Result<Vec<u8>> {
        let mut writer = self.open().await?.write(load, chunk, attempt).await?;
        let mut encoder = IpcEncoder::new(&sample.schema())?;
        writer.write(&encoder.encode(sample)?).await?;
        if !finishes {
            return Ok(Vec::new());
        }
        writer.write(&encoder.encode(&sample.slice(0, 0))?).await?;
        let (receipt, target) = writer.finish().await?;
        target.end().await?;
        if receipt.len() > RECEIPT_LIMIT_BYTES {
            return broken(format!("a receipt of {} bytes", receipt.len()));
        }
        Ok(receipt)
    }
}

pub(super) async fn check(suite: &mut Suite, probe: &Probe<Sink>) {
    let Some(mut target) = suite.note("it opens", probe.open().await) else { return };
    suite.note("it says what answered", target.test().await);
    drop(target);
    let Some(run) = suite.note("a run has an id", new_run_id()) else { return };
    let Some(sample) = suite.note("there are rows to write", rows::sample(ROWS)) else { return };
    let load = Load { run: run.clone(), relation: RELATION.into(), mode: LoadMode::Version };
    written(suite, probe, &load, &sample).await;
    let discarded = async { probe.open().await?.discard(&run).await };
    suite.note("it lets go of a run", discarded.await);
    let again = async { probe.open().await?.discard(&run).await };
    suite.note("it lets go of a run that it does not know any more", again.await);
}

/// A load, from its beginning to its commit.
async fn written(
    suite: &mut Suite,
    probe: &Probe<Sink>,
    load: &Load,
    sample: &RecordBatch,
) -> Option<()> {
    suite.note("a load begins", probe.begin(load, sample).await)?;
    suite.note("it begins again when a run resumes", probe.begin(load, sample).await)?;
    let left = probe.write(load, sample, (0, 0), false).await;
    suite.note("a chunk can be left in the middle", left)?;
    let first = probe.write(load, sample, (0, 1), true).await;
    let first = suite.note("it is written again, and has a receipt", first)?;
    let once = probe.write(load, sample, (1, 0), true).await;
    suite.note("so does another chunk", once)?;
    let second = probe.write(load, sample, (1, 1), true).await;
    let second = suite.note("a chunk that was written can be written once more", second)?;
    for (promise, receipt) in [("first", &first), ("second", &second)] {
        let held = async { probe.open().await?.is_intact(load, receipt).await };
        let held = match held.await {
            Ok(true) => Ok(()),
            Ok(false) => broken("it says no"),
            Err(error) => Err(error),
        };
        suite.note(format!("it knows the rows behind the {promise} receipt"), held)?;
    }
    let loads = [FinishedLoad { load: load.clone(), receipts: vec![first, second] }];
    let commit = async { probe.open().await?.commit(&load.run, &loads).await };
    let names = suite.note("the run commits", commit.await)?;
    suite.note(
        "it gives a name for each load",
        match names.len() {
            1 => Ok(()),
            count => broken(format!("{count} names for 1 load")),
        },
    )?;
    let again = async { probe.open().await?.commit(&load.run, &loads).await };
    let again = again.await.and_then(|again| {
        if again == names {
            Ok(())
        } else {
            broken(format!("once {}, then {}", names.join(", "), again.join(", ")))
        }
    });
    suite.note("it commits again, and changes nothing", again)
}
