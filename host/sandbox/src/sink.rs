//! Sinks in the sandbox: open targets, writers.

use longshore_model::error::Result;
use wasmtime::component::ResourceAny;

use crate::capability::HostEnv;
use crate::component::{Component, Instance, Sink, call, on_each};
use crate::contract::v0_6::sink_types::{FinishedLoad, Load};
use crate::contract::v0_6::types::Ipc;
use crate::store::finish;

/// An open target.
pub type OpenTarget = Instance<Sink>;

impl Component<Sink> {
    /// Opens a target.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
    ) -> Result<OpenTarget> {
        let (mut store, exports) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let opened = on_each!(&exports, &mut store, target.call_open | call_open(config));
        let resource = finish(&store, "open", opened)?;
        Ok(OpenTarget::new(store, exports, resource))
    }
}

impl OpenTarget {
    /// Checks that the target can be written; one line on what answered.
    pub async fn test(&mut self) -> Result<String> {
        let line = call!(self, "test", target.call_test(self.resource))?;
        Ok(self.clean(&line))
    }

    /// Prepares a load of rows of this schema (an IPC schema message).
    pub async fn begin(&mut self, load: &Load, schema: &[u8]) -> Result<()> {
        call!(self, "begin", target.call_begin(self.resource, load, schema))
    }

    /// Starts one chunk.
    pub async fn write(mut self, load: &Load, chunk: u64, attempt: u32) -> Result<OpenWriter> {
        let writer = call!(self, "write", target.call_write(self.resource, load, chunk, attempt))?;
        Ok(OpenWriter { target: self, writer })
    }

    /// Whether the rows behind a receipt are still there.
    pub async fn is_intact(&mut self, load: &Load, receipt: &[u8]) -> Result<bool> {
        call!(self, "is-intact", target.call_is_intact | call_holds(self.resource, load, receipt))
    }

    /// Makes a run's rows visible; gives the names under which they are.
    pub async fn commit(&mut self, run: &str, loads: &[FinishedLoad]) -> Result<Vec<String>> {
        let names = call!(self, "commit", target.call_commit(self.resource, run, loads))?;
        Ok(names.iter().map(|name| self.clean(name)).collect())
    }

    /// Removes what a run has here and has not made visible.
    pub async fn discard(&mut self, run: &str) -> Result<()> {
        call!(self, "discard", target.call_discard(self.resource, run))
    }
}

/// One chunk being written. Dropped before it is finished, it leaves nothing.
pub struct OpenWriter {
    target: OpenTarget,
    writer: ResourceAny,
}

impl OpenWriter {
    /// Takes the next stretch of the chunk's IPC stream.
    pub async fn write(&mut self, batches: &Ipc) -> Result<()> {
        let target = &mut self.target;
        target.store.data().env.input(batches);
        call!(target, "writer.write", writer.call_write(self.writer, batches))
    }

    /// Ends the chunk: gives its receipt, and the target, which can be used again.
    pub async fn finish(mut self) -> Result<(Vec<u8>, OpenTarget)> {
        let target = &mut self.target;
        let receipt = call!(target, "writer.finish", writer.call_finish(self.writer))?;
        target.store.data_mut().env.output(std::slice::from_ref(&receipt));
        self.target.close(self.writer, "drop writer").await?;
        Ok((receipt, self.target))
    }
}
