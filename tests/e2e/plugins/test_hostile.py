"""A plugin that means harm: each abuse ends in an error of its run, within limits that have a name."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.daemon import Daemon
from support.hostile import (
    BAD_DATA,
    LIMITS,
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
from support.wait import wait_for

#: What a run says of each abuse.
ABUSES = {
    **STREAMS,
    "loop-open": TOO_LONG,
    "loop-open-snapshot": TOO_LONG,
    "loop-describe-relation": TOO_LONG,
    "loop-plan": TOO_LONG,
    "loop-chunks": TOO_LONG,
    "loop-read": TOO_LONG,
    "loop-next": TOO_LONG,
    "loop-drop-reader": TOO_LONG,
    "trap-open": "`open` trapped",
    "trap-read": "`read` trapped",
    "panic": "the plugin's own words",
    "panic-drop-reader": "in a reader's drop",
    "recursion": "overflowed its stack",
    "memory": "of memory, the limit is 256 MiB",
    "memory-slowly": "of memory, the limit is 256 MiB",
    "host-calls": "more than 1000000 calls of the host",
    "random-huge": None,
    "error-escapes": " [2J gone longshore: all is well",
    "error-huge": "x" * 4_000,
    "log-huge": None,
    "log-escapes": None,
    "log-flood": None,
    "elsewhere": "does not name",
    "scan-ports": "does not name",
    "connection-flood": "",
    "secret": "the job gives no `other`",
    "odbc-elsewhere": "does not say",
    "odbc-path": "is not installed",
    "odbc-file": "is not allowed",
    "odbc-secret": "the job gives no `other`",
    "odbc-statement-huge": "a statement over 1048576 bytes",
    "odbc-lane-elsewhere": "does not say",
    "relation-columns": "described 0 columns and a schema of 1",
    "relation-garbage": BAD_DATA,
    "relation-wide": "columns",
    "relation-deep": BAD_DATA,
    "chunks-endless": "more than 10000 chunks",
    "chunks-more-than-asked": "more than 10000 chunks",
    "descriptor-huge": "a descriptor over 65536 bytes",
    "pieces-huge": "",
    "pieces-many": "",
    "empty-calls": "no row in 100 calls",
    "stream-schema": "not those that it described",
    "stream-type": "not those that it described",
    "stream-endless": "more than 100000 rows in one chunk",
    "stream-no-rows": "no row in 100 calls",
    "type-union": "cannot hold",
    "type-width": "cannot hold",
}

#: What `plugin list` says of a component that misbehaves when it is asked what it is.
DESCRIPTIONS = {
    "loop": TOO_LONG,
    "memory": "of memory, the limit is 256 MiB",
    "trap": "trapped",
    "connect": "",
    "name": "its name is not of lower case letters",
    "version": "its version `newest`",
    "summary": "its summary is not one line",
    "scheme": "its scheme is not of lower case letters",
    "schema": "its config schema",
}


#: Of connectors that say where a table's files are.
ELSEWHERE = {
    "storage-elsewhere": "does not allow to read file://",
    "storage-many": "over 100000 folders",
    "storage-huge": "does not allow to read xxx",
    "storage-partitions": "partitions are not of one kind",
    "none": "(not directly:  [2J gone longshore: all is well)",
}


@pytest.mark.parametrize("abuse", ELSEWHERE)
def test_files_that_a_connector_names_are_read_where_the_job_allows_it_only(program, plugins, abuse):
    private = program.folder / "private"
    private.mkdir()
    pq.write_table(pa.table({"x": [SECRET]}), private / "1.parquet")
    for direct in [
        "auto",
        {"files": "auto", "under": [f"file://{program.folder}/private2", "hdfs://127.0.0.1:1"]},
    ]:
        job = hostile(program, abuse, url=f"hostile:file://{private}", direct=direct)
        shown = program.ok("plan", job)
        check_words(shown)
        assert ELSEWHERE[abuse] in shown and len(shown) < 20_000, shown[:2_000]
        assert program.report("run", job)["rows"] == 8_000
    line, code = program.refused(
        "run", hostile(program, abuse, url=f"hostile:file://{private}", direct="always")
    )
    assert "`source.direct` is always" in line and len(line) < 8_000 and code == 2


@pytest.mark.parametrize("abuse", ["loop-storage", "loop-check-tables", "loop-register"])
def test_a_catalog_that_does_not_answer_ends_the_run(program, plugins, abuse):
    source = {"abuse": abuse, "direct": "always"} if "storage" in abuse else {"abuse": "none"}
    register = {} if "storage" in abuse else {"register": {"url": "hostile:", "abuse": abuse}}
    line, code = program.refused("run", program.job({"url": "hostile:", **source}, tables=["t"], **register))
    assert TOO_LONG in line and code == 1
    assert program.published() == []


@pytest.mark.parametrize(
    "abuse, words", [("register-few", "gave 0 names for 1 table"), ("register-refused", "gone longshore")]
)
def test_a_catalog_that_lies_or_refuses_takes_back_what_was_published(program, plugins, abuse, words):
    source = {"url": "hostile:", "abuse": "none"}
    job = program.job(source, tables=["t"], register={"url": "hostile:", "abuse": abuse})
    done = program.call("run", job)
    check_words(done.stderr + done.stdout)
    assert words in done.stderr and done.returncode in (1, 5)
    assert program.published() == []
    job = program.job(source, tables=["t"], register={"url": "hostile:", "abuse": "register-escapes"})
    check_words(program.ok("run", job))


@pytest.mark.parametrize("abuse", ["loop-prepare", "trap-prepare", "error-prepare"])
def test_a_connector_that_cannot_look_up_many_is_asked_for_each(program, plugins, abuse):
    job = program.job({"url": "hostile:", "abuse": abuse}, tables=["t", "u", "v"])
    done = program.call("run", job)
    check_words(done.stderr + done.stdout)
    assert done.returncode == 0, done.stderr[-2_000:]
    assert {path.split("/")[0] for path in program.published()} >= {"t", "u", "v"}


@pytest.mark.parametrize("abuse", ["loop-tables", "tables-escapes", "tables-huge"])
def test_what_a_connector_tells_for_lineage_is_bounded(program, plugins, abuse):
    job = program.job({"url": "hostile:", "abuse": abuse}, query="SELECT x FROM t")
    shown = program.ok("lineage", job)
    check_words(shown)
    assert len(shown) < 100_000 and "writes" in shown, shown[:2_000]


@pytest.mark.parametrize("abuse", ["kerberos-elsewhere", "kerberos-service", "kerberos-early"])
def test_tickets_are_for_the_hosts_that_the_job_names(program, plugins, abuse):
    words = {"kerberos-early": "protects messages of a login it did not begin"}.get(
        abuse, "which its config in the job does not name"
    )
    done = program.call("run", hostile(program, abuse, server="nowhere:1", kerberos=True))
    check_words(done.stderr + done.stdout)
    assert words in done.stderr and done.returncode in (1, 5), done.stderr
    line, code = program.refused("run", hostile(program, abuse, server="nowhere:1"))
    assert "the job gives the plugin no login by Kerberos" in line and code == 5


@pytest.mark.parametrize("abuse", ABUSES)
def test_an_abuse_is_an_error_of_its_run(program, plugins, server, abuse):
    job = hostile(
        program, abuse, server=f"127.0.0.1:{server.port}" if abuse == "connection-flood" else "nowhere:1"
    )
    done = program.call("--log", "longshore=trace", "run", job, seconds=SECONDS)
    check_words(done.stderr + done.stdout)
    if ABUSES[abuse] is None:
        assert done.returncode == 0, done.stderr[-2_000:]
        assert len(done.stderr) < 4 << 20
        return
    [line] = [line for line in done.stderr.splitlines() if line.startswith("longshore:")]
    assert ABUSES[abuse] in line and done.returncode in (1, 2, 4, 5), line[:2_000]
    assert len(line) < 8_000
    assert program.published() == []


@pytest.mark.parametrize("abuse", ["stream-flipped", "stream-empty"])
def test_whatever_a_plugin_sends_the_host_goes_on(program, plugins, abuse):
    for _ in range(10):
        done = program.call("run", hostile(program, abuse))
        assert done.returncode in (0, 1) and "thread '" not in done.stderr, done.stderr


@pytest.mark.parametrize("abuse", ["loop-drop-session", "panic-drop-session"])
def test_a_session_that_does_not_end_costs_nothing_that_was_read(program, plugins, abuse):
    assert program.report("run", hostile(program, abuse))["rows"] == 8_000


@pytest.mark.parametrize("abuse", ["loop-test", "loop-relations"])
def test_a_connection_test_ends_in_time(program, plugins, abuse):
    line, code = program.refused("test-connection", hostile(program, abuse))
    assert TOO_LONG in line and code == 1


def test_what_a_plugin_says_steers_no_terminal(program, plugins):
    shown = program.ok("test-connection", hostile(program, "none")) + program.ok(
        "plan", hostile(program, "none")
    )
    assert "[31m" in shown and "\x1b" not in shown


@pytest.mark.parametrize("describe", DESCRIPTIONS)
def test_a_component_that_misbehaves_when_asked_what_it_is_is_not_used(program, plugins, describe):
    (plugins / "hostile.wasm").unlink()
    (plugins / "hostile.wasm").write_bytes(marked(describe=describe))
    shown = program.ok("plugin", "list")
    assert "tpch" in shown and "not usable: " in shown and DESCRIPTIONS[describe] in shown, shown[:2_000]
    assert len(shown) < 8_000
    program.ok("validate", program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"]))


def test_a_secret_in_an_error_or_a_log_is_blacked_out(program, plugins):
    done = program.call("--log", "longshore=trace", "run", hostile(program, "tell"))
    assert "the password is ***" in done.stderr and SECRET not in done.stderr


def test_a_flood_of_log_is_cut(program, plugins):
    done = program.call("--log", "longshore=trace", "run", hostile(program, "log-flood"))
    assert done.returncode == 0 and len(done.stderr) < 16 << 20
    assert "the rest is dropped" in done.stderr


def test_all_abuses_at_once_leave_the_daemon_serving_and_its_memory_comes_back(program, plugins):
    daemon = Daemon(program, "--jobs", "4", "--drain-secs", "2")
    try:
        hostile(program, "none", "before.yaml").rename(daemon.inbox / "before.yaml")
        daemon.reports("done")
        before = memory(daemon)
        good = 0
        harm = [abuse for abuse, said in ABUSES.items() if said is not None]
        for number, abuse in enumerate(harm):
            hostile(program, abuse, f"harm{number}.yaml", server="nowhere:1").rename(
                daemon.inbox / f"harm{number}.yaml"
            )
            if number % 10 == 5:
                good += 1
                hostile(program, "none", f"good{number}.yaml").rename(daemon.inbox / f"good{number}.yaml")
        reports = daemon.reports("failed", len(harm))
        assert {report["error"]["class"] for report in reports} <= {
            "internal",
            "auth",
            "config",
            "data",
            "resource",
        }
        assert len(daemon.reports("done", 1 + good)) == 1 + good
        check_memory_comes_back(daemon, before)
    finally:
        assert daemon.stop() == 0


def test_endless_computing_does_not_stop_others(program, plugins):
    (program.folder / "longshore.toml").write_text("")
    daemon = Daemon(program, "--drain-secs", "2")
    try:
        hostile(program, "loop-read", "spin.yaml").rename(daemon.inbox / "spin.yaml")
        wait_for(lambda: list((daemon.inbox / "running").iterdir()))
        good = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, "good.yaml", tables=["orders"])
        good.rename(daemon.inbox / "good.yaml")
        daemon.reports("done")
    finally:
        assert daemon.stop() == 0
    assert [path.name.split(".")[0] for path in (daemon.inbox / "running").iterdir()] == ["spin"]


def test_a_chunk_of_too_many_bytes_ends(program, plugins):
    settings = program.folder / "longshore.toml"
    settings.write_text(LIMITS.replace("chunk_rows = 100000", "chunk_rows = 100000000\nchunk_mib = 2"))
    line, code = program.refused("run", hostile(program, "stream-endless"))
    assert "more than 2 MiB in one chunk" in line and code == 1


def test_limits_that_are_not_known_are_refused(program, plugins):
    (program.folder / "longshore.toml").write_text("[limits]\ncall_sec = 1\n")
    line, code = program.refused("plugin", "list")
    assert "call_sec" in line and "call_secs" in line and code == 2, line
    assert json.loads(program.call("--json", "plugin", "list").stdout)["error"]["class"] == "config"
