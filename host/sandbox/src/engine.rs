//! The engine: one for the process, its clock, and compilation.

use std::env::consts::ARCH;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use longshore_model::error::{Error, Result};
use longshore_model::limits::Limits;
use tokio::runtime::Handle;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Config, Engine, OptLevel, Store};

use super::cache::{CompileCache, Cpu};
use super::plugin_info::PluginInfo;
use super::store::{EPOCH_TICK_MILLIS, State, new_store};
use super::{imports, previous};
use crate::capability::HostEnv;

/// Stack of a plugin's call.
const STACK_LIMIT_BYTES: usize = 1 << 20;

/// Makes instances of components. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    engine: Engine,
    linker: Linker<State>,
    cache: CompileCache,
    limits: Limits,
    io: Handle,
}

impl Sandbox {
    /// A sandbox that keeps compiled components in this folder. Connections of its plugins are
    /// served by the runtime that this is called on: keep computation off it.
    ///
    /// Faults of components are told by signals, whose handlers are those of the whole process.
    pub fn new(cache: &Path, limits: Limits) -> Result<Self> {
        Self::with_config(Cpu::Own, cache, limits, Config::new())
    }

    /// A sandbox that compiles for any processor of this architecture: what it keeps in this folder
    /// can be packaged with the program.
    pub fn portable(folder: &Path, limits: Limits) -> Result<Self> {
        Self::with_config(Cpu::Any, folder, limits, Config::new())
    }

    /// The same without handlers of signals: components check their own memory accesses, and are slower.
    pub fn without_signal_handlers(cache: &Path, limits: Limits) -> Result<Self> {
        let mut config = Config::new();
        config.signals_based_traps(false);
        Self::with_config(Cpu::Own, cache, limits, config)
    }

    fn with_config(cpu: Cpu, cache: &Path, limits: Limits, mut config: Config) -> Result<Self> {
        config
            .epoch_interruption(true)
            // No component of ours exports async functions; without them calls are cheaper.
            .concurrency_support(false)
            .cranelift_opt_level(OptLevel::Speed)
            .max_wasm_stack(STACK_LIMIT_BYTES);
        let fault = |error: wasmtime::Error| Error::internal(format!("wasmtime: {error:#}"));
        if cpu == Cpu::Any {
            // With a target that is named, nothing is taken from this machine's processor.
            config.target(&format!("{ARCH}-unknown-linux-gnu")).map_err(fault)?;
        }
        let engine = Engine::new(&config).map_err(fault)?;
        let mut linker = Linker::new(&engine);
        imports::add_to_linker(&mut linker).map_err(fault)?;
        previous::add_to_linker(&mut linker).map_err(fault)?;
        let cache = CompileCache::open(cache, &engine, cpu)?;
        start_clock(&engine)?;
        Ok(Self(Arc::new(Inner { engine, linker, cache, limits, io: Handle::current() })))
    }

    /// A component ready to make instances: from the cache, or compiled. Takes a second or so for
    /// one that is new; call it where blocking is allowed.
    pub fn compile(&self, name: &str, digest: &str, bytes: &[u8]) -> Result<CompiledComponent> {
        let Inner { engine, cache, .. } = &*self.0;
        if let Some(component) = cache.load(engine, digest) {
            return self.bind_imports(&component);
        }
        tracing::info!("compiling {name}, once for this machine");
        let compiled = self.compile_new(bytes)?;
        cache.store(digest, compiled.instance.component());
        Ok(compiled)
    }

    /// Compiles a component without looking for it in the cache.
    pub fn compile_new(&self, bytes: &[u8]) -> Result<CompiledComponent> {
        let component = Component::from_binary(&self.0.engine, bytes)
            .map_err(|error| Error::config(format!("not a valid component: {error:#}")))?;
        self.bind_imports(&component)
    }

    /// Keeps a compiled component in the cache, with what it says that it is.
    pub fn keep(&self, digest: &str, compiled: &CompiledComponent, info: &PluginInfo) {
        self.0.cache.store(digest, compiled.instance.component());
        self.0.cache.store_info(digest, info);
    }

    fn bind_imports(&self, component: &Component) -> Result<CompiledComponent> {
        let instance = self.0.linker.instantiate_pre(component).map_err(|error| {
            Error::config(format!("asks for what this host does not offer: {error:#}"))
        })?;
        Ok(CompiledComponent { sandbox: self.clone(), instance })
    }

    /// Whether the component of this digest need not be compiled again.
    pub fn has_compiled(&self, digest: &str) -> bool {
        self.0.cache.has(digest)
    }

    /// What the component of this digest says that it is, if this machine has asked it before.
    pub fn described(&self, digest: &str) -> Option<PluginInfo> {
        self.0.cache.info(digest)
    }

    /// Remembers what the component of this digest says that it is.
    pub fn remember(&self, digest: &str, info: &PluginInfo) {
        self.0.cache.store_info(digest, info);
    }

    /// What one instance may use.
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// A store for one instance, with all limits set.
    pub(super) fn store(&self, plugin: &str, env: HostEnv, call_secs: u64) -> Store<State> {
        let Inner { engine, limits, io, .. } = &*self.0;
        new_store(engine, *limits, io.clone(), plugin, env, call_secs)
    }
}

/// A compiled component with its imports bound.
#[derive(Clone)]
pub struct CompiledComponent {
    pub(super) sandbox: Sandbox,
    pub(super) instance: InstancePre<State>,
}

/// Drives the epoch from a thread of its own, which no load on the runtimes can starve. Ends with
/// the engine.
fn start_clock(engine: &Engine) -> Result<()> {
    let weak = engine.weak();
    thread::Builder::new()
        .name("epoch".into())
        .spawn(move || {
            loop {
                thread::sleep(Duration::from_millis(EPOCH_TICK_MILLIS));
                match weak.upgrade() {
                    Some(engine) => engine.increment_epoch(),
                    None => return,
                }
            }
        })
        .map(drop)
        .map_err(|error| Error::io("starting the epoch's thread", error))
}
