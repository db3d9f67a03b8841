//! A plan whose rows pass through a function, partition by partition.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use longshore_model::error::Result;

use crate::datafusion_fault::from_datafusion;

/// What is done with the rows of a partition.
pub(super) type Map =
    Arc<dyn Fn(SendableRecordBatchStream) -> SendableRecordBatchStream + Send + Sync>;

/// A partition of a plan.
struct MappedPartition {
    input: Arc<dyn ExecutionPlan>,
    partition: usize,
    schema: SchemaRef,
    map: Map,
}

/// The rows that a function makes of those of a plan.
pub(super) fn mapped(
    input: Arc<dyn ExecutionPlan>,
    schema: &SchemaRef,
    map: Map,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = 0..input.properties().partitioning.partition_count();
    let partition = |partition| {
        let (input, schema, map) = (input.clone(), schema.clone(), map.clone());
        Arc::new(MappedPartition { input, partition, schema, map }) as _
    };
    let partitions = partitions.map(partition).collect();
    let plan = StreamingTableExec::try_new(schema.clone(), partitions, None, [], false, None);
    Ok(Arc::new(plan.map_err(from_datafusion)?))
}

impl fmt::Debug for MappedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mapped({})", self.input.name())
    }
}

impl PartitionStream for MappedPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.input.execute(self.partition, context) {
            Ok(rows) => (self.map)(rows),
            Err(error) => {
                let failed = futures::stream::once(std::future::ready(Err(error)));
                Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), failed))
            }
        }
    }
}
