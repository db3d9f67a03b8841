//! Incremental relations: where a run takes their watermarks from, and what it records of its windows. Which rows
//! a window has is decided in `longshore_engine::incremental`.

mod load_state;
mod window_record;

pub use load_state::known_load_state;
pub use window_record::WindowRecord;
