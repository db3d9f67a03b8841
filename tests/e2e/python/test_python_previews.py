"""`longshore.preview`, `plan`, `validate` and `test_connection`."""

import datetime
import decimal
import subprocess

import pyarrow
import pyarrow.parquet
import pytest

from support.longshore import LONGSHORE, rows_job
from support.wheel import python


@pytest.fixture
def typed(program):
    """A file with values of many types."""
    at = datetime.datetime(2026, 11, 29, 12, 30, tzinfo=datetime.UTC)
    table = pyarrow.table(
        {
            "id": pyarrow.array([1, None], pyarrow.int32()),
            "price": pyarrow.array([decimal.Decimal("1.50"), None], pyarrow.decimal128(10, 2)),
            "day": pyarrow.array([datetime.date(2026, 11, 29), None]),
            "at": pyarrow.array([at, None], pyarrow.timestamp("us", "UTC")),
            "tags": pyarrow.array([["a", "ä"], None]),
        }
    )
    path = program.folder / "a b%41?.parquet"
    pyarrow.parquet.write_table(table, path)
    return path, table


def test_values_arrive_with_their_types(longshore, program, typed):
    path, table = typed
    for what in (path, str(path), path.name):
        assert longshore.preview(what).to_pylist() == table.to_pylist()
    found = longshore.preview(path, rows=1)
    assert found.num_rows == 1
    kinds = {field.name: str(field.type) for field in found.schema}
    assert (
        kinds["id"] == "int32" and kinds["price"] == "decimal128(10, 2)" and kinds["day"].startswith("date32")
    )
    assert kinds["at"] == "timestamp[us, tz=UTC]" and kinds["tags"].startswith("list<")
    assert found.schema.metadata is None or b"longshore.relation" not in found.schema.metadata


def test_rows_that_are_not_there_have_columns_and_a_home_is_known(longshore, program, typed, monkeypatch):
    path, table = typed
    pyarrow.parquet.write_table(table.slice(0, 0), program.folder / "empty.parquet")
    monkeypatch.setenv("HOME", str(program.folder))
    found = longshore.preview("~/empty.parquet")
    assert (found.num_rows, found.column_names) == (0, table.column_names)
    with pytest.raises(longshore.LongshoreError, match="none.parquet"):
        longshore.preview("none.parquet")


@pytest.mark.parametrize("rows", [-1, 2**64, "1", None])
def test_rows_are_a_number_of_rows(longshore, rows):
    with pytest.raises(longshore.ConfigError, match="`rows`"):
        longshore.preview("rows.csv", rows=rows)


def test_several_relations_are_named(longshore, program):
    for name in ("one", "two"):
        (program.folder / f"{name}.csv").write_text(f"{name}\n1\n2\n")
    job = {
        "source": {"url": f"file://{program.folder}/"},
        "relations": [{"table": "one.csv", "as": "one"}, {"table": "two.csv", "as": "zwei ä"}],
        "target": {"url": f"file://{program.lake}"},
    }
    tables = longshore.previews(job, rows=1)
    assert {name: table.column_names for name, table in tables.items()} == {"one": ["one"], "zwei ä": ["two"]}
    assert longshore.preview(job, relation="zwei ä").to_pylist() == [{"two": 1}, {"two": 2}]
    for wrong in (None, "three"):
        with pytest.raises(longshore.ConfigError, match="one, zwei ä"):
            longshore.preview(job, relation=wrong)


def test_without_pyarrow_a_preview_says_what_to_install(longshore, program):
    job = rows_job(program)
    script = "import longshore, sys; print(longshore.validate(sys.argv[1])['valid']); longshore.preview(sys.argv[1])"
    run = python(program, script, job)
    out, told = run.communicate()
    assert out == "True\n" and "ImportError: previews are tables of pyarrow: `pip install pyarrow`" in told


def test_a_plan_and_a_check_read_no_rows(longshore, program):
    job = rows_job(program)
    assert longshore.plan(job)["relations"][0]["name"] == "good"
    assert longshore.validate(job)["relations"] == ["good"]
    assert longshore.test_connection(job)["ok"]
    assert not program.published()
    with pytest.raises(longshore.NotFoundError):
        longshore.plan(longshore.copy_job("none.csv", "lake"))
    with pytest.raises(longshore.ConfigError, match="tabels"):
        longshore.validate({"source": {"url": "tpch:"}, "tabels": [], "target": {"url": "file:///x"}})


def test_the_arrow_form_is_one_stream_for_each_relation(program):
    """For programs in other languages."""
    command = [LONGSHORE, "preview", rows_job(program), "--format", "arrow"]
    done = subprocess.run(command, env=program.env, capture_output=True, check=True)
    table = pyarrow.ipc.open_stream(done.stdout).read_all()
    assert table.num_rows == 3 and table.schema.metadata[b"longshore.relation"] == b"good"
