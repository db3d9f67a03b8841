"""SQL, at the source and here: the same rows and values as the server gives, or an error that says why not."""

import datetime
import json
import re
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from support.compare import read, same_rows
from support.longshore import ROOT, Program

ROWS = 5_000

TABLES = f"""
    DROP SCHEMA IF EXISTS v CASCADE;
    CREATE SCHEMA v;
    SET search_path = v, public;
    SET timezone = 'UTC';
    CREATE TABLE big (id int PRIMARY KEY, k int, "limit" int, t text);
    INSERT INTO big SELECT g, g % 7, g, repeat('x', 100) FROM generate_series(1, {ROWS}) g;
    CREATE VIEW first_rows AS SELECT * FROM big LIMIT 1000;
    CREATE VIEW drawn AS SELECT * FROM big WHERE random() < 0.5;
    CREATE VIEW plain AS SELECT id, k FROM big WHERE k > 1;
    CREATE FUNCTION noisy(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
    CREATE FUNCTION steady(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1; END';
    CREATE SEQUENCE counter;
    CREATE TABLE paths (id int, p text);
    INSERT INTO paths VALUES (1, 'C:\\new'), (2, 'it''s \\'), (3, '\\\\'), (4, 'plain'), (5, NULL), (6, '\\'''), (7, 'a%\\_b'),
        (8, ''), (9, 'a''b'), (10, 'a''''b'), (11, '\\''''\\');
    CREATE TABLE n (id int, s int2, a int4, b int8, d numeric(38,0), f float8);
    INSERT INTO n VALUES (1, 32767, 2147483647, 9223372036854775807, {"9" * 38}, 1.7976931348623157e308),
        (2, -32768, -2147483648, -9223372036854775808, -{"9" * 38}, -1.7976931348623157e308),
        (3, 32767, 2147483647, 9223372036854775807, {"9" * 38}, 5e-324), (4, 1, 1, 1, 1, 1);
    CREATE TABLE small (id int, s int2, a int4, b int8, d numeric(38,0));
    INSERT INTO small SELECT g, g, g, g, g FROM generate_series(1, 10) g;
    CREATE TABLE open_ends (id int, valid_to timestamp, tz timestamptz, d date);
    INSERT INTO open_ends VALUES (1, '9999-12-31', '9999-12-31 00:00Z', '9999-12-31'),
        (2, '2026-01-01 12:00', '2026-01-01 12:00Z', '2026-01-01'), (3, '0001-01-01', '0001-01-01 00:00Z', '0001-01-01'),
        (4, '9999-12-31 23:59:59.999999', '2262-04-12 00:00Z', '2262-04-12'),
        (5, '2000-01-01', '2000-01-01 00:00Z', '2000-01-01'), (6, NULL, NULL, NULL),
        (7, '1677-09-21', '1677-09-21 00:00Z', '1677-09-21');
    CREATE TABLE kinds (id int, c5 char(5), vc varchar(5), u uuid, ti time, tn time(0));
    INSERT INTO kinds VALUES (1, 'ab', 'ab', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '12:00', '12:00'),
        (2, '12345', 'ab   ', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '12:00:00.000001', '00:00'),
        (3, '', '', '00000000-0000-0000-0000-000000000000', '23:59:59.999999', '23:59:59'), (4, NULL, NULL, NULL, NULL, NULL),
        (5, ' ab', ' ab', '0fffffff-ffff-ffff-ffff-ffffffffffff', '00:00', '00:00:01');
    CREATE TABLE o (id int, name text, x int); CREATE TABLE c (id int, name text, y int);
    INSERT INTO o VALUES (1, 'o1', 10), (2, 'o2', 20), (3, 'o3', 30);
    INSERT INTO c VALUES (2, 'c2', 200), (3, 'c3', 300), (4, 'c4', 400);
    CREATE TABLE e (id int, id_2 int, "ID" int); INSERT INTO e VALUES (2, 7, 9);
    CREATE TABLE "q""t" (i int); INSERT INTO "q""t" VALUES (1);
    CREATE TABLE "a.b" (i int); INSERT INTO "a.b" VALUES (2);
    CREATE TABLE "x y" (i int); INSERT INTO "x y" VALUES (3);
    CREATE TABLE "UP" (i int); INSERT INTO "UP" VALUES (4);
    CREATE TABLE "100%41" (i int); INSERT INTO "100%41" VALUES (5);
    CREATE TABLE "Ünï☃" (i int); INSERT INTO "Ünï☃" VALUES (6);
    CREATE VIEW cast_dates AS SELECT x::date AS d FROM (VALUES ('01/02/03'), ('12/11/10')) v(x);
    ANALYZE
"""


@pytest.fixture(scope="module")
def values(server):
    with server.connect() as connection:
        connection.execute(TABLES)
    return server


@pytest.fixture(scope="module")
def shared(scratch, cache):
    return Program(Path(tempfile.mkdtemp(prefix="t.", dir=scratch)), cache)


def theirs(server, sql):
    with server.connect(options="-c search_path=v,public -c timezone=UTC") as connection:
        return connection.execute(sql).fetchall()


# Queries that are not the same rows each time

