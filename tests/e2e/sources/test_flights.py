"""A real data set through the whole way, compared with its source."""

import hmac
import json

import pytest

from support.compare import read, same_rows
from support.postgres import FLIGHTS
from support.wait import wait_for


def test_a_dropped_job_becomes_parquet_with_the_rows_of_the_source(flights, program):
    inbox = program.folder / "inbox"
    daemon = program.start("serve", "--inbox", inbox, "--state", program.folder / "state")
    try:
        wait_for(lambda: (inbox / "done").exists())
        job = program.postgres(flights, "all.yaml", tables=list(FLIGHTS), chunk={"rows": 50_000})
        job.rename(inbox / "all.yaml")
        report = wait_for(lambda: next((inbox / "done").glob("*.report.json"), None))
    finally:
        daemon.terminate()
        assert daemon.wait(120) == 0
    report = json.loads(report.read_text())
    assert report["status"] == "succeeded"
    assert report["rows"] == 336_776 + 16 + 1_458 + 3_322 + 26_115
    assert {r["relation"]: r["rows"] for r in report["relations"]}["flights"] == 336_776
    for table in FLIGHTS:
        same_rows(read(program.lake / table), flights.rows(f"SELECT * FROM {table}"))
    assert not list((program.lake / ".longshore/staging").iterdir())
    manifest = json.loads((program.lake / ".longshore/runs" / f"{report['run']}.json").read_text())
    assert sum(part["rows"] for part in manifest["relations"][-1]["parts"]) == 336_776
    assert manifest["consistency"] == "snapshot"
    assert "secret" not in json.dumps(manifest).replace('"secret": "password"', "")


def test_any_number_of_workers_gives_the_same_rows(flights, program):
    theirs = flights.rows("SELECT * FROM flights")
    for workers in [1, 8]:
        keys = {"tables": ["flights"], "chunk": {"rows": 20_000}, "parallel": {"chunks": workers}}
        report = program.report("run", program.postgres(flights, **keys))
        assert report["relations"][0]["chunks"] > 10
        same_rows(read(program.lake / report["relations"][0]["published_as"]), theirs)


def test_sql_is_carried_out_as_the_source_would(flights, program):
    sql = """SELECT carrier, flight, distance * 1.609 AS km, upper(dest) AS dest FROM data
             WHERE month = 2 AND origin = 'JFK' AND dep_delay IS NOT NULL AND distance BETWEEN 500 AND 900"""
    job = program.postgres(flights, tables=["flights"], chunk={"rows": 50_000}, transform=[{"sql": sql}])
    plan = program.report("plan", job)["relations"][0]
    assert plan["chunkwise"]
    scan = plan["scans"][0]
    assert set(scan["projection"]) == {"carrier", "flight", "distance", "dest"}
    for condition in ['"month" = 2', "\"origin\" = 'JFK'", '"dep_delay" IS NOT NULL', '"distance" >= 500']:
        assert condition in scan["filter"]
    program.ok("run", job)
    theirs = flights.rows(
        "SELECT carrier, flight, distance * 1.609, upper(dest) FROM flights WHERE month = 2 "
        "AND origin = 'JFK' AND dep_delay IS NOT NULL AND distance BETWEEN 500 AND 900"
    )
    same_rows(read(program.lake / "flights"), theirs)


def test_sql_that_needs_all_rows_gets_them(flights, program):
    sql = "SELECT origin, count(*) AS n, avg(dep_delay) AS delay FROM data GROUP BY origin ORDER BY n DESC LIMIT 2"
    job = program.postgres(flights, tables=["flights"], chunk={"rows": 20_000}, transform=[{"sql": sql}])
    assert not program.report("plan", job)["relations"][0]["chunkwise"]
    program.ok("run", job)
    theirs = flights.rows(
        "SELECT origin, count(*), avg(dep_delay)::float8 FROM flights GROUP BY 1 ORDER BY 2 DESC LIMIT 2"
    )
    rounded = lambda rows: [(o, n, round(delay, 9)) for o, n, delay in rows]
    same_rows(rounded(read(program.lake / "flights")), rounded(theirs))


def test_masks_hide_columns_and_keep_the_rest(flights, program):
    steps = [
        {"plugin": "mask", "columns": ["tailnum"], "mode": "hash", "salt": {"env": "SALT"}},
        {"plugin": "mask", "columns": ["dest"]},
        {"sql": "SELECT flight, tailnum, dest FROM data WHERE flight < 100"},
    ]
    job = program.postgres(flights, tables=["flights"], chunk={"rows": 50_000}, transform=steps)
    program.ok("run", job, env={"SALT": "pepper"})
    digest = lambda text: text and hmac.new(b"pepper", text.encode(), "sha256").hexdigest()
    theirs = flights.rows("SELECT flight, tailnum FROM flights WHERE flight < 100")
    same_rows(read(program.lake / "flights"), [(flight, digest(tail), "***") for flight, tail in theirs])


def test_a_query_is_one_chunk(flights, program):
    query = "SELECT dest, max(arr_delay) AS worst FROM flights -- a comment\nGROUP BY dest;"
    report = program.report("run", program.postgres(flights, "worst.json", query=query))
    assert report["relations"][0]["chunks"] == 1
    assert report["consistency"] == "snapshot"
    same_rows(
        read(program.lake / "worst"), flights.rows("SELECT dest, max(arr_delay) FROM flights GROUP BY 1")
    )


def test_what_was_there_is_kept(flights, program):
    job = program.postgres(flights, tables=["airlines"])
    for name in ["airlines", "airlines_v2", "airlines_v3"]:
        assert program.report("run", job)["relations"][0]["published_as"] == name
    assert read(program.lake / "airlines") == read(program.lake / "airlines_v3")


def test_an_empty_table_has_a_schema(server, program):
    with server.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS nothing (id int4, name text)")
    program.ok("run", program.postgres(server, tables=["nothing"]))
    import pyarrow.dataset as dataset

    table = dataset.dataset(program.lake / "nothing", format="parquet").to_table()
    assert (table.num_rows, table.column_names) == (0, ["id", "name"])


@pytest.mark.parametrize("compression", ["snappy", "zstd", "zstd:9", "gzip", "none"])
def test_every_compression_reads_back(flights, program, compression):
    job = program.postgres(flights, tables=["planes"])
    text = job.read_text().replace("target:", f"target:\n  compression: {compression}", 1)
    job.write_text(text)
    program.ok("run", job)
    same_rows(read(program.lake / "planes"), flights.rows("SELECT * FROM planes"))


def test_a_preview_shows_the_first_rows_of_a_job_and_of_parquet(flights, program):
    job = program.postgres(flights, tables=["airlines"])
    rows = program.report("preview", job, "--rows", 3)["airlines"]
    assert len(rows) == 3 and set(rows[0]) == {"carrier", "name"}
    program.ok("run", job)
    assert "United Air Lines Inc." in program.ok("preview", program.lake / "airlines", "--rows", 20)
