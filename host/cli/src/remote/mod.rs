//! Commands that ask a daemon over its HTTP API, from this machine or from elsewhere.

mod client;
mod commands;

pub(crate) use client::{Client, RemoteArgs};
pub(crate) use commands::{
    SubmitArgs, cancel, find, lines, report_text, retry, runs, show, submit, wait,
};
