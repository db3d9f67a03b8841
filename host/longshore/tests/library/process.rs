//! What the library leaves as it was in the process of others.

use std::process::Command;

use crate::support::Lake;

/// The test that is run in a process of its own: others in this one would change what it looks at.
const ALONE: &str = "LONGSHORE_TEST_ALONE";

#[test]
fn the_process_stays_as_it_was() {
    if std::env::var_os(ALONE).is_some() {
        return look();
    }
    let own = std::env::current_exe().unwrap();
    let name = "process::the_process_stays_as_it_was";
    let mut alone = Command::new(own);
    let alone = alone.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(ALONE, "1");
    let done = alone.output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(text(&done.stderr), "");
    let said: Vec<String> = text(&done.stdout).lines().map(str::to_owned).collect();
    // What the test harness itself says.
    let own =
        |line: &String| line.is_empty() || line.starts_with("running") || line.starts_with("test ");
    assert!(said.iter().all(own), "{said:?}");
}

fn look() {
    let (signals, limits) = (signals(), limits());
    let own = own_hook();
    let lake = Lake::new();
    lake.region().run_blocking().unwrap();
    lake.region().tables(["nowhere"]).run_blocking().unwrap_err();
    assert_eq!(self::signals(), signals);
    assert_eq!(self::limits(), limits);
    assert!(!tracing::dispatcher::has_been_set());
    let hook = std::panic::take_hook();
    assert_eq!(std::ptr::from_ref(hook.as_ref()).cast::<()>() as usize, own);
}

/// Sets a panic hook that holds something, so that it lies somewhere; gives where.
fn own_hook() -> usize {
    let held = String::from("a hook");
    let hook = Box::new(move |panic: &std::panic::PanicHookInfo<'_>| println!("{held}: {panic}"));
    let at = std::ptr::from_ref(hook.as_ref()).cast::<()>() as usize;
    std::panic::set_hook(hook);
    at
}

/// Which signals are blocked, ignored and caught. Of this thread: the first one blocks all while it starts another.
fn signals() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    status
        .lines()
        .filter(|line| line.starts_with("Sig") && !line.starts_with("SigQ"))
        .map(str::to_owned)
        .collect()
}

fn limits() -> String {
    std::fs::read_to_string("/proc/self/limits").unwrap()
}
