//! With a state folder, runs outlive their process.

use futures::StreamExt;
use longshore::{Class, Event, Settings, Status, Transfer};

use crate::support::{Lake, with_plugins};

/// Chunks of `orders` at the scale below: enough that some are left when the first is done.
const SCALE: f64 = 4.0;

fn orders(lake: &Lake, settings: &Settings) -> Transfer {
    let transfer = Transfer::copy("tpch:", &lake.url()).tables(["orders"]).source("scale", SCALE);
    let transfer = transfer.source("text_mib", 1).set("chunk.rows", 100_000);
    transfer.run_key("2026-11-20").settings(settings)
}

#[tokio::test]
async fn a_run_key_goes_on_with_what_was_interrupted_and_repeats_nothing() {
    let lake = Lake::new();
    let settings = with_plugins().state(lake.beside("state")).parallel(1).build().unwrap();
    let first = orders(&lake, &settings).start();
    let mut events = first.events();
    while let Some(event) = events.next().await {
        if matches!(event, Event::Progress(progress) if progress.relations[0].chunks_done > 0) {
            break;
        }
    }
    first.cancel_handle().interrupt();
    let first = first.report().await.unwrap();
    assert_eq!(first.status, Status::Interrupted);
    let second = orders(&lake, &settings).run().await.unwrap();
    assert_eq!((second.run.as_str(), second.rows), (first.run.as_str(), 6_000_000));
    assert!(second.interruptions.iter().any(|text| text.contains("resumed")), "{second:?}");
    let third = orders(&lake, &settings).run().await.unwrap();
    assert_eq!((third.run, third.started), (second.run, second.started));
}

#[test]
fn a_run_key_needs_a_state_folder() {
    let lake = Lake::new();
    let error = orders(&lake, &with_plugins().build().unwrap()).run_blocking().unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.hint().unwrap().contains("state("), "{error}");
}

#[test]
fn incremental_relations_need_a_state_folder() {
    let lake = Lake::new();
    let transfer = Transfer::copy("postgres://me@127.0.0.1:1/shop", &lake.url());
    let relation = serde_json::json!({ "table": "orders", "incremental": { "column": "changed" } });
    let transfer = transfer.relation(relation).target("mode", "append");
    let transfer = transfer.settings(&with_plugins().build().unwrap());
    let error = transfer.run_blocking().unwrap_err();
    assert!(error.to_string().contains("`orders` needs a state folder"), "{error}");
}
