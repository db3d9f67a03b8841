//! A store: one instance's state, its limits, and what its traps mean.

use std::time::Instant;

use longshore_model::error::{Class, Error, Result};
use longshore_model::figures::figures;
use longshore_model::limits::Limits;
use longshore_model::memory::{Account, memory};
use tokio::runtime::Handle;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime::{Engine, ResourceLimiter, Store, Trap, UpdateDeadline};

use super::contract::v0_6::types::{Error as WireError, ErrorClass};
use crate::capability::HostEnv;
use crate::capability::log::Log;

/// Elements of one table.
pub const TABLE_LIMIT_ELEMENTS: usize = 100_000;

/// Core instances, tables and memories that one component may be made of.
pub const INSTANCE_LIMIT: usize = 64;

/// How often a computing plugin is looked at.
pub(super) const EPOCH_TICK_MILLIS: u64 = 10;

/// The outermost contexts of a plugin's error that are shown.
const CONTEXT_LIMIT: usize = 16;

/// In the words of wasmtime, for which it has no type: a call handed over too much.
const TOO_MUCH_DATA: &str = "fuel allocated for hostcalls";

/// What the host keeps for one instance.
pub struct State {
    pub(super) plugin: String,
    pub(super) env: HostEnv,
    pub(super) log: Log,
    pub(super) objects: ResourceTable,
    pub(super) io: Handle,
    limiter: Limiter,
    /// Epoch ticks that the call under way may still compute.
    ticks_left: u64,
    ticks_per_call: u64,
    host_calls_left: u64,
    host_calls: u64,
    limits: Limits,
}

/// The resources that an instance has used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Its linear memory now, which never shrinks.
    pub memory_bytes: u64,
    /// Its calls of the host so far.
    pub host_calls: u64,
}

/// A plugin that asks too much of the host.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} calls of the host, in one call")]
struct TooManyHostCalls(u64);

/// A plugin that closes nothing.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} open connections")]
struct TooManyConnections(usize);

/// The cause of an error that is no answer of the plugin: it trapped.
#[derive(Debug, thiserror::Error)]
#[error("the plugin trapped")]
pub struct PluginTrap;

impl State {
    /// Keeps what a plugin opened until it is closed.
    pub(super) fn keep<T: Send + 'static>(&mut self, object: T) -> wasmtime::Result<Resource<T>> {
        let limit = self.limits.connections;
        self.objects.push(object).map_err(|_| wasmtime::Error::new(TooManyConnections(limit)))
    }

    /// Counts one call of the host.
    pub(super) fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        match self.host_calls_left.checked_sub(1) {
            Some(left) => self.host_calls_left = left,
            None => {
                return Err(wasmtime::Error::new(TooManyHostCalls(self.limits.host_calls)));
            }
        }
        Ok(())
    }

    /// Computes for the plugin, on the time of the call under way.
    pub(super) fn computed<T>(&mut self, compute: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let result = compute();
        let ticks = started.elapsed().as_millis() as u64 / EPOCH_TICK_MILLIS;
        self.ticks_left = self.ticks_left.saturating_sub(ticks);
        result
    }

    /// What the instance has used.
    pub(super) fn usage(&self) -> Usage {
        let memory_bytes = self.limiter.memory_bytes as u64;
        Usage { memory_bytes, host_calls: self.host_calls }
    }

    /// A limit that was met, and what the plugin said before: perhaps which row is too large.
    fn with_last_word(&self, met: String) -> String {
        match self.log.last() {
            Some(last) => format!("{met}; it said: {}", self.env.grant.clean(last)),
            None => met,
        }
    }

    /// An error of the plugin, as the host's.
    pub(super) fn plugin_error(&self, error: WireError) -> Error {
        let clean = |text: &str| self.env.grant.clean(text);
        let code = error.code.as_deref().map(clean);
        let mut own = Error::new(class(error.class), clean(&error.message)).with_code(code);
        if let Some(hint) = &error.hint {
            own = own.with_hint(clean(hint));
        }
        let contexts = error.context.iter().take(CONTEXT_LIMIT).rev();
        contexts.fold(own, |own, context| own.with_context(clean(context)))
    }
}

/// A new store with all limits set.
pub(super) fn new_store(
    engine: &Engine,
    limits: Limits,
    io: Handle,
    plugin: &str,
    env: HostEnv,
    call_secs: u64,
) -> Store<State> {
    let mut objects = ResourceTable::new();
    objects.set_max_capacity(limits.connections);
    let ticks_per_call = call_secs * 1_000 / EPOCH_TICK_MILLIS;
    let state = State {
        plugin: plugin.to_owned(),
        env,
        log: Log::new(limits.log_bytes()),
        objects,
        io,
        limiter: Limiter {
            account: memory().account(),
            limit_bytes: limits.memory_bytes(),
            memory_bytes: 0,
            refused_bytes: None,
        },
        ticks_left: ticks_per_call,
        ticks_per_call,
        host_calls_left: limits.host_calls,
        host_calls: 0,
        limits,
    };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(limits.call_bytes());
    store.set_epoch_deadline(1);
    // Called at most once a tick, and only while the plugin computes.
    store.epoch_deadline_callback(|mut context| {
        let state = context.data_mut();
        state.ticks_left = state.ticks_left.saturating_sub(1);
        match state.ticks_left {
            0 => Ok(UpdateDeadline::Interrupt),
            _ => Ok(UpdateDeadline::Yield(1)),
        }
    });
    store
}

