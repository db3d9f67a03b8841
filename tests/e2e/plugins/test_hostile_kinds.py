"""Transforms and sinks that mean harm: each abuse ends in an error of its run, as a connector's does."""

import json
import signal
import socket
import time

import pyarrow.parquet as pq
import pytest

from support.daemon import Daemon
from support.hostile import (
    BAD_DATA,
    SECONDS,
    SECRET,
    STREAMS,
    TOO_LONG,
    check_memory_comes_back,
    check_words,
    hostile,
    marked,
    memory,
)
from support.longshore import HOSTILE
from support.wait import wait_for

#: Of an honest job.
ROWS = 8_000

#: What every call of a plugin can do, and what its run says of it, with the exit code if it is not 1.
HARMS = {
    "loop": TOO_LONG,
    "memory": "of memory, the limit is 256 MiB",
    "panic": "the plugin's own words",
}

#: The same, of what need not be tried in every call.
OTHERS = {
    "recursion": "overflowed its stack",
    "trap": "trapped",
    "host-calls": "more than 1000000 calls of the host",
    "memory-slowly": "of memory, the limit is 256 MiB",
    "elsewhere": ("does not name", 5),
    "scan-ports": ("does not name", 5),
    "secret": ("the job gives no `other`", 2),
    "tell": ("the password is ***", 4),
    "tell-late": ("x" * 4_000, 4),
    "error-escapes": (" [2J gone longshore: all is well", 4),
    "error-huge": ("x" * 4_000, 4),
    "error-code": ("its code [", 4),
    "error-code-huge": ("its code [xxx", 4),
    "error-code-tells": ("its code [***]", 4),
    "error-context": ("lost", 4),
    "error-hint": ("its hint", 4),
    "broken": ("broke, as it always does", 3),
    "stale": ("gone, as it always is", 3),
}

#: What does no harm after all.
HARMLESS = ["random-huge", "log-flood", "log-huge", "log-escapes"]


def each(calls, harms):
    return {f"{harm}-{call}": said for call in calls for harm, said in harms.items()}


#: What a transform says of its columns, or gives of them: `text` passes through, `more` is computed.
COLUMNS = {
    "columns-read-far": "it reads column 9 of an input of 1",
    "columns-read-twice": "it reads `text` twice",
    "columns-read-huge": "128 MiB",
    "columns-far": "`text` is column 7 of an input of 1",
    "columns-many": "it maps 3 columns, its output has 2",
    "columns-none": "it maps 0 columns, its output has 2",
    "columns-other-type": "it passes `text` through as `text` Int64, it is Utf8",
    "columns-without-nulls": "it passes `text` through as `text` without nulls",
    "columns-same-name": "its output has two columns `more`",
    "columns-rows-fewer": "it passes `text` through, but gave 50 rows for 100",
    "columns-rows-more": "it passes `text` through, but gave 101 rows for 100",
    "columns-rows-late": "it passes `text` through, but gave 0 rows for 100",
    "columns-rows-after": "it passes `text` through, but gave 100 rows for 0",
    "columns-give-passed": "not those that it described: text Utf8, more Utf8",
    "columns-give-none": "not those that it described",
    "columns-give-other-type": "not those that it described: more Int64",
}

DIGESTS = {
    "digest-none": "a digest without offsets",
    "digest-far": "the offsets of a digest do not fit its values",
    "digest-back": "the offsets of a digest do not fit its values",
    "digest-negative": "the offsets of a digest do not fit its values",
    "digest-many": "a digest of more than 1048576 values",
    "digest-huge": "128 MiB",
    "digest-endless": TOO_LONG,
}

