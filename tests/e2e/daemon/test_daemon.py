"""The daemon: its inbox, its end, and what it finds when it comes back."""

import json
import signal
import time

import pytest

from support.compare import read
from support.daemon import Daemon
from support.wait import wait_for

QUICK = {"url": "tpch:", "scale": 0.01, "text_mib": 1}


@pytest.fixture
def daemon(program):
    daemon = Daemon(program)
    yield daemon
    daemon.stop(signal.SIGKILL)


def test_many_jobs_at_once_are_each_run_once(daemon, flights, program):
    for number in range(40):
        relation = {"table": "airlines", "as": f"r{number}"}
        job = program.postgres(flights, f"job{number}.json", relations=[relation])
        job.rename(daemon.inbox / job.name)
    daemon.reports("done", 40)
    names = {path.name for path in program.lake.iterdir() if not path.name.startswith(".")}
    assert names == {f"r{number}" for number in range(40)}
    assert len(list((program.lake / ".longshore/runs").iterdir())) == 40
    assert list((daemon.inbox / "running").iterdir()) == []


def hard_to_plan(program, name):
    """A job that computes for minutes before anything is read."""
    rows = program.folder / "rows.csv"
    rows.write_text("x\n1\n")
    columns = ", ".join("+".join(["x"] * 250) + f" AS c{number}" for number in range(100))
    return program.job({"url": f"file://{rows}"}, name, transform=[{"sql": f"SELECT {columns} FROM data"}])


def test_jobs_that_are_hard_to_plan_hold_up_nobody(program):
    daemon = Daemon(program, "--jobs", "4")
    try:
        for name in ["hard0.yaml", "hard1.yaml"]:
            hard_to_plan(program, name).rename(daemon.inbox / name)
        log = program.folder / "daemon.log"
        wait_for(lambda: log.read_text().count(": taken, run") == 2)
        good = program.job({"url": f"file://{program.folder}/rows.csv"}, "good.yaml")
        good.rename(daemon.inbox / good.name)
        assert [report["job"] for report in daemon.reports("done")] == ["good"]
        state = ("--state", program.folder / "state")
        runs = {run["job"]: run["run"] for run in json.loads(program.ok("--json", "runs", *state))}
        program.ok("runs", "cancel", runs["hard0"], *state)
        assert [report["status"] for report in daemon.reports("failed")] == ["cancelled"]
        began = time.monotonic()
        assert daemon.stop() == 0 and time.monotonic() - began < 30
        assert list((daemon.inbox / "running").glob("hard1.*"))
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_slowly_written_job_is_taken_when_it_is_whole(daemon, program):
    text = program.job(QUICK, "slow.yaml", tables=["nation"]).read_text()
    with (daemon.inbox / "slow.yaml").open("w") as slow:
        for line in text.splitlines(keepends=True):
            slow.write(line)
            slow.flush()
            time.sleep(0.4)
    assert daemon.reports("done")[0]["rows"] == 25


def test_a_bad_job_goes_to_failed_with_its_reason(daemon, program):
    (daemon.inbox / "bad.yaml").write_text("tabels: [x]\n")
    report = daemon.reports("failed")[0]
    assert report["error"]["class"] == "config" and "bad.yaml" in report["error"]["message"]
    assert (
        "`tabels`" in report["error"]["message"] and report["error"]["next_step"] == "did you mean `tables`?"
    )
    good = program.job(QUICK, "good.yaml", tables=["nation"])
    good.rename(daemon.inbox / "good.yaml")
    assert daemon.reports("done")[0]["status"] == "succeeded"


def test_a_second_daemon_on_one_state_folder_refuses(daemon, program):
    line, code = program.refused("serve", "--inbox", daemon.inbox, "--state", program.folder / "state")
    assert "another daemon" in line and code == 2


LONG = {"url": "tpch:", "scale": 20, "text_mib": 1}


