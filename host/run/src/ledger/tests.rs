use std::collections::BTreeMap;

use longshore_engine::check::{ChunkChecks, Measure};
use longshore_engine::scan::LeftOut;
use longshore_engine::scan::{Chunk, ScanPlan};
use longshore_engine::write::WriteResult;
use longshore_model::config::ParameterRecord;
use longshore_model::config::target::Mode;
use longshore_model::error::Class;
use longshore_model::part::{Part, RelationTarget};
use longshore_model::relation::Consistency;
use longshore_sandbox::{Snapshot, SnapshotResult};
use serde_json::{Value, json};

use super::tasks::Task;
use super::*;
use crate::phase::{Outcome, Phase};
use crate::plan_record::{BuiltBy, PlanRecord};
use crate::trigger::TriggerKind;

fn begun(ledger: &Ledger, run: &str) {
    let new = NewRun {
        id: run,
        job: "shop",
        digest: "d",
        file: Path::new("/in/shop.yaml"),
        parameters: &ParameterRecord::default(),
        owner: Owner::Daemon,
    };
    ledger.begin(&new).unwrap();
}

fn target(run: &str) -> RelationTarget {
    let (relation, name) = ("orders".to_owned(), "orders_v2".to_owned());
    RelationTarget { run: run.to_owned(), relation, name, mode: Mode::Version }
}

fn plan() -> PlanRecord {
    let chunk = |n: u8| Chunk {
        label: n.to_string(),
        descriptor: vec![n, 0, 255],
        rows: Some(u64::from(n)),
        bytes: None,
    };
    let scan = ScanPlan {
        input: 0,
        projection: Some(vec!["id".into()]),
        filter: None,
        limit: Some(9),
        window: None,
        consistency: Consistency::Snapshot,
        strategy: "pages".into(),
        chunks: (0..3).map(chunk).collect(),
        depends_on_previous: false,
    };
    let built_by = r#"{"longshore":"0.6.0","plugins":{"source":"ab","target":"cd"}}"#;
    let snapshot = Snapshot { token: "00000003-1".into(), label: "PostgreSQL 17".into() };
    PlanRecord {
        built_by: serde_json::from_str(built_by).unwrap(),
        snapshot: SnapshotResult::Opened(snapshot),
        has_holder: true,
        scans: vec![vec![scan]],
    }
}

/// Whether the ledger gives back the plan above, all of it.
fn is_planned(ledger: &Ledger, run: &str) -> bool {
    format!("{:?}", ledger.planned(run).unwrap()) == format!("{:?}", plan())
}

fn part(chunk: u64) -> Part {
    let file = format!("part-{chunk}");
    Part {
        chunk,
        file,
        rows: 1,
        bytes: 2,
        checksum: Some("blake3:ab".to_owned().into()),
        token: "t".into(),
    }
}

fn written() -> WriteResult {
    let measures = vec![Measure::Nulls(1)];
    let checks = ChunkChecks { rows: 1, measures, ..ChunkChecks::default() };
    let left_out = LeftOut { rows: 2, first: "t.csv: line 3: it is not UTF-8".into() };
    WriteResult { parts: vec![part(0)], checks: Some(checks), left_out }
}

