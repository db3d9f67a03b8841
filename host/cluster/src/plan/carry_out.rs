//! What carries nodes out: an executor does.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};

use crate::message::Assignment;

/// Carries out attempts, and fragments of them.
#[async_trait]
pub(crate) trait CarryOut: Debug + Send + Sync {
    /// Carries an attempt out, and tells its driver what came of it.
    async fn attempt(&self, assignment: Assignment);

    /// An executor has no room for the rows of a fragment, which others wait for: its driver is told.
    async fn full(&self, assignment: Assignment, error: io::Error);

    /// The rows of a partition of a fragment.
    fn fragment(self: Arc<Self>, task: FragmentTask) -> SendableRecordBatchStream;
}

/// A partition of a fragment.
pub(crate) struct FragmentTask {
    pub(crate) assignment: Assignment,
    /// The number of the fragment; the first one writes.
    pub(crate) number: usize,
    pub(crate) inputs: Vec<Arc<dyn ExecutionPlan>>,
    pub(crate) schema: SchemaRef,
    pub(crate) partition: usize,
    /// The numbers that the partitions have in the whole plan.
    pub(crate) numbers: Vec<usize>,
    /// What the inputs run in.
    pub(crate) context: Arc<TaskContext>,
}