def test_a_stopped_daemon_leaves_the_run_to_go_on(program):
    """What was read is kept; what was cut off is read again; the rest is read for the first time."""
    daemon = Daemon(program, "--drain-secs", "1")
    job = program.job(
        {"url": "tpch:", "scale": 1, "text_mib": 1}, "long.yaml", tables=["lineitem"], chunk={"rows": 200_000}
    )
    job.rename(daemon.inbox / "long.yaml")
    wait_for(lambda: len(list(program.lake.rglob("part-*"))) > 4)
    assert daemon.stop() == 0
    assert [path.name.split(".")[0] for path in (daemon.inbox / "running").iterdir()] == ["long"]
    assert [path.name for path in program.lake.iterdir()] == [".longshore"]
    before = json.loads(program.ok("--json", "runs"))[0]
    assert before["state"] == "interrupted" and before["tasks"]["done"] > 0
    daemon.start()
    report = daemon.reports("done")[0]
    daemon.stop()
    assert report["run"] == before["run"] and report["rows"] == 6_001_215
    kept = f"{before['tasks']['done']} of"
    assert any(kept in text for text in report["interruptions"]), report["interruptions"]


def test_a_stop_lets_chunks_finish(program):
    daemon = Daemon(program)
    job = program.job(
        {"url": "tpch:", "scale": 1, "text_mib": 1}, "long.yaml", tables=["lineitem"], chunk={"rows": 200_000}
    )
    job.rename(daemon.inbox / "long.yaml")
    wait_for(lambda: list(program.lake.rglob("part-*")))
    assert daemon.stop() == 0
    details = json.loads(
        program.ok("--json", "runs", "show", json.loads(program.ok("--json", "runs"))[0]["run"])
    )
    # Every attempt that was begun has ended well.
    assert details["attempts"] == []


def test_a_second_signal_ends_the_wait_of_a_stop(program):
    daemon = Daemon(program)
    log = program.folder / "daemon.log"
    try:
        job = program.job(LONG, "long.yaml", tables=["lineitem"], chunk={"rows": 60_000_000})
        job.rename(daemon.inbox / "long.yaml")
        wait_for(lambda: list(program.lake.rglob("part-*")))
        daemon.process.terminate()
        wait_for(lambda: "stopping: 1 run" in log.read_text())
        daemon.process.terminate()
        assert daemon.process.wait(30) == 0
    finally:
        daemon.stop(signal.SIGKILL)
    # The run ended by itself: the daemon did not have to leave it behind.
    assert "some chunks did not end in time" in log.read_text()
    assert "some runs did not end in time" not in log.read_text()
    run = json.loads(program.ok("--json", "runs"))[0]
    assert run["state"] == "interrupted" and run["tasks"]["done"] == 0


def test_a_killed_daemon_comes_back_and_finishes(daemon, program):
    job = program.job(
        {"url": "tpch:", "scale": 0.5, "text_mib": 1}, "long.yaml", tables=["orders"], chunk={"rows": 100_000}
    )
    job.rename(daemon.inbox / "long.yaml")
    wait_for(lambda: list(program.lake.rglob("part-*")))
    daemon.stop(signal.SIGKILL)
    assert [path.name for path in program.lake.iterdir()] == [".longshore"]
    daemon.start()
    report = daemon.reports("done")[0]
    assert report["rows"] == 750_000
    keys = [row[0] for row in read(program.lake / "orders")]
    assert len(keys) == len(set(keys)) == 750_000
    assert not list((program.lake / ".longshore/staging").iterdir())


def test_an_interrupted_run_leaves_nothing(program):
    job = program.job(LONG, tables=["lineitem"])
    run = program.start("run", job)
    wait_for(lambda: list(program.lake.rglob("part-*")))
    run.send_signal(signal.SIGINT)
    assert run.wait(120) != 0
    assert program.published() == []


def test_progress_is_told_where_there_is_no_terminal(program):
    job = program.job({"url": "tpch:", "scale": 1, "text_mib": 1}, tables=["lineitem"])
    done = program.call("run", job)
    assert done.returncode == 0
    assert any(line.startswith("lineitem: ") and "%" in line for line in done.stderr.splitlines()), (
        done.stderr
    )