TRANSFORMS = {
    **STREAMS,
    **each(["open", "output-schema", "column-mapping", "process", "finish"], HARMS),
    **each(["process"], OTHERS),
    **COLUMNS,
    **DIGESTS,
    "schema-garbage": BAD_DATA,
    "schema-empty": BAD_DATA,
    "schema-huge": "128 MiB",
    "schema-wide": "more than 10000 columns",
    "schema-deep": BAD_DATA,
    "schema-deeper-than-allowed": "nested deeper than 32",
    "stream-schema": "not those that it described: other Int64",
    "stream-type": "not those that it described: text Int64",
    "stream-name-huge": "not those that it described",
    "stream-name-tells": "not those that it described",
    "stream-empty": BAD_DATA,
    # Whichever limit a machine comes to first.
    "stream-endless": f"of memory, the limit is 256 MiB|{TOO_LONG}",
    "answers-empty": BAD_DATA,
    "pieces-huge": "128 MiB",
    "pieces-many": "128 MiB",
    "rows-without-columns": " rows ",
    "type-union": ("cannot hold", 4),
    "type-width": ("cannot hold", 4),
}

#: Calls of a sink before its rows are visible; `is-intact` is asked after an interruption only.
CALLS = [
    "open",
    "test",
    "begin",
    "write",
    "writer-write",
    "writer-finish",
    "drop-writer",
    "commit",
    "discard",
]

SINKS = {
    **each(CALLS, HARMS),
    **each(["writer-write"], OTHERS),
    **each(["open", "begin", "writer-finish", "commit", "discard"], {"stale": OTHERS["stale"]}),
    "request-elsewhere-begin": ("does not name", 5),
    "connection-flood-begin": "64 ",
    "tell-commit": OTHERS["tell"],
    "receipt-long": "a receipt over 4096 bytes",
    "receipt-huge": "128 MiB",
    "names-none": "0 names for 1 relations",
    "names-many": "1000000 names for 1 relations",
}

#: How a plugin is shown that misbehaves when it is asked what it is.
DESCRIPTIONS = {
    "loop": TOO_LONG,
    "memory": "of memory, the limit is 256 MiB",
    "trap": "trapped",
    "name": "its name is not of lower case letters",
    "version": "its version `newest`",
    "summary": "its summary is not one line",
    "schema": "its config schema",
}


@pytest.fixture
def kinds(program, plugins):
    for name in ["hostile-transform", "hostile-sink"]:
        (plugins / f"{name}.wasm").symlink_to(HOSTILE / f"{name}.wasm")
    retries = {"RETRIES": "2", "RELATION_RETRIES": "0", "RETRY_BACKOFF_MILLIS": "10"}
    program.env |= {f"LONGSHORE_{key}": value for key, value in retries.items()}
    return plugins


@pytest.fixture
def silent():
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=1_000) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def transform(program, abuse, name="job.yaml"):
    step = {"plugin": "hostile-transform", "abuse": abuse, "password": SECRET}
    return program.job({"url": "hostile:"}, name, tables=["t"], parallel={"chunks": 2}, transform=[step])


def sink(program, abuse, name="job.yaml", server="nowhere:1"):
    target = {"url": "hostile-sink:", "abuse": abuse, "password": SECRET, "server": server}
    return program.job({"url": "hostile:"}, name, tables=["t"], parallel={"chunks": 2}, target=target)


def run(program, job, **options):
    """What a run shows: in bounded time, and nothing that it should not."""
    done = program.call("--log", "longshore=trace", "run", job, seconds=SECONDS, **options)
    check_words(done.stderr + done.stdout)
    return done


def check_refusal(done, plugin, said):
    said, code = said if isinstance(said, tuple) else (said, 1)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("longshore:")]
    assert any(words in line for words in said.split("|")) and done.returncode == code, line[:2_000]
    # What a format cannot hold is not told of a plugin.
    assert plugin in line or "the format" in line or "Parquet cannot hold" in line, line[:2_000]
    assert len(line) < 8_000


@pytest.mark.parametrize("abuse", TRANSFORMS)
def test_a_transforms_abuse_is_an_error_of_its_run(program, kinds, abuse):
    done = run(program, transform(program, abuse))
    check_refusal(done, "transform", TRANSFORMS[abuse])
    assert program.published() == []


def test_a_transform_that_tells_the_truth_of_its_columns_is_believed(program, kinds):
    assert program.report("run", transform(program, "columns-honest"))["rows"] == ROWS
    rows = pq.read_table(program.lake / "t")
    assert rows.column_names == ["text", "more"] and set(rows["more"].to_pylist()) == {"x"}


