//! Parameters of a job: what it declares, the values that a run gives, and where they stand in it.
//!
//! A job file that declares `parameters` is bound to their values before it is checked. What comes out is a job
//! file without placeholders. A job that declares none is left as it is, braces included.

mod arguments;
mod bind;
mod declaration;
mod dialect;
mod place;
mod placeholder;
mod record;
mod resolve;
mod schedule;
mod sql_text;
#[cfg(test)]
mod tests;
mod value;

pub use arguments::Arguments;
pub use dialect::Dialect;
pub use record::ParameterRecord;

pub(super) use bind::{Bound, bind};
pub(super) use declaration::Declarations;