#[test]
fn what_was_written_is_found_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    begun(&ledger, "r1");
    ledger.reserve("r1", &[target("r1")]).unwrap();
    assert_eq!(ledger.built_by("r1").unwrap(), BuiltBy::default());
    assert!(ledger.planned("r1").is_err());
    ledger.plan("r1", &plan()).unwrap();
    let (first, second) = (Task { relation: 0, chunk: 0 }, Task { relation: 0, chunk: 1 });
    assert_eq!(ledger.attempt("r1", first).unwrap(), 0);
    ledger.done("r1", first, 0, &written()).unwrap();
    assert_eq!(ledger.attempt("r1", second).unwrap(), 0);
    ledger.failed("r1", second, 0, &Error::connection("gone")).unwrap();
    assert_eq!(ledger.attempt("r1", second).unwrap(), 1);
    drop(ledger);

    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.unfinished(Owner::Daemon).unwrap(), ["r1"]);
    assert_eq!(ledger.unfinished(Owner::Command).unwrap(), [""; 0]);
    assert!(is_planned(&ledger, "r1"));
    assert_eq!(ledger.targets("r1").unwrap(), [target("r1")]);
    let tasks = ledger.tasks("r1").unwrap();
    assert_eq!(tasks[&first].written, Some(written()));
    assert_eq!((tasks[&second].attempts, &tasks[&second].written), (2, &None));
    assert_eq!(
        ledger.attempt("r1", second).unwrap(),
        2,
        "an attempt's number is never given twice"
    );
    let details = ledger.details("r1").unwrap().unwrap();
    assert_eq!(details.attempts.len(), 3);
    assert_eq!(details.attempts[0].who_must_act.as_deref(), Some("the platform"));
}

#[test]
fn a_run_that_begins_anew_keeps_its_attempts_and_not_its_parts() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    ledger.reserve("r1", &[target("r1")]).unwrap();
    ledger.plan("r1", &plan()).unwrap();
    let task = Task { relation: 0, chunk: 0 };
    ledger.attempt("r1", task).unwrap();
    ledger.failed("r1", task, 0, &Error::connection("gone")).unwrap();
    ledger.restart("r1", "the snapshot ended").unwrap();
    assert_eq!(ledger.planned("r1").unwrap_err().class(), Class::Stale);
    assert!(ledger.tasks("r1").unwrap().is_empty());
    assert_eq!(ledger.targets("r1").unwrap(), [target("r1")]);
    ledger.plan("r1", &plan()).unwrap();
    let details = ledger.details("r1").unwrap().unwrap();
    assert_eq!((details.run.restarts, details.attempts.len()), (1, 1));
    assert_eq!(details.events[0].text, "restarted: the snapshot ended");
}

#[test]
fn history_is_kept_within_its_limit_and_never_costs_a_run_under_way() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "a");
    for run in ["b", "c", "d"] {
        begun(&ledger, run);
        ledger.finish(run, Outcome::Succeeded, &"report").unwrap();
    }
    assert_eq!(ledger.prune(1).unwrap().len(), 2);
    let left: Vec<String> = ledger.runs(9).unwrap().into_iter().map(|run| run.run).collect();
    assert_eq!(left, ["d", "a"]);
}

#[test]
fn a_ledger_of_a_newer_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.connection().pragma_update(None, "user_version", 99).unwrap();
    drop(ledger);
    let error = Ledger::open(folder.path()).err().unwrap();
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[test]
fn a_run_is_found_by_the_beginning_of_its_id() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "20260101-aa");
    begun(&ledger, "20260101-ab");
    assert_eq!(ledger.find("20260101-ab", 9).unwrap(), ["20260101-ab"]);
    assert_eq!(ledger.find("20260101-a", 9).unwrap().len(), 2);
    assert_eq!(ledger.find("20260101-a", 1).unwrap().len(), 1);
    assert!(ledger.find("2027", 9).unwrap().is_empty());
    begun(&ledger, "20260101-a");
    assert_eq!(ledger.find("20260101-a", 9).unwrap(), ["20260101-a"]);
}

/// Makes a ledger as version 2 had it, with what its runs held.
fn version_2(folder: &Path) {
    let connection = Connection::open(folder.join(LEDGER)).unwrap();
    for migration in &MIGRATIONS[..2] {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "user_version", 2).unwrap();
    connection.execute_batch(include_str!("version_2.sql")).unwrap();
}

