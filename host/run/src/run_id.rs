//! The ids of runs.

use chrono::Utc;
use longshore_model::error::{Error, Result};

/// A new id: when the run began, and random digits that tell it from all others.
pub fn new_run_id() -> Result<String> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Error::resource(error.to_string()))?;
    Ok(format!("{}-{}", Utc::now().format("%Y%m%dT%H%M%SZ"), hex::encode(random)))
}
