"""Standing jobs run at their times: when clocks change, after downtime, and when the daemon dies."""

import random
import signal
import time
from datetime import datetime, timedelta

from support.clock import Clock
from support.daemon import told
from support.schedules import Standing
from support.wait import wait_for


def test_in_spring_a_fixed_time_is_moved_and_no_other_is_made_up(program):
    clock, jobs = Clock(program, "2026-03-28T23:30:00+00:00"), Standing(program)
    berlin = {"time_zone": "Europe/Berlin", "catch_up": "all", "overlap": "queue"}
    jobs.put("fixed", {"cron": "30 2 * * *", **berlin})
    jobs.put("hourly", {"cron": "0 * * * *", **berlin})
    jobs.start("--jobs", "4")
    jobs.begun("fixed", "hourly")
    # Two o'clock is three o'clock, while the daemon looks.
    clock.set("2026-03-29T00:59:58+00:00")
    wait_for(lambda: jobs.times("fixed"))
    clock.set("2026-03-30T01:00:30+00:00")
    wait_for(lambda: len(jobs.times("fixed")) > 1 and jobs.times("hourly")[-1:] == ["2026-03-30T01:00:00Z"])
    assert jobs.times("fixed") == ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    first = datetime(2026, 3, 29)
    hours = [f"{first + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ}" for hour in range(26)]
    assert jobs.times("hourly") == hours
    shown = [run["scheduled"] for run in jobs.show("fixed")["runs"]]
    assert shown == ["2026-03-30T02:30:00+02:00", "2026-03-29T03:00:00+02:00"]


def test_in_autumn_a_fixed_time_comes_once_and_others_twice(program):
    clock, jobs = Clock(program, "2026-10-25T00:20:00+00:00"), Standing(program)
    berlin = {"time_zone": "Europe/Berlin", "overlap": "queue"}
    jobs.put("fixed", {"cron": "30 2 * * *", **berlin})
    jobs.put("half", {"cron": "*/30 2 * * *", **berlin})
    jobs.start("--jobs", "4")
    jobs.begun("fixed", "half")
    clock.set("2026-10-25T00:29:58+00:00")
    wait_for(lambda: jobs.times("fixed") and jobs.times("half"))
    # Half past two comes again, and then the next day.
    clock.set("2026-10-25T01:29:58+00:00")
    wait_for(lambda: "2026-10-25T01:30:00Z" in jobs.times("half"))
    clock.set("2026-10-26T01:29:58+00:00")
    wait_for(lambda: len(jobs.times("fixed")) > 1)
    assert jobs.times("fixed") == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]


def test_a_clock_that_is_set_back_runs_nothing_twice(program):
    clock, jobs = Clock(program, "2026-06-01T00:59:58+00:00"), Standing(program)
    jobs.put("hourly", {"cron": "0 * * * *"})
    jobs.start()
    jobs.begun("hourly")
    wait_for(lambda: jobs.times("hourly"))
    clock.set("2026-06-01T00:30:00+00:00")
    jobs.put("other", {"every": "1s", "overlap": "queue"})
    wait_for(lambda: jobs.times("other"))
    clock.set("2026-06-01T01:59:58+00:00")
    wait_for(lambda: len(jobs.times("hourly")) > 1)
    assert jobs.times("hourly") == ["2026-06-01T01:00:00Z", "2026-06-01T02:00:00Z"]


def test_after_downtime_times_are_caught_up_as_the_schedule_says(program):
    clock, jobs = Clock(program, "2026-06-01T00:30:00+00:00"), Standing(program)
    for policy in ["latest", "all", "none"]:
        jobs.put(policy, {"cron": "0 * * * *", "catch_up": policy, "window": "4h"})
    daemon = jobs.start("--jobs", "4")
    jobs.begun("latest", "all", "none")
    assert daemon.stop() == 0
    clock.set("2026-06-01T06:30:00+00:00")
    daemon.start()
    wait_for(lambda: all(jobs.events(policy, "skipped") for policy in ["latest", "all", "none"]))
    jobs.settled("latest", 1)
    jobs.settled("all", 4)
    assert jobs.times("latest") == ["2026-06-01T06:00:00Z"]
    assert jobs.times("all") == [f"2026-06-01T0{hour}:00:00Z" for hour in range(3, 7)]
    assert jobs.times("none") == []
    [skipped] = jobs.events("all", "skipped")
    assert "01:00:00" in skipped and "02:00:00" in skipped and "older than the window" in skipped
    [skipped] = jobs.events("none", "skipped")
    assert "06:00:00" in skipped and "not caught up" in skipped
    # Once is enough: the next start finds nothing.
    assert daemon.stop() == 0
    daemon.start()
    clock.set("2026-06-01T06:59:58+00:00")
    wait_for(lambda: jobs.times("none"))
    assert jobs.times("latest") == ["2026-06-01T06:00:00Z", "2026-06-01T07:00:00Z"]


def test_a_folder_that_is_away_ends_no_schedule(program):
    clock, jobs = Clock(program, "2026-06-01T00:30:00+00:00"), Standing(program)
    jobs.put("hourly", {"cron": "0 * * * *"})
    daemon = jobs.start()
    jobs.begun("hourly")
    assert daemon.stop() == 0
    away = jobs.folder.rename(program.folder / "away")
    clock.set("2026-06-01T01:30:00+00:00")
    daemon.start()
    wait_for(lambda: told(program, "the standing jobs stay as they were"))
    away.rename(jobs.folder)
    wait_for(lambda: jobs.times("hourly"))
    assert jobs.times("hourly") == ["2026-06-01T01:00:00Z"]


def test_killed_at_random_moments_no_time_is_lost_and_none_is_doubled(program):
    jobs = Standing(program)
    jobs.put("tick", {"every": "1s", "overlap": "queue", "catch_up": "all"})
    daemon, dice = jobs.start("--jobs", "4"), random.Random(18)
    wait_for(lambda: jobs.times("tick"))
    for _ in range(12):
        known = len(jobs.times("tick"))
        time.sleep(dice.uniform(0, 0.4))
        daemon.stop(signal.SIGKILL)
        daemon.start()
        wait_for(lambda known=known: len(jobs.times("tick")) > known)
    jobs.ask("pause", "tick")
    states = jobs.settled("tick", 12)
    times = [datetime.fromisoformat(moment) for moment in jobs.times("tick")]
    assert times == [times[0] + timedelta(seconds=second) for second in range(len(times))]
    assert len(states) == len(times) == len(jobs.query("SELECT id FROM runs"))
    assert states.count("succeeded") > len(states) / 2