#[test]
fn a_ledger_of_version_2_goes_on_in_the_phases_of_its_runs() {
    let folder = tempfile::tempdir().unwrap();
    version_2(folder.path());
    let ledger = Ledger::open(folder.path()).unwrap();
    let phase = |run| ledger.entry(run).unwrap().unwrap().phase;
    assert_eq!(phase("new"), Phase::Planning);
    assert_eq!(phase("reserved"), Phase::Planning);
    assert_eq!(phase("reading"), Phase::Reading);
    assert_eq!(phase("committing"), Phase::Committing);
    assert_eq!(phase("succeeded"), Phase::Done(Outcome::Succeeded));
    assert_eq!(phase("failed"), Phase::Done(Outcome::Failed));
    assert_eq!(phase("cancelled"), Phase::Done(Outcome::Cancelled));
    let unfinished = ledger.unfinished(Owner::Daemon).unwrap();
    assert_eq!(unfinished, ["new", "reserved", "reading", "committing"]);
    // It listed its plugins without their places: another program makes another plan.
    let planned = ledger.planned("reading").unwrap();
    assert_eq!(planned.built_by, BuiltBy::default());
    let expected = PlanRecord { built_by: BuiltBy::default(), ..plan() };
    assert_eq!(format!("{planned:?}"), format!("{expected:?}"));
    assert_eq!(ledger.targets("reserved").unwrap(), [target("reserved")]);
    let tasks = ledger.tasks("reading").unwrap();
    let parts = &tasks[&Task { relation: 0, chunk: 0 }].written.as_ref().unwrap().parts;
    assert_eq!(parts[0].checksum, Some("sha256:ab".to_owned().into()));
    assert_eq!(parts[1].checksum, None);
    assert_eq!(ledger.commit::<serde_json::Value>("committing").unwrap().unwrap()["tables"][0], 1);
    // It had crashed once, and was being worked on.
    assert_eq!(ledger.claim("reading").unwrap(), 2);
}

#[test]
fn the_ledger_refuses_what_no_run_does() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    let refused = ledger.record_commit("r1", &"too early", JobAdvances::NONE).unwrap_err();
    assert_eq!(refused.to_string(), "run r1: a run that is planning refuses Commit");
    assert_eq!(ledger.commit::<String>("r1").unwrap(), None);
    ledger.plan("r1", &plan()).unwrap();
    ledger.record_commit("r1", &"all of it", JobAdvances::NONE).unwrap();
    assert!(!ledger.request_cancel("r1").unwrap());
    assert!(ledger.finish("r1", Outcome::Cancelled, &"report").is_err());
    ledger.finish("r1", Outcome::Succeeded, &"report").unwrap();
    assert!(ledger.finish("r1", Outcome::Failed, &"another").is_err());
    assert_eq!(ledger.details("r1").unwrap().unwrap().run.report.unwrap(), "report");
    assert!(!ledger.request_cancel("unknown").unwrap());
    ledger.finish("unknown", Outcome::Failed, &"report").unwrap();
}

#[test]
fn a_run_that_restarts_forgets_the_commit_that_was_taken_back() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    ledger.reserve("r1", &[target("r1")]).unwrap();
    ledger.plan("r1", &plan()).unwrap();
    ledger.record_commit("r1", &"all of it", JobAdvances::NONE).unwrap();
    ledger.restart("r1", "the store was away").unwrap();
    assert_eq!(ledger.entry("r1").unwrap().unwrap().phase, Phase::Planning);
    assert_eq!(ledger.commit::<String>("r1").unwrap(), None);
    assert!(ledger.request_cancel("r1").unwrap());
}

#[test]
fn a_state_is_what_scripts_know_of_a_phase_and_tells_who_works() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    begun(&ledger, "r1");
    let told = || serde_json::to_value(ledger.runs(1).unwrap()).unwrap()[0].clone();
    let lock = ledger.lock_run("r1").unwrap();
    assert_eq!((&told()["state"], &told()["phase"]), (&json!("running"), &json!("planning")));
    drop(lock);
    assert_eq!(told()["state"], "interrupted");
}