UNSTABLE = {
    "limit": "SELECT * FROM v.big LIMIT 1000",
    "offset": "SELECT * FROM v.big OFFSET 1000",
    "fetch first": "SELECT * FROM v.big FETCH FIRST 1000 ROWS ONLY",
    "a limit in a subquery": "SELECT * FROM (SELECT * FROM v.big LIMIT 1000) s",
    "a limit in a cte": "WITH s AS (SELECT * FROM v.big LIMIT 1000) SELECT * FROM s",
    "a limit in a condition": "SELECT * FROM v.big WHERE id IN (SELECT id FROM v.big LIMIT 1000)",
    "a window": "SELECT *, row_number() OVER () AS r FROM v.big",
    "a window by name": "SELECT *, rank() OVER w AS r FROM v.big WINDOW w AS (PARTITION BY k)",
    "chance": "SELECT * FROM v.big WHERE random() < 0.5",
    "a volatile function": "SELECT id, v.noisy(k) AS n FROM v.big",
    "a sequence": "SELECT id, nextval('v.counter') AS n FROM v.big",
    "the clock": "SELECT id, clock_timestamp() AS n FROM v.big",
    "a sample": "SELECT * FROM v.big TABLESAMPLE BERNOULLI (50)",
    "a limit in a view": "SELECT * FROM v.first_rows",
    "chance in a view": "SELECT * FROM v.drawn",
}  # fmt: skip

STABLE = {
    "a column": 'SELECT id, "limit" FROM v.big',
    "a text": "SELECT id, 'LIMIT 5 OFFSET 1' AS t FROM v.big",
    "a comment": "SELECT id, k /* LIMIT 5 */ FROM v.big -- OFFSET 5",
    "an immutable function": "SELECT id, v.steady(k) AS n, abs(k) AS a FROM v.big",
    "a view": "SELECT id, k FROM v.plain",
}


def chunks(scans):
    return sum(len(scan["chunks"]) for scan in scans)


@pytest.mark.parametrize("case", [*UNSTABLE, *STABLE])
def test_only_a_query_that_is_the_same_rows_each_time_is_cut(values, program, case):
    query = UNSTABLE.get(case) or STABLE[case]
    job = program.postgres(
        values, relations=[{"query": query, "as": "q", "chunk_by": "id"}], chunk={"rows": 500}
    )
    scans = program.report("plan", job)["relations"][0]["scans"]
    assert chunks(scans) == 1 if case in UNSTABLE else chunks(scans) > 3


@pytest.mark.parametrize("view", ["first_rows", "drawn", "plain"])
def test_only_a_view_that_is_the_same_rows_each_time_is_cut(values, program, view):
    job = program.postgres(values, relations=[{"table": f"v.{view}", "chunk_by": "id"}], chunk={"rows": 500})
    found = chunks(program.report("plan", job)["relations"][0]["scans"])
    assert found > 3 if view == "plain" else found == 1


def test_what_such_queries_give_is_what_one_question_gives(values, program):
    few = ["limit", "a limit in a cte", "a limit in a view", "a window", "a volatile function"]
    relations = [
        {"query": UNSTABLE[case], "as": f"q{number}", "chunk_by": "id"} for number, case in enumerate(few)
    ]
    program.ok("run", program.postgres(values, relations=relations, chunk={"rows": 500}))
    found = [read(program.lake / f"q{number}") for number in range(len(few))]
    assert [len(rows) for rows in found] == [1_000, 1_000, 1_000, ROWS, ROWS]
    assert all(len({row[0] for row in rows}) == len(rows) for rows in found)
    assert sorted(row[-1] for row in found[3]) == list(range(1, ROWS + 1))


# The session's settings

SETTINGS = {
    "standard_conforming_strings": "off", "bytea_output": "escape", "extra_float_digits": "-5", "intervalstyle": "sql_standard",
    "datestyle": "SQL, DMY", "backslash_quote": "off", "escape_string_warning": "off", "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on", "xmloption": "document", "client_encoding": "LATIN1", "search_path": "v, public",
    "enable_seqscan": "off", "default_transaction_isolation": "serializable", "lc_monetary": "C", "timezone": "Asia/Kolkata",
}  # fmt: skip


@pytest.fixture(scope="module")
def odd(values):
    """A user whose sessions begin in every other way than usual."""
    with values.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS odd; CREATE ROLE odd LOGIN SUPERUSER PASSWORD 'secret'")
        for name, value in SETTINGS.items():
            listed = value if name == "search_path" else f"'{value}'"
            connection.execute(f"ALTER ROLE odd SET {name} = {listed}")
    yield values
    with values.connect() as connection:
        connection.execute("DROP ROLE odd")


PATHS = [
    r"p = 'C:\new'", r"p <> 'C:\new'", r"p IN ('C:\new', '\\', '''')", r"p = 'it''s \'", r"p = '\\'", r"p = '\'''",
    r"p LIKE 'C:\\new'", r"p LIKE 'a\%\\\_b'", r"p NOT IN ('C:\new', 'plain')", r"p > '\'", "p = ''", "p IS NULL",
    r"length(p) = 2", r"p = E'C:\\new'",
    "p = 'a''b'", "p = 'a''''b'", r"p = '\''''\'", "p IN ('a''b', 'a''''b')", "p LIKE 'a''%'", "p <> 'a''''b'", "p = ''''''",
    r"p = '\'' OR true --'",
]  # fmt: skip