@pytest.mark.parametrize("abuse", SINKS)
def test_a_sinks_abuse_is_an_error_of_its_run(program, kinds, silent, abuse):
    server = silent if abuse.startswith("connection-flood") else "nowhere:1"
    done = run(program, sink(program, abuse, server=server))
    check_refusal(done, "sink `hostile-sink`", SINKS[abuse])


@pytest.mark.parametrize("harm", HARMLESS)
@pytest.mark.parametrize("of", [transform, sink])
def test_what_is_cut_to_its_limit_does_no_harm(program, kinds, of, harm):
    done = run(program, of(program, f"{harm}-{'process' if of is transform else 'begin'}"))
    assert done.returncode == 0, done.stderr[-2_000:]
    assert len(done.stderr) < 16 << 20


@pytest.mark.parametrize("harm", HARMS)
def test_a_transform_is_dropped_without_being_asked(program, kinds, harm):
    assert program.report("run", transform(program, f"{harm}-drop"))["rows"] == ROWS


@pytest.mark.parametrize("call", ["drop-target", "discard-committed"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_sink_that_does_not_end_costs_nothing_that_it_made_visible(program, kinds, harm, call):
    assert program.report("run", sink(program, f"{harm}-{call}"), seconds=SECONDS)["rows"] == ROWS


def test_whatever_a_transform_sends_the_host_goes_on(program, kinds):
    for _ in range(10):
        assert run(program, transform(program, "stream-flipped")).returncode in (0, 1)


@pytest.mark.parametrize("abuse", ["receipt-empty", "receipt-longest"])
def test_a_receipt_may_be_of_any_bytes_within_its_limit(program, kinds, abuse):
    assert program.report("run", sink(program, abuse))["rows"] == ROWS


NAMES = {
    "names-escapes": " [2J gone longshore: all is well",
    "names-huge": "x" * 4_096,
    "names-path": "../../x",
    "names-tell": "***",
}


@pytest.mark.parametrize("abuse", NAMES)
def test_a_name_that_a_sink_gives_is_only_shown(program, kinds, abuse):
    done = run(program, sink(program, abuse))
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 2, done.stderr[-2_000:]
    [relation] = program.report("run", sink(program, abuse))["relations"]
    assert relation["published_as"] == NAMES[abuse]
    assert not (program.folder / "x").exists() and not (program.folder.parent / "x").exists()


def test_what_a_sink_answers_steers_no_terminal(program, kinds):
    shown = program.ok("test-connection", sink(program, "none"))
    assert "[2J gone longshore: all is well" in shown
    check_words(shown)
    line, code = program.refused("test-connection", sink(program, "loop-test"))
    assert TOO_LONG in line and code == 1


def test_a_commit_that_says_now_and_then_that_it_broke_is_done(program, kinds):
    env = {"LONGSHORE_RETRIES": "30", "LONGSHORE_RETRY_BACKOFF_MILLIS": "1"}
    report = program.report("run", sink(program, "commits-sometimes"), env=env)
    assert report["status"] == "succeeded" and report["rows"] == ROWS


def test_a_run_whose_commit_always_breaks_is_left_to_go_on_and_says_so(program, kinds):
    done = program.call("--json", "run", sink(program, "broken-commit"))
    assert json.loads(done.stdout)["status"] == "interrupted" and done.returncode == 3
    assert "it is not known whether the commit was carried out" in done.stderr
    [run] = program.report("runs")
    assert (run["state"], run["phase"]) == ("interrupted", "committing")


@pytest.mark.parametrize("abuse", ["trap-commit", "loop-commit", "names-none"])
def test_a_commit_that_gave_no_answer_is_not_told_as_undone(program, kinds, abuse):
    assert "not known whether the commit was carried out" in run(program, sink(program, abuse)).stderr


@pytest.mark.parametrize("abuse", ["sleep-open", "sleep-writer-write", "sleep-commit", "sleep-discard"])
def test_a_run_that_is_told_twice_to_end_does_whatever_its_sink_waits_for(program, kinds, abuse):
    check_end_of_sleep(program, sink(program, abuse))


@pytest.mark.parametrize("abuse", ["sleep-open", "sleep-output-schema", "sleep-process", "sleep-finish"])
def test_a_run_that_is_told_twice_to_end_does_whatever_its_transform_waits_for(program, kinds, abuse):
    check_end_of_sleep(program, transform(program, abuse))


def check_end_of_sleep(program, job):
    process = program.start("run", job)
    try:
        wait_for(lambda: "asleep" in (program.folder / "daemon.log").read_text())
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) != 0
    finally:
        process.kill()


@pytest.mark.parametrize("name", ["hostile-transform", "hostile-sink"])
@pytest.mark.parametrize("describe", DESCRIPTIONS)
def test_a_component_that_misbehaves_when_asked_what_it_is_is_not_used(program, plugins, describe, name):
    (plugins / f"{name}.wasm").write_bytes(marked(describe=describe, name=name))
    shown = program.ok("plugin", "list")
    assert "tpch" in shown and "not usable: " in shown and DESCRIPTIONS[describe] in shown, shown[:2_000]
    check_words(shown)


@pytest.mark.parametrize("name", ["hostile-transform", "hostile-sink"])
@pytest.mark.parametrize("describe", ["secrets", "endpoints", "keys"])
def test_what_a_component_asks_for_steers_no_terminal(program, plugins, describe, name):
    (program.folder / "lying.wasm").write_bytes(marked(describe=describe, name=name))
    done = program.call("plugin", "inspect", program.folder / "lying.wasm")
    check_words(done.stdout + done.stderr)


@pytest.mark.parametrize(
    "name, abuse",
    [
        *[("hostile-transform", abuse) for abuse in ["loop-process", "rows-null", "stream-compressed"]],
        *[("hostile-sink", abuse) for abuse in ["loop-write", "error-code-begin", "receipt-huge"]],
    ],
)
def test_a_check_tells_of_harm_and_takes_none(program, kinds, name, abuse):
    config = json.dumps({"url": "hostile-sink:", "abuse": abuse, "password": SECRET})
    done = program.call("plugin", "check", HOSTILE / f"{name}.wasm", "--with", config, seconds=SECONDS)
    check_words(done.stdout + done.stderr)
    assert "BROKEN" in done.stdout and done.returncode == 4, done.stderr[-2_000:]


@pytest.mark.parametrize("abuse", ["intact-nothing", "loop-is-intact", "stale-is-intact"])
def test_a_sink_that_lies_about_what_it_holds_does_not_keep_a_run_from_its_end(program, kinds, abuse):
    daemon = Daemon(program)
    try:
        sink(program, abuse).rename(daemon.inbox / "job.yaml")
        wait_for(lambda: program.report("runs") and program.report("runs")[0]["tasks"]["done"])
        daemon.stop(signal.SIGKILL)
        daemon.start()
        [report] = daemon.reports("failed" if abuse == "loop-is-intact" else "done")
    finally:
        daemon.stop(signal.SIGKILL)
    if abuse == "loop-is-intact":
        assert TOO_LONG in report["error"]["message"] and report["error"]["class"] == "internal"
    else:
        assert report["rows"] == ROWS


def test_all_abuses_at_once_leave_the_daemon_serving_and_its_memory_comes_back(program, kinds):
    daemon = Daemon(program, "--jobs", "4", "--drain-secs", "2")
    try:
        hostile(program, "none", "before.yaml").rename(daemon.inbox / "before.yaml")
        daemon.reports("done")
        before = memory(daemon)
        # Not `broken-commit`: it is gone on with for as long as the daemon runs.
        harm = [(transform, abuse) for abuse in TRANSFORMS] + [(sink, abuse) for abuse in SINKS]
        for number, (of, abuse) in enumerate(harm):
            of(program, abuse, f"harm{number}.yaml").rename(daemon.inbox / f"harm{number}.yaml")
        for of in [transform, sink]:
            of(program, "none", f"{of.__name__}.yaml").rename(daemon.inbox / f"{of.__name__}.yaml")
        reports = daemon.reports("failed", len(harm))
        assert len(daemon.reports("done", 3)) == 3
        for report in reports:
            check_words(report["error"]["message"])
        check_words((program.folder / "daemon.log").read_text())
        check_memory_comes_back(daemon, before)
    finally:
        assert daemon.stop() == 0
