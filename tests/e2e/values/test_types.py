"""Every type of docs/reference/postgres-types.md, value for value, compared by an independent reader."""

import re

import pyarrow as pa
import pyarrow.dataset as dataset
import pytest

from support.compare import read, same_rows
from support.longshore import ROOT
from support.samples import OWN_TYPES, SAMPLES

# How the source is asked for what should have arrived, where the driver's own value is not it.
ASKED = {
    "xid": '"{0}"::text::int8',
    "cid": '"{0}"::text::int8',
    "float4": '"{0}"::float8',
    "money": '"{0}"::numeric',
    "pair": 'to_json("{0}")',
    "pair[]": 'to_json("{0}")',
}


def documented():
    """The documents' table: PostgreSQL's type, Arrow's, Parquet's."""
    section = (ROOT / "docs/reference/postgres-types.md").read_text().split("## Types")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    return {name: (arrow, parquet) for name, arrow, parquet in rows}


def quoted(name):
    return name.replace('"', '""')


@pytest.fixture(scope="module")
def typed(server):
    with server.connect() as connection:
        connection.execute(OWN_TYPES)
        columns = ", ".join(f'"{quoted(name)}" {name}' for name in SAMPLES)
        connection.execute(f"CREATE TABLE typed ({columns})")
        most = max(len(values) for values in SAMPLES.values())
        for row in range(most + 1):
            values = [values[row] if row < len(values) else "NULL" for values in SAMPLES.values()]
            connection.execute(f"INSERT INTO typed VALUES ({', '.join(values)})")
    return server


def test_the_documents_and_the_samples_have_the_same_types():
    assert list(documented()) == list(SAMPLES)


def test_no_type_of_postgresql_is_missing_in_the_documents(server):
    """All base types, ranges and multiranges that a column can have."""
    rows = server.rows(
        """SELECT format_type(oid, NULL) FROM pg_type WHERE oid < 16384 AND typtype IN ('b', 'r', 'm')
           AND typcategory <> 'A' AND typname !~ '^pg_(node|ndis|dep|mcv|brin)' AND typname NOT IN ('gtsvector')"""
    )
    own = ("mood", "positive", "pair", "places", "hstore", "citext")
    names = [re.sub(r"[(].*[)]", "", name) for name in documented() if "[" not in name and name not in own]
    aliases = server.rows(f"SELECT unnest(ARRAY{names}::regtype[])::text")
    assert {name for (name,) in rows} - {name for (name,) in aliases} == set()


def test_plan_shows_the_way_of_every_column_as_documented(typed, program):
    columns = program.report("plan", program.postgres(typed, tables=["typed"]))["relations"][0]["columns"]
    named = {column["name"]: column for column in columns}
    for name, (arrow, parquet) in documented().items():
        shown = re.sub(r"(non-null |, field: 'element'|\"[ab]\": )", "", named[name]["type"])
        assert (shown, named[name]["parquet"]) == (arrow, parquet), name
        is_text_by_cast = arrow in ("Utf8", "List(Utf8)") and not re.match(
            r"(text|varchar|char\(|name|json$|jsonb|mood)", name
        )
        assert bool(named[name]["lossy"]) == is_text_by_cast, name


@pytest.mark.parametrize("form", ["table", "query"])
def test_every_type_survives_value_for_value(typed, program, form):
    # A query's arrays are of one dimension.
    names = [name for name in SAMPLES if form == "table" or name != "int4[][]"]
    columns = ", ".join(f'"{quoted(name)}"' for name in names)
    relation = (
        {"query": f"SELECT {columns} FROM typed", "as": "typed"} if form == "query" else {"table": "typed"}
    )
    program.ok("run", program.postgres(typed, relations=[relation]))
    ways = documented()
    asked = []
    for name in names:
        as_text = ways[name][0] == "Utf8" or name == "inet[]"
        default = '"{0}"::text[]' if name == "inet[]" else '"{0}"::text' if as_text else '"{0}"'
        # A cast to text would lose the blanks that pad it.
        default = '"{0}"' if name == "char(5)" else default
        asked.append(ASKED.get(name, default).format(quoted(name)))
    theirs = typed.rows(f"SELECT {', '.join(asked)} FROM typed")
    same_rows(read(program.lake / "typed"), theirs)
    file = dataset.dataset(program.lake / "typed", format="parquet")
    assert [field.name for field in file.schema] == names


