//! The library as other programs use it. One binary: each links the whole engine.

mod events;
mod jobs;
mod plugins;
mod process;
mod public_api;
mod resume;
mod runtimes;
mod stopping;
mod support;
