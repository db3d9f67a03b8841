//! The program: its commands, and the conformance suite that holds a component of any language against
//! what plugins must keep to.

pub mod cluster;
pub mod commands;
pub mod conformance;
mod remote;
mod run_choice;
pub mod stop_signals;
