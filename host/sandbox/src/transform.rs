//! Transforms in the sandbox.

use longshore_model::error::{Error, Result};
use longshore_model::grant::Grant;
use longshore_model::limits::Limits;
use wasmtime::Store;
use wasmtime::component::ResourceAny;

use super::bindings::transform::{Transform, TransformPre};
use super::bindings::transform_api::Description;
use super::bindings::types::Error as WireError;
use super::engine::Compiled;
use super::store::{State, Usage, begin_call, call_error, finish};
use crate::capability::HostEnv;

/// A transform's component.
#[derive(Clone)]
pub struct TransformComponent {
    compiled: Compiled,
    pre: TransformPre<State>,
}

impl TransformComponent {
    /// A compiled component, as a transform.
    pub fn new(compiled: Compiled) -> Result<Self> {
        let pre = TransformPre::new(compiled.instance.clone())
            .map_err(|error| Error::config(format!("not a transform: {error:#}")))?;
        Ok(Self { compiled, pre })
    }

    /// What the transform says that it is.
    pub async fn describe(&self, plugin: &str) -> Result<Description> {
        let (mut store, transform) =
            self.instantiate(plugin, Grant::default().into(), self.limits().describe_secs).await?;
        let api = transform.longshore_plugin_transform_api();
        let described = api.call_describe(&mut store).await;
        described.map_err(|error| call_error(&store, "describe", error))
    }

    /// Opens the transform for one chunk.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
        input_schema: &[u8],
    ) -> Result<Transformer> {
        let (mut store, transform) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let api = transform.longshore_plugin_transform_api();
        let opened = api.transformer().call_open(&mut store, config, input_schema).await;
        let transformer = finish(&store, "open", opened)?;
        Ok(Transformer { store, transform, transformer })
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
    ) -> Result<(Store<State>, Transform)> {
        let mut store = self.compiled.sandbox.store(plugin, env, call_secs);
        let instance = self.pre.instantiate_async(&mut store).await;
        let transform = instance.map_err(|error| call_error(&store, "instantiate", error))?;
        Ok((store, transform))
    }
}

/// A transform at work on one chunk. Drop it after an error.
pub struct Transformer {
    store: Store<State>,
    transform: Transform,
    transformer: ResourceAny,
}

impl Transformer {
    /// What its instance has used.
    pub fn usage(&self) -> Usage {
        self.store.data().usage()
    }

    /// The schema of what comes out, as an IPC schema message.
    pub async fn output_schema(&mut self) -> Result<Vec<u8>> {
        begin_call(&mut self.store);
        let api = self.transform.longshore_plugin_transform_api();
        let schema = api.transformer().call_output_schema(&mut self.store, self.transformer).await;
        finish(&self.store, "output-schema", schema)
    }

    /// Takes the next stretch of the input, gives the next one of the output.
    pub async fn process(&mut self, input: &Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
        begin_call(&mut self.store);
        self.store.data().env.input(input);
        let api = self.transform.longshore_plugin_transform_api();
        let output = api.transformer().call_process(&mut self.store, self.transformer, input).await;
        self.gave("process", output)
    }

    /// Gives what is left.
    pub async fn finish(&mut self) -> Result<Vec<Vec<u8>>> {
        begin_call(&mut self.store);
        let api = self.transform.longshore_plugin_transform_api();
        let output = api.transformer().call_finish(&mut self.store, self.transformer).await;
        self.gave("finish", output)
    }

    fn gave(
        &mut self,
        call: &str,
        output: wasmtime::Result<Result<Vec<Vec<u8>>, WireError>>,
    ) -> Result<Vec<Vec<u8>>> {
        let output = finish(&self.store, call, output)?;
        self.store.data_mut().env.output(&output);
        Ok(output)
    }
}
