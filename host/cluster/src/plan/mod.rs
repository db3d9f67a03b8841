//! Plans as Ballista carries them: their nodes, and these as bytes.

mod assignment_rows;
mod attempt_exec;
mod carry_out;
mod codec;
mod divisible;
mod fragment;
mod fragment_exec;
mod outside_input;
mod shape;

pub(crate) use attempt_exec::AttemptExec;
pub(crate) use carry_out::{CarryOut, FragmentTask};
pub(crate) use codec::codec;
pub(crate) use fragment::{cut, find};
pub(crate) use fragment_exec::FragmentExec;
pub(crate) use outside_input::OutsideInput;
pub(crate) use shape::shape;