#[test]
fn a_plan_that_another_version_recorded_is_stale() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    ledger.reserve("r1", &[target("r1")]).unwrap();
    ledger.plan("r1", &plan()).unwrap();
    for change in ["runs SET snapshot = '{\"lost\":1}'", "relations SET scans = '[{}]'"] {
        ledger.connection().execute(&format!("UPDATE {change}"), []).unwrap();
        assert_eq!(ledger.planned("r1").unwrap_err().class(), Class::Stale, "{change}");
    }
}

#[test]
fn a_run_keeps_the_values_that_it_began_with() {
    let ledger = Ledger::in_memory().unwrap();
    let begin = |day: &str| {
        let parameters = serde_json::from_str(&format!(r#"{{"day":"{day}"}}"#)).unwrap();
        let (file, owner) = (Path::new("/in/shop.yaml"), Owner::Command);
        let new =
            NewRun { id: "r1", job: "shop", digest: "d", file, parameters: &parameters, owner };
        ledger.begin(&new).unwrap();
        parameters
    };
    let first: ParameterRecord = begin("2026-11-20");
    begin("2026-11-21");
    assert_eq!(ledger.entry("r1").unwrap().unwrap().parameters, first);
    assert_eq!(ledger.details("r1").unwrap().unwrap().parameters, first);
    begun(&ledger, "r2");
    assert!(ledger.entry("r2").unwrap().unwrap().parameters.is_empty());
}

fn trigger<'a>(
    run: &'a str,
    key: &'a str,
    arguments: &'a BTreeMap<String, Value>,
) -> NewTrigger<'a> {
    NewTrigger {
        run,
        key,
        job: "shop.yaml",
        folder: Path::new("/jobs"),
        digest: "d",
        kind: TriggerKind::Schedule,
        scheduled: Some("2026-11-29T02:00:00Z".into()),
        requested_by: None,
        arguments,
        is_exclusive: true,
        trace_parent: None,
    }
}

#[test]
fn a_key_asks_for_one_run_whatever_is_asked_with_it() {
    let ledger = Ledger::in_memory().unwrap();
    let arguments = BTreeMap::from([("day".to_owned(), json!("2026-11-20"))]);
    assert_eq!(ledger.record_trigger(&trigger("r1", "k", &arguments)).unwrap(), "r1");
    assert_eq!(ledger.record_trigger(&trigger("r2", "k", &BTreeMap::new())).unwrap(), "r1");
    let entry = ledger.trigger("r1").unwrap().unwrap();
    assert_eq!((&entry.arguments, entry.trigger.kind), (&arguments, TriggerKind::Schedule));
    assert_eq!(ledger.trigger_of_key("k").unwrap(), Some(entry));
    assert_eq!(ledger.trigger("r2").unwrap(), None);
}

#[test]
fn an_exclusive_trigger_waits_for_the_earlier_ones_of_its_job() {
    let ledger = Ledger::in_memory().unwrap();
    let none = BTreeMap::new();
    for (run, key) in [("r1", "a"), ("r2", "b")] {
        ledger.record_trigger(&trigger(run, key, &none)).unwrap();
    }
    ledger.record_trigger(&NewTrigger { job: "other.yaml", ..trigger("r3", "c", &none) }).unwrap();
    let due = || ledger.due_triggers().unwrap().into_iter().map(|due| due.run).collect::<Vec<_>>();
    assert_eq!(due(), ["r1", "r3"]);
    ledger.set_trigger_state("r1", TriggerState::Placed).unwrap();
    assert_eq!(due(), ["r3"]);
    ledger.put_away("r1", Path::new("/in/done/shop.r1.yaml")).unwrap();
    assert_eq!(due(), ["r2", "r3"]);
}

#[test]
fn a_run_that_has_not_begun_can_be_cancelled() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.record_trigger(&trigger("r1", "a", &BTreeMap::new())).unwrap();
    assert!(ledger.request_cancel("r1").unwrap());
    assert!(ledger.trigger("r1").unwrap().unwrap().is_cancelled);
    ledger.set_trigger_state("r1", TriggerState::Over).unwrap();
    assert!(!ledger.request_cancel("r1").unwrap());
    assert!(!ledger.request_cancel("r2").unwrap());
}

