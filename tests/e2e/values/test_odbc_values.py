"""ODBC: no row is left out, no value is cut or made NULL, and no name stands twice."""

import sqlite3
import tempfile
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support.compare import read, same_rows
from support.longshore import Program
from support.odbc import postgres

pytestmark = pytest.mark.odbc

ROWS = 1_000


def table(program, name):
    return pq.read_table(program.lake / name)


class Sqlite:
    """A file of SQLite, and all that was asked of it."""

    def __init__(self, folder):
        self.path = folder / "shop.db"
        self.connection = sqlite3.connect(self.path)
        self.source = {"url": f"sqlite://{self.path}"}

    def run(self, script):
        self.connection.executescript(script)

    def rows(self, sql):
        return self.connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shared(scratch, cache):
    return Program(Path(tempfile.mkdtemp(prefix="t.", dir=scratch)), cache)


@pytest.fixture
def sqlite(program):
    return Sqlite(program.folder)


def test_a_value_that_is_too_large_is_told_with_its_column(sqlite, program):
    sqlite.run(
        "CREATE TABLE large (id integer PRIMARY KEY, v blob); INSERT INTO large VALUES (1, zeroblob(140 << 20))"
    )
    line, code = program.refused("run", program.job(sqlite.source, tables=["large"]))
    assert code == 4 and "large: " in line and "column `v`: a value of more than 128 MiB" in line, line


@pytest.fixture(scope="module")
def databases(server, mariadb, shared):
    """For each database, its source and how something is run there."""
    sqlite_ = Sqlite(shared.folder)

    def postgresql(*statements):
        with server.connect() as connection:
            for statement in statements:
                connection.execute(statement)

    return {
        "sqlite": (sqlite_.source, lambda *statements: sqlite_.run(";".join(statements))),
        "mariadb": (mariadb.source(), mariadb.run),
        "postgresql": (postgres(server), postgresql),
    }


DATABASES = ["sqlite", "mariadb", "postgresql"]

# Rows of SQLite, whatever its columns are called

NUMBERED = f"WITH RECURSIVE g(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < {ROWS})"
#: What each table is called, its columns, and what row `i` has.
MANY = {
    "rowid_with_nulls": ("rowid INTEGER, v TEXT", "CASE WHEN i % 3 > 0 THEN i END, 'v' || i"),
    "rowid_all_null": ("rowid INTEGER, v TEXT", "NULL, 'v' || i"),
    "rowid_of_texts": ("rowid TEXT, v TEXT", "'r' || i, 'v' || i"),
    "rowid_alike": ('"RowID" INTEGER, v TEXT', "i % 2, 'v' || i"),
    "two_taken": ("rowid INTEGER, oid INTEGER, v TEXT", "NULL, i % 5, 'v' || i"),
    "all_taken": ("rowid INTEGER, oid INTEGER, _rowid_ INTEGER, v TEXT", "NULL, NULL, NULL, 'v' || i"),
    "a_key_with_nulls": ("k INT PRIMARY KEY, v TEXT", "CASE WHEN i % 4 > 0 THEN i END, 'v' || i"),
    "a_key_downwards": ("k INTEGER PRIMARY KEY DESC, v TEXT", "-i, 'v' || i"),
    "a_key_of_texts": ("k TEXT PRIMARY KEY, v TEXT", "'k' || i, 'v' || i"),
    "deleted": ("k INTEGER, v TEXT", "i, 'v' || i"),
    "seen": ("k INTEGER PRIMARY KEY, v TEXT", "i, 'v' || i"),
}
OTHERS = f"""
    CREATE TABLE without_rowid (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
    {NUMBERED} INSERT INTO without_rowid SELECT 'k' || i, 'v' || i FROM g;
    DELETE FROM deleted WHERE k % 2 = 0 OR k < 300;
    CREATE VIEW a_view AS SELECT v, k FROM seen;
    ANALYZE
"""


@pytest.fixture(scope="module")
def many(shared):
    folder = shared.folder / "many"
    folder.mkdir()
    sqlite = Sqlite(folder)
    for name, (columns, values) in MANY.items():
        sqlite.run(f"CREATE TABLE {name} ({columns}); {NUMBERED} INSERT INTO {name} SELECT {values} FROM g")
    sqlite.run(OTHERS)
    shared.ok(
        "run", shared.job(sqlite.source, tables=[*MANY, "without_rowid", "a_view"], chunk={"rows": 100})
    )
    return sqlite


@pytest.mark.parametrize("name", [*MANY, "without_rowid", "a_view"])
def test_every_row_of_sqlite_arrives_whatever_its_columns_are_called(shared, many, name):
    same_rows(read(shared.lake / name), many.rows(f"SELECT * FROM {name}"))


