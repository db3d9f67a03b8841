//! Values as text, and text as values. Every writer of text formats writes with this crate, and every
//! reader reads with it, so that what was written is what is read.
//!
//! Reading is strict: a text is taken for a value only where the value stands for exactly that text. See
//! [`Exactness`] for how exact that is.

mod calendar;
mod column;
mod json;
mod loose;
mod names;
mod number;
mod padded;
mod temporal;

pub use calendar::{
    MomentUnit, Zone, read_date, read_moment, write_date, write_moment, write_time,
};
pub use column::text_column;
pub use json::{JsonValues, json_options};
pub use loose::{
    read_boolean_loosely, read_bytes_loosely, read_decimal_loosely, read_f32_loosely,
    read_f64_loosely,
};
pub use names::unique_names;
pub use number::{
    Exactness, MAX_EXACT_INTEGER, read_boolean, read_decimal, read_f32, read_f64, read_integer,
};
pub use padded::{is_padded, padded};
