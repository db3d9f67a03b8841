"""What the ledger tells, and what can be done with a run."""

import hashlib
import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from support.daemon import Daemon
from support.longshore import PLUGINS, only
from support.wait import wait_for

LONG = {"url": "tpch:", "scale": 20, "text_mib": 1}
QUICK = {"url": "tpch:", "scale": 0.01, "text_mib": 1}


def test_runs_are_listed_and_shown(program, flights):
    assert "no runs in" in program.ok("runs")
    program.ok("run", program.job(QUICK, "good.yaml", tables=["nation"]))
    query = "SELECT 1 / (n - 5) AS x FROM generate_series(1, 9) AS n"
    program.call("run", program.postgres(flights, query=query, name="bad.yaml"))
    text = program.ok("runs")
    assert text.splitlines()[0].split() == ["RUN", "STATE", "BEGAN", "CHUNKS", "ROWS", "JOB"]
    runs = json.loads(program.ok("--json", "runs"))
    assert [(run["job"], run["state"]) for run in runs] == [("bad", "failed"), ("good", "succeeded")]
    assert runs[1]["report"]["rows"] == 25
    shown = program.ok("runs", "show", runs[0]["run"])
    assert "data (the job's owner must act)" in shown and "division by zero" in shown
    details = json.loads(program.ok("--json", "runs", "show", runs[0]["run"][:-1]))
    [attempt] = details["attempts"]
    assert attempt["class"] == "data" and attempt["who_must_act"] == "the job's owner"
    line, code = program.refused("runs", "show", "nothing-like-it")
    assert code == 4 and "no run has an id" in line and "longshore runs" in line
    line, code = program.refused("runs", "show", "2")
    assert code == 4 and runs[0]["run"] in line and "give more of the id" in line


def test_a_run_of_the_daemons_is_cancelled_and_retried(program):
    daemon = Daemon(program)
    try:
        job = program.job(LONG, "long.yaml", tables=["lineitem"], chunk={"rows": 100_000})
        job.rename(daemon.inbox / "long.yaml")
        wait_for(lambda: list(program.lake.rglob("part-*")))
        run = json.loads(program.ok("--json", "runs"))[0]["run"]
        line, code = program.refused("runs", "retry", run)
        assert code == 2 and "under way" in line
        program.ok("runs", "cancel", run)
        report = daemon.reports("failed")[0]
        assert report["status"] == "cancelled" and program.published() == []
        line, code = program.refused("runs", "cancel", run)
        assert code == 2 and "is cancelled" in line
        # The daemon takes it again.
        assert "the daemon takes it" in program.ok("runs", "retry", run)
        wait_for(lambda: len(json.loads(program.ok("--json", "runs"))) == 2)
        wait_for(lambda: list(program.lake.rglob("part-*")))
        program.ok("runs", "cancel", json.loads(program.ok("--json", "runs"))[0]["run"])
        daemon.reports("failed", 2)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_run_in_the_foreground_that_was_killed_goes_on_by_retry(program):
    job = program.job({"url": "tpch:", "scale": 1, "text_mib": 1}, tables=["orders"], chunk={"rows": 50_000})
    run = program.start("run", job)
    wait_for(
        lambda: (json.loads(program.ok("--json", "runs")) or [{"tasks": {"done": 0}}])[0]["tasks"]["done"] > 3
    )
    run.kill()
    run.wait()
    [left] = json.loads(program.ok("--json", "runs"))
    id = left["run"]
    assert left["state"] == "interrupted" and left["rows_read"] > 0
    assert "running" not in program.ok("runs", "show", id)
    job.write_text(job.read_text() + "parallel: {chunks: 1}\n")
    line, code = program.refused("runs", "retry", id)
    assert code == 2 and "changed since the run began" in line
    job.write_text(job.read_text().replace("parallel: {chunks: 1}\n", ""))
    report = program.report("runs", "retry", id)
    assert report["run"] == id and report["rows"] == 1_500_000
    assert report["interruptions"][0] == "resumed after an interruption"
    assert any("are kept" in text for text in report["interruptions"])
    assert "interrupted: the process that worked on it ended" in program.ok("runs", "show", id)
    line, code = program.refused("runs", "retry", id)
    assert code == 2 and "has succeeded" in line


def test_an_interrupted_run_waits_for_its_plugin_and_keeps_what_it_has_read(program):
    only(program, "tpch")
    plugin = program.folder / "plugins/tpch.wasm"
    job = program.job({"url": "tpch:", "scale": 1, "text_mib": 1}, tables=["orders"], chunk={"rows": 50_000})
    run = program.start("run", job)
    wait_for(lambda: any(run["tasks"]["done"] > 3 for run in program.report("runs")))
    run.kill()
    run.wait()
    [left] = program.report("runs")
    plugin.unlink()
    done = program.call("--json", "runs", "retry", left["run"])
    report = json.loads(done.stdout)
    assert report["status"] == "interrupted" and "tpch" in report["error"]["message"]
    [waits] = program.report("runs")
    assert (waits["state"], waits["tasks"]["done"]) == ("interrupted", left["tasks"]["done"])
    plugin.symlink_to(PLUGINS / "tpch.wasm")
    report = program.report("runs", "retry", left["run"])
    assert report["run"] == left["run"] and report["rows"] == 1_500_000
    assert any(f"{left['tasks']['done']} of" in text for text in report["interruptions"])


