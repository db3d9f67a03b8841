"""What SQL steps make of numbers, moments and texts is what a database makes of them, or an error; and no step
takes the machine."""

import datetime
import json
import subprocess
import tempfile
from decimal import Decimal as D
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.longshore import LONGSHORE, Program, only

ROWS = pa.table(
    {
        "k": [1, 2, 3],
        "d": pa.array([D("1234567890123456.7"), D("0"), D("1.5")], pa.decimal128(18, 1)),
        "e": pa.array([D("123456.78"), D("123456.79"), D("0.00")], pa.decimal128(12, 2)),
        "f": [0.1234567890123456789, 1e-20, 2.5],
        "b": [9007199254740993, 1, 2],
        "ms": pa.array([1704067200001, -1, 0], pa.timestamp("ms")),
        "ts": pa.array(
            [datetime.datetime(1, 1, 1), datetime.datetime(2024, 1, 1), datetime.datetime(9999, 12, 31)],
            pa.timestamp("us"),
        ),
        "s": ["2024-01-01T23:00:00-05:00", "2024-01-01", "x"],
        "t": ["10:00:00", "10:00", "1000"],
        "z": [0.0, 1.0, 2.0],
    }
)


@pytest.fixture(scope="module")
def program(scratch, cache):
    program = only(Program(Path(tempfile.mkdtemp(prefix="t.", dir=scratch)), cache))
    (program.folder / "in").mkdir()
    pq.write_table(ROWS, program.folder / "in" / "rows.parquet")
    return program


def step(program, sql):
    source = {"url": f"file://{program.folder}/in"}
    target = {"url": f"file://{program.lake}", "format": "json", "mode": "replace"}
    return program.job(source, tables=["rows.parquet"], target=target, transform=[{"sql": sql}])


def made(program, sql):
    """The step's rows, numbers with a point as they are written."""
    program.ok("run", step(program, sql))
    lines = [
        line
        for file in sorted((program.lake / "rows").glob("*.json*"))
        for line in file.read_text().splitlines()
    ]
    return [list(json.loads(line, parse_float=str).values()) for line in lines]


# Rows that a condition leaves

LEFT = {
    "d = CAST('1234567890123456.7' AS DECIMAL(18,1))": [1],
    "d = 1234567890123456.7": [1],
    "d = 1234567890123456.75": [],
    "e = 123456.79": [2],
    "e = '123456.79'": [2],
    "e > 123456.79": [],
    "e >= 123456.79": [2],
    "e BETWEEN 123456.78 AND 123456.79": [1, 2],
    "e IN (123456.79, 123456.78)": [1, 2],
    "CASE e WHEN 123456.79 THEN true END": [2],
    "e IS NOT DISTINCT FROM 123456.79": [2],
    "e = f": [],
    "e < f": [3],
    "e IN (f, 0.5)": [],
    "e IN (SELECT f FROM data)": [],
    "f IN (SELECT e FROM data)": [],
    "e <> ALL (SELECT f FROM data)": [1, 2, 3],
    "k IS DISTINCT FROM 1 AND k < 3": [2],
    "k > 5 OR k IS NOT DISTINCT FROM 2 AND e = 123456.79": [2],
    "NOT k IS DISTINCT FROM 1 OR k = 3": [1, 3],
    "k >= 2 AND k IS DISTINCT FROM 3 OR k = 1": [1, 2],
    "CAST(e AS DECIMAL(10,1)) = 123456.8": [1, 2],
    "CAST(e AS BIGINT) IN (123456, 123457)": [1, 2],
    "CAST(ms AS DATE) = DATE '2024-01-01'": [1],
    "k NOT IN (SELECT k FROM data WHERE k > 1)": [1],
    "e / 2 = 61728.395": [2],
    "e / 2 IN (61728.39, 61728.395)": [1, 2],
    "e / 2 BETWEEN 61728.394 AND 61728.396": [2],
    "CASE WHEN e > 0 THEN e / 2 ELSE 0 END = 61728.395": [2],
    "coalesce(e / 2, 0) = 61728.395": [2],
    "f IN (2.5, 1e-20)": [2, 3],
    "f > 0.5": [3],
    "b = 9007199254740992.0": [],
    "b = 9007199254740993.0": [1],
    "k > 1.5": [2, 3],
    "ms = TIMESTAMP '2024-01-01 00:00:00.0015'": [],
    "ms < TIMESTAMP '2024-01-01 00:00:00.0015'": [1, 2, 3],
    "ms = '2024-01-01 00:00:00.001'": [1],
    "ms = '1969-12-31 23:59:59.9995'": [],
    "ts < TIMESTAMP '9999-12-31 00:00:00'": [1, 2],
    "ts = '9999-12-31'": [3],
    "ts = '0001-01-01 00:00'": [1],
}  # fmt: skip


