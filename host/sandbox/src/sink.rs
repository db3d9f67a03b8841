//! Sinks in the sandbox: open targets, writers.

use longshore_model::error::{Error, Result};
use longshore_model::grant::Grant;
use longshore_model::limits::Limits;
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::bindings::sink::{Sink, SinkPre};
use super::bindings::sink_api::{Description, Load, Written};
use super::engine::Compiled;
use super::store::{State, Usage, begin_call, call_error, finish};
use crate::capability::HostEnv;

/// A sink's component.
#[derive(Clone)]
pub struct SinkComponent {
    compiled: Compiled,
    pre: SinkPre<State>,
}

impl SinkComponent {
    /// A compiled component, as a sink.
    pub fn new(compiled: Compiled) -> Result<Self> {
        let pre = SinkPre::new(compiled.instance.clone())
            .map_err(|error| Error::config(format!("not a sink: {error:#}")))?;
        Ok(Self { compiled, pre })
    }

    /// What the sink says that it is.
    pub async fn describe(&self, plugin: &str) -> Result<Description> {
        let (mut store, sink) =
            self.instantiate(plugin, Grant::default().into(), self.limits().describe_secs).await?;
        let described = sink.longshore_plugin_sink_api().call_describe(&mut store).await;
        described.map_err(|error| call_error(&store, "describe", error))
    }

    /// Opens a target.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
    ) -> Result<OpenTarget> {
        let (mut store, sink) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let api = sink.longshore_plugin_sink_api();
        let opened = api.target().call_open(&mut store, config).await;
        let target = finish(&store, "open", opened)?;
        Ok(OpenTarget { store, sink, target })
    }

    /// What one instance may use.
    pub fn limits(&self) -> &Limits {
        self.compiled.sandbox.limits()
    }

    async fn instantiate(
        &self,
        plugin: &str,
        env: HostEnv,
        call_secs: u64,
    ) -> Result<(Store<State>, Sink)> {
        let mut store = self.compiled.sandbox.store(plugin, env, call_secs);
        let instance = self.pre.instantiate_async(&mut store).await;
        let sink = instance.map_err(|error| call_error(&store, "instantiate", error))?;
        Ok((store, sink))
    }
}

/// An open target: an instance of its own. Drop it after an error.
pub struct OpenTarget {
    store: Store<State>,
    sink: Sink,
    target: ResourceAny,
}

/// Calls a method of one of the sink's resources.
macro_rules! call {
    ($target:ident, $resource:ident.$method:ident($($arg:expr),*), $name:literal) => {{
        begin_call(&mut $target.store);
        let api = $target.sink.longshore_plugin_sink_api();
        let answer = api.$resource().$method(&mut $target.store, $($arg),*).await;
        finish(&$target.store, $name, answer)
    }};
}

impl OpenTarget {
    /// Checks that it can be written; one line on what answered.
    pub async fn test(&mut self) -> Result<String> {
        let line = call!(self, target.call_test(self.target), "test")?;
        Ok(self.clean(&line))
    }

    /// Prepares a load of rows of this schema (an IPC schema message).
    pub async fn begin(&mut self, load: &Load, schema: &[u8]) -> Result<()> {
        call!(self, target.call_begin(self.target, load, schema), "begin")
    }

    /// Starts one chunk.
    pub async fn write(mut self, load: &Load, chunk: u64, attempt: u32) -> Result<OpenWriter> {
        let writer = call!(self, target.call_write(self.target, load, chunk, attempt), "write")?;
        Ok(OpenWriter { target: self, writer })
    }

    /// Whether the rows behind a receipt are still there.
    pub async fn holds(&mut self, load: &Load, receipt: &[u8]) -> Result<bool> {
        call!(self, target.call_holds(self.target, load, receipt), "holds")
    }

    /// Makes a run's rows visible; gives the names under which they are.
    pub async fn commit(&mut self, run: &str, loads: &[Written]) -> Result<Vec<String>> {
        let names = call!(self, target.call_commit(self.target, run, loads), "commit")?;
        Ok(names.iter().map(|name| self.clean(name)).collect())
    }

    /// Removes what a run has here and has not made visible.
    pub async fn discard(&mut self, run: &str) -> Result<()> {
        call!(self, target.call_discard(self.target, run), "discard")
    }

    fn clean(&self, text: &str) -> String {
        self.store.data().env.grant.clean(text)
    }

    /// What its instance has used.
    pub fn usage(&self) -> Usage {
        self.store.data().usage()
    }

    /// Ends it in peace.
    pub async fn end(mut self) -> Result<()> {
        self.close(self.target, "drop target").await
    }

    async fn close(&mut self, resource: ResourceAny, call: &str) -> Result<()> {
        begin_call(&mut self.store);
        let dropped = resource.resource_drop_async(&mut self.store).await;
        dropped.map_err(|error| call_error(&self.store, call, error))
    }
}

/// One chunk being written. Dropped before it is finished, it leaves nothing.
pub struct OpenWriter {
    target: OpenTarget,
    writer: ResourceAny,
}

impl OpenWriter {
    /// Takes the next stretch of the chunk's IPC stream.
    pub async fn write(&mut self, batches: &Vec<Vec<u8>>) -> Result<()> {
        let target = &mut self.target;
        target.store.data().env.input(batches);
        call!(target, writer.call_write(self.writer, batches), "writer.write")
    }

    /// Ends the chunk: gives its receipt, and the target, which can be used again.
    pub async fn finish(mut self) -> Result<(Vec<u8>, OpenTarget)> {
        let target = &mut self.target;
        let receipt = call!(target, writer.call_finish(self.writer), "writer.finish")?;
        target.store.data_mut().env.output(std::slice::from_ref(&receipt));
        self.target.close(self.writer, "drop writer").await?;
        Ok((receipt, self.target))
    }
}
