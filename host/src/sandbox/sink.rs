//! Sinks in the sandbox: what one says that it is. Running them comes with sink targets.

use super::bindings::sink::SinkPre;
use super::bindings::sink_api::Description;
use super::engine::Compiled;
use super::store::{call_error, new_store};
use crate::capability::Grant;
use crate::error::{Error, Result};

/// What a sink says that it is.
pub async fn describe_sink(compiled: Compiled, plugin: &str) -> Result<Description> {
    let pre = SinkPre::new(compiled.instance.clone())
        .map_err(|error| Error::config(format!("not a sink: {error:#}")))?;
    let sandbox = &compiled.sandbox;
    let mut store = new_store(sandbox, plugin, Grant::default(), sandbox.limits().describe_secs);
    let instance = pre.instantiate_async(&mut store).await;
    let sink = instance.map_err(|error| call_error(&store, "instantiate", error))?;
    let described = sink.longshore_plugin_sink_api().call_describe(&mut store).await;
    described.map_err(|error| call_error(&store, "describe", error))
}