#: What is computed otherwise than SQL has it, with a word of what says so and of another way.
NOT_SQL = {
    "SELECT k FROM data WHERE k = ANY (SELECT k FROM data)": ("`k` is a column of the query and of the one", "another name"),
    "SELECT k FROM data EXCEPT ALL SELECT 1": ("EXCEPT ALL", "row_number()"),
    "SELECT 1 UNION SELECT k FROM data INTERSECT ALL SELECT 1": ("INTERSECT ALL", "row_number()"),
    "SELECT k FROM data WHERE 9 NOT IN (SELECT b FROM data)": ("NOT IN of a constant", "NOT EXISTS"),
    "SELECT k FROM data WHERE NOT 9 IN (SELECT b FROM data)": ("NOT IN of a constant", "NOT EXISTS"),
    "SELECT k FROM data x WHERE k NOT IN (SELECT b FROM data y WHERE y.k > x.k)": ("depends on the row", "NOT EXISTS"),
    "SELECT k FROM data WHERE CAST(k AS VARCHAR) SIMILAR TO '1%'": ("SIMILAR TO", "LIKE"),
    "SELECT CAST(ts AS TIMESTAMP(3)) AS t FROM data": ("TIMESTAMP(3)", "date_trunc"),
    "SELECT ts::timestamp(0) AS t FROM data": ("TIMESTAMP(0)", "date_trunc"),
    "SELECT CAST('[1]' AS BIGINT[]) AS l FROM data": ("'[1]'", None),
}  # fmt: skip


#: What is wrong in a query, with what says so and a next step.
WRONG = {
    "SELECT k FROM data; SELECT 1": ("several statements", "write one SELECT"),
    "-- nothing": ("no query", "write a SELECT"),
    "SELECT floo(k) AS f FROM data": ("no function `floo`", "there is `floor`"),
    "SELECT k FROM data WHERE k = (SELECT k FROM data)": ("gives several rows", "max(a)"),
    "SELECT (SELECT count(*) FROM data y WHERE y.k < x.k) IN (SELECT k FROM data) AS c FROM data x": (
        "a query within the query", "join"
    ),
    "SELECT date_trunc('month', ts) AS m FROM data": ("from 1677 to 2262", "WHERE"),
}  # fmt: skip


@pytest.mark.parametrize("sql", WRONG)
def test_what_is_wrong_in_a_query_is_said_in_our_words(program, sql):
    said, _ = program.refused("run", step(program, sql))
    assert all(words in said for words in WRONG[sql]), said


@pytest.mark.parametrize("sql", NOT_SQL)
def test_what_is_not_computed_as_sql_has_it_is_refused_with_another_way(program, sql):
    said, _ = program.refused("run", step(program, sql))
    assert all(word is None or word in said for word in NOT_SQL[sql]), said


def test_a_distinct_query_with_a_limit_keeps_every_value(program):
    sql = """WITH s AS (SELECT k FROM data ORDER BY k LIMIT 3),
        t AS (SELECT * FROM s UNION ALL SELECT * FROM s UNION ALL SELECT * FROM s)
        SELECT DISTINCT k FROM t ORDER BY k LIMIT 3"""
    for _ in range(5):
        assert sorted(made(program, sql)) == [[1], [2], [3]]


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("kind", ["DOUBLE", "FLOAT"])
def test_nan_is_the_greatest_double_wherever_it_comes(program, kind, place):
    rows = f"(SELECT k, CASE WHEN k = {place} THEN CAST('NaN' AS {kind}) ELSE CAST(-z AS {kind}) END AS x FROM data)"
    least = -max(z for k, z in [(1, 0.0), (2, 1.0), (3, 2.0)] if k != place)
    found = f"min(x) = {least} AS least, isnan(max(x)) AS greatest"
    assert made(program, f"SELECT {found} FROM {rows}") == [[True, True]]
    assert made(program, f"SELECT {found} FROM {rows} GROUP BY k > 0") == [[True, True]]
    over = found.replace("(x)", "(x) OVER (PARTITION BY k > 0)")
    assert made(program, f"SELECT {over} FROM {rows}") == [[True, True]] * 3
    assert made(program, f"SELECT k FROM {rows} GROUP BY k HAVING max(x) < 0.5 ORDER BY k") == [
        [k] for k in (1, 2, 3) if k != place
    ]


def test_a_cast_that_fails_fails_in_a_condition_too(program):
    said, _ = program.refused("run", step(program, "SELECT k FROM data WHERE CAST(b AS SMALLINT) > 0"))
    assert "9007199254740993" in said, said
    assert made(program, "SELECT k FROM data WHERE TRY_CAST(b AS SMALLINT) > 0 ORDER BY k") == [[2], [3]]