def test_arrow_types_are_what_other_readers_see(typed, program):
    program.ok("run", program.postgres(typed, tables=["typed"]))
    schema = dataset.dataset(program.lake / "typed", format="parquet").schema
    seen = {
        "uuid": pa.uuid(),
        "numeric(76,20)": pa.decimal256(76, 20),
        "timestamptz": pa.timestamp("us", "UTC"),
        "oid": pa.uint32(),
        "money": pa.decimal128(19, 2),
        "int4[][]": pa.list_(pa.field("element", pa.list_(pa.field("element", pa.int32())), nullable=False)),
        "pair": pa.struct([("a", pa.int32()), ("b", pa.string())]),
    }
    assert {name: schema.field(name).type for name in seen} == seen


ENDS = {
    "date": ["4713-01-01 BC", "5874897-12-31"],
    "timestamp": ["4713-01-01 00:00:00 BC", "294246-12-31 23:59:59.999999"],
    "timestamptz": ["4713-01-01 00:00:00+00 BC", "294246-12-31 23:59:59.999999+00"],
}


@pytest.mark.parametrize("kind", ENDS)
def test_dates_and_times_are_exact_to_their_ends(server, program, kind):
    values = ", ".join(f"('{value}'::{kind})" for value in ENDS[kind])
    program.ok("run", program.postgres(server, query=f"SELECT * FROM (VALUES {values}) AS v(c)"))
    column = dataset.dataset(program.lake / "job", format="parquet").to_table()["c"]
    unit = "" if kind == "date" else " * 1000000"
    since = "c - DATE '1970-01-01'" if kind == "date" else f"(extract(epoch FROM c){unit})::int8"
    theirs = server.rows(f"SELECT {since} FROM (VALUES {values}) AS v(c)")
    width = pa.int32() if kind == "date" else pa.int64()
    assert column.cast(width).to_pylist() == [value for (value,) in theirs]


SPECIAL = [
    ("date", "'-infinity'", "infinity"),
    ("timestamp", "'infinity'", "infinity"),
    ("timestamptz", "'-infinity'", "infinity"),
    ("timestamp", "'294276-12-31 23:59:59.999999'", "a time beyond its range"),
    ("time", "'24:00:00'", "24:00:00"),
    ("numeric(5,2)", "'NaN'", "NaN"),
    ("numeric(50,2)", "'NaN'", "NaN"),
    ("date[]", "'{2024-01-01,infinity}'", "infinity"),
]


@pytest.mark.parametrize("kind, value, what", SPECIAL)
def test_what_arrow_has_not_is_refused_or_null_or_text_as_the_job_says(server, program, kind, value, what):
    query = f"SELECT c::{kind} FROM (VALUES ({value}::{kind}), (NULL)) AS v(c)"
    line, code = program.refused("run", program.postgres(server, query=query))
    assert f"column `c` holds {what}" in line and "special_values" in line and code == 4
    assert program.published() == []
    job = program.postgres(server, "null.yaml", {"special_values": "nullify"}, query=query)
    assert "become null" in program.ok("plan", job)
    program.ok("run", job)
    values = [row for (row,) in read(program.lake / "null")]
    assert values == (['["2024-01-01", null]', None] if kind == "date[]" else [None, None])
    program.ok("run", program.postgres(server, "text.yaml", {"special_values": "text"}, query=query))
    cast = "text[]" if kind == "date[]" else "text"
    same_rows(read(program.lake / "text"), server.rows(f"SELECT c::{cast} FROM ({query}) q"))


def test_a_numeric_without_a_precision_is_the_decimal_that_the_job_gives_it(server, program):
    query = "SELECT * FROM (VALUES (1.5), (-12345678901234567890.000000001), (NULL), (1e20)) AS v(c)"
    source = {"numeric": "decimal(38,9)"}
    program.ok("run", program.postgres(server, source=source, query=query))
    same_rows(read(program.lake / "job"), server.rows(query))
    for digits, value in (
        ("decimal(38,8)", "1.000000001"),
        ("decimal(5,2)", "1000"),
        ("decimal(60,8)", "1.000000001"),
    ):
        job = program.postgres(
            server, "refused.yaml", {"numeric": digits}, query=f"SELECT {value}::numeric AS c"
        )
        line, code = program.refused("run", job)
        assert "does not fit exactly" in line and "`numeric: decimal(P,S)`" in line and code == 4
    line, code = program.refused(
        "run", program.postgres(server, "r.yaml", {"numeric": "double"}, query=query)
    )
    assert "`double` is neither `text` nor `decimal(P,S)`" in line and code == 2


