//! A transfer runs on whatever its caller has.

use longshore::{Class, Status, Transfer};

use crate::support::{Lake, current_thread, with_plugins};

#[test]
fn it_runs_without_a_runtime() {
    let report = Lake::new().region().run_blocking().unwrap();
    assert_eq!((report.status, report.rows), (Status::Succeeded, 5));
}

#[test]
fn it_runs_on_an_executor_that_is_not_tokios() {
    let report = futures::executor::block_on(Lake::new().region().run()).unwrap();
    assert_eq!(report.rows, 5);
}

#[test]
fn it_runs_in_a_runtime_of_one_thread_without_timers() {
    let report = current_thread().block_on(Lake::new().region().run()).unwrap();
    assert_eq!(report.rows, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_spawned_in_a_runtime_of_several_threads() {
    let report = tokio::spawn(Lake::new().region().run()).await.unwrap().unwrap();
    assert_eq!(report.rows, 5);
}

#[tokio::test]
async fn waiting_within_a_runtime_is_refused_and_no_panic() {
    let lake = Lake::new();
    let error = lake.region().run_blocking().unwrap_err();
    assert_eq!(error.class(), Class::Config);
    assert!(error.hint().unwrap().contains("run()"), "{error}");
    assert!(lake.files().is_empty());
}

#[tokio::test]
async fn what_the_refusal_says_works_in_spawn_blocking() {
    let transfer = Lake::new().region();
    let run = move || tokio::runtime::Handle::current().block_on(transfer.run());
    assert_eq!(tokio::task::spawn_blocking(run).await.unwrap().unwrap().rows, 5);
}

#[tokio::test]
async fn two_with_different_settings_run_at_the_same_time() {
    let (one, other) = (Lake::new(), Lake::new());
    let states = [one.beside("state"), other.beside("state")];
    let [first, second] =
        states.each_ref().map(|state| with_plugins().state(state).parallel(1).build().unwrap());
    let (first, second) =
        futures::join!(one.region().settings(&first).run(), other.region().settings(&second).run());
    assert_eq!((first.unwrap().rows, second.unwrap().rows), (5, 5));
    assert!(states.iter().all(|state| state.join("ledger.sqlite").is_file()));
}

/// So little that neither a plan nor a deep job would fit into it.
fn on_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(128 << 10).spawn(work).unwrap().join().unwrap()
}

#[test]
fn deep_sql_needs_no_large_stack_of_its_caller() {
    let lake = Lake::new();
    // Nearly as deep as SQL may be.
    let sum = vec!["r_regionkey"; 390].join(" + ");
    let step = serde_json::json!({ "sql": format!("SELECT {sum} AS keys FROM data") });
    let transfer = lake.region().transform(step);
    assert_eq!(on_small_stack(move || transfer.run_blocking()).unwrap().rows, 5);
}

#[test]
fn a_deep_text_needs_no_large_stack_of_its_caller() {
    let deep = "[".repeat(100_000);
    let refused = move || Transfer::from_text("deep.yaml", &deep).unwrap_err();
    assert_eq!(on_small_stack(refused).class(), Class::Config);
}
