//! An executor: it asks the scheduler for assignments, and carries out as many at a time as it has slots.

mod ballista_fault;
mod carry_out;
mod driver_line;
mod engine;
mod serve;
mod sessions;
mod shuffle_folder;

pub(crate) use serve::serve;