def test_parts_of_an_earlier_version_are_kept(program):
    """Their checksums are SHA-256 in the ledger."""
    job = program.job({"url": "tpch:", "scale": 3, "text_mib": 1}, tables=["orders"], chunk={"rows": 50_000})
    run = program.start("run", job)
    wait_for(
        lambda: (json.loads(program.ok("--json", "runs")) or [{"tasks": {"done": 0}}])[0]["tasks"]["done"] > 3
    )
    run.kill()
    run.wait()
    with closing(sqlite3.connect(program.folder / "state/ledger.sqlite")) as ledger, ledger:
        files = [file for (file,) in ledger.execute("SELECT file FROM parts")]
        for file in files:
            [part] = program.lake.rglob(file)
            digest = hashlib.sha256(part.read_bytes()).hexdigest()
            ledger.execute("UPDATE parts SET checksum = ? WHERE file = ?", (f"sha256:{digest}", file))
    report = program.report("runs", "retry", json.loads(program.ok("--json", "runs"))[0]["run"])
    kept = f"{len(files)} of"
    assert report["rows"] == 4_500_000 and any(kept in text for text in report["interruptions"]), report
    manifest = json.loads(Path(report["manifest"]).read_text())
    parts = manifest["relations"][0]["parts"]
    assert {part["checksum"].split(":")[0] for part in parts} == {"sha256", "blake3"}
    assert "intact" in program.ok("verify", report["manifest"])


def test_a_run_that_was_cut_off_can_be_given_up(program):
    job = program.job(LONG, tables=["orders"], chunk={"rows": 50_000})
    run = program.start("run", job)
    wait_for(lambda: list(program.lake.rglob("part-*")))
    id = json.loads(program.ok("--json", "runs"))[0]["run"]
    # It is under way: nobody else takes it up.
    line, code = program.refused("runs", "retry", id)
    assert code == 2 and "under way" in line
    run.kill()
    run.wait()
    assert program.published() != []
    assert "what it left is removed" in program.ok("runs", "cancel", id)
    assert program.published() == []
    assert json.loads(program.ok("--json", "runs"))[0]["state"] == "cancelled"


def test_a_part_that_was_touched_is_made_again(program):
    daemon = Daemon(program, "--drain-secs", "0")
    job = program.job(
        {"url": "tpch:", "scale": 3, "text_mib": 1}, "long.yaml", tables=["orders"], chunk={"rows": 50_000}
    )
    job.rename(daemon.inbox / "long.yaml")
    wait_for(lambda: any(run["tasks"]["done"] > 6 for run in json.loads(program.ok("--json", "runs"))))
    daemon.stop(signal.SIGKILL)
    parts = sorted(program.lake.rglob("part-*"))
    parts[0].write_bytes(b"touched")
    parts[1].unlink()
    daemon.start()
    report = daemon.reports("done")[0]
    daemon.stop()
    assert report["rows"] == 4_500_000
    assert "intact" in program.ok("verify", report["manifest"])


def test_history_is_kept_within_its_limit(program):
    job = program.job(QUICK, tables=["region"])
    for _ in range(4):
        program.ok("--history-runs", "2", "run", job)
    assert len(json.loads(program.ok("--json", "runs"))) == 2