@pytest.mark.parametrize("condition", LEFT)
def test_a_condition_leaves_the_rows_that_it_is_true_of(program, condition):
    assert sorted(row[0] for row in made(program, f"SELECT k FROM data WHERE {condition}")) == LEFT[condition]


# Values

VALUES = {
    "12345678901234567890123": 12345678901234567890123,
    "coalesce(b, 0.5)": "9007199254740993.0",
    "nullif(b, 0.5)": "9007199254740993.0",
    "greatest(b, 1.5)": "9007199254740993.0",
    "e + 0.01": "123456.79",
    "e * 1.1": "135802.458",
    "0.1 + 0.2": "0.3",
    "1.0 / 3": "0.3333333333333333",
    "2 / 3.0": "0.6666666666666666",
    "CAST(1.005 AS DECIMAL(10,2))": "1.01",
    "1e-20": "1e-20",
    "1e3": "1000.0",
    "-1e3": "-1000.0",
    "f * 1.1": "0.13580246791358025",
    "CASE WHEN k = 1 THEN f ELSE d END": "0.12345678901234568",
    "coalesce(f, d)": "0.12345678901234568",
    "nvl2(k, f, d)": "0.12345678901234568",
    "CAST(s AS DATE)": "2024-01-01",
    "to_date(s)": "2024-01-01",
    "CAST(s AS TIMESTAMP WITH TIME ZONE)": "2024-01-02T04:00:00Z",
    "TRY_CAST(s AS TIMESTAMP)": None,
    "CAST(t AS TIME)": "10:00:00",
    "TRY_CAST('1000' AS TIME)": None,
    "TRY_CAST('1e400' AS DOUBLE)": None,
    "CAST('-1.5e3' AS DOUBLE)": "-1500.0",
    "repeat('ab', 3)": "ababab",
    "lpad('x', 3)": "  x",
    "range(1, 4)": [1, 2, 3],
    "b % 7": 9007199254740993 % 7,
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_a_step_makes_the_value_that_a_database_makes(program, value):
    assert made(program, f"SELECT {value} AS x FROM data WHERE k = 1") == [[VALUES[value]]]


def test_what_goes_under_doubles_becomes_one(program):
    rows = made(program, "SELECT d AS x FROM data WHERE k = 3 UNION ALL SELECT f FROM data")
    assert sorted(rows) == [["0.12345678901234568"], ["1.5"], ["1e-20"], ["2.5"]]


@pytest.mark.parametrize(
    "join",
    [
        "JOIN data o ON data.e = o.f",
        "JOIN (SELECT f AS e FROM data) o USING (e)",
        ", data o WHERE data.e = o.f",
    ],
)
def test_a_double_that_is_nearly_a_decimal_joins_nothing(program, join):
    assert made(program, f"SELECT data.k FROM data {join}") == []


REFUSED = {
    "b / 0.0": "division by zero",
    "1e0 / 0": "division by zero",
    "f / z": "division by zero",
    "f % 0": "division by zero",
    "CAST(s AS TIMESTAMP)": "'2024-01-01T23:00:00-05:00' is no timestamp",
    "CAST('2024-13-01' AS DATE)": "'2024-13-01' is no date",
    "CAST('1e400' AS DOUBLE)": "'1e400' is no double",
    "array_repeat(1, 2000000000)": "the limit is 256 MiB",
    "lpad('x', 2147483647)": "the limit is 256 MiB",
    "repeat(s, 100000000)": "the limit is 256 MiB",
    "range(0, 2000000000)": "the limit is 256 MiB",
    "generate_series(b)": "the limit is 256 MiB",
}  # fmt: skip


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_value_is_refused_and_says_so(program, value):
    line, code = program.refused("run", step(program, f"SELECT {value} AS x FROM data WHERE k = 1"))
    assert code == 4 and REFUSED[value] in line and "; next: " in line, line


def test_a_column_of_times_that_are_none_is_refused_by_its_value(program):
    line, _ = program.refused("run", step(program, "SELECT CAST(t AS TIME) AS x FROM data"))
    assert "'1000' is no time" in line, line


# Joins with USING, and what windows give where there is no row

LEFT_ROWS = "(SELECT 5 AS x, 1 AS k UNION ALL SELECT 6, 2) l"
RIGHT_ROWS = "(SELECT 1 AS k, 7 AS y UNION ALL SELECT 3, 8) a"
KEYED = {
    f"SELECT * FROM {LEFT_ROWS} JOIN {RIGHT_ROWS} USING (k)": [[1, 5, 7]],
    f"SELECT * FROM {LEFT_ROWS} FULL JOIN {RIGHT_ROWS} USING (k) WHERE k = 3": [[3, None, 8]],
    f"SELECT * FROM {LEFT_ROWS} FULL JOIN {RIGHT_ROWS} USING (k) WHERE k = 2": [[2, 6, None]],
    f"SELECT y, k FROM {LEFT_ROWS} RIGHT JOIN {RIGHT_ROWS} USING (k) WHERE k > 1": [[8, 3]],
    f"SELECT * FROM {LEFT_ROWS} JOIN {RIGHT_ROWS} USING (k) JOIN (SELECT 9 AS z, 1 AS k) d USING (k)": [[1, 5, 7, 9]],
    f"SELECT * FROM {LEFT_ROWS} JOIN {RIGHT_ROWS} USING (k) WHERE k IN (SELECT k FROM (SELECT 1 AS k) i)": [[1, 5, 7]],
    f"SELECT x, k, y FROM {LEFT_ROWS} JOIN {RIGHT_ROWS} USING (k) WHERE k = 1": [[5, 1, 7]],
    f"SELECT * FROM {LEFT_ROWS} JOIN (SELECT 1 AS k) a USING (k)": [[1, 5]],
}  # fmt: skip


@pytest.mark.parametrize("sql", KEYED)
def test_the_key_of_a_join_with_using_is_one_column_and_the_first(program, sql):
    assert made(program, sql) == KEYED[sql]


def test_what_a_window_gives_where_there_is_no_row_keeps_its_digits(program):
    assert made(program, "SELECT lag(e, 1, 0.5) OVER (ORDER BY k) AS x FROM data ORDER BY k")[0] == ["0.50"]
    assert made(program, "SELECT lead(b, 1, -1) OVER (ORDER BY k) AS x FROM data ORDER BY k")[-1] == [-1]


@pytest.mark.parametrize("value", ["lag(b, 1, 0.5)", "lead(b, 1, CAST(0.5 AS DOUBLE))", "lag(e, 1, 0.005)"])
def test_a_window_refuses_a_default_that_would_lose_digits_and_says_what_to_write(program, value):
    sql = f"SELECT {value} OVER (ORDER BY k) AS x FROM data"
    line, code = program.refused("run", step(program, sql))
    wider = "DOUBLE" if "DOUBLE" in value else "DECIMAL(38,9)"
    assert code == 4 and "would lose digits" in line and f"(CAST(x AS {wider}), ..)" in line, line
    column = value[value.index("(") + 1]
    program.ok("run", step(program, sql.replace(f"({column},", f"(CAST({column} AS {wider}),")))


# Queries that grow while they are planned


def doubling(names):
    steps = [f"t{n} AS (SELECT * FROM t{n - 1} UNION ALL SELECT * FROM t{n - 1})" for n in range(1, names)]
    return ", ".join(["WITH t0 AS (SELECT * FROM data)", *steps]) + f" SELECT count(*) AS c FROM t{names - 1}"


WIDE = {
    "names of names": doubling(30),
    "tables": "SELECT data.k FROM data" + "".join(f", data d{n}" for n in range(300)),
    "a chain of IN": "SELECT k FROM data WHERE k IN (1)" + " IN (true)" * 20_000,
    "INTERVAL of INTERVAL": "SELECT " + "INTERVAL " * 20_000 + "'1 day' AS x FROM data",
    "BETWEEN of BETWEEN": "SELECT k FROM data WHERE k > 0" + " BETWEEN false AND true" * 28,
    "coalesce of coalesce": "SELECT " + "coalesce(" * 28 + "k" + ", 1)" * 28 + " AS x FROM data",
    "shifts": "SELECT k" + " << 1" * 2_000 + " AS x FROM data",
}  # fmt: skip


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize("sql", WIDE.values(), ids=WIDE)
def test_a_query_that_would_grow_is_refused_by_a_limit(program, sql, command):
    limited = ["prlimit", "--data=1500000000", LONGSHORE, command, step(program, sql)]
    done = subprocess.run(
        list(map(str, limited)), env=program.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and "the limit is" in done.stderr and "; next: " in done.stderr, done.stderr


NOT_WIDE = {
    "parentheses": "SELECT " + "(" * 300 + "k" + ")" * 300 + " AS x FROM data",
    "NOT": "SELECT k AS x FROM data WHERE " + "NOT " * 300 + "true",
    "sums": "SELECT k" + " + 1" * 300 + " AS x FROM data",
    "conditions": "SELECT k AS x FROM data WHERE " + " OR ".join(f"k = {n}" for n in range(150)),
    "a choice of many": "SELECT CASE " + " ".join(f"WHEN k = {n} THEN 'x{n}'" for n in range(500)) + " END AS x FROM data",
    "queries": " UNION ALL ".join(["SELECT k AS x FROM data"] * 100),
    "columns": "SELECT " + ", ".join(f"k + {n} AS c{n}" for n in range(1_000)) + " FROM data",
}  # fmt: skip


@pytest.mark.parametrize("sql", NOT_WIDE.values(), ids=NOT_WIDE)
def test_what_is_within_the_limits_is_planned(program, sql):
    program.ok("plan", step(program, sql), seconds=60)
