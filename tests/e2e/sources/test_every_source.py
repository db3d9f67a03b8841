"""The same promises of every source, each a real server where it is one."""

import json
import signal
import tempfile
import time
from pathlib import Path

import pyarrow.dataset as dataset
import pytest

from support.compare import read, same_rows
from support.hive import LOST
from support.longshore import runs
from support.sources import ODD_COLUMNS, SOURCES

MARKS = {
    "hive": [pytest.mark.hive, pytest.mark.flaky(reruns=2, only_rerun=LOST)],
    "mariadb": [pytest.mark.mariadb, pytest.mark.odbc],
    "postgres": [pytest.mark.postgres],
    "sqlite": [pytest.mark.odbc],
}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS.get(name, [])) for name in SOURCES])
def source(request, scratch):
    source = SOURCES[request.param]()
    source.start(Path(tempfile.mkdtemp(prefix=f"{request.param}-", dir=scratch)), request.getfixturevalue)
    yield source
    source.stop()


def job(program, source, name="job.yaml", table=None, **keys):
    keys = {"relations": [{"table": table or source.goods, "as": "goods"}], **keys}
    return program.job(source.keys(), name, **keys)


def published(program, source):
    """The rows of the target, as far as the source has them."""
    table = dataset.dataset(program.lake / "goods", format="parquet").to_table(columns=source.columns)
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def begun(program, source):
    """A run that has written the first of its many parts."""
    file = job(program, source, chunk=source.chunk, parallel={"chunks": 1})
    process = program.start("run", file)
    until = time.monotonic() + 120
    while len(list(program.lake.rglob("part-*"))) < 2:
        assert process.poll() is None and time.monotonic() < until, (
            program.folder / "daemon.log"
        ).read_text()
        time.sleep(0.001)
    return process


def test_every_row_arrives_once_however_it_is_cut(program, source):
    for number, keys in enumerate([{}, {"chunk": source.chunk, "parallel": {"chunks": 3}}]):
        file = job(program, source, target={"url": f"file://{program.lake}", "mode": "replace"}, **keys)
        report = program.report("run", file)
        same_rows(published(program, source), source.rows())
        [relation] = report["relations"]
        assert report["rows"] == relation["rows"] == len(source.rows())
        assert not number or relation["chunks"] > 3, relation


def test_what_was_published_is_what_the_source_has(program, source):
    file = job(program, source)
    manifest = program.report("run", file)["manifest"]
    assert "the source has the same rows" in program.ok("verify", manifest, "--source", "--job", file)


def test_a_run_that_was_killed_goes_on_and_loses_and_doubles_nothing(program, source):
    process = begun(program, source)
    process.kill()
    process.wait()
    assert [path.name for path in program.lake.iterdir()] == [".longshore"]
    [run] = runs(program)
    assert run["state"] == "interrupted"
    program.ok("runs", "retry", run["run"])
    assert runs(program)[0]["state"] == "succeeded"
    same_rows(published(program, source), source.rows())


def test_a_run_that_is_stopped_leaves_nothing(program, source):
    process = begun(program, source)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) != 0
    assert program.published() == []


def test_a_table_that_is_not_there_is_named_and_nothing_is_published(program, source):
    for command in ["plan", "run"]:
        line, code = program.refused(command, job(program, source, table="nowhere"))
        assert "nowhere" in line and code == 4, line
    error = json.loads(program.call("--json", "plan", job(program, source, table="nowhere")).stdout)["error"]
    assert error["class"] in ("not-found", "data") and error["who_must_act"] == "the job's owner"
    assert program.published() == []


def test_a_source_that_is_tested_lists_its_tables(program, source):
    shown = program.ok("test-connection", job(program, source))
    tables = [line.strip() for line in shown.splitlines()]
    assert (source.listed or source.goods) in tables and "can be written" in shown, shown


def test_a_plan_tells_the_columns_and_the_chunks_and_writes_nothing(program, source):
    [relation] = program.report("plan", job(program, source, chunk=source.chunk))["relations"]
    assert set(source.columns) <= {column["name"] for column in relation["columns"]}
    assert all(column["type"] and column["parquet"] for column in relation["columns"])
    assert len(relation["scans"][0]["chunks"]) > 3 and relation["chunkwise"]
    assert program.published() == []


def test_a_preview_shows_the_first_rows_and_writes_nothing(program, source):
    rows = program.report("preview", job(program, source), "--rows", 3)["goods"]
    assert len(rows) == 3 and all(set(source.columns) <= set(row) for row in rows)
    assert program.published() == []


def test_sql_sees_all_rows(program, source):
    key = source.columns[0]
    step = {"sql": f"SELECT count(*) AS n, max({key}) AS last FROM data WHERE {key} > 100"}
    program.ok("run", job(program, source, transform=[step], chunk=source.chunk))
    above = [row[0] for row in source.rows() if row[0] > 100]
    assert read(program.lake / "goods") == [(len(above), max(above))]


def test_columns_keep_their_names(program, source):
    if not source.odd:
        pytest.skip("its tables are its own")
    program.ok("run", job(program, source, table=source.odd))
    table = dataset.dataset(program.lake / "goods", format="parquet").to_table()
    assert table.to_pylist() == [dict(zip(ODD_COLUMNS, [1, 2, 3, 4, 5], strict=True))]


def test_a_table_without_rows_keeps_its_columns(program, source):
    if not source.bare:
        pytest.skip("its tables are its own")
    assert program.report("run", job(program, source, table=source.bare))["rows"] == 0
    table = dataset.dataset(program.lake / "goods", format="parquet").to_table()
    assert (table.num_rows, table.column_names) == (0, ["id", "name"])
