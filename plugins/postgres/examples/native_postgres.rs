//! The connector without a sandbox: reads one table, batch by batch, on the real network, and
//! encodes each batch as it would for the host. For measuring what the sandbox costs.
//!
//! `native_postgres URL TABLE` with the password in PGPASSWORD.

use std::time::Instant;

use longshore_plugin_postgres::{Config, Postgres};
use longshore_sdk::testkit::FakeHost;
use longshore_sdk::{ChunkHints, Connector, Lane, Relation, Result, ipc, testkit};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (url, table) = (arguments.next().expect("a URL"), arguments.next().expect("a table"));
    let password = std::env::var("PGPASSWORD").unwrap_or_default();
    let host = FakeHost::new().secret("password", &password).with_network();
    let (read, _) = host.run(|| read(&url, &table));
    println!("{}", read.expect("reading"));
}

fn read(url: &str, table: &str) -> Result<String> {
    let config = serde_json::json!({ "url": url, "password": { "secret": "password" } });
    let config: Config = serde_json::from_value(config).expect("a config");
    let mut connector = Postgres::open(config)?;
    let scan = testkit::scan_all(Relation::Table(table.into()));
    let hints =
        ChunkHints { rows: None, bytes: 64 << 20, parallel: 1, max_chunks: 10_000, key: None };
    let started = Instant::now();
    let (mut rows, mut bytes) = (0, 0);
    for chunk in connector.plan(&scan, &hints)?.chunks {
        let Lane::Component(descriptor) = chunk?.lane else { continue };
        let mut reader = connector.read(&scan, &descriptor)?;
        let mut encoder = ipc::Encoder::new(&reader.schema())?;
        while let Some(batch) = reader.next()? {
            rows += batch.num_rows();
            bytes += encoder.encode(&batch)?.iter().map(Vec::len).sum::<usize>();
        }
    }
    Ok(format!(
        r#"{{"rows": {rows}, "bytes": {bytes}, "seconds": {}}}"#,
        started.elapsed().as_secs_f64()
    ))
}
