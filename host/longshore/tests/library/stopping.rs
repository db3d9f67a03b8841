//! Cancelled and dropped runs leave nothing.

use std::time::Duration;

use futures::StreamExt;
use longshore::{Class, Event, Run, Status, wait_until_idle};

use crate::support::{Lake, current_thread};

/// Longer than any clean-up takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the run has rows, and files of its own in the lake.
async fn in_the_middle(run: &Run, lake: &Lake) {
    let mut events = run.events();
    while let Some(event) = events.next().await {
        if matches!(event, Event::Progress(progress) if progress.rows > 0)
            && !lake.files().is_empty()
        {
            return;
        }
    }
    panic!("the run has ended");
}

#[tokio::test]
async fn a_handle_cancels_a_run_which_leaves_nothing() {
    let lake = Lake::new();
    let run = lake.endless().start();
    in_the_middle(&run, &lake).await;
    run.cancel_handle().cancel();
    let error = run.await.unwrap_err();
    assert_eq!((error.class(), error.is_worth_a_retry()), (Class::Cancelled, false));
    assert!(lake.files().is_empty(), "{:?}", lake.files());
}

#[tokio::test]
async fn the_report_of_a_cancelled_run_says_so() {
    let lake = Lake::new();
    let run = lake.endless().start();
    in_the_middle(&run, &lake).await;
    run.cancel_handle().cancel();
    let report = run.report().await.unwrap();
    assert_eq!((report.status, report.rows), (Status::Cancelled, 0));
    assert_eq!(report.error.unwrap().class, Class::Cancelled);
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing() {
    let lake = Lake::new();
    let run = lake.endless().start();
    in_the_middle(&run, &lake).await;
    drop(run);
    assert!(tokio::task::spawn_blocking(|| wait_until_idle(PATIENCE)).await.unwrap());
    assert!(lake.files().is_empty(), "{:?}", lake.files());
}

#[test]
fn a_run_whose_runtime_goes_away_leaves_nothing() {
    let lake = Lake::new();
    let runtime = current_thread();
    runtime.block_on(async {
        let run = lake.endless().start();
        in_the_middle(&run, &lake).await;
        tokio::spawn(run.into_future());
    });
    drop(runtime);
    assert!(wait_until_idle(PATIENCE));
    assert!(lake.files().is_empty(), "{:?}", lake.files());
}

#[tokio::test]
async fn a_transfer_that_is_never_polled_does_nothing() {
    let lake = Lake::new();
    drop(lake.endless().run());
    assert!(lake.files().is_empty());
}
