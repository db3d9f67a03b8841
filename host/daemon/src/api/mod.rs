//! The HTTP API: who looks at the daemon from elsewhere, and drives it.

mod answer;
mod audit;
mod caller;
mod cancel;
mod dashboard;
mod endpoint;
mod endpoints;
mod events;
mod extract;
mod feed;
mod guard;
mod health;
mod jobs;
pub mod limits;
mod listener;
mod manifest;
mod metrics;
mod openapi;
mod outer;
mod overview;
mod plugins;
mod progress;
mod pump;
mod run_stream;
mod runs;
mod schedules;
mod schemas;
mod server;
mod session;
mod site;
mod state;
mod submit;
mod tls;
mod tokens;

pub use endpoints::document;
pub use server::{Api, ApiOptions, ApiParts, ApiPlace};
