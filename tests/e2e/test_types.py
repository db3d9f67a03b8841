"""Every supported type, at its ends, value for value."""

import pyarrow as pa
import pyarrow.dataset as dataset
import pytest

from compare import read, same_rows

TYPES = {
    "bool": (["true", "false"], pa.bool_()),
    "int2": (["-32768", "32767"], pa.int16()),
    "int4": (["-2147483648", "2147483647"], pa.int32()),
    "int8": (["-9223372036854775808", "9223372036854775807"], pa.int64()),
    "oid": (["0", "4294967295"], pa.uint32()),
    "float4": (["-3.4028235e38", "1e-45", "'-Infinity'"], pa.float32()),
    "float8": (["1.7976931348623157e308", "5e-324", "0.1", "'Infinity'"], pa.float64()),
    "numeric(4,4)": (["0.0001", "-0.9999"], pa.decimal128(4, 4)),
    "numeric(15,2)": (["9999999999999.99", "-0.01", "0", "10000", "1234.5"], pa.decimal128(15, 2)),
    "numeric(18,1)": (["99999999999999999.9", "-12345678901234567.8"], pa.decimal128(18, 1)),
    "numeric(38,10)": (["9999999999999999999999999999.9999999999", "-1e-10"], pa.decimal128(38, 10)),
    "numeric(38,0)": (["99999999999999999999999999999999999999", "-1"], pa.decimal128(38, 0)),
    "text": (["''", "'naïve ☃ 𝄞'", "repeat('x', 100000)"], pa.string()),
    "varchar(5)": (["'abc'", "'12345'"], pa.string()),
    "char(5)": (["'ab'", "'12345'"], pa.string()),
    "bytea": (["''", r"'\x00ff10'"], pa.binary()),
    "date": (["'0001-01-01'", "'9999-12-31'", "'1970-01-01'"], pa.date32()),
    "time": (["'00:00:00'", "'23:59:59.999999'"], pa.time64("us")),
    "timestamp": (["'0001-01-01 00:00:00'", "'9999-12-31 23:59:59.999999'"], pa.timestamp("us")),
    "timestamptz": (["'1999-12-31 23:59:59.999999+05:30'", "'2024-02-29 12:00+00'"], pa.timestamp("us", "UTC")),
    "uuid": (["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], pa.uuid()),
    "json": (["""'{"a":  [1, null]}'"""], pa.string()),
    "jsonb": (["""'{"a":  [1, null]}'""", "'7'"], pa.string()),
}


@pytest.fixture(scope="module")
def typed(server):
    with server.connect() as connection:
        columns = ", ".join(f'"{name}" {name}' for name in TYPES)
        connection.execute(f"CREATE TABLE typed ({columns})")
        most = max(len(values) for values, _ in TYPES.values())
        for row in range(most + 1):
            values = [values[row] if row < len(values) else "NULL" for values, _ in TYPES.values()]
            connection.execute(f"INSERT INTO typed VALUES ({', '.join(values)})")
    return server


@pytest.mark.parametrize("form", ["table", "query"])
def test_every_type_survives_value_for_value(typed, program, form):
    relation = {"table": "typed"} if form == "table" else {"query": "SELECT * FROM typed", "as": "typed"}
    program.ok("run", program.postgres(typed, relations=[relation]))
    # The driver parses json, and reads a float4's shortest text as a float8.
    casts = {"json": "text", "jsonb": "text", "float4": "float8"}
    columns = ", ".join(f'"{name}"::{casts.get(name, name)}' for name in TYPES)
    same_rows(read(program.lake / "typed"), typed.rows(f"SELECT {columns} FROM typed"))
    schema = dataset.dataset(program.lake / "typed", format="parquet").schema
    assert {field.name: field.type for field in schema} == {name: kind for name, (_, kind) in TYPES.items()}


def test_a_wide_numeric_filter_and_a_date_filter_reach_the_source(typed, program):
    sql = """SELECT "date", "numeric(15,2)" AS n, "timestamp" AS t FROM data WHERE "numeric(15,2)" >= 1234.5
             OR "date" < DATE '1970-01-02' OR "timestamp" > TIMESTAMP '2261-01-01 00:00:00'"""
    job = program.postgres(typed, tables=["typed"], transform=[{"sql": sql}])
    assert program.report("plan", job)["relations"][0]["scans"][0]["filter"]
    program.ok("run", job)
    theirs = typed.rows(
        """SELECT "date", "numeric(15,2)", "timestamp" FROM typed WHERE "numeric(15,2)" >= 1234.5
           OR "date" < DATE '1970-01-02' OR "timestamp" > TIMESTAMP '2261-01-01 00:00:00'"""
    )
    same_rows(read(program.lake / "typed"), theirs)


def test_another_type_is_refused_by_name_unless_the_job_takes_text(server, program):
    with server.connect() as connection:
        connection.execute("CREATE TABLE odd (id int4, area polygon, free numeric)")
        connection.execute("INSERT INTO odd VALUES (1, '((0,0),(1,1),(1,0))', 1e-20), (2, NULL, 'NaN')")
    line, code = program.refused("run", program.postgres(server, tables=["odd"]))
    assert "column `area` is polygon" in line and "unknown_types: text" in line and code == 4
    job = program.postgres(server, tables=["odd"], source={"unknown_types": "text"})
    assert "moved as text" in program.ok("plan", job)
    program.ok("run", job)
    same_rows(read(program.lake / "odd"), server.rows("SELECT id, area::text, free::text FROM odd"))


@pytest.mark.parametrize("value", ["'infinity'::date AS day", "'-infinity'::timestamp AS day", "'NaN'::numeric(5,2) AS day"])
def test_what_arrow_has_not_is_refused_by_name_and_publishes_nothing(server, program, value):
    line, code = program.refused("run", program.postgres(server, query=f"SELECT {value}"))
    assert "column `day` holds" in line and code == 4
    assert program.published() == []


def test_names_of_any_kind_are_moved(server, program):
    with server.connect() as connection:
        connection.execute('''CREATE TABLE "Odd ""Name""" ("a ""b""" int4, "Ärger" text, "select" bool)''')
        connection.execute('''INSERT INTO "Odd ""Name""" VALUES (1, 'x', true)''')
    sql = 'SELECT * FROM data WHERE "Ärger" = \'x\' AND "a ""b""" = 1'
    job = program.postgres(
        server, relations=[{"table": '"Odd ""Name"""', "as": "odd name"}], transform=[{"sql": sql}]
    )
    program.ok("run", job)
    assert read(program.lake / "odd name") == [(1, "x", True)]


def test_a_wide_row_and_a_large_field_are_moved(server, program):
    columns = ", ".join(f"{n} AS c{n}" for n in range(1_000))
    query = f"SELECT {columns}, repeat('☃', 3000000) AS large, g FROM generate_series(1, 5) g"
    program.ok("run", program.postgres(server, "wide.yaml", query=query))
    rows = read(program.lake / "wide")
    assert len(rows) == 5 and rows[0][1_000] == "☃" * 3_000_000 and rows[0][999] == 999