@pytest.mark.parametrize("condition", PATHS)
def test_a_backslash_is_a_backslash_whatever_the_session_says(odd, program, condition):
    step = {"sql": f"SELECT id, p FROM data WHERE {condition}"}
    job = program.postgres(odd, source={"url": odd.url(user="odd")}, tables=["v.paths"], transform=[step])
    program.ok("run", job)
    same_rows(read(program.lake / "paths"), theirs(odd, f"SELECT id, p FROM paths WHERE {condition}"))


ODD_VALUES = r"""
    SELECT 1 AS id, '\x00ff'::bytea AS raw, 0.1::float8 + 0.2::float8 AS f, 0.1::float4 AS f4,
      interval '1 year -2 days 3:04:05' AS i, timestamp '2026-03-04 05:06:07.8' AS at, timestamptz '2026-03-04 05:06:07+00' AS tz,
      date '2026-03-04' AS d, 'naïve ☃ Ω'::text AS t, '{a,"NULL",NULL}'::text[] AS l, 12.34::money AS m, '<a>x</a>'::xml AS x,
      NULL::int = 1 AS no
"""


@pytest.mark.parametrize("form", ["query", "table"])
def test_a_sessions_settings_change_no_value(odd, program, form):
    with odd.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS v.odd_values; CREATE TABLE v.odd_values AS {ODD_VALUES}")
    relation = (
        {"query": "SELECT * FROM v.odd_values", "as": "q"}
        if form == "query"
        else {"table": "v.odd_values", "as": "q"}
    )
    found = []
    for user in ("postgres", "odd"):
        target = {"url": f"file://{program.lake}", "mode": "replace"}
        program.ok(
            "run",
            program.postgres(odd, source={"url": odd.url(user=user)}, relations=[relation], target=target),
        )
        found += read(program.lake / "q")
    assert found[0] == found[1] and len(found[0]) == 13
    assert found[0][1] == b"\0\xff" and found[0][2] == 0.1 + 0.2 and found[0][8] == "naïve ☃ Ω"


@pytest.mark.parametrize("user, first", [("postgres", "2003-01-02"), ("odd", "2003-02-01")])
def test_a_text_becomes_the_date_that_the_server_makes_of_it(odd, program, user, first):
    query = "SELECT x::date AS d FROM (VALUES ('01/02/03'), ('12/11/10')) v(x)"
    relations = [
        {"query": query, "as": "q"},
        {"table": "v.cast_dates"},
        {"query": "SELECT to_date('01/02/03', 'DD/MM/YY') AS d", "as": "fixed"},
    ]
    program.ok("run", program.postgres(odd, source={"url": odd.url(user=user)}, relations=relations))
    assert min(str(day) for (day,) in read(program.lake / "q")) == first
    same_rows(read(program.lake / "cast_dates"), read(program.lake / "q"))
    assert str(read(program.lake / "fixed")[0][0]) == "2003-02-01"


# What is beyond a type

OVERFLOWS = [
    "SELECT a + a AS x FROM data", "SELECT a - 1 AS x FROM data", "SELECT a * a AS x FROM data", "SELECT b + 1 AS x FROM data",
    "SELECT b * 2 AS x FROM data", "SELECT b - 2 AS x FROM data", "SELECT -b AS x FROM data", "SELECT abs(b) AS x FROM data",
    "SELECT s + s AS x FROM data", "SELECT CAST(b AS int) AS x FROM data", "SELECT CAST(a AS smallint) AS x FROM data",
    "SELECT sum(b) AS x FROM data WHERE id IN (1, 3)", "SELECT sum(b) AS x FROM data WHERE id = 2 OR id > 3 OR id < 1",
    "SELECT sum(d) AS x FROM data WHERE id IN (1, 3)", "SELECT sum(a) AS x FROM data WHERE id IN (1, 3)",
    "SELECT sum(s) AS x FROM data",
    "SELECT d + d AS x FROM data", "SELECT d * d AS x FROM data", "SELECT sum(b) OVER () AS x FROM data WHERE id <> 2",
    "SELECT CAST(f AS bigint) AS x FROM data", "SELECT CAST(f * 10 AS double) AS x FROM data WHERE id = 4",
    "SELECT b + b AS x FROM data WHERE id = 4",
    "SELECT s, sum(b) AS x FROM data WHERE id <> 2 GROUP BY s", "SELECT avg(b) AS x FROM data WHERE id IN (1, 3)",
    "SELECT id AS x FROM data WHERE a + a > 0", "SELECT id AS x FROM data WHERE b + 1 > 0",
    "SELECT id AS x FROM data WHERE b * 2 = 2",
]  # fmt: skip

#: What DataFusion calls otherwise than PostgreSQL.
NAMES = {" double)": " float8)"}


def exact(sql):
    """What the numbers are, worked out with as many digits as they need."""
    for ours, name in NAMES.items():
        sql = sql.replace(ours, name)
    wide = "(SELECT id, s::numeric AS s, a::numeric AS a, b::numeric AS b, d, f FROM n) data"
    return sql.replace("FROM data", f"FROM {wide}")


