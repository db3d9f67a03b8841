//! Transforms in the sandbox.

use longshore_model::error::Result;

use crate::capability::HostEnv;
use crate::component::{Component, Instance, Transform, call, on_each};
use crate::contract::PerVersion;
use crate::contract::v0_6::transform_types::ColumnMapping;
use crate::contract::v0_6::types::Ipc;
use crate::store::{begin_call, finish};

/// A transform at work on one chunk.
pub type Transformer = Instance<Transform>;

impl Component<Transform> {
    /// Opens the transform for one chunk.
    pub async fn open(
        &self,
        plugin: &str,
        config: &str,
        env: impl Into<HostEnv>,
        input_schema: &[u8],
    ) -> Result<Transformer> {
        let (mut store, exports) =
            self.instantiate(plugin, env.into(), self.limits().call_secs).await?;
        let opened =
            on_each!(&exports, &mut store, transformer.call_open | call_open(config, input_schema));
        let resource = finish(&store, "open", opened)?;
        Ok(Transformer::new(store, exports, resource))
    }
}

impl Transformer {
    /// The schema of what comes out, as an IPC schema message.
    pub async fn output_schema(&mut self) -> Result<Vec<u8>> {
        call!(self, "output-schema", transformer.call_output_schema(self.resource))
    }

    /// Which columns it reads and computes; nothing if it reads all and computes all.
    pub async fn column_mapping(&mut self) -> Result<Option<ColumnMapping>> {
        // The previous contract has no other transforms.
        let PerVersion::Current(transform) = &self.exports else { return Ok(None) };
        begin_call(&mut self.store);
        let api = transform.api().transformer();
        let mapping = api.call_column_mapping(&mut self.store, self.resource).await;
        finish(&self.store, "column-mapping", mapping)
    }

    /// Takes the next stretch of the input, gives the next one of the output.
    pub async fn process(&mut self, input: &Ipc) -> Result<Ipc> {
        self.store.data().env.input(input);
        let output = call!(self, "process", transformer.call_process(self.resource, input))?;
        self.store.data_mut().env.output(&output);
        Ok(output)
    }

    /// Gives what is left.
    pub async fn finish(&mut self) -> Result<Ipc> {
        let output = call!(self, "finish", transformer.call_finish(self.resource))?;
        self.store.data_mut().env.output(&output);
        Ok(output)
    }
}
