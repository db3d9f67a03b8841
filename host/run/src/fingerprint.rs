//! Fingerprints of rows: their count, and the sum of their hashes, which does not depend on their order.
//! Equal fingerprints of one process mean equal rows.

use std::io::{Seek, Write};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::ipc::reader::FileReader;
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use longshore_engine::datafusion_fault::from_datafusion;
use longshore_engine::decimal_width::widen_plan;
use longshore_engine::destination::Folder;
use longshore_engine::scan::{Lane, Slots};
use longshore_engine::transform::task_context;
use longshore_model::error::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tokio::sync::Semaphore;

/// The fingerprint of some rows, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    /// The number of rows.
    pub rows: u64,
    sum: u64,
}

impl Fingerprint {
    /// Adds a batch's rows.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut hashes = vec![0; batch.num_rows()];
        if batch.num_columns() > 0 {
            create_hashes(batch.columns(), &RandomState::default(), &mut hashes)
                .map_err(from_datafusion)?;
        }
        self.rows += batch.num_rows() as u64;
        self.sum = hashes.into_iter().map(scatter).fold(self.sum, u64::wrapping_add);
        Ok(())
    }

    /// The fingerprint of the rows of both.
    pub fn join(self, other: Self) -> Self {
        Self { rows: self.rows + other.rows, sum: self.sum.wrapping_add(other.sum) }
    }

    /// Fingerprints the rows of a relation's plan. Reads up to `parallel` chunks at the same time.
    pub async fn of_plan(plan: Arc<dyn ExecutionPlan>, parallel: usize) -> Result<Self> {
        // As files are read back.
        let plan = widen_plan(plan)?;
        let slots = Arc::new(Slots::new(
            Arc::new(Semaphore::new(parallel)),
            parallel,
            plan.schema().fields().len(),
        ));
        let partitions = plan.properties().partitioning.partition_count();
        let read = |partition: usize| {
            let (plan, slots) = (plan.clone(), slots.clone());
            async move {
                let lane = Arc::new(Lane::new(slots));
                let context = task_context(|config| config.with_extension(lane))?;
                let mut batches = plan.execute(partition, context).map_err(from_datafusion)?;
                let mut fingerprint = Self::default();
                while let Some(batch) = batches.next().await {
                    fingerprint.add(&batch.map_err(from_datafusion)?)?;
                }
                Ok::<_, Error>(fingerprint)
            }
        };
        futures::stream::iter((0..partitions).map(read))
            .buffer_unordered(partitions.max(1))
            .try_fold(Self::default(), |all, one| async move { Ok(all.join(one)) })
            .await
    }

    /// Fingerprints published files. None: their format cannot be read back value by value.
    pub async fn of_files(
        target: &dyn Folder,
        format: &str,
        paths: &[String],
    ) -> Result<Option<Self>> {
        let mut all = Self::default();
        for path in paths {
            let fault = |error: std::io::Error| Error::io("a temporary file", error);
            let mut file = tempfile::tempfile().map_err(fault)?;
            let mut pieces = target.read(path).await?;
            while let Some(piece) = pieces.try_next().await? {
                file.write_all(&piece).map_err(fault)?;
            }
            file.rewind().map_err(fault)?;
            let bad = |error: &dyn std::fmt::Display| {
                Error::data(format!("{}: {error}", target.url(path)))
            };
            match format {
                "parquet" => {
                    let builder =
                        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| bad(&e))?;
                    for batch in builder.build().map_err(|e| bad(&e))? {
                        all.add(&batch.map_err(|e| bad(&e))?)?;
                    }
                }
                "arrow" => {
                    for batch in FileReader::try_new(file, None).map_err(|e| bad(&e))? {
                        all.add(&batch.map_err(|e| bad(&e))?)?;
                    }
                }
                _ => return Ok(None),
            }
        }
        Ok(Some(all))
    }
}

/// Scatters a row's hash, by the last step of SplitMix64. The hash is a sum over the row's columns, and
/// sums of sums would not depend on which values are in one row.
fn scatter(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn of(rows: &[(i64, &str)]) -> Fingerprint {
        let numbers: Int64Array = rows.iter().map(|(n, _)| *n).collect();
        let words: StringArray = rows.iter().map(|(_, w)| Some(*w)).collect();
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(numbers) as arrow::array::ArrayRef),
            ("w", Arc::new(words) as _),
        ]);
        let mut fingerprint = Fingerprint::default();
        fingerprint.add(&batch.unwrap()).unwrap();
        fingerprint
    }

    #[test]
    fn the_order_does_not_matter_and_every_value_does() {
        let rows = of(&[(1, "a"), (2, "b"), (3, "c")]);
        assert_eq!(rows, of(&[(3, "c"), (1, "a")]).join(of(&[(2, "b")])));
        assert_ne!(rows, of(&[(1, "a"), (2, "b"), (3, "d")]));
        assert_ne!(rows, of(&[(1, "a"), (2, "b")]));
        assert_ne!(rows, of(&[(1, "b"), (2, "a"), (3, "c")]));
    }
}
