"""Standing jobs: their folder, overlaps, chains, pauses, and runs that people ask for."""

import json
import socket

import pytest

from support.clock import Clock
from support.daemon import drop, told
from support.longshore import PLUGINS
from support.schedules import Standing
from support.wait import wait_for


@pytest.fixture
def jobs(program):
    return Standing(program)


SOON = "0 3 * * *"


def soon(program):
    """A clock that is about to reach the time of `SOON`."""
    return Clock(program, "2026-06-01T02:30:00+00:00")


def test_jobs_come_change_and_go_while_the_daemon_runs(jobs):
    jobs.start()
    jobs.put("shop", {"cron": "0 2 * * *", "time_zone": "Europe/Berlin"})
    jobs.begun("shop")
    listed = jobs.listed("shop")
    assert listed["recurrence"] == "cron 0 2 * * * in Europe/Berlin"
    assert "T02:00:00+0" in listed["next"] and listed["problem"] is None
    jobs.put("shop", {"every": "1s", "overlap": "queue"})
    wait_for(lambda: jobs.times("shop"))
    (jobs.folder / "shop.yaml").unlink()
    wait_for(lambda: jobs.query("SELECT recurrence FROM schedules") == [(None,)])
    assert jobs.ask("list") == [] and not list((jobs.program.folder / "state/jobs").iterdir())
    count = len(jobs.times("shop"))
    # It returns with its history.
    jobs.put("shop")
    assert wait_for(lambda: jobs.ask("list"))[0]["last"]["kind"] == "schedule"
    assert len(jobs.times("shop")) == count


def test_of_a_version_that_is_not_valid_the_last_valid_one_stays(jobs, program):
    daemon = jobs.start()
    jobs.put("shop", {"every": "1s", "overlap": "queue"})
    wait_for(lambda: jobs.times("shop"))
    jobs.put("shop", text="source: [\n")
    wait_for(lambda: told(program, "the last valid version stays"))
    listed = jobs.listed("shop")
    assert listed["recurrence"] == "every 1s" and "shop.yaml" in listed["problem"]
    daemon.stop()
    daemon.start()
    count = len(jobs.times("shop"))
    wait_for(lambda: len(jobs.times("shop")) > count)
    copy = program.folder / "state/jobs/shop.yaml"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert "active, but " in program.ok("schedule", "list")
    jobs.put("shop", {"every": "1h"})
    wait_for(lambda: jobs.listed("shop")["recurrence"] == "every 1h")
    assert jobs.listed("shop")["problem"] is None


def test_files_that_a_job_names_lie_beside_it(jobs):
    (jobs.folder / "step.sql").write_text("SELECT * FROM data WHERE id > 1")
    jobs.put("shop", {"every": "1s"}, transform=[{"sql_file": "step.sql"}])
    jobs.start()
    assert jobs.settled("shop", 1)[0] == "succeeded"


def test_parameters_have_the_values_of_the_scheduled_time(jobs, program):
    day = {"type": "date", "default": "{{ scheduled - 1d }}"}
    step = {"sql": "SELECT *, {{ day }} AS day FROM data"}
    clock = soon(program)
    jobs.put("shop", {"cron": SOON}, parameters={"day": day}, transform=[step])
    jobs.put("needs", parameters={"day": "date"}, transform=[step])
    jobs.put("wrong", {"cron": SOON}, parameters={"day": "date"}, transform=[step])
    jobs.start()
    jobs.begun("shop")
    assert "no default" in jobs.listed("wrong")["problem"]
    clock.set("2026-06-01T02:59:58+00:00")
    jobs.settled("shop", 1)
    run = jobs.show("shop")["runs"][0]["run"]
    details = json.loads(program.ok("--json", "runs", "show", run))
    assert details["parameters"] == {"day": "2026-05-31"}
    assert details["trigger"]["key"] == "schedule/shop/2026-06-01T03:00:00Z"
    jobs.ask("backfill", "shop", "--from", "2026-05-30", "--to", "2026-06-01")
    assert jobs.settled("shop", 3) == ["succeeded"] * 3
    assert jobs.times("shop", "backfill") == ["2026-05-30T03:00:00Z", "2026-05-31T03:00:00Z"]
    # The same range asks again.
    again = jobs.ask("backfill", "shop", "--from", "2026-05-31", "--to", "2026-06-01")
    assert [run["key"] for run in again] == ["backfill/shop/2026-05-31T03:00:00Z/2"]
    said, _ = program.refused("schedule", "run-now", "needs")
    assert "`parameters.day` has no value" in said
    jobs.ask("run-now", "needs", "--param", "day=2026-01-02")
    assert jobs.settled("needs", 1) == ["succeeded"]


