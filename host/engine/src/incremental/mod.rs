//! Incremental relations: which rows a run loads of them. The source is asked, in its own language, for the
//! greatest value of the watched column; what lies between the watermark and that value is the run's window.

mod column;
mod files;
mod kind;
mod late;
mod request;
mod rows;
mod window;

pub use request::{LoadState, WindowRequest};
pub use window::open_window;
