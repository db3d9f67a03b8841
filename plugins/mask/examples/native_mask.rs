//! The transform without a sandbox: changes all batches of an Arrow file. For measuring what the sandbox
//! costs.
//!
//! `native_mask FILE CONFIG`, the config as JSON.

use std::fs::File;

use arrow_ipc::reader::FileReader;
use longshore_plugin_mask::{Config, Mask};
use longshore_sdk::testkit::transform;
use longshore_sdk::{Result, Transform};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (file, config) = (arguments.next().expect("a file"), arguments.next().expect("a config"));
    let config = serde_json::from_str(&config).expect("a config");
    let rows = change(&file, config).expect("changing");
    println!(r#"{{"rows": {rows}}}"#);
}

fn change(file: &str, config: Config) -> Result<usize> {
    let file = FileReader::try_new(File::open(file).expect("a file"), None).expect("Arrow");
    let mut mask = Mask::open(config, file.schema())?;
    let mut rows = 0;
    for batch in file {
        rows += transform(&mut mask, &batch.expect("a batch"))?.num_rows();
    }
    Ok(rows)
}