@pytest.mark.parametrize("name", ["rowid_with_nulls", "a_key_with_nulls", "two_taken"])
def test_a_column_with_nulls_cuts_without_losing_them(program, many, name):
    column = {"a_key_with_nulls": "k"}.get(name, "rowid")
    job = program.job(many.source, relations=[{"table": name, "chunk_by": column}], chunk={"rows": 100})
    done = program.call("run", job)
    if done.returncode == 0:
        same_rows(read(program.lake / name), many.rows(f"SELECT * FROM {name}"))
    else:
        assert "`chunk_by`" in done.stderr and done.returncode in (2, 4), done.stderr


# NULs

NULS = {
    "within": "a\0b",
    "first": "\0ab",
    "last": "ab\0",
    "alone": "\0",
    "two": "a\0\0b\0c",
    "long": "x" * 70_000 + "\0" + "y" * 70_000,
    "wide": "é\0☃",
}


@pytest.mark.parametrize("form", ["table", "query"])
@pytest.mark.parametrize("case", NULS)
def test_a_nul_in_a_text_of_sqlite_is_a_character_or_an_error_that_names_the_column(
    program, sqlite, case, form
):
    sqlite.run("CREATE TABLE t (id INTEGER PRIMARY KEY, a_text TEXT, b BLOB)")
    rows = [(1, "plain", b"a\0b"), (2, NULS[case], b"\0"), (3, "", b"")]
    sqlite.connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    sqlite.connection.commit()
    relation = {"table": "t"} if form == "table" else {"query": "SELECT id, a_text, b FROM t", "as": "t"}
    done = program.call("run", program.job(sqlite.source, relations=[relation]))
    if done.returncode != 0:
        assert "`a_text`" in done.stderr and done.returncode == 4, done.stderr
        return
    found = table(program, "t").sort_by("id").to_pylist()
    assert [row["a_text"] for row in found] == [row[1] for row in rows]
    assert form == "query" or [row["b"] for row in found] == [row[2] for row in rows]