class Blocker:
    """A job that takes the daemon's only place until it is let go: its server does not answer."""

    def __init__(self, jobs, daemon):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.taken = None
        program = jobs.program
        url = f"postgres://x@127.0.0.1:{self.server.getsockname()[1]}/x"
        drop(daemon, program.job({"url": url}, "blocker.yaml", tables=["t"]))
        self.server.settimeout(100)
        self.taken, _ = self.server.accept()

    def let_go(self):
        self.server.close()
        self.taken.close()


@pytest.fixture
def blocked(jobs, program):
    """A clock, and a daemon in which runs are triggered and do not begin."""
    (program.folder / "plugins/postgres.wasm").symlink_to(PLUGINS / "postgres.wasm")
    program.env |= {"LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0"}
    clock = soon(program)
    daemon = jobs.start("--jobs", "1")
    return clock, Blocker(jobs, daemon)


@pytest.mark.parametrize(
    ("overlap", "states"),
    [
        ("skip", ["succeeded"]),
        ("queue", ["succeeded"] * 2),
        ("cancel-other", ["cancelled", "succeeded"]),
    ],
)
def test_what_overlaps_is_skipped_queued_or_cancels_the_other(jobs, blocked, overlap, states):
    clock, blocker = blocked
    jobs.put("shop", {"cron": "0 3,4 * * *", "overlap": overlap})
    jobs.begun("shop")
    clock.set("2026-06-01T02:59:58+00:00")
    wait_for(lambda: jobs.times("shop"))
    clock.set("2026-06-01T03:59:58+00:00")
    cursor = "SELECT 1 FROM schedules WHERE cursor >= '2026-06-01T04:00'"
    wait_for(lambda: jobs.query(cursor))
    blocker.let_go()
    assert jobs.settled("shop", len(states)) == states
    if overlap == "skip":
        [skipped] = jobs.events("shop", "skipped")
        assert "04:00:00" in skipped and "is not over" in skipped


def test_a_chain_runs_when_all_before_it_have_succeeded(jobs, program):
    clock = soon(program)
    jobs.put("a", {"cron": SOON, "overlap": "queue"})
    jobs.put("x", {"cron": SOON, "paused": True})
    jobs.put("b", {"after": ["a"], "overlap": "queue"})
    jobs.put("c", {"after": ["b", "x"], "overlap": "queue"})
    jobs.start()
    jobs.begun("a", "b", "c")
    clock.set("2026-06-01T02:59:58+00:00")
    assert jobs.settled("b", 1) == ["succeeded"]
    assert jobs.times("b", "chain") == ["2026-06-01T03:00:00Z"]
    assert jobs.states("x") == jobs.states("c") == []
    jobs.ask("run-now", "x")
    assert jobs.settled("c", 1) == ["succeeded"]
    # Once for each: the next time is another one.
    clock.set("2026-06-02T02:59:58+00:00")
    jobs.settled("b", 2)
    jobs.ask("run-now", "x")
    jobs.settled("c", 2)
    assert jobs.times("b", "chain") == ["2026-06-01T03:00:00Z", "2026-06-02T03:00:00Z"]
    assert (len(jobs.states("b")), len(jobs.states("c"))) == (2, 2)


def test_failures_in_a_row_pause_a_schedule(jobs):
    jobs.start()
    bad = [{"sql": "SELECT 1 / (id - id) AS x FROM data"}]
    jobs.put("shop", {"every": "1s", "pause_after_failures": 2, "overlap": "queue"}, transform=bad)
    paused = wait_for(lambda: jobs.listed("shop")["paused"])
    assert "failures in a row" in paused["reason"]
    assert jobs.listed("shop")["next"] is None
    states = jobs.settled("shop", 2)
    assert set(states) == {"failed"}
    jobs.put("shop", {"every": "1s", "pause_after_failures": 2, "overlap": "queue"})
    wait_for(lambda: jobs.is_active("shop"))
    jobs.ask("resume", "shop")
    wait_for(lambda: "succeeded" in jobs.states("shop"))
    assert jobs.show("shop")["failures"] == 0
    assert [event["kind"] for event in jobs.show("shop")["events"]][:2] == ["resumed", "paused"]


