"""Every format holds the same values, by readers of other makers."""

import csv
import gzip
import io
import json

import duckdb
import pyarrow as pa
import pyarrow.ipc
import pytest

QUERY = """
SELECT n AS id, CASE WHEN n % 3 = 0 THEN NULL ELSE 'text "' || n || '", ' || chr(10) || 'x;y' END AS words,
       '' AS nothing, (n * 1.5)::numeric(10,2) AS amount, n::float8 / 3 AS share, n % 2 = 0 AS even,
       date '2026-01-01' + n AS day, timestamptz '2026-01-01 00:00:00.123456Z' + n * interval '1 hour' AS moment,
       ARRAY[n, NULL, n + 1] AS list, jsonb_build_object('n', n) AS doc, decode(lpad(to_hex(n), 8, '0'), 'hex') AS raw
FROM generate_series(1, 50) AS n ORDER BY n
"""


def publish(program, server, **target):
    target = {"url": f"file://{program.lake}", **target}
    report = program.report("run", program.postgres(server, query=QUERY, name="out.yaml", target=target))
    [part] = (program.lake / "out").iterdir()
    assert report["rows"] == 50
    return part


@pytest.mark.parametrize("compression", [None, "gzip", "gzip:1", "zstd", "zstd:9"])
def test_csv_is_read_back_by_others(program, server, compression):
    options = {"compression": compression} if compression else {}
    part = publish(program, server, format="csv", csv={"null": "\\N"}, **options)
    endings = {None: ".csv", "gzip": ".csv.gz", "zstd": ".csv.zst"}
    assert part.name.endswith(endings[compression and compression.split(":")[0]])
    rows = duckdb.sql(
        f"SELECT * FROM read_csv('{part}', nullstr='\\N', header=true, types={{'moment': 'VARCHAR'}}) ORDER BY id"
    ).fetchall()
    assert len(rows) == 50
    first, third = rows[0], rows[2]
    assert first[:2] == (1, 'text "1", \nx;y') and third[1] is None and first[2] in ("", None)
    assert float(first[3]) == 1.5 and first[5] is False and str(first[6]) == "2026-01-02"
    assert json.loads(first[8]) == [1, None, 2] and json.loads(first[9]) == {"n": 1}


def test_csv_is_written_as_the_job_says(program, server):
    style = {"delimiter": ";", "quote": "'", "header": False, "null": "NULL"}
    part = publish(program, server, format="csv", csv=style)
    rows = list(csv.reader(io.StringIO(part.read_text()), delimiter=";", quotechar="'"))
    assert len(rows) == 50 and rows[0][0] == "1" and rows[2][1] == "NULL" and rows[0][1] == 'text "1", \nx;y'


def test_csv_without_rows_has_its_header(program, server):
    target = {"url": f"file://{program.lake}", "format": "csv"}
    program.ok(
        "run",
        program.postgres(
            server, query="SELECT 1 AS a, 'x' AS b WHERE false", name="none.yaml", target=target
        ),
    )
    [part] = (program.lake / "none").iterdir()
    assert part.read_text() == "a,b\n"


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_json_lines_are_read_back_by_others(program, server, compression):
    part = publish(program, server, format="json", compression=compression)
    if compression == "gzip":
        text = gzip.decompress(part.read_bytes()).decode()
    elif compression == "zstd":
        text = pa.input_stream(str(part), compression="zstd").read().decode()
    else:
        text = part.read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    assert [row["id"] for row in rows] == list(range(1, 51))
    assert rows[2]["words"] is None and rows[0]["words"] == 'text "1", \nx;y' and rows[0]["nothing"] == ""
    assert rows[0]["list"] == [1, None, 2] and rows[0]["even"] is False and float(rows[0]["amount"]) == 1.5


def test_arrow_files_hold_what_parquet_holds(program, server):
    part = publish(program, server, format="arrow")
    table = pa.ipc.open_file(str(part)).read_all()
    assert table.num_rows == 50 and str(table.schema.field("amount").type) == "decimal128(10, 2)"
    assert table["list"].to_pylist()[0] == [1, None, 2] and table["words"].to_pylist()[2] is None


def test_a_format_is_refused_what_it_does_not_know(program, server):
    cases = [
        ({"format": "csv", "compression": "snappy"}, "not a compression of this format"),
        ({"format": "parquet", "csv": {"header": True}}, "`target.format` is not csv"),
        ({"format": "csv", "csv": {"delimiter": "ab"}}, "one ASCII character"),
        ({"format": "orc"}, "orc"),
        ({"s3": {"endpoint": "http://x"}}, "remove `target.s3`"),
    ]
    for target, said in cases:
        target = {"url": f"file://{program.lake}", **target}
        line, code = program.refused("run", program.postgres(server, tables=["x"], target=target))
        assert code == 2 and said in line, line