@pytest.mark.parametrize("sql", OVERFLOWS)
def test_what_overflows_is_right_or_an_error_that_says_so(values, program, sql):
    done = program.call("run", program.postgres(values, tables=["v.n"], transform=[{"sql": sql}]))
    if done.returncode != 0:
        assert re.search(
            "overflow|out of range|can't cast|cannot be cast|does not fit|too large", done.stderr, re.I
        ), done.stderr
        assert done.returncode == 4 and "bug" not in done.stderr and program.published() == []
        return
    rows = theirs(values, exact(sql))
    number = lambda rows: sorted(
        (tuple(float(v) if isinstance(v, float) else Decimal(v) for v in row) for row in rows), key=repr
    )
    if "avg" in sql:
        assert float(read(program.lake / "n")[0][0]) == pytest.approx(float(rows[0][0]))
    else:
        assert number(read(program.lake / "n")) == number(rows)


MUST_FAIL = [
    "SELECT b + 1 AS x FROM data",
    "SELECT sum(b) AS x FROM data",
    "SELECT b * b AS x FROM data",
    "SELECT -(b - 2) * 2 AS x FROM data",
]


@pytest.mark.parametrize("sql", MUST_FAIL)
def test_a_bigint_that_overflows_is_an_error(values, program, sql):
    step = {"sql": sql.replace("FROM data", "FROM data WHERE id IN (1, 3)")}
    line, code = program.refused("run", program.postgres(values, tables=["v.n"], transform=[step]))
    assert re.search("overflow|out of range", line, re.I) and code == 4, line


SCALARS = [
    "a + a",
    "a - 1",
    "a * a",
    "b + 1",
    "b * 2",
    "-b",
    "abs(b)",
    "s + s",
    "d + d",
    "d * d",
    "CAST(b AS int)",
    "b % 3",
    "a + b",
    "b + d",
]
SUMS = [
    "sum(a)",
    "sum(b)",
    "sum(d)",
    "sum(s)",
    "avg(b)",
    "count(*)",
    "max(b) + 1",
    "sum(b + d)",
    "sum(b) - sum(a)",
]


@pytest.fixture(scope="module")
def sums(values, shared):
    found = {}
    for name, made in {"scalars": SCALARS, "sums": SUMS}.items():
        selected = ", ".join(f"{expression} AS c{number}" for number, expression in enumerate(made))
        job = shared.postgres(
            values,
            relations=[{"table": "v.small", "as": name}],
            transform=[{"sql": f"SELECT {selected} FROM data"}],
        )
        shared.ok("run", job)
        for number, expression in enumerate(made):
            column = pq.read_table(shared.lake / name)[f"c{number}"].to_pylist()
            found[expression] = (
                column,
                [value for (value,) in theirs(values, f"SELECT {expression} FROM small")],
            )
    return found


@pytest.mark.parametrize("expression", [*SCALARS, *SUMS])
def test_what_does_not_overflow_is_what_the_server_says(sums, expression):
    ours, expected = (sorted(round(Decimal(value), 6) for value in values) for values in sums[expression])
    assert ours == expected


def test_a_sum_over_several_relations_overflows_aloud(values, program):
    sql = "SELECT sum(n.b + small.b) AS x FROM n JOIN small ON n.id = small.id WHERE n.id IN (1, 3)"
    line, code = program.refused("run", program.postgres(values, tables=["v.n", "v.small"], sql=sql))
    assert re.search("overflow|out of range", line, re.I) and code == 4, line


# Names of columns

JOINED = {
    "SELECT * FROM o JOIN c ON o.id = c.id": (["id", "name", "x", "id_2", "name_2", "y"],
                                              [(2, "o2", 20, 2, "c2", 200), (3, "o3", 30, 3, "c3", 300)]),
    "SELECT o.*, c.* FROM o LEFT JOIN c ON o.id = c.id WHERE o.id = 1": (
        ["id", "name", "x", "id_2", "name_2", "y"], [(1, "o1", 10, None, None, None)]),
    "SELECT o.id, c.id FROM o FULL JOIN c ON o.id = c.id": (["id", "id_2"], [(1, None), (2, 2), (3, 3), (None, 4)]),
    "SELECT a.id, b.id, d.id FROM o a JOIN o b ON a.id = b.id JOIN o d ON a.id = d.id + 1": (
        ["id", "id_2", "id_3"], [(2, 2, 1), (3, 3, 2)]),
    "SELECT o.id, e.id_2, e.id FROM o JOIN e ON o.id = e.id": (["id", "id_2", "id_3"], [(2, 7, 2)]),
    "SELECT e.id, o.id, e.id_2 FROM o JOIN e ON o.id = e.id": (["id", "id_3", "id_2"], [(2, 2, 7)]),
    "SELECT * FROM o JOIN c USING (id)": (["id", "name", "x", "name_2", "y"],
                                          [(2, "o2", 20, "c2", 200), (3, "o3", 30, "c3", 300)]),
    "SELECT id, x, y FROM o FULL JOIN c USING (id)": (["id", "x", "y"],
                                                      [(1, 10, None), (2, 20, 200), (3, 30, 300), (4, None, 400)]),
    "SELECT id, x, y FROM o RIGHT JOIN c USING (id)": (["id", "x", "y"], [(2, 20, 200), (3, 30, 300), (4, None, 400)]),
    "SELECT id, x, y FROM o LEFT JOIN c USING (id)": (["id", "x", "y"], [(1, 10, None), (2, 20, 200), (3, 30, 300)]),
    "SELECT * FROM o LEFT JOIN c USING (id) WHERE x < 30": (
        ["id", "name", "x", "name_2", "y"], [(1, "o1", 10, None, None), (2, "o2", 20, "c2", 200)]),
    "SELECT * FROM o RIGHT JOIN c USING (id) WHERE y > 300": (["id", "name", "x", "name_2", "y"], [(4, None, None, "c4", 400)]),
    "SELECT * FROM c NATURAL FULL JOIN e WHERE y = 400": (["id", "name", "y", "id_2", "ID"], [(4, "c4", 400, None, None)]),
    "SELECT id, count(*) AS n FROM o FULL JOIN c USING (id) GROUP BY id": (["id", "n"], [(1, 1), (2, 1), (3, 1), (4, 1)]),
}  # fmt: skip


