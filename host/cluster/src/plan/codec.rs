//! Longshore's nodes as bytes, beside Ballista's own.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use ballista_core::serde::{
    BallistaCodec, BallistaLogicalExtensionCodec, BallistaPhysicalExtensionCodec,
};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use serde::{Deserialize, Serialize};

use super::attempt_exec::AttemptExec;
use super::carry_out::CarryOut;
use super::fragment_exec::{FragmentExec, Input};
use crate::message::Assignment;

/// How a node of ours begins; Ballista's nodes are messages of Protocol Buffers, which never begin so.
const OURS: &[u8] = b"\0longshore";

/// A node without its inputs.
#[derive(Serialize, Deserialize)]
enum Node {
    Attempt,
    Fragment {
        assignment: Assignment,
        number: usize,
        /// Which inputs are read whole.
        whole: Vec<bool>,
        /// As IPC.
        #[serde(with = "hex")]
        schema: Vec<u8>,
    },
}

/// A codec, for whoever carries nodes out, or only passes them on.
pub(crate) fn codec(by: Option<Arc<dyn CarryOut>>) -> BallistaCodec {
    let logical = Arc::new(BallistaLogicalExtensionCodec::default());
    BallistaCodec::new(logical, Arc::new(NodeCodec { by, ballista: Default::default() }))
}

#[derive(Debug)]
struct NodeCodec {
    by: Option<Arc<dyn CarryOut>>,
    ballista: BallistaPhysicalExtensionCodec,
}

impl NodeCodec {
    fn decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match (serde_json::from_slice(bytes).map_err(outside)?, inputs) {
            (Node::Attempt, [input]) => {
                Ok(Arc::new(AttemptExec::new(input.clone(), self.by.clone())))
            }
            (Node::Fragment { assignment, number, whole, schema }, inputs)
                if whole.len() == inputs.len() =>
            {
                let schema = decode_schema(&schema)?;
                let inputs = inputs.iter().cloned().zip(whole);
                let inputs = inputs.map(|(plan, is_whole)| Input { plan, is_whole }).collect();
                let fragment = FragmentExec::new(assignment, number, schema, inputs);
                Ok(Arc::new(fragment.carried_out_by(self.by.clone())))
            }
            _ => Err(DataFusionError::Internal("a node with other inputs than it needs".into())),
        }
    }
}

fn outside(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(error.into())
}

fn encode_schema(schema: &Schema) -> DfResult<Vec<u8>> {
    let mut bytes = Vec::new();
    StreamWriter::try_new(&mut bytes, schema)?.finish()?;
    Ok(bytes)
}

fn decode_schema(bytes: &[u8]) -> DfResult<SchemaRef> {
    Ok(StreamReader::try_new(bytes, None)?.schema())
}

/// A node of ours.
fn of_plan(node: &Arc<dyn ExecutionPlan>) -> DfResult<Option<Node>> {
    if node.is::<AttemptExec>() {
        return Ok(Some(Node::Attempt));
    }
    let Some(fragment) = node.downcast_ref::<FragmentExec>() else { return Ok(None) };
    Ok(Some(Node::Fragment {
        assignment: fragment.assignment.clone(),
        number: fragment.number,
        whole: fragment.inputs.iter().map(|input| input.is_whole).collect(),
        schema: encode_schema(&node.schema())?,
    }))
}

impl PhysicalExtensionCodec for NodeCodec {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        match bytes.strip_prefix(OURS) {
            Some(own) => self.decode(own, inputs),
            None => self.ballista.try_decode(bytes, inputs, context, converter),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> DfResult<()> {
        match of_plan(&node)? {
            Some(own) => {
                bytes.extend_from_slice(OURS);
                serde_json::to_writer(bytes, &own).map_err(outside)
            }
            None => self.ballista.try_encode(node, bytes, converter),
        }
    }
}
