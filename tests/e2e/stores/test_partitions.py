"""Targets whose folders tell columns, on this machine's disk; on every kind of store in `test_every_store`."""

import random
import resource
import signal
import time

import duckdb
import pytest

from support.daemon import Daemon
from support.longshore import rows_job

APART = {"partition_by": ["origin", "month"]}


def lake(program, relation, ending="parquet"):
    reader = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}[ending]
    return f"{reader}('{program.lake}/{relation}/**/*.{ending}', hive_partitioning = true)"


def counts(program, relation="flights", ending="parquet"):
    sql = f"SELECT origin, month, count(*), sum(distance) FROM {lake(program, relation, ending=ending)} GROUP BY ALL ORDER BY ALL"
    return duckdb.sql(sql).fetchall()


def theirs(flights):
    return flights.rows(
        "SELECT origin, month::int, count(*), sum(distance)::int FROM flights GROUP BY 1, 2 ORDER BY 1, 2"
    )


@pytest.mark.parametrize("format_, ending", [("parquet", "parquet"), ("csv", "csv"), ("json", "jsonl")])
def test_another_reader_finds_the_columns_in_the_folders(program, flights, format_, ending):
    target = {"url": f"file://{program.lake}", "format": format_, **APART}
    report = program.report(
        "run", program.postgres(flights, tables=["flights"], target=target, chunk={"rows": 100_000})
    )
    assert [tuple(map(str, row)) for row in counts(program, ending=ending)] == [
        tuple(map(str, row)) for row in theirs(flights)
    ]
    # More folders than files are open at a time: some were written in two goes.
    assert report["relations"][0]["parts"] >= 36 and report["rows"] == 336_776


def test_a_few_files_are_open_at_a_time_whatever_the_number_of_folders(program, flights):
    target = {"url": f"file://{program.lake}", "partition_by": ["tailnum"]}
    # Of which this process may have no more.
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, files[1]))
    try:
        program.ok("run", program.postgres(flights, tables=["planes"], target=target))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, files)
    assert len(list((program.lake / "planes").iterdir())) == 3_322
    own = duckdb.sql(f"SELECT count(*), count(DISTINCT tailnum) FROM {lake(program, 'planes')}").fetchall()
    assert own == [(3_322, 3_322)]


REFUSALS = {
    "no column": ({"partition_by": ["orgin"]}, "`target.partition_by`: no column `orgin`", "origin"),
    "no folder's name": (
        {"partition_by": ["lat"]},
        "`lat` is Float64, whose values do not name folders",
        "whole numbers",
    ),
    "nothing left": ({"partition_by": ["carrier", "name"]}, "leaves no column for the files", "fewer"),
    "twice": ({"partition_by": ["name", "NAME"]}, "names `NAME` twice", "once"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_names_no_folder_is_told_before_anything_is_read(program, flights, refusal):
    keys, words, hint = REFUSALS[refusal]
    table = (
        "airports"
        if refusal in ("no folder's name",)
        else "flights"
        if refusal == "no column"
        else "airlines"
    )
    target = {"url": f"file://{program.lake}", **keys}
    line, code = program.refused("plan", program.postgres(flights, tables=[table], target=target))
    assert words in line and hint in line and code == 2, line
    assert program.published() == []


def test_a_value_that_names_no_folder_ends_the_run_and_leaves_nothing(program, flights):
    query = "SELECT n, CASE WHEN n = 900 THEN repeat('x', 300) ELSE 'k' || n % 50 END AS k FROM generate_series(1, 1000) n"
    target = {"url": f"file://{program.lake}", "partition_by": ["k"]}
    line, code = program.refused("run", program.postgres(flights, query=query, target=target))
    assert "a value of 300 bytes names no folder" in line and code == 4
    assert program.published() == []


def test_a_daemon_that_is_killed_loses_and_doubles_nothing(program, flights):
    target = {"url": f"file://{program.lake}", **APART}
    job = program.postgres(
        flights, tables=["flights"], target=target, chunk={"rows": 5_000}, consistency="per-chunk"
    )
    program.ok("plugin", "list")
    dice = random.Random(3)
    daemon = Daemon(program)
    job.rename(daemon.inbox / job.name)
    kills, until = 0, time.monotonic() + 90
    while not list((daemon.inbox / "done").glob("*.json")):
        assert time.monotonic() < until, (program.folder / "daemon.log").read_text()[-3_000:]
        time.sleep(dice.uniform(0.2, 0.9) if kills < 5 else 5)
        daemon.stop(signal.SIGKILL)
        kills += 1
        daemon.start()
    daemon.stop()
    assert kills and counts(program) == [tuple(row) for row in theirs(flights)]
    assert not [path for path in program.published() if "staging" in path]


def test_append_lays_files_as_those_that_are_there(program):
    target = {"url": f"file://{program.lake}", "mode": "append"}
    program.ok("run", rows_job(program, target={**target, "partition_by": ["name"]}))
    for partition_by in [[], ["id"]]:
        said, code = program.refused(
            "run", rows_job(program, target={**target, "partition_by": partition_by})
        )
        assert "name=one" in said and "partition_by" in said and code == 2, said