@pytest.mark.parametrize("sql", JOINED)
def test_a_joins_columns_have_names_of_their_own_and_the_values_that_exist(values, program, sql):
    names, rows = JOINED[sql]
    tables = [f"v.{name}" for name in ("o", "c", "e") if re.search(rf"\b{name}\b", sql)]
    program.ok("run", program.postgres(values, name="joined.yaml", tables=tables, sql=sql))
    found = pq.read_table(program.lake / "joined")
    # The place of a natural join's key is the planner's.
    assert (
        found.column_names == names if "NATURAL" not in sql else sorted(found.column_names) == sorted(names)
    )
    assert sorted(map(str, zip(*found.select(names).to_pydict().values(), strict=True))) == sorted(
        map(str, rows)
    )


def test_a_query_has_the_same_names_as_a_join(values, program):
    query = "SELECT o.id, c.id, e.id_2, o.name, c.name FROM v.o, v.c, v.e WHERE o.id = 1 AND c.id = 4"
    program.ok("run", program.postgres(values, query=query))
    assert pq.read_table(program.lake / "job").to_pylist() == [
        {"id": 1, "id_3": 4, "id_2": 7, "name": "o1", "name_2": "c4"}
    ]


@pytest.mark.parametrize("format_", ["parquet", "csv", "json", "arrow"])
def test_what_a_join_publishes_can_be_read_again(values, program, format_):
    sql = "SELECT * FROM o JOIN c ON o.id = c.id"
    target = {"url": f"file://{program.lake}", "format": format_}
    program.ok(
        "run", program.postgres(values, name="joined.yaml", tables=["v.o", "v.c"], sql=sql, target=target)
    )
    program.ok(
        "run", program.job({"url": f"file://{program.lake}"}, relations=[{"table": "joined", "as": "again"}])
    )
    same_rows(read(program.lake / "again"), theirs(values, sql))


def test_steps_and_plans_know_the_names_that_were_given(values, program):
    sql = "SELECT * FROM o JOIN c ON o.id = c.id"
    step = {"sql": "SELECT id_2 + 1 AS next, name_2 FROM data WHERE name_2 <> 'c3'"}
    job = program.postgres(values, name="joined.yaml", tables=["v.o", "v.c"], sql=sql, transform=[step])
    assert "next" in program.ok("plan", job)
    program.ok("run", job)
    same_rows(read(program.lake / "joined"), [(3, "c2")])


@pytest.mark.parametrize(
    "sql", ["SELECT x, id AS x FROM data WHERE id = 1", "SELECT x AS x, id AS x FROM data WHERE id = 1"]
)
def test_a_name_that_a_step_gives_twice_is_told_apart_or_refused(values, program, sql):
    done = program.call("run", program.postgres(values, tables=["v.o"], transform=[{"sql": sql}]))
    if done.returncode != 0:
        assert done.returncode == 4 and "`x`" in done.stderr and "Schema error" not in done.stderr, (
            done.stderr
        )
        return
    assert pq.read_table(program.lake / "o").column_names == ["x", "x_2"]
    same_rows(read(program.lake / "o"), [(10, 1)])


APPENDED = {
    "fewer columns": "SELECT id FROM v.o",
    "more columns": "SELECT *, 1 AS more FROM v.o",
    "another name": "SELECT id, name, x AS z FROM v.o",
    "another type": "SELECT id, name, x::text AS x FROM v.o",
}


@pytest.mark.parametrize("case", APPENDED)
def test_what_does_not_go_with_what_is_there_is_not_appended(values, program, case):
    target = {"url": f"file://{program.lake}", "mode": "append"}
    program.ok("run", program.postgres(values, tables=["v.o"], target=target))
    before = program.published()
    line, code = program.refused(
        "run", program.postgres(values, relations=[{"query": APPENDED[case], "as": "o"}], target=target)
    )
    column = {"fewer columns": "name", "more columns": "more", "another name": "z"}.get(case, "x")
    assert f"`{column}`" in line and "/o has" in line and code in (2, 4), line
    assert program.published() == before
    program.ok(
        "run",
        program.postgres(
            values, relations=[{"query": "SELECT id, name, x FROM v.o", "as": "o"}], target=target
        ),
    )
    assert len(read(program.lake / "o")) == 6


PLANNED = {
    "SELECT id * 2 AS doubled, CAST(x AS double) AS as_real FROM data": [
        "doubled.*Int64",
        "as_real.*Float64",
    ],
    "SELECT name, count(*) AS how_many FROM data GROUP BY name": ["name.*Utf8", "how_many.*Int64"],
    "SELECT CAST(x AS decimal(12,3)) AS amount, x > 10 AS large FROM data": [
        r"amount.*Decimal128\(12, 3\)",
        "large.*Boolean",
    ],
    "SELECT id AS x FROM data": ["x.*Int32"],
}


