//! The transform without a sandbox: changes all batches of an Arrow file, and encodes them as it would
//! for the host. For measuring what the sandbox costs.
//!
//! `native_mask FILE CONFIG`, the config as JSON.

use std::fs::File;

use arrow_ipc::reader::FileReader;
use longshore_plugin_mask::{Config, Mask};
use longshore_sdk::{Result, Transform, ipc};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (file, config) = (arguments.next().expect("a file"), arguments.next().expect("a config"));
    let config = serde_json::from_str(&config).expect("a config");
    let (rows, bytes) = change(&file, config).expect("changing");
    println!(r#"{{"rows": {rows}, "bytes": {bytes}}}"#);
}

fn change(file: &str, config: Config) -> Result<(usize, usize)> {
    let file = FileReader::try_new(File::open(file).expect("a file"), None).expect("Arrow");
    let mut mask = Mask::open(config, file.schema())?;
    let mut encoder = ipc::Encoder::new(&mask.output_schema())?;
    let (mut rows, mut bytes) = (0, 0);
    for batch in file {
        if let Some(batch) = mask.process(batch.expect("a batch"))? {
            rows += batch.num_rows();
            bytes += encoder.encode(&batch)?.iter().map(Vec::len).sum::<usize>();
        }
    }
    Ok((rows, bytes))
}