def test_a_pause_holds_until_it_is_resumed(jobs, program):
    clock = soon(program)
    jobs.put("shop", {"cron": "0 * * * *"})
    daemon = jobs.start()
    jobs.begun("shop")
    program.ok("schedule", "pause", "shop", "--reason", "the server moves")
    assert jobs.listed("shop")["paused"]["reason"] == "the server moves"
    daemon.stop()
    clock.set("2026-06-01T06:30:00+00:00")
    daemon.start()
    jobs.put("other", {"every": "1s", "overlap": "queue"})
    wait_for(lambda: len(jobs.times("other")) > 1)
    jobs.ask("resume", "shop")
    clock.set("2026-06-01T06:59:58+00:00")
    wait_for(lambda: jobs.times("shop"))
    assert jobs.times("shop") == ["2026-06-01T07:00:00Z"]


def test_what_is_asked_for_without_a_daemon_is_run_by_the_next_one(jobs, program):
    jobs.put("shop")
    assert "no daemon" in program.ok("schedule", "run-now", "shop")
    assert jobs.states("shop") == [None]
    jobs.start()
    assert jobs.settled("shop", 1) == ["succeeded"]
    said, code = program.refused("schedule", "pause", "shopp")
    assert "is called `shopp`" in said and code != 0


def test_next_times_are_told_in_the_zone_of_the_schedule(jobs, program):
    soon(program)
    jobs.put("shop", {"cron": "0 2 * * *", "time_zone": "America/New_York"})
    assert program.ok("schedule", "next", "shop", "--count", "2").split() == [
        "2026-06-01T02:00:00-04:00",
        "2026-06-02T02:00:00-04:00",
    ]


def test_a_thousand_schedules_are_due_at_once(jobs, program):
    clock = soon(program)
    for number in range(1_000):
        jobs.put(f"job-{number}", {"cron": SOON})
    daemon = jobs.start("--jobs", "4")
    asked = "SELECT count(*) FROM schedules WHERE recurrence IS NOT NULL"
    wait_for(lambda: jobs.query(asked) == [(1_000,)])
    clock.set("2026-06-01T02:59:58+00:00")
    asked = "SELECT count(DISTINCT job), count(*) FROM triggers"
    wait_for(lambda: jobs.query(asked) == [(1_000, 1_000)])
    assert daemon.process.poll() is None


def test_a_job_that_went_while_no_daemon_was_there_does_not_come_back(jobs):
    daemon = jobs.start()
    jobs.put("old", {"every": "1s", "overlap": "queue"})
    wait_for(lambda: jobs.times("old"))
    daemon.stop()
    (jobs.folder / "old.yaml").unlink()
    daemon.start()
    wait_for(lambda: not list((jobs.program.folder / "state/jobs").iterdir()))
    count = len(jobs.times("old"))
    jobs.put("old", text="hello: 1\n")
    wait_for(lambda: told(jobs.program, "hello"))
    assert not jobs.listed("old")["is_active"] and len(jobs.times("old")) == count


def test_another_file_of_the_same_name_takes_no_jobs_place(jobs, program):
    jobs.start()
    jobs.put("shop", {"cron": "0 2 * * *"})
    jobs.begun("shop")
    (jobs.folder / "shop.json").write_text("no job at all")
    (jobs.folder / "shop.toml").write_text("")
    wait_for(lambda: told(program, "shop.json: ignored"))
    listed = jobs.listed("shop")
    assert (listed["job_file"], listed["is_active"]) == ("shop.yaml", True)
    assert "is ignored: shop.yaml has the same name" in listed["problem"]


def test_a_chain_that_leads_back_is_told(jobs):
    jobs.start()
    for name, before in [("own", "own"), ("one", "two"), ("two", "one"), ("three", "two")]:
        jobs.put(name, {"after": [before]})
    wait_for(lambda: len(jobs.ask("list")) == 4 and all(job["is_active"] for job in jobs.ask("list")))
    assert "itself follows" in jobs.listed("own")["problem"]
    assert "`two` itself follows `one`" in jobs.listed("one")["problem"]