@pytest.mark.parametrize("sql", PLANNED)
def test_a_plan_shows_the_columns_that_will_be_published(values, program, sql):
    job = program.postgres(values, tables=["v.o"], transform=[{"sql": sql}])
    shown = program.ok("plan", job)
    for column in PLANNED[sql]:
        assert re.search(rf"\b{column}", shown), shown
    planned = json.dumps(program.report("plan", job))
    for column in PLANNED[sql]:
        assert f'"{column.split(".")[0]}"' in planned
    program.ok("run", job)
    assert pq.read_schema(next((program.lake / "o").iterdir())).names == [
        column.split(".")[0] for column in PLANNED[sql]
    ]


def test_tables_are_called_as_they_are(values, program):
    names = ['q"t', "a.b", "x y", "UP", "100%41", "Ünï☃"]
    quoted = ['v."{}"'.format(name.replace('"', '""')) for name in names]
    program.ok("run", program.postgres(values, tables=quoted))
    assert sorted(path.name for path in program.lake.iterdir() if path.name != ".longshore") == sorted(names)
    assert [read(program.lake / name) for name in names] == [[(number,)] for number in range(1, 7)]
    program.ok("run", program.postgres(values, name="again.yaml", tables=['"v"."q""t"']))
    assert read(program.lake / 'q"t_v2') == [(1,)]


# Where a query ends