@pytest.mark.parametrize("value", ["'{{1,2},{3,4}}'", "'[0:1]={1,2}'"])
def test_an_array_that_is_no_list_is_refused_or_text(server, program, value):
    query = f"SELECT {value}::int4[] AS c"
    line, code = program.refused("run", program.postgres(server, query=query))
    assert "column `c` holds an array" in line and "arrays: text" in line and code == 4
    program.ok("run", program.postgres(server, source={"arrays": "text"}, query=query))
    same_rows(read(program.lake / "job"), server.rows(f"SELECT c::text FROM ({query}) q"))


def test_an_extensions_type_is_refused_where_the_job_says_so(typed, program):
    job = program.postgres(typed, source={"unknown_types": "refuse"}, query="SELECT hstore FROM typed")
    line, code = program.refused("run", job)
    assert "column `hstore` is hstore" in line and "unknown_types" in line and code == 4


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


def test_names_of_any_kind_are_moved(server, program):
    with server.connect() as connection:
        connection.execute(
            '''CREATE TABLE "Odd ""Name""" ("a ""b""" int4, "Ärger" text, "select" bool, "a.b" int, "☃" int)'''
        )
        connection.execute('''INSERT INTO "Odd ""Name""" VALUES (1, 'x', true, 2, 3)''')
    sql = 'SELECT * FROM data WHERE "Ärger" = \'x\' AND "a ""b""" = 1'
    job = program.postgres(
        server, relations=[{"table": '"Odd ""Name"""', "as": "odd name"}], transform=[{"sql": sql}]
    )
    program.ok("run", job)
    assert read(program.lake / "odd name") == [(1, "x", True, 2, 3)]


def test_columns_of_the_same_name_get_numbers(server, program):
    query = 'SELECT 1 AS a, 2 AS b, 3 AS a, 4 AS "A", 5, 6'
    job = program.postgres(server, query=query)
    assert "the query gives two columns `a`" in program.ok("plan", job)
    program.ok("run", job)
    assert read(program.lake / "job") == [(1, 2, 3, 4, 5, 6)]
    names = dataset.dataset(program.lake / "job", format="parquet").schema.names
    assert names == ["a", "b", "a_2", "A", "?column?", "?column?_2"]


def test_a_wide_row_and_large_fields_are_moved(server, program):
    columns = ", ".join(f"{n} AS c{n}" for n in range(1_590))
    query = f"SELECT {columns}, repeat('☃', 3000000) AS large, g FROM generate_series(1, 5) g"
    program.ok("run", program.postgres(server, "wide.yaml", query=query))
    rows = read(program.lake / "wide")
    assert len(rows) == 5 and rows[0][1_590] == "☃" * 3_000_000 and rows[0][1_589] == 1_589


def test_1600_columns_rows_of_a_megabyte_and_a_field_of_100_megabytes_are_moved(server, program):
    with server.connect() as connection:
        columns = ", ".join(f"c{n} int2" for n in range(1_600))
        connection.execute(f"CREATE TABLE widest ({columns})")
        connection.execute("INSERT INTO widest (c0, c1599) SELECT g, -g FROM generate_series(1, 300) g")
    query = "SELECT g, repeat(md5(g::text), 32768) AS text FROM generate_series(1, 100) g"
    job = program.postgres(
        server,
        relations=[
            {"table": "widest"},
            {"query": query, "as": "megabytes"},
            {"query": "SELECT repeat('x', 100000000) AS huge", "as": "huge"},
        ],
    )
    program.ok("run", job)
    same_rows(
        [row[:1] + row[1599:] for row in read(program.lake / "widest")],
        server.rows("SELECT c0, c1599 FROM widest"),
    )
    rows = server.rows("SELECT g, md5(g::text) FROM generate_series(1, 100) g")
    same_rows([(g, text[:32]) for g, text in read(program.lake / "megabytes")], rows)
    assert all(len(text) == 1 << 20 for _, text in read(program.lake / "megabytes"))
    assert [len(value) for (value,) in read(program.lake / "huge")] == [100_000_000]


def test_a_table_without_columns_is_refused_and_one_without_rows_is_moved(server, program):
    with server.connect() as connection:
        connection.execute("CREATE TABLE no_columns (); CREATE TABLE no_rows (a int4, b pg_catalog.date[])")
    line, code = program.refused("run", program.postgres(server, tables=["no_columns"]))
    assert "no_columns" in line and "no columns" in line and code == 4
    program.ok("run", program.postgres(server, tables=["no_rows"]))
    assert read(program.lake / "no_rows") == []
    assert dataset.dataset(program.lake / "no_rows", format="parquet").schema.names == ["a", "b"]