#[test]
fn a_run_that_is_cancelled_while_its_job_is_read_begins_cancelled() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.record_trigger(&trigger("r1", "a", &BTreeMap::new())).unwrap();
    assert!(ledger.request_cancel("r1").unwrap());
    begun(&ledger, "r1");
    assert!(ledger.is_cancel_requested("r1").unwrap());
    begun(&ledger, "r2");
    assert!(!ledger.is_cancel_requested("r2").unwrap());
}

#[test]
fn a_run_that_is_cancelled_before_its_commit_does_not_commit() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    ledger.plan("r1", &plan()).unwrap();
    assert!(ledger.request_cancel("r1").unwrap());
    let refused = ledger.record_commit("r1", &"all of it", JobAdvances::NONE).unwrap_err();
    assert_eq!(refused.class(), Class::Cancelled);
    ledger.finish("r1", Outcome::Cancelled, &"report").unwrap();
}

fn keyed(ledger: &Ledger, job: &str, digest: &str, day: &str, new_run: &str) -> Result<KeyedRun> {
    let arguments = [("day".to_owned(), json!(day))].into();
    let parameters = serde_json::from_value(json!({ "day": day, "at": new_run })).unwrap();
    let (key, parameters) = ("nightly", &parameters);
    ledger.keyed_run(&KeyedJob { key, job, digest, arguments: &arguments, parameters }, new_run)
}

fn open(run: &str, at: &str) -> KeyedRun {
    let parameters = serde_json::from_value(json!({ "day": "d1", "at": at })).unwrap();
    KeyedRun::Open { run: run.to_owned(), parameters }
}

#[test]
fn a_run_key_continues_its_run_until_that_is_over() {
    let ledger = Ledger::in_memory().unwrap();
    let next = |run| keyed(&ledger, "shop", "d", "d1", run).unwrap();
    assert_eq!(next("r1"), open("r1", "r1"));
    assert_eq!(next("r2"), open("r1", "r1"), "it has not begun, and is asked for again");
    begun(&ledger, "r1");
    assert_eq!(next("r3"), open("r1", "r1"), "it was interrupted");
    ledger.finish("r1", Outcome::Failed, &"failed").unwrap();
    assert_eq!(next("r4"), open("r4", "r1"), "another attempt keeps the values of the first");
    begun(&ledger, "r4");
    ledger.finish("r4", Outcome::Succeeded, &"all of it").unwrap();
    assert_eq!(next("r5"), KeyedRun::Succeeded(json!("all of it")));
    ledger.prune(0).unwrap();
    assert_eq!(next("r6"), open("r6", "r6"), "what is forgotten is run again");
}

#[test]
fn a_run_key_stands_for_one_job_and_one_set_of_values() {
    let ledger = Ledger::in_memory().unwrap();
    keyed(&ledger, "shop", "d", "d1", "r1").unwrap();
    let refusal = |job, digest, day| {
        let error = keyed(&ledger, job, digest, day, "r2").unwrap_err();
        assert_eq!((error.class(), error.hint().is_some()), (Class::Config, true));
        error.to_string()
    };
    assert!(refusal("other", "d", "d1").contains("stands for the job `shop`: run r1"));
    assert!(refusal("shop", "e", "d1").contains("another version of the job `shop`"));
    assert!(refusal("shop", "d", "d2").contains("other values"));
    // A job that failed for good is corrected, and tried again.
    begun(&ledger, "r1");
    ledger.finish("r1", Outcome::Failed, &"failed").unwrap();
    assert_eq!(keyed(&ledger, "shop", "e", "d1", "r2").unwrap(), open("r2", "r1"));
}

fn to(destination: &str, body: &str) -> NewMessage {
    let (destination, body) = (destination.to_owned(), body.to_owned());
    NewMessage { kind: MessageKind::Webhook, destination, body }
}