def test_settings_are_read_again_on_sighup(program):
    settings = program.folder / "longshore.toml"
    settings.write_text("retries = 1\n")
    daemon = Daemon(program)
    log = program.folder / "daemon.log"
    try:
        settings.write_text("retris = 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "did you mean `retries`?" in log.read_text())
        settings.write_text("history_runs = 1\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "settings were read again" in log.read_text())
        for number in range(3):
            job = program.job(QUICK, f"j{number}.yaml", tables=["region"])
            job.rename(daemon.inbox / job.name)
            daemon.reports("done", number + 1)
        wait_for(lambda: len(json.loads(program.ok("--json", "runs"))) == 1)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_snapshot_outlives_the_daemon(program, server):
    """Rows that change while the daemon is away are read as they were."""
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS outlived")
        connection.execute(
            "CREATE TABLE outlived AS SELECT n AS id, 'before' AS state, repeat('x', 500) AS filler "
            "FROM generate_series(1, 400000) n"
        )
        connection.execute("ANALYZE outlived")
    daemon = Daemon(program)
    try:
        job = program.postgres(
            server, "o.yaml", tables=["outlived"], chunk={"rows": 5000}, consistency="snapshot"
        )
        job.rename(daemon.inbox / "o.yaml")
        wait_for(lambda: any(run["tasks"]["done"] > 3 for run in json.loads(program.ok("--json", "runs"))))
        daemon.stop(signal.SIGKILL)
        with server.connect() as connection:
            connection.execute("UPDATE outlived SET state = 'after'")
        [holder] = (program.folder / "state/holders").iterdir()
        daemon.start()
        report = daemon.reports("done")[0]
        assert any("are kept" in text for text in report["interruptions"])
    finally:
        daemon.stop()
    import pyarrow.parquet as pq

    table = pq.read_table(program.lake / "outlived")
    assert table.num_rows == 400_000 and set(table["state"].to_pylist()) == {"before"}
    wait_for(lambda: not holder.exists())


def test_without_its_snapshot_a_run_reads_all_again_and_says_so(program, server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS lost")
        connection.execute(
            "CREATE TABLE lost AS SELECT n AS id, 'before' AS state, repeat('x', 500) AS filler FROM generate_series(1, 200000) n"
        )
        connection.execute("ANALYZE lost")
    daemon = Daemon(program, "--hold-secs", "0")
    try:
        job = program.postgres(
            server, "o.yaml", tables=["lost"], chunk={"rows": 2000}, consistency="snapshot"
        )
        job.rename(daemon.inbox / "o.yaml")
        wait_for(lambda: any(run["tasks"]["done"] > 3 for run in json.loads(program.ok("--json", "runs"))))
        daemon.stop(signal.SIGKILL)
        with server.connect() as connection:
            connection.execute("UPDATE lost SET state = 'after'")
        daemon.start()
        report = daemon.reports("done")[0]
        assert any("restarted: the snapshot" in text for text in report["interruptions"]), report[
            "interruptions"
        ]
    finally:
        daemon.stop()
    import pyarrow.parquet as pq

    table = pq.read_table(program.lake / "lost")
    assert table.num_rows == 200_000 and set(table["state"].to_pylist()) == {"after"}


def test_a_holder_ends_with_a_daemon_that_dies_before_it_has_a_plan(program, server):
    with server.connect() as connection, server.connect() as blocker:
        connection.execute("DROP TABLE IF EXISTS unplanned")
        connection.execute("CREATE TABLE unplanned AS SELECT 1 AS n")
        blocker.execute("BEGIN")
        blocker.execute("LOCK TABLE unplanned IN ACCESS EXCLUSIVE MODE")
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        daemon = Daemon(program)
        try:
            job = program.postgres(server, "u.yaml", tables=["unplanned"])
            job.rename(daemon.inbox / "u.yaml")
            wait_for(lambda: connection.execute(waiting).fetchone()[0] > 0)
            sockets = program.folder / "state/holders"
            wait_for(lambda: list(sockets.glob("*.sock")))
        finally:
            daemon.stop(signal.SIGKILL)
        wait_for(lambda: not list(sockets.glob("*.sock")), 30)
        blocker.execute("ROLLBACK")
        held = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
        wait_for(lambda: connection.execute(held).fetchone() == (0,), 30)


def test_verify_reads_the_source_again_if_told(program, server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS compared")
        connection.execute("CREATE TABLE compared AS SELECT n, n::text AS t FROM generate_series(1, 5000) n")
        connection.execute("ANALYZE compared")
    job = program.postgres(
        server, "c.yaml", tables=["compared"], transform=[{"sql": "SELECT n, upper(t) AS t FROM data"}]
    )
    manifest = program.report("run", job)["manifest"]
    assert "intact" in program.ok("verify", manifest, "--source", "--job", job)
    with server.connect() as connection:
        connection.execute("UPDATE compared SET t = 'other' WHERE n = 77")
    done = program.call("verify", manifest, "--source", "--job", job)
    assert done.returncode == 4 and "other values in as many rows" in done.stderr
    with server.connect() as connection:
        connection.execute("DELETE FROM compared WHERE n < 11")
    done = program.call("verify", manifest, "--source", "--job", job)
    assert done.returncode == 4 and "the source has 4990 rows, 5000 were published" in done.stderr


@pytest.mark.postgres
def test_a_daemon_waits_for_a_source_that_is_not_back_yet(program, scratch):
    from support.postgres import Server

    own = Server(scratch / "absent")
    daemon = Daemon(program)
    try:
        with own.connect() as connection:
            connection.execute("CREATE TABLE t AS SELECT n FROM generate_series(1, 10) n")
        own._control("pause", own.folder)
        program.postgres(own, "t.yaml", tables=["t"]).rename(daemon.inbox / "t.yaml")
        log = program.folder / "daemon.log"
        wait_for(lambda: "trying again in" in log.read_text())
        own._control("resume", own.folder)
        assert daemon.reports("done")[0]["rows"] == 10
    finally:
        daemon.stop()
        own.stop()


def test_many_processes_that_open_a_new_ledger_at_once_all_get_it(program):
    for number in range(40):
        state = program.folder / f"state{number}"
        opening = [program.start("--state", state, "runs") for _ in range(6)]
        assert [process.wait(120) for process in opening] == [0] * 6, (
            program.folder / "daemon.log"
        ).read_text()
