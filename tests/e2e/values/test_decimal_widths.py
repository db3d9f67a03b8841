"""Decimals of few digits cross the sandbox in 32 or 64 bits, and nobody sees it."""

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

COLUMNS = {
    "small": ("numeric(9,2)", ["9999999.99", "-9999999.99", None], pa.decimal128(9, 2)),
    "digit": ("numeric(1,0)", ["9", "-9", None], pa.decimal128(1, 0)),
    "large": ("numeric(18,4)", ["99999999999999.9999", None, "-1000000000000"], pa.decimal128(18, 4)),
    "wide": ("numeric(19,0)", ["9999999999999999999", "0", None], pa.decimal128(19, 0)),
    "list": ("numeric(7,2)[]", ["{1.25,NULL,-99999.99}", "{}", None], None),
    "pair": ("decimal_pair", ["(-1.50,9999999999999.999)", None, "(,0)"], None),
}
NESTED = {
    "list": pa.list_(pa.field("element", pa.decimal128(7, 2))),
    "pair": pa.struct([("a", pa.decimal128(5, 2)), ("b", pa.decimal128(16, 3))]),
}
TYPES = [type_ or NESTED[name] for name, (_, _, type_) in COLUMNS.items()]


@pytest.fixture(scope="module")
def decimals(server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS decimals; DROP TYPE IF EXISTS decimal_pair")
        connection.execute("CREATE TYPE decimal_pair AS (a numeric(5,2), b numeric(16,3))")
        columns = ", ".join(f"{name} {type_}" for name, (type_, _, _) in COLUMNS.items())
        connection.execute(f"CREATE TABLE decimals (id int, {columns})")
        places = ", ".join(f"%s::{type_}" for type_, _, _ in COLUMNS.values())
        for row in range(3):
            values = [values[row] for _, values, _ in COLUMNS.values()]
            connection.execute(f"INSERT INTO decimals VALUES ({row}, {places})", values)
        rows = connection.execute(
            "SELECT small, digit, large, wide, list, CASE WHEN pair IS NOT DISTINCT FROM NULL THEN NULL "
            "ELSE ARRAY[(pair).a, (pair).b] END FROM decimals ORDER BY id"
        ).fetchall()
    return server, rows


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("steps", [[], [{"sql": "SELECT * FROM data"}]], ids=["straight", "through SQL"])
def test_readers_see_decimals_of_128_bits(program, decimals, format_, steps):
    server, rows = decimals
    target = {"url": f"file://{program.lake}", "format": format_}
    job = program.postgres(server, tables=["decimals"], transform=steps, target=target)
    report = program.report("run", job)
    table = ds.dataset(program.lake / "decimals", format=format_).to_table().sort_by("id")
    assert table.schema.types[1:] == TYPES
    read = [[pair and list(pair.values()) for pair in table["pair"].to_pylist()]]
    read = [table[name].to_pylist() for name in ["small", "digit", "large", "wide", "list"]] + read
    assert list(zip(*read, strict=True)) == rows
    assert "the source has the same rows" in program.ok(
        "verify", report["manifest"], "--job", job, "--source"
    )


def test_parquet_says_decimal_and_stores_as_few_bytes_as_it_may(program, decimals):
    server, rows = decimals
    program.ok("run", program.postgres(server, tables=["decimals"]))
    files = f"'{program.lake}/decimals/*.parquet'"
    stored = duckdb.sql(
        f"SELECT name, type, logical_type FROM parquet_schema({files}) WHERE name IN ('small', 'large')"
    ).fetchall()
    assert [(name, type_) for name, type_, _ in stored] == [("small", "INT32"), ("large", "INT64")]
    assert all("Decimal" in logical for _, _, logical in stored), stored
    read = duckdb.sql(f"SELECT small, digit, large, wide FROM {files} ORDER BY id").fetchall()
    assert read == [row[:4] for row in rows]


def test_sql_computes_with_them_as_ever_and_the_source_filters(program, decimals):
    server, rows = decimals
    sql = "SELECT sum(small) AS s, max(large) AS m, count(*) AS n FROM data WHERE small > 0.5"
    job = program.postgres(server, tables=["decimals"], transform=[{"sql": sql}])
    assert "filter" in program.ok("plan", job)
    program.ok("run", job)
    table = ds.dataset(program.lake / "decimals").to_table()
    assert table.schema.types[:2] == [pa.decimal128(19, 2), pa.decimal128(18, 4)]
    assert [list(row.values()) for row in table.to_pylist()] == [[rows[0][0], rows[0][2], 1]]


@pytest.mark.parametrize("format_", ["parquet", "arrow"])
@pytest.mark.parametrize("steps", [[], [{"sql": "SELECT * FROM data"}]], ids=["straight", "through SQL"])
def test_one_file_holds_decimals_of_128_bits(program, decimals, format_, steps):
    server, rows = decimals
    file = program.folder / f"decimals.{format_}"
    target = {"url": f"file://{file}"}
    program.ok("run", program.postgres(server, tables=["decimals"], transform=steps, target=target))
    table = ds.dataset(file, format=format_).to_table().sort_by("id")
    assert table.schema.types[1:] == TYPES
    names = ["small", "digit", "large", "wide", "list"]
    assert list(zip(*[table[name].to_pylist() for name in names], strict=True)) == [row[:5] for row in rows]


@pytest.mark.parametrize("ending", ["parquet", "arrow", "csv", "jsonl"])
def test_one_file_holds_every_width(program, server, ending):
    numbers = {f"n{digits}": (digits, scale) for digits in range(1, 39) for scale in [digits // 2]}
    columns = [f"'{most(*of)}'::numeric{of} AS {name}" for name, of in numbers.items()]
    columns += [f"ARRAY['{most(*of)}', NULL]::numeric{of}[] AS a{name}" for name, of in numbers.items()]
    file = program.folder / f"out.{ending}"
    target = {"url": f"file://{file}"}
    program.ok("run", program.postgres(server, query=f"SELECT {', '.join(columns)}", target=target))
    if ending in ("csv", "jsonl"):
        assert all(most(*of) in file.read_text() for of in numbers.values())
        return
    table = ds.dataset(file, format=ending).to_table()
    [row] = table.to_pylist()
    for name, of in numbers.items():
        assert table.schema.field(name).type == pa.decimal128(*of)
        assert (str(row[name]), [str(row[f"a{name}"][0]), row[f"a{name}"][1]]) == (
            most(*of),
            [most(*of), None],
        )


def most(digits, scale):
    """The greatest number of so many digits."""
    whole = "9" * (digits - scale)
    return f"{whole}.{'9' * scale}" if scale else whole


@pytest.mark.parametrize("mode", ["merge", "snapshot", "scd2"])
def test_load_modes_compare_decimals(program, decimals, mode):
    server, rows = decimals
    keys = {"arrival": "id"} if mode == "snapshot" else {"key": ["id"]}
    target = {"url": f"file://{program.lake}", "mode": mode, mode: keys}
    job = program.postgres(server, tables=["decimals"], target=target)
    for _ in range(2):
        program.ok("run", job)
    table = ds.dataset(program.lake / "decimals", format="parquet").to_table().sort_by("id")
    names = ["small", "digit", "large", "wide", "list"]
    assert list(zip(*[table[name].to_pylist() for name in names], strict=True)) == [row[:5] for row in rows]


def test_checks_see_decimals(program, decimals):
    server, _ = decimals
    checks = [
        {"name": "no sum", "sql": "SELECT sum(small) FROM data HAVING sum(small) <> 0"},
        {"range": {"column": "small", "min": -9999999.99, "max": 9999999.99}},
        {"unique": ["small", "large"]},
    ]
    program.ok("run", program.postgres(server, tables=["decimals"], checks=checks))