#[test]
fn messages_are_delivered_in_order_for_each_destination_and_leased_to_one() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.post(&[to("a", "1"), to("a", "2"), to("b", "3")]).unwrap();
    // Another process delivers, too.
    let other = Ledger::open(folder.path()).unwrap();
    let lease = |ledger: &Ledger| ledger.lease_message(Duration::from_secs(60)).unwrap();
    let (first, second) = (lease(&ledger).unwrap(), lease(&other).unwrap());
    assert_eq!((first.body.as_str(), second.body.as_str()), ("1", "3"));
    assert_eq!(lease(&ledger), None, "what is behind a message waits for it");
    ledger.remove_message(first.id).unwrap();
    let next = lease(&other).unwrap();
    assert_eq!((next.body.as_str(), next.attempts), ("2", 1));
    ledger.put_off_message(next.id, Duration::from_secs(60), "away").unwrap();
    assert_eq!(lease(&ledger), None);
    assert!(ledger.next_message_due().unwrap().unwrap() > Utc::now());
    ledger.put_off_message(next.id, Duration::ZERO, "away").unwrap();
    assert_eq!(lease(&ledger).unwrap().attempts, 2);
    assert_eq!(ledger.outbox_length().unwrap(), 2);
}

#[test]
fn a_message_whose_process_died_is_delivered_by_the_next() {
    let ledger = Ledger::in_memory().unwrap();
    ledger.post(&[to("a", "1")]).unwrap();
    ledger.lease_message(Duration::ZERO).unwrap().unwrap();
    let again = ledger.lease_message(Duration::from_secs(60)).unwrap().unwrap();
    assert_eq!((again.body.as_str(), again.attempts), ("1", 2));
}

#[test]
fn the_outbox_is_bounded_and_gives_up_the_oldest() {
    let ledger = Ledger::in_memory().unwrap();
    let many: Vec<NewMessage> = (0..OUTBOX_LIMIT).map(|n| to("a", &n.to_string())).collect();
    ledger.post(&many).unwrap();
    ledger.post(&[to("b", "new")]).unwrap();
    assert_eq!(ledger.outbox_length().unwrap(), OUTBOX_LIMIT);
    assert_eq!(ledger.lease_message(Duration::ZERO).unwrap().unwrap().body, "1");
    ledger
        .connection()
        .execute("UPDATE outbox SET created = '2001-01-01' WHERE id < 100", [])
        .unwrap();
    assert_eq!(ledger.remove_old_messages().unwrap(), 98);
}

#[test]
fn a_run_ends_together_with_what_tells_of_it() {
    let ledger = Ledger::in_memory().unwrap();
    begun(&ledger, "r1");
    let told = [to("a", "failed")];
    ledger.finish_and_post("r1", Outcome::Failed, &"report", &told, JobAdvances::NONE).unwrap();
    let again = ledger.finish_and_post("r1", Outcome::Failed, &"report", &told, JobAdvances::NONE);
    assert!(again.is_err());
    assert_eq!(ledger.outbox_length().unwrap(), 1);
}

/// Without it, another process that leaves takes the log away that this one still writes to.
#[test]
fn a_second_connection_leaves_the_locks_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let path = folder.path().join(LEDGER).canonicalize().unwrap();
    let locks = || -> Vec<String> {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
        let of_ledger = descriptors.filter(|fd| fs::read_link(fd).is_ok_and(|file| file == path));
        let info = |fd: PathBuf| Path::new("/proc/self/fdinfo").join(fd.file_name().unwrap());
        let read = of_ledger.map(|fd| fs::read_to_string(info(fd)).unwrap());
        let lines = read.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        lines.filter(|line| line.starts_with("lock:") && line.contains("POSIX")).collect()
    };
    assert!(!locks().is_empty(), "SQLite holds a lock for as long as it is connected");
    let second = Ledger::open(folder.path()).unwrap();
    drop(second);
    assert!(!locks().is_empty(), "the first connection has lost its locks");
    drop(ledger);
}
