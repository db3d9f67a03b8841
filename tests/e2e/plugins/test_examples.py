"""The same contract in other languages: what `make examples` built keeps its promises, and does its work."""

import datetime
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.longshore import ROOT

pytestmark = pytest.mark.examples

EXAMPLES = ROOT / "target/examples"
TRIMS = ["trim-rust", "trim-c", "trim-python", "trim-javascript"]


def component(name):
    path = EXAMPLES / f"{name}.wasm"
    if not path.exists():
        pytest.skip(f"{name} is not built: run `make examples`")
    return path


@pytest.fixture
def with_example(program, request):
    """The bundled plugins, and one example."""
    folder = program.folder / "plugins"
    folder.mkdir()
    for bundled in (ROOT / "target/release/plugins").glob("*.wasm"):
        (folder / bundled.name).symlink_to(bundled)
    (folder / f"{request.param}.wasm").symlink_to(component(request.param))
    program.env["LONGSHORE_PLUGINS"] = str(folder)
    return request.param


@pytest.mark.parametrize("name", [*TRIMS, "calendar-python"])
def test_an_example_keeps_its_promises(program, name):
    config = {"url": "calendar:"} if name == "calendar-python" else {"columns": ["text", "note"]}
    answer = program.report("plugin", "check", component(name), "--with", json.dumps(config))
    assert answer["whole"] and answer["kept"], [outcome for outcome in answer["promises"] if outcome["fault"]]


@pytest.mark.parametrize("with_example", TRIMS, indirect=True)
def test_texts_are_trimmed_and_all_else_crosses_as_it_came(program, server, with_example):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS texts")
        connection.execute(
            "CREATE TABLE texts AS SELECT n AS id, "
            "CASE n % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN E' \t\n\v\f\r ' WHEN 3 THEN ' a b ' "
            "WHEN 4 THEN E'\u00a0naïve ☃\u2003' ELSE repeat(' x', n % 50) END AS padded, "
            "' left alone ' AS other, n / 7.0::numeric(9,3) AS amount, n % 3 = 0 AS flag, "
            "now()::date + n AS day, decode(md5(n::text), 'hex') AS bytes FROM generate_series(1, 5000) n"
        )
    program.ok("run", program.postgres(server, tables=["texts"], chunk={"rows": 700},
                                       transform=[{"plugin": with_example, "columns": ["padded"]}]))  # fmt: skip
    program.ok("run", program.postgres(server, "plain.yaml", relations=[{"table": "texts", "as": "plain"}]))
    trimmed, plain = (pq.read_table(program.lake / name).sort_by("id") for name in ["texts", "plain"])
    assert trimmed.schema == plain.schema and trimmed.num_rows == 5000
    expected = [text if text is None else text.strip(" \t\n\v\f\r") for text in plain["padded"].to_pylist()]
    assert trimmed["padded"].to_pylist() == expected
    for name in set(plain.column_names) - {"padded"}:
        assert trimmed[name].to_pylist() == plain[name].to_pylist(), name


@pytest.mark.parametrize("with_example", TRIMS, indirect=True)
def test_a_wrong_column_is_named(program, with_example):
    sql = "SELECT n_nationkey AS key, arrow_cast(n_name, 'Utf8') AS name FROM data"
    for column, says in [("key", "`key` is"), ("nam", "no column `nam`")]:
        steps = [{"sql": sql}, {"plugin": with_example, "columns": [column]}]
        line, code = program.refused(
            "run",
            program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], transform=steps),
        )
        assert says in line and code == 2, line


@pytest.mark.parametrize("with_example", ["calendar-python"], indirect=True)
def test_the_days_of_a_calendar_are_its_days(program, with_example):
    source = {"url": "calendar:", "from": "1999-12-01", "to": "2024-03-01"}
    program.ok("run", program.job(source, tables=["days"], chunk={"rows": 1000}))
    days = pq.read_table(program.lake / "days").sort_by("day")
    first = datetime.date(1999, 12, 1)
    expected = [first + datetime.timedelta(n) for n in range((datetime.date(2024, 3, 1) - first).days + 1)]
    assert days["day"].to_pylist() == expected
    assert days["iso_week"].to_pylist() == [day.isocalendar().week for day in expected]
    assert days["is_weekend"].to_pylist() == [day.isoweekday() > 5 for day in expected]
    assert days.schema.field("year").type == pa.int16()