ENDS = {
    "SELECT 1 AS a ; ; -- x": 1, "SELECT 1 AS a;": 1, "SELECT 1 AS a -- x": 1, "SELECT 1 AS a /* ; */ ;/* y */": 1,
    "SELECT ';' AS a;": ";",
    "SELECT '--' AS a": "--", "SELECT $$;--$$ AS a ;": ";--", 'SELECT 1 AS "a;b" ;\n\n;': 1, "-- x\nSELECT 1 AS a": 1,
    "SELECT E'\\';' AS a;": "';",
    "SELECT 1 AS a;\r\n": 1, "/* a /* nested; */ */ SELECT 2 AS a": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def ended(values, shared):
    relations = [{"query": query, "as": f"q{number}"} for number, query in enumerate(ENDS)]
    shared.ok("run", shared.postgres(values, relations=relations))
    return [read(shared.lake / f"q{number}") for number in range(len(ENDS))]


@pytest.mark.parametrize("query", ENDS)
def test_a_query_ends_where_the_server_sees_its_end(ended, query):
    assert ended[list(ENDS).index(query)] == [(ENDS[query],)]


@pytest.mark.parametrize(
    "text", ["\ufeffSELECT 1 AS a;\r\n-- x\r\n", "SELECT 1 AS a;\n\n", "\n\n-- a\nSELECT 1 AS a"]
)
def test_a_file_of_a_query_may_have_what_editors_leave_in_it(values, program, text):
    (program.folder / "q.sql").write_bytes(text.encode())
    program.ok("run", program.postgres(values, name="job.yaml", query_file="q.sql"))
    assert read(program.lake / "job") == [(1,)]


@pytest.mark.parametrize(
    "query", ["SELECT 1; SELECT 2", "SELECT 1 AS a; DROP TABLE v.o", "DELETE FROM v.o", ";", "-- nothing"]
)
def test_two_statements_none_and_others_are_refused(values, program, query):
    line, code = program.refused("run", program.postgres(values, query=query))
    assert code in (2, 4) and len(theirs(values, "SELECT * FROM o")) == 3, line


# Numbers of many digits

NUMERICS = [
    *(f"{value}::numeric({precision},{scale})"
      for precision, scale in [(16, 16), (17, 16), (17, 17), (18, 16), (18, 17), (18, 18), (19, 18), (38, 37)]
      for value in ("0", "-0." + "9" * scale, "0." + "0" * (scale - 1) + "1", "NULL")),
    "52.52::numeric(18,16)", "99.9999999999999999::numeric(18,16)", "9.99::numeric(18,17)",
    "6000000000000000000000000000000000000000000000000000000000000000000000000.01::numeric(76,2)",
    f"-{'9' * 74}.99::numeric(76,2)",
    "0::numeric(76,2)", "0::numeric(76,76)", f"0.{'9' * 76}::numeric(76,76)", f"{'9' * 76}::numeric(76,0)",
    f"1{'0' * 75}::numeric(76,0)",
    f"{'9' * 39}::numeric(39,0)", f"{'9' * 38}.{'9' * 38}::numeric(76,38)", "1e-38::numeric(76,38)",
    "9999.0001::numeric(20,16)",
]  # fmt: skip


@pytest.fixture(scope="module")
def numerics(values, shared):
    columns = [f"c{number} {numeric.rsplit('::')[1]}" for number, numeric in enumerate(NUMERICS)]
    with values.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS v.numerics; CREATE TABLE v.numerics ({', '.join(columns)})")
        connection.execute(f"INSERT INTO v.numerics VALUES ({', '.join(NUMERICS)})")
    relations = [{"table": "v.numerics"}, {"query": "SELECT * FROM v.numerics", "as": "asked"}]
    shared.ok("run", shared.postgres(values, relations=relations))
    return [
        read(shared.lake / "numerics")[0],
        read(shared.lake / "asked")[0],
        theirs(values, "SELECT * FROM v.numerics")[0],
    ]


@pytest.mark.parametrize("number", range(len(NUMERICS)), ids=[numeric[:40] for numeric in NUMERICS])
def test_a_number_keeps_all_its_digits(numerics, number):
    by_table, by_query, expected = (row[number] for row in numerics)
    assert by_table == expected and by_query == expected


# Comparisons mean what they mean at the source

COMPARED = {
    "open_ends": [
        "valid_to = timestamp '9999-12-31 00:00:00'", "valid_to < '9999-12-31'", "valid_to <= '9999-12-31 23:59:59.999999'",
        "valid_to >= timestamp '9999-12-31'", "valid_to <> '9999-12-31'", "valid_to BETWEEN '2262-04-12' AND '9999-12-31'",
        "valid_to > timestamp '2262-04-11 23:47:16.854776'", "valid_to < timestamp '1677-09-22'", "valid_to = '0001-01-01'",
        "valid_to IN ('9999-12-31', '2026-01-01 12:00:00')", "tz = timestamp '2000-01-01 00:00'", "tz = '9999-12-31 00:00:00+00'",
        "tz < '9999-12-31'", "tz >= timestamp '2262-04-12 00:00:00'", "tz > '2000-01-01T00:00:00Z'", "d = '9999-12-31'",
        "d < date '9999-12-31'",
        "valid_to > date '2026-01-01'", "coalesce(valid_to, timestamp '9999-12-31') = timestamp '9999-12-31'", "valid_to = d",
        "CAST(valid_to AS date) = date '9999-12-31'", "valid_to + interval '1 day' > '2026-01-02'",
        "tz IS DISTINCT FROM '9999-12-31'",
    ],
    "kinds": [
        "c5 = 'ab'", "c5 <> 'ab'", "c5 IN ('ab', '12345')", "c5 = 'ab   '", "c5 = ''", "c5 > 'aa'", "c5 BETWEEN '1' AND 'ac'",
        "c5 = ' ab'",
        "c5 NOT IN ('ab')", "vc = 'ab'", "vc = 'ab   '", "c5 IS NOT DISTINCT FROM 'ab'",
        "u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "u <> 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
        "u IN ('ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000')",
        "u > '0fffffff-ffff-ffff-ffff-ffffffffffff'",
        "u BETWEEN '00000000-0000-0000-0000-000000000000' AND 'b0000000-0000-0000-0000-000000000000'", "u IS NULL",
        "ti > time '12:00'", "ti = time '12:00:00'", "ti < time '12:00:00.5'", "ti >= '12:00'",
        "ti BETWEEN time '00:00' AND time '12:00'",
        "ti IN (time '12:00', time '23:59:59.999999')", "tn = time '00:00:01'", "ti <> tn", "ti = '12:00:00.000001'",
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    "table, condition",
    [(table, condition) for table, conditions in COMPARED.items() for condition in conditions],
)
def test_a_comparison_means_what_it_means_at_the_source(values, program, table, condition):
    step = {"sql": f"SELECT id, ({condition}) AS it_is FROM data WHERE {condition}"}
    program.ok("run", program.postgres(values, tables=[f"v.{table}"], transform=[step]))
    same_rows(
        read(program.lake / table), theirs(values, f"SELECT id, ({condition}) FROM {table} WHERE {condition}")
    )


@pytest.mark.parametrize("table", COMPARED)
def test_a_comparison_made_here_is_the_same_as_one_made_there(values, program, table):
    """After an aggregate nothing is asked of the source."""
    columns = {"open_ends": "valid_to, tz, d", "kinds": "c5, vc, u, ti, tn"}[table]
    asked = ", ".join(f"({condition}) AS c{number}" for number, condition in enumerate(COMPARED[table]))
    grouped = f"(SELECT id, {columns}, count(*) AS n FROM {{}} GROUP BY id, {columns})"
    step = {"sql": f"SELECT id, {asked} FROM {grouped.format('data')} g"}
    program.ok("run", program.postgres(values, tables=[f"v.{table}"], transform=[step]))
    ours = {row[0]: row[1:] for row in read(program.lake / table)}
    expected = {
        row[0]: row[1:] for row in theirs(values, f"SELECT id, {asked} FROM {grouped.format(table)} g")
    }
    cells = [
        (COMPARED[table][at], id_, ours[id_][at], value)
        for id_, row in expected.items()
        for at, value in enumerate(row)
    ]
    unlike = [cell for cell in cells if cell[2] != cell[3]]
    assert not unlike


MADE = {
    "SELECT id, CAST(u AS string) AS x FROM data": "SELECT id, u::text FROM kinds",
    "SELECT id, CAST(u AS varchar) AS x FROM data": "SELECT id, u::varchar FROM kinds",
    "SELECT id, upper(CAST(u AS string)) AS x FROM data": "SELECT id, upper(u::text) FROM kinds",
    "SELECT id, CAST(ti AS string) AS x FROM data WHERE id < 4": "SELECT id, ti::text FROM kinds WHERE id < 4",
    "SELECT id, u AS x FROM data": "SELECT id, u FROM kinds",
    "SELECT u AS x, count(*) AS n FROM data GROUP BY u": "SELECT u, count(*) FROM kinds GROUP BY u",
    "SELECT max(ti) AS x, min(ti) AS y FROM data": "SELECT max(ti), min(ti) FROM kinds",
    "SELECT id, CAST('12:30' AS time) > ti AS x FROM data": "SELECT id, time '12:30' > ti FROM kinds",
    "SELECT id, CASE WHEN c5 = 'ab' THEN 1 END AS x FROM data": "SELECT id, CASE WHEN c5 = 'ab' THEN 1 END FROM kinds",
    "SELECT id FROM data WHERE c5 IN (SELECT vc FROM data)": "SELECT id FROM kinds WHERE c5 IN (SELECT vc FROM kinds)",
    "SELECT id FROM data WHERE vc IN (SELECT c5 FROM data)": "SELECT id FROM kinds WHERE vc::text IN (SELECT c5 FROM kinds)",
    "SELECT id FROM data WHERE c5 IN (SELECT c5 FROM data WHERE id > 1)":
        "SELECT id FROM kinds WHERE c5 IN (SELECT c5 FROM kinds WHERE id > 1)",
    "SELECT id FROM data WHERE c5 NOT IN (SELECT trim(vc) FROM data WHERE id < 4)":
        "SELECT id FROM kinds WHERE c5 NOT IN (SELECT trim(vc) FROM kinds WHERE id < 4)",
    "SELECT a.id, b.id AS r FROM data a JOIN (SELECT id, trim(vc) AS c5 FROM data) b USING (c5)":
        "SELECT a.id, b.id FROM kinds a JOIN (SELECT id, trim(vc) AS c5 FROM kinds) b USING (c5)",
}  # fmt: skip


@pytest.mark.parametrize("sql", MADE)
def test_what_a_step_makes_of_such_values_is_what_the_server_makes_of_them(values, program, sql):
    program.ok("run", program.postgres(values, tables=["v.kinds"], transform=[{"sql": sql}]))
    found = pq.read_table(program.lake / "kinds")
    text = lambda rows: sorted(tuple(map(str, row)) for row in rows)
    assert text(zip(*found.to_pydict().values(), strict=True)) == text(theirs(values, MADE[sql]))


JOINED_BY = ["a.u = b.u", "a.c5 = b.c5", "a.ti = b.ti", "a.tn < b.ti AND a.id = b.id"]


@pytest.mark.parametrize("on", JOINED_BY)
def test_relations_are_joined_by_such_values(values, program, on):
    sql = f"SELECT a.id AS l, b.id AS r FROM a JOIN b ON {on}"
    relations = [{"table": "v.kinds", "as": name} for name in "ab"]
    program.ok("run", program.postgres(values, name="joined.yaml", relations=relations, sql=sql))
    same_rows(
        read(program.lake / "joined"),
        theirs(values, sql.replace("FROM a JOIN b", "FROM kinds a JOIN kinds b")),
    )


def test_an_open_end_can_be_written_by_a_step(values, program):
    open_end = "coalesce(valid_to, timestamp '9999-12-31') AS filled"
    made = f"timestamp '9999-12-31 23:59:59' AS valid_to, CAST('9999-12-31' AS date) AS d, {open_end}"
    job = program.postgres(
        values, tables=["v.open_ends"], transform=[{"sql": f"SELECT id, {made} FROM data"}]
    )
    program.ok("run", job)
    found = duckdb.sql(
        f"SELECT DISTINCT valid_to::VARCHAR, d::VARCHAR FROM '{program.lake}/open_ends/*.parquet'"
    ).fetchall()
    assert found == [("9999-12-31 23:59:59", "9999-12-31")]
    ends = {row[0]: row[3] for row in read(program.lake / "open_ends")}
    assert ends[6] == datetime.datetime(9999, 12, 31)


# The server's time zone


@pytest.fixture
def new_york(server):
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS new_york")
        connection.execute("CREATE DATABASE new_york")
        connection.execute("ALTER DATABASE new_york SET timezone = 'America/New_York'")
    with server.connect(dbname="new_york") as connection:
        connection.execute(
            "CREATE VIEW days AS SELECT t, t::date AS d FROM (VALUES (timestamptz '2026-01-01 02:00:00+00')) v(t)"
        )
    return server


def test_moments_are_the_same_and_the_documents_say_in_which_zone_a_view_casts(new_york, program):
    url = new_york.url().removesuffix("postgres") + "new_york"
    program.ok("run", program.postgres(new_york, source={"url": url}, tables=["days"]))
    [(moment, day)] = read(program.lake / "days")
    assert moment == datetime.datetime(2026, 1, 1, 2, tzinfo=datetime.UTC) and str(day) in (
        "2026-01-01",
        "2025-12-31",
    )
    documents = (ROOT / "docs/how-to/postgres.md").read_text()
    keys = re.findall(r"^\| `(\w*time_?zone\w*)` \| (.*?) \| (.*?) \|$", documents, re.M)
    assert keys, "a key that keeps the server's own zone is not documented"
    for value in ("server", "America/New_York"):
        source = {"url": url, keys[0][0]: value}
        keeping = program.postgres(
            new_york, source=source, name="kept.yaml", relations=[{"table": "days", "as": "kept"}]
        )
        if program.call("run", keeping).returncode == 0:
            assert str(read(program.lake / "kept")[0][1]) == "2025-12-31"
            return
    pytest.fail(f"`{keys[0][0]}` keeps no zone")