/// Gives the next call its full time.
pub(super) fn begin_call(store: &mut Store<State>) {
    let state = store.data_mut();
    state.ticks_left = state.ticks_per_call;
    state.host_calls_left = state.limits.host_calls;
    store.set_epoch_deadline(1);
}

/// A call's answer: the plugin's value, its error, or what stopped it.
pub(super) fn finish<T>(
    store: &Store<State>,
    call: &str,
    answer: wasmtime::Result<Result<T, WireError>>,
) -> Result<T> {
    match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            store.data().env.failed();
            Err(store.data().plugin_error(error))
        }
        Err(error) => Err(call_error(store, call, error)),
    }
}

/// What a failed call means: a limit, or a fault of the plugin.
pub(super) fn call_error(store: &Store<State>, call: &str, error: wasmtime::Error) -> Error {
    let state = store.data();
    state.env.failed();
    let plugin = &state.plugin;
    if let Some(bytes) = state.limiter.refused_bytes {
        return Error::internal(state.with_last_word(format!(
            "{plugin}: `{call}` asked for {} MiB of memory, the limit is {} MiB",
            bytes >> 20,
            state.limits.memory_mib
        )))
        .with_hint(
            "rows of hundreds of MiB need more: raise `memory_mib` under `[limits]` in longshore.toml; \
             without such rows, report it to the plugin's author",
        );
    }
    if error.root_cause().to_string().contains(TOO_MUCH_DATA) {
        let most = state.limits.call_mib;
        let said = format!("{plugin}: `{call}` handed over more than {most} MiB");
        return Error::internal(state.with_last_word(said)).with_hint(
            "if rows are that large: raise `call_mib` under `[limits]` in longshore.toml; without such rows, \
             report it to the plugin's author",
        );
    }
    let message = match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => {
            let secs = state.ticks_per_call * EPOCH_TICK_MILLIS / 1_000;
            return Error::internal(format!(
                "{plugin}: `{call}` computed for {secs} s without an answer"
            ));
        }
        Some(Trap::StackOverflow) => format!("{plugin}: `{call}` overflowed its stack"),
        Some(trap) => format!("{plugin}: `{call}` trapped: {trap}"),
        None => format!("{plugin}: `{call}` failed: {}", error.root_cause()),
    };
    let message = match state.log.last_error() {
        Some(last) => format!("{message}; it said: {last}"),
        None => message,
    };
    let own = Error::internal(state.env.grant.clean(&message))
        .with_hint("this is a fault of the plugin: report it to its author");
    if !error.is::<Trap>() {
        return own;
    }
    figures().plugin_traps.add(1);
    own.with_source(PluginTrap)
}

fn class(class: ErrorClass) -> Class {
    match class {
        ErrorClass::Config => Class::Config,
        ErrorClass::Auth => Class::Auth,
        ErrorClass::NotFound => Class::NotFound,
        ErrorClass::Data => Class::Data,
        ErrorClass::Connection => Class::Connection,
        ErrorClass::Timeout => Class::Timeout,
        ErrorClass::Throttled => Class::Throttled,
        ErrorClass::Stale => Class::Stale,
        ErrorClass::Resource => Class::Resource,
        ErrorClass::Internal => Class::Internal,
    }
}

/// What a plugin is told, or a trap.
pub(super) type ToGuest<T> = wasmtime::Result<Result<T, WireError>>;

/// Our own error on its way into a plugin.
pub(super) fn to_wire(error: &Error) -> WireError {
    let class = match error.class() {
        Class::Config => ErrorClass::Config,
        Class::Auth => ErrorClass::Auth,
        Class::NotFound => ErrorClass::NotFound,
        Class::Data => ErrorClass::Data,
        Class::Connection => ErrorClass::Connection,
        Class::Timeout => ErrorClass::Timeout,
        Class::Throttled => ErrorClass::Throttled,
        Class::Stale => ErrorClass::Stale,
        Class::Resource | Class::Full => ErrorClass::Resource,
        // A plugin knows no other.
        _ => ErrorClass::Internal,
    };
    WireError {
        class,
        message: error.to_string(),
        code: None,
        hint: error.hint().map(str::to_owned),
        context: Vec::new(),
    }
}

struct Limiter {
    /// Draws on the process's budget.
    account: Account,
    limit_bytes: usize,
    /// Over all memories of the instance: a component may have several.
    memory_bytes: usize,
    refused_bytes: Option<usize>,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory_bytes.saturating_sub(current).saturating_add(desired);
        if wanted > self.limit_bytes {
            self.refused_bytes = Some(wanted);
            return Ok(false);
        }
        self.memory_bytes = wanted;
        self.account.set(wanted);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_LIMIT_ELEMENTS)
    }

    fn instances(&self) -> usize {
        INSTANCE_LIMIT
    }

    fn tables(&self) -> usize {
        INSTANCE_LIMIT
    }

    fn memories(&self) -> usize {
        INSTANCE_LIMIT
    }
}