def test_an_expression_with_a_nul_is_not_cut(program, sqlite):
    query = "SELECT 'a' || char(0) || 'b' AS x, length('a' || char(0) || 'b') AS n"
    done = program.call("run", program.job(sqlite.source, query=query))
    if done.returncode != 0:
        assert "`x`" in done.stderr and done.returncode == 4, done.stderr
        return
    assert table(program, "job")["x"].to_pylist() == ["a\0b"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("fetch", ["auto", "rows"])
def test_a_nul_in_a_text_of_mariadb_is_a_character_or_an_error_that_names_the_column(
    program, mariadb, encoding, fetch
):
    mariadb.run("DROP TABLE IF EXISTS nuls",
                "CREATE TABLE nuls (id int, v varchar(20), t text, b varbinary(9)) CHARACTER SET utf8mb4",
                "INSERT INTO nuls VALUES (1, 'plain ☃', 'plain', x'00ff'), "
                "(2, CONCAT('a', CONVERT(x'00' USING utf8mb4), 'b😀'), 'z', x'00'), "
                "(3, '', CONCAT(CONVERT(x'00' USING utf8mb4), 'é'), '')")  # fmt: skip
    done = program.call("run", program.job(mariadb.source(encoding=encoding, fetch=fetch), tables=["nuls"]))
    if done.returncode != 0:
        assert ("`v`" in done.stderr or "`t`" in done.stderr) and done.returncode == 4, done.stderr
        return
    assert table(program, "nuls").sort_by("id").to_pydict() == {
        "id": [1, 2, 3], "v": ["plain ☃", "a\0b😀", ""], "t": ["plain", "z", "\0é"], "b": [b"\0\xff", b"\0", b""],
    }  # fmt: skip


# Days that there are not

ZEROS = {
    "a date": ("date NOT NULL", "0000-00-00"),
    "a date that may be null": ("date NULL", "0000-00-00"),
    "a moment": ("datetime NOT NULL", "0000-00-00 00:00:00"),
    "a moment with microseconds": ("datetime(6) NOT NULL", "0000-00-00 00:00:00.000000"),
    "a moment of the world": ("timestamp NOT NULL DEFAULT '2026-01-01 00:00:00'", "0000-00-00 00:00:00"),
    "no day": ("date NOT NULL", "2026-02-00"),
    "no month": ("date NOT NULL", "2026-00-01"),
    "no day of this month": ("date NOT NULL", "2026-02-31"),
}


@pytest.mark.parametrize("fetch", ["auto", "rows"])
@pytest.mark.parametrize("case", ZEROS)
def test_a_day_that_there_is_not_is_an_error_and_not_null(program, mariadb, case, fetch):
    type_, text = ZEROS[case]
    mariadb.run("SET sql_mode = 'ALLOW_INVALID_DATES'", "DROP TABLE IF EXISTS zeros",
                f"CREATE TABLE zeros (id int, the_day {type_})",
                f"INSERT INTO zeros VALUES (1, '2026-01-01'), (2, '{text}'), (3, '2026-01-03')")  # fmt: skip
    line, code = program.refused("run", program.job(mariadb.source(fetch=fetch), tables=["zeros"]))
    assert "`the_day`" in line and code == 4, line
    assert program.published() == []


def test_days_that_are_no_zeros_arrive(program, mariadb):
    mariadb.run("DROP TABLE IF EXISTS ends", "CREATE TABLE ends (id int, d date, t time(6), at datetime(6))",
                "INSERT INTO ends VALUES (1, '1000-01-01', '00:00:00', '1000-01-01 00:00:00'), (3, NULL, NULL, NULL), "
                "(2, '9999-12-31', '23:59:59.999999', '9999-12-31 23:59:59.999999'), "
                "(4, '0001-01-01', '12:00', '0001-01-01 00:00:00')")  # fmt: skip
    program.ok("run", program.job(mariadb.source(), tables=["ends"]))
    same_rows(
        [(row["id"], row["d"], row["at"]) for row in table(program, "ends").to_pylist()],
        mariadb.run("SELECT id, d, at FROM ends"),
    )
    assert table(program, "ends")["d"].to_pylist().count(date(9999, 12, 31)) == 1
    mariadb.run("INSERT INTO ends VALUES (5, '2026-01-01', '838:59:59', '2026-01-01')")
    line, code = program.refused("run", program.job(mariadb.source(), tables=["ends"]))
    assert "`t`" in line and code == 4, line


# Names that stand twice

PAIRS = [
    "CREATE TABLE left_(id int, name varchar(9), x int)", "CREATE TABLE right_(id int, name varchar(9), id_2 int)",
    "INSERT INTO left_ VALUES (1, 'l1', 10), (2, 'l2', 20), (3, 'l3', 30)",
    "INSERT INTO right_ VALUES (2, 'r2', 200), (3, 'r3', 300), (4, 'r4', 400)",
]  # fmt: skip

TWICE = {
    "SELECT a.id, a.name, b.id, b.name FROM left_ a JOIN right_ b ON a.id = b.id": (
        ["id", "name", "id_2", "name_2"], [(2, "l2", 2, "r2"), (3, "l3", 3, "r3")]),
    "SELECT a.*, b.* FROM left_ a JOIN right_ b ON a.id = b.id": (
        ["id", "name", "x", "id_3", "name_2", "id_2"], [(2, "l2", 20, 2, "r2", 200), (3, "l3", 30, 3, "r3", 300)]),
    "SELECT * FROM left_ a LEFT JOIN left_ b ON a.id = b.id + 1": (
        ["id", "name", "x", "id_2", "name_2", "x_2"],
        [(1, "l1", 10, None, None, None), (2, "l2", 20, 1, "l1", 10), (3, "l3", 30, 2, "l2", 20)]),
    "SELECT a.id, b.id, c.id FROM left_ a, left_ b, left_ c WHERE a.id = 1 AND b.id = 2 AND c.id = 3": (
        ["id", "id_2", "id_3"], [(1, 2, 3)]),
    "SELECT id, id FROM left_ WHERE id = 1": (["id", "id_2"], [(1, 1)]),
}  # fmt: skip


@pytest.fixture(scope="module")
def pairs(databases, shared):
    found = {}
    for database, (source, run) in databases.items():
        for name in ("left_", "right_"):
            run(f"DROP TABLE IF EXISTS {name}")
        run(*PAIRS)
        relations = [{"query": query, "as": f"{database}_{number}"} for number, query in enumerate(TWICE)]
        found[database] = shared.call("run", shared.job(source, relations=relations))
    return found


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("query", TWICE)
def test_a_name_that_stands_twice_is_told_apart(shared, pairs, database, query):
    assert pairs[database].returncode == 0, pairs[database].stderr
    names, rows = TWICE[query]
    folder = f"{database}_{list(TWICE).index(query)}"
    found = table(shared, folder)
    number = lambda value: int(value) if isinstance(value, str) and value.isdigit() else value
    assert found.column_names == names
    same_rows([tuple(map(number, row)) for row in read(shared.lake / folder)], rows)


@pytest.mark.parametrize("database", DATABASES)
def test_steps_know_the_names_that_were_given(program, pairs, databases, database):
    query = list(TWICE)[0]
    step = {"sql": "SELECT name_2, id_2 FROM data WHERE name_2 = 'r3'"}
    job = program.job(databases[database][0], relations=[{"query": query, "as": "q"}], transform=[step])
    program.ok("run", job)
    assert [tuple(map(str, row)) for row in read(program.lake / "q")] == [("r3", "3")]


# Texts in conditions

TEXTS = ["C:\\new", "C:\new", "it's \\", "\\\\", "plain", "\\'", "a'b", "a''b", "", "ß", None]
ASKED = [
    "C:\\new",
    "C:\new",
    "it's \\",
    "\\\\",
    "\\'",
    "a'b",
    "a''b",
    "",
    "PLAIN",
    "plain ",
    "ss",
    "\\' OR 1 = 1 -- ",
]


def quoted(text):
    return "NULL" if text is None else "'" + text.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def texts(databases):
    for database, (_, run) in databases.items():
        plainly = ["SET sql_mode = 'NO_BACKSLASH_ESCAPES'"] if database == "mariadb" else []
        rows = ", ".join(f"({number}, {quoted(text)})" for number, text in enumerate(TEXTS))
        run(*plainly, "DROP TABLE IF EXISTS texts", "CREATE TABLE texts (id int, p varchar(20))")
        run(*plainly, f"INSERT INTO texts VALUES {rows}")
    return databases


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("asked", ASKED)
def test_a_text_in_a_condition_is_that_text_at_every_source(program, texts, database, asked):
    step = {"sql": f"SELECT id, p FROM data WHERE p = {quoted(asked)}"}
    program.ok("run", program.job(texts[database][0], tables=["texts"], transform=[step]))
    assert read(program.lake / "texts") == [
        (number, text) for number, text in enumerate(TEXTS) if text == asked
    ]


# As many chunks as there are rows for

LAST = 2**63 - 1
SPARSE = {
    "two": [1, LAST],
    "both ends": [-(2**63), LAST],
    "three": [-LAST, 0, LAST],
    "one far away": [*range(1, 301), LAST - 1],
    "two heaps": [*range(-LAST, -LAST + 150), *range(LAST - 150, LAST)],
    "none": [],
}


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("case", SPARSE)
def test_chunks_are_as_many_as_there_are_rows_for(program, databases, database, case):
    source, run = databases[database]
    keys, name = SPARSE[case], f"sparse_{list(SPARSE).index(case)}"
    type_ = "INTEGER" if database == "sqlite" else "bigint"
    run(f"DROP TABLE IF EXISTS {name}", f"CREATE TABLE {name} (id {type_} PRIMARY KEY, v int)")
    for begin in range(0, len(keys), 500):
        run(f"INSERT INTO {name} VALUES {', '.join(f'({key}, 1)' for key in keys[begin : begin + 500])}")
    run({"sqlite": "ANALYZE", "mariadb": f"ANALYZE TABLE {name}", "postgresql": f"ANALYZE {name}"}[database])
    job = program.job(source, tables=[name], chunk={"rows": 50})
    [relation] = program.report("plan", job)["relations"]
    assert sum(len(scan["chunks"]) for scan in relation["scans"]) <= 2 + 2 * len(keys) / 50
    program.ok("run", job)
    assert sorted(table(program, name)["id"].to_pylist()) == keys


def test_a_key_without_a_sign_is_cut_up_to_its_end(program, mariadb):
    keys = [0, 1, 2**63, 2**64 - 1]
    mariadb.run("DROP TABLE IF EXISTS unsigned_", "CREATE TABLE unsigned_ (id bigint unsigned PRIMARY KEY)",
                f"INSERT INTO unsigned_ VALUES {', '.join(f'({key})' for key in keys)}", "ANALYZE TABLE unsigned_")  # fmt: skip
    job = program.job(mariadb.source(), tables=["unsigned_"], chunk={"rows": 1})
    program.ok("run", job)
    assert sorted(table(program, "unsigned_")["id"].to_pylist()) == keys


def test_dense_keys_are_still_cut(program, sqlite):
    sqlite.run(
        f"CREATE TABLE dense (id INTEGER PRIMARY KEY, v TEXT); {NUMBERED} INSERT INTO dense SELECT i, 'v' FROM g"
    )
    job = program.job(sqlite.source, tables=["dense"], chunk={"rows": 100})
    assert 8 <= len(program.report("plan", job)["relations"][0]["scans"][0]["chunks"]) <= 12
    program.ok("run", job)
    assert sorted(table(program, "dense")["id"].to_pylist()) == list(range(1, ROWS + 1))
