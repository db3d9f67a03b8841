//! Copies tables, and shows how far it is: `cargo run --example copy -- tpch: file:///tmp/lake region nation`.

use futures::StreamExt;
use longshore::{Event, Result, Settings, Transfer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(target)) = (arguments.next(), arguments.next()) else {
        eprintln!("copy SOURCE TARGET TABLE..");
        return Ok(());
    };
    let settings = Settings::builder().plugins("target/release/plugins").build()?;
    let run = Transfer::copy(&source, &target).tables(arguments).settings(&settings).start();
    let mut events = run.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Progress(now) => eprintln!("{:3.0} %, {} rows", now.fraction * 100.0, now.rows),
            Event::AttemptFailed(attempt) => eprintln!("tried again: {}", attempt.message),
            other => eprintln!("{other:?}"),
        }
    }
    let report = run.await?;
    println!("{}", report.to_text());
    Ok(())
}
