"""A real HiveServer2 (Spark's Thrift Server) over a real HDFS: tables read from their files, past the server,
and folders that become tables. What only Impala does, against the tests' own server."""

import datetime
import json
import random
import re
import signal
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from support.daemon import Daemon
from support.hive import LOST, Impala
from support.lineage import check
from support.load_modes import Expected, ExpectedVersions, Load, ordered
from support.load_rows import NAMES, SUBSCRIPTIONS, subscriptions
from support.stores import Hdfs
from support.wait import wait_for

pytestmark = [pytest.mark.hdfs, pytest.mark.flaky(reruns=2, only_rerun=LOST)]

PARTS = (
    "SELECT id AS n, cast(id * 1.5 as decimal(12,2)) AS price, concat('t', id) AS name, "
    "date_add(date'2020-01-01', cast(id % 3 as int)) "
    "AS day, if(id % 7 = 0, null, concat('it''s a/b=c:', id % 2)) AS kind FROM range({})"
)


@pytest.fixture(scope="module")
def lake(scratch):
    lake = Hdfs()
    lake.start(scratch / "warehouse-hdfs")
    yield lake
    lake.stop()


@pytest.fixture(scope="module")
def warehouse(spark, lake):
    server = spark
    server.root = f"hdfs://127.0.0.1:{lake.port}/warehouse"
    server.run(
        f"CREATE DATABASE lake LOCATION '{server.root}'",
        "CREATE TABLE lake.parts (n bigint, price decimal(12,2), name string) PARTITIONED BY (day date, "
        "kind string) STORED AS PARQUET",
        f"INSERT INTO lake.parts {PARTS.format(5_000)}",
        "CREATE TABLE lake.plain STORED AS PARQUET AS SELECT id AS n, cast(id as int) AS small FROM range(1000)",
        # A column that came later, and one whose type had room.
        "CREATE TABLE lake.grown (n bigint) STORED AS PARQUET",
        "INSERT INTO lake.grown SELECT id FROM range(10)",
        "ALTER TABLE lake.grown ADD COLUMNS (t string)",
        "INSERT INTO lake.grown SELECT id, 'new' FROM range(10, 20)",
        "CREATE TABLE lake.empty (n bigint) STORED AS PARQUET",
        "CREATE TABLE lake.times STORED AS PARQUET AS SELECT timestamp'2020-01-01 10:00:00' AS t",
        "CREATE TABLE lake.padded (c char(5)) STORED AS PARQUET",
        "CREATE TABLE lake.nested STORED AS PARQUET AS SELECT array(1, 2) AS a",
        "CREATE TABLE lake.texts (n bigint) STORED AS TEXTFILE",
        "CREATE VIEW lake.seen AS SELECT * FROM lake.plain",
        "CREATE TABLE lake.moved (n bigint) PARTITIONED BY (p int) STORED AS PARQUET",
        "INSERT INTO lake.moved SELECT id, id % 2 FROM range(100)",
        f"CREATE EXTERNAL TABLE lake.deep (n bigint) STORED AS PARQUET LOCATION '{server.root}/deep'",
        f"CREATE TABLE lake.inner STORED AS PARQUET LOCATION '{server.root}/deep/inner' AS SELECT id AS n FROM range(10)",
        f"ALTER TABLE lake.moved PARTITION (p = 1) SET LOCATION '{server.root}/elsewhere'",
        "INSERT INTO lake.moved SELECT id, 1 FROM range(1000, 1010)",
    )
    return server


def source(hive, direct="always", **keys):
    return {"url": hive.url(database="lake"), "auth": "nosasl", "direct": direct, **keys}


def rows(program, relation):
    return sorted(
        (tuple(row.values()) for row in pq.read_table(program.lake / relation).to_pylist()), key=repr
    )


@pytest.mark.parametrize("table", ["parts", "plain", "grown", "empty", "moved"])
def test_a_tables_files_hold_what_the_server_says(program, hive, table):
    job = program.job(source(hive), tables=[table], chunk={"bytes": 30_000})
    assert ", directly" in program.ok("plan", job)
    direct = program.report("run", job)
    assert direct["consistency"] == "snapshot"
    own = rows(program, table)
    program.ok(
        "run",
        program.job(source(hive, "never"), tables=[table], target={"url": f"file://{program.lake}/server"}),
    )
    assert own == rows(program, f"server/{table}")
    assert len(own) == {"parts": 5_000, "plain": 1_000, "grown": 20, "empty": 0, "moved": 60}[table]
    schemas = [
        pq.read_schema(next((program.lake / path).glob("*.parquet"))) for path in [table, f"server/{table}"]
    ]
    assert schemas[0].names == schemas[1].names and schemas[0].types == schemas[1].types


def test_only_the_folders_that_a_filter_leaves_are_read(program, hive):
    sql = "SELECT n, kind FROM data WHERE day = DATE '2020-01-02' AND kind IS NULL AND n >= 100"
    job = program.job(source(hive), tables=["parts"], transform=[{"sql": sql}])
    shown = program.ok("plan", job)
    assert re.search(r"2 of 18 files, by their folders, directly", shown), shown
    program.ok("run", job)
    expected = hive.run(
        "SELECT n, kind FROM lake.parts WHERE day = '2020-01-02' AND kind IS NULL AND n >= 100"
    )
    assert rows(program, "parts") == sorted(expected, key=repr)
    joined = program.job(
        source(hive), tables=["parts", "plain"], sql="SELECT count(*) AS n FROM parts JOIN plain USING (n)"
    )
    program.ok("run", joined)
    assert rows(program, "job") == [(1_000,)]


OTHERWISE = {
    "times": "a timestamp, which the server turns into its session's time zone",
    "padded": "a char, which the server fills up",
    "nested": "is List",
    "texts": "not plain Parquet",
    "seen": "it is a view",
    "deep": "lies deeper than the table's files",
}


@pytest.mark.parametrize("table", OTHERWISE)
def test_what_files_might_say_otherwise_is_read_through_the_server(program, hive, table):
    job = program.job(source(hive, "auto"), tables=[table])
    shown = program.ok("plan", job)
    assert "(not directly: " in shown and OTHERWISE[table] in shown, shown
    program.ok("run", job)
    if table == "times":
        # Who wants it so gets the moment that is in the file.
        program.ok(
            "run", program.job(source(hive), tables=[table], target={"url": f"file://{program.lake}/direct"})
        )
        assert rows(program, "direct/times") == [(datetime.datetime(2020, 1, 1, 10),)]
    elif table != "padded":
        line, code = program.refused("run", program.job(source(hive), tables=[table]))
        assert (
            OTHERWISE[table] in line
            and ("`source.direct` is always" in line or "the server" in line)
            and code == 2
        ), line


def test_no_file_is_read_that_the_job_does_not_name(program, hive):
    for under, words in [
        ("hdfs://127.0.0.1:1/", "does not allow"),
        (f"{hive.root}/parts", "does not allow"),
        (hive.root, None),
    ]:
        job = program.job(source(hive, {"files": "auto", "under": [under]}), tables=["plain"])
        shown = program.ok("plan", job)
        assert (words in shown) if words else (", directly" in shown), shown
    # Not even where the catalog itself is on this machine.
    here = {**source(hive, "auto"), "url": hive.url()}
    hive.run("CREATE TABLE IF NOT EXISTS default.here STORED AS PARQUET AS SELECT 1 AS n")
    assert "does not allow to read file:" in program.ok("plan", program.job(here, tables=["here"]))
    line, code = program.refused(
        "run", program.job({"url": f"file://{program.folder}", "direct": "auto"}, tables=["x"])
    )
    assert "files are read directly anyway" in line and code == 2


@pytest.mark.parametrize(
    "keys, words",
    [
        (
            {"direct": "sometimes"},
            "`source.direct`: write never, auto, always, or { files: auto, under: [..] }",
        ),
        ({"direct": {"file": "auto"}}, "unknown key `source.direct.file`; next: did you mean `files`?"),
        ({"direct": {"files": "auto", "under": ["warehouse"]}}, "`source.direct.under`: that is no URL"),
        ({"kerberos": "yes"}, "`source.kerberos`: write true, or { principal: .., keytab: .. }"),
        ({"kerberos": {"keytb": "x"}}, "did you mean `keytab`?"),
    ],
)
def test_what_is_said_of_files_and_logins_is_checked(program, keys, words):
    line, code = program.refused(
        "validate", program.job({"url": "hive://db.internal/x", **keys}, tables=["a"])
    )
    assert words in line and code == 2, line


def test_a_table_that_changes_under_a_run_is_read_anew(program, hive):
    hive.run("CREATE TABLE lake.changing STORED AS PARQUET AS SELECT id AS n FROM range(100)")
    planned = program.job(source(hive), tables=["changing"])
    program.ok("plan", planned)
    hive.run("INSERT OVERWRITE TABLE lake.changing SELECT id FROM range(50)", "REFRESH TABLE lake.changing")
    program.ok("run", planned)
    assert len(rows(program, "changing")) == 50


def registered(program, hive, path, tables=("orders",), sql=None, **keys):
    """A job whose rows go to HDFS, and whose folders become tables of the database `made`."""
    steps = {"transform": [{"sql": sql}]} if sql else {}
    target = {
        "url": f"hdfs://127.0.0.1:{hive.root.split(':')[2].split('/')[0]}/{path}",
        **keys.pop("target", {}),
    }
    register = {"url": hive.url(database="made"), "auth": "nosasl", **keys.pop("register", {})}
    return program.job(
        {"url": "tpch:", "scale": 0.01, "text_mib": 1},
        tables=list(tables),
        target=target,
        register=register,
        **steps,
        **keys,
    )


@pytest.fixture
def made(hive):
    hive.run("DROP DATABASE IF EXISTS made CASCADE", "CREATE DATABASE made")
    return hive


def test_a_published_folder_is_a_table(program, made):
    job = registered(program, made, "new", ["nation", "orders"])
    shown = program.ok("plan", job)
    assert f"register: as tables over {made.root.removesuffix('/warehouse')}/new/.. (impala " in shown, shown
    assert "register: 3.5." in program.ok("test-connection", job)
    report = program.report("run", job)
    assert [relation["registered_as"] for relation in report["relations"]] == ["made.nation", "made.orders"]
    [(count, keys)] = made.run("SELECT count(*), count(DISTINCT o_orderkey) FROM made.orders")
    assert count == keys == report["relations"][1]["rows"]
    assert made.run("SELECT n_name FROM made.nation WHERE n_nationkey = 7") == [("GERMANY",)]
    text = program.ok("run", registered(program, made, "new", ["nation"], target={"mode": "replace"}))
    assert ", table made.nation" in text


def test_a_table_is_a_symlink_of_its_folder_in_lineage(program, made):
    file = program.folder / "lineage.jsonl"
    variables = {"OPENLINEAGE__TRANSPORT__TYPE": "file", "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH": str(file)}
    job = registered(program, made, "told", ["nation"])
    for _ in range(2):
        program.ok("run", job, env=variables)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    for event in events:
        check(event)
    _, planned, _, _, _, published = events
    host, folder = f"127.0.0.1:{made.root.split(':')[2].split('/')[0]}", "/told/nation"
    [output] = published["outputs"]
    assert (output["namespace"], output["name"]) == (f"hdfs://{host}", folder)
    [table] = planned["outputs"][0]["facets"]["symlinks"]["identifiers"]
    catalog = f"hive://{made.url().split('@')[-1].split('//')[-1].split('/')[0]}"
    assert table == {"namespace": catalog, "name": "made.nation", "type": "TABLE"}
    assert output["facets"]["symlinks"]["identifiers"] == [
        {"namespace": catalog, "name": "made.nation_v2", "type": "TABLE"},
        {"namespace": f"hdfs://{host}", "name": f"{folder}_v2", "type": "LOCATION"},
    ]


@pytest.mark.parametrize("location", [True, False])
def test_a_folder_has_one_name_for_its_target_and_its_catalog(program, made, location):
    path = quote(f"50% %25 x#1 q? a+b é {location}")
    job = registered(program, made, path, ["nation"])
    if location:
        url = yaml.safe_load(job.read_text())["target"]["url"]
        job = registered(program, made, path, ["nation"], register={"location": url})
    program.ok("run", job)
    assert made.run("SELECT count(*) FROM made.nation") == [(25,)]
    program.ok("run", registered(program, made, path, ["nation"], target={"mode": "append"}))
    assert made.run("SELECT count(*) FROM made.nation") == [(50,)]


def test_every_type_that_the_catalog_knows_is_there(program, made):
    query = (
        "SELECT true AS b, cast(1 as tinyint) AS i8, cast(2 as smallint) AS i16, 3 AS i32, 4L AS i64, "
        "cast(1.5 as float) AS f, 2.5D AS d, "
        "'t' AS s, cast('x' as binary) AS y, date'2020-02-29' AS day, timestamp'2020-02-29 12:34:56.123456' AS at, 1.25BD AS dec"
    )
    source = {"url": made.url(), "auth": "nosasl"}
    target = {"url": f"{made.root}/types"}
    register = {"url": made.url(database="made"), "auth": "nosasl"}
    program.ok("run", program.job(source, "typed.yaml", query=query, target=target, register=register))
    assert made.run("SELECT * FROM made.typed") == made.run(query)
    types = [row[1] for row in made.run("DESCRIBE made.typed")]
    assert types == [
        "boolean",
        "tinyint",
        "smallint",
        "int",
        "bigint",
        "float",
        "double",
        "string",
        "binary",
        "date",
        "timestamp",
        "decimal(3,2)",
    ]
    nested = program.folder / "nested.parquet"
    pq.write_table(pa.table({"l": [[1, 2]], "s": [{"a": 1, "b": "x"}]}), nested)
    program.ok(
        "run", program.job({"url": f"file://{nested}"}, "nested.yaml", target=target, register=register)
    )
    assert made.run("SELECT l[1], s.b FROM made.nested") == [(2, "x")]
    unsigned = program.folder / "unsigned.parquet"
    pq.write_table(pa.table({"u": pa.array([1], pa.uint64())}), unsigned)
    line, code = program.refused(
        "run", program.job({"url": f"file://{unsigned}"}, "u.yaml", target=target, register=register)
    )
    assert "column `u`: the catalog has no type for UInt64" in line and code == 4


def test_modes_are_those_of_the_folders(program, made):
    def run(mode, sql):
        return program.report(
            "run", registered(program, made, "modes", ["nation"], sql, target={"mode": mode})
        )

    def count(table="made.nation"):
        return made.run(f"SELECT count(*) FROM {table}")[0][0]

    keys = "SELECT n_nationkey AS k FROM data"
    assert run("version", keys)["relations"][0]["registered_as"] == "made.nation"
    assert run("version", keys)["relations"][0]["registered_as"] == "made.nation_v2"
    run("append", keys)
    assert (count(), count("made.nation_v2")) == (50, 25)
    # A column more; files without it have nulls there.
    run("append", "SELECT n_nationkey AS k, n_name AS name FROM data")
    assert count() == 75 and made.run("SELECT count(name) FROM made.nation") == [(25,)]
    job = registered(
        program, made, "modes", ["nation"], "SELECT n_name AS k FROM data", target={"mode": "append"}
    )
    line, code = program.refused("run", job)
    assert "made.nation: its column 1 is `k` bigint, and ours is `k` string" in line and code == 4, line
    run("replace", "SELECT n_name, n_regionkey AS r FROM data WHERE n_nationkey < 5")
    assert made.run("SELECT * FROM made.nation WHERE n_name = 'CANADA'") == [("CANADA", 1)] and count() == 5


def test_a_table_gets_the_columns_that_its_job_lets_through(program, made):
    def job(sql):
        schema = {"on_added": "evolve", "on_removed": "keep", "on_widened": "evolve"}
        return registered(program, made, "drift", ["nation"], sql, target={"mode": "append"}, schema=schema)

    program.ok("run", job("SELECT CAST(n_nationkey AS int) AS k, n_name AS name FROM data"))
    program.ok("run", job("SELECT n_regionkey AS r, n_name AS name, CAST(n_nationkey AS int) AS k FROM data"))
    program.ok("run", job("SELECT CAST(n_nationkey AS int) AS k, n_regionkey AS r FROM data"))
    counts = made.run("SELECT count(*), count(k), count(name), count(r) FROM made.nation")
    assert counts == [(75, 75, 50, 50)]
    # Its files would not be read as the table's type.
    line, code = program.refused("run", job("SELECT n_nationkey AS k FROM data"))
    assert "its column 1 is `k` int, and ours is `k` bigint" in line and code == 4, line


def test_folders_of_values_are_partitions(program, made):
    def run(mode, sql, **keys):
        target = {"mode": mode, "partition_by": ["region", "letter"], **keys}
        return program.ok("run", registered(program, made, "parts", ["nation"], sql, target=target))

    sql = (
        "SELECT n_name AS name, n_regionkey AS region, substr(n_name, 1, 1) AS letter, n_nationkey AS k "
        "FROM data WHERE n_nationkey {}"
    )
    run("version", sql.format("< 20"))
    assert made.run("SELECT count(*), count(DISTINCT region), sum(k) FROM made.nation") == [(20, 5, 190)]
    assert made.run("SELECT k, letter FROM made.nation WHERE name = 'GERMANY' AND region = 3") == [(7, "G")]
    before = len(made.run("SHOW PARTITIONS made.nation"))
    run("append", sql.format(">= 20"))
    assert made.run("SELECT count(*), sum(k) FROM made.nation") == [(25, 300)]
    assert len(made.run("SHOW PARTITIONS made.nation")) > before
    run("replace", sql.format("= 7"))
    assert [row[0] for row in made.run("SHOW PARTITIONS made.nation")] == ["region=3/letter=G"]
    assert made.run("SELECT name FROM made.nation") == [("GERMANY",)]
    job = registered(
        program,
        made,
        "parts",
        ["nation"],
        sql.format("= 7"),
        target={"mode": "append", "partition_by": ["region"]},
    )
    line, code = program.refused("run", job)
    assert "made.nation is there already, with partitions by region, letter" in line and code == 2, line
    # And back, from their files.
    back = {"url": made.url(database="made"), "auth": "nosasl", "direct": "always"}
    program.ok("run", program.job(back, "back.yaml", tables=["nation"]))
    assert rows(program, "nation") == [("GERMANY", 7, 3, "G")]


ORDERS = pa.schema({"id": pa.int64(), "kind": pa.string(), "amount": pa.int32(), "day": pa.date32()})


def an_order(dice):
    return {
        "id": dice.choice([1, 2, 3, 4, 5, None]),
        "kind": dice.choice(["", "a", "NULL", None]),
        "amount": dice.randrange(100),
        "day": datetime.date(2026, 11, dice.randrange(1, 5)),
    }


def loaded(program, made, lake, folder, schema=ORDERS, **target):
    """Loads into a table of the catalog: gives what loads rows, and what tells the rows of the table."""
    load = Load(program, lake, folder, schema, **target)
    register = {"url": made.url(database="made"), "auth": "nosasl"}

    def run(rows):
        report = load.run(rows, register=register)
        assert report["registered_as"] == "made.orders"

    def told():
        names = [row[0] for row in made.run("DESCRIBE made.orders") if not row[0].startswith("#")]
        names = list(dict.fromkeys(names))
        found = made.run(f"SELECT {', '.join(names)} FROM made.orders")
        rows = [dict(zip(names, row, strict=True)) for row in found]
        return ordered({**row, "day": datetime.date.fromisoformat(str(row["day"]))} for row in rows)

    return run, told


@pytest.mark.parametrize("by", [[], ["day"]])
def test_a_merge_into_a_table_is_what_duckdb_makes_of_it(program, made, lake, by):
    how = {"key": ["id", "kind"], "deleted": "amount > 90"}
    folder = f"merged-{len(by)}"
    run, told = loaded(
        program, made, lake, folder, mode="merge", merge={**how, "duplicates": "latest"}, partition_by=by
    )
    dice, expected = random.Random(5), Expected(ORDERS, ["id", "kind"], deleted="amount > 90")
    for size in [30, 10, 1]:
        rows = [an_order(dice) for _ in range(size)]
        run(rows)
        held, _ = expected.load(rows)
        assert told() == held


def test_partitions_of_a_table_that_have_rows_are_replaced(program, made, lake):
    run, told = loaded(program, made, lake, "replaced", mode="replace_partitions", partition_by=["day"])
    dice, held = random.Random(7), {}
    for size in [20, 2, 8]:
        rows = [an_order(dice) for _ in range(size)]
        run(rows)
        held |= {day: [row for row in rows if row["day"] == day] for day in {row["day"] for row in rows}}
        assert told() == ordered(row for rows in held.values() for row in rows)


def test_a_snapshot_of_a_table_replaces_what_arrived_since(program, made, lake):
    run, told = loaded(program, made, lake, "snapshot", mode="snapshot", snapshot={"arrival": "day"})
    dice, held = random.Random(11), []
    for size in [20, 1, 5]:
        rows = [an_order(dice) for _ in range(size)]
        run(rows)
        held = [row for row in held if row["day"] < min(row["day"] for row in rows)] + rows
        assert told() == ordered(held)


def test_a_table_keeps_the_history_of_each_key(program, made, lake):
    how = {"key": ["id"], "track": ["plan", "seats"], "changed_at": "at", **NAMES}
    load = Load(program, lake, "history", SUBSCRIPTIONS, mode="scd2", scd2=how)
    register = {"url": made.url(database="made"), "auth": "nosasl"}
    expected, dice = ExpectedVersions(), random.Random(13)
    columns = "unix_seconds(valid_from), unix_seconds(valid_to), is_current, id, plan, seats, note"
    for size in [8, 6, 2]:
        rows = subscriptions(dice, size)
        load.run(rows, register=register)
        held = expected.load(rows, SUBSCRIPTIONS)
        versions = [
            (int(row["valid_from"].timestamp()), int(row["valid_to"].timestamp()), *list(row.values())[2:])
            for row in held
        ]
        assert sorted(made.run(f"SELECT {columns} FROM made.orders"), key=repr) == sorted(versions, key=repr)
    [(keys, count)] = made.run("SELECT count(DISTINCT sk), count(*) FROM made.orders")
    assert keys == count == len(held)


def test_nobody_elses_table_is_touched(program, made, lake):
    for create, words in [
        ("CREATE TABLE made.nation (n int) STORED AS PARQUET", "its files are the catalog's own"),
        (
            f"CREATE EXTERNAL TABLE made.nation (n int) STORED AS PARQUET LOCATION '{made.root}/other'",
            "over hdfs://",
        ),
        ("CREATE VIEW made.nation AS SELECT 1 AS n", "and it is a view"),
    ]:
        made.run(create)
        line, code = program.refused("run", registered(program, made, "touched", ["region", "nation"]))
        assert words in line and "made.nation is there already" in line and code == 2, line
        assert not [path for path in lake.files("touched") if not path.startswith(".longshore")]
        assert [row[1] for row in made.run("SHOW TABLES IN made")] == ["nation"]
        made.run("DROP VIEW made.nation" if "VIEW" in create else "DROP TABLE made.nation")


WRONG = {
    "csv": ({"target": {"format": "csv"}}, "csv files do not become tables", 2),
    "no scheme": ({"register": {"url": "db.internal"}}, "`register.url` does not begin with a scheme", 2),
    "no catalog": ({"register": {"url": "tpch:", "auth": None}}, "register", 2),
    "unknown key": ({"register": {"databse": "x"}}, "databse", 2),
    "no place": ({"register": {"location": "/lake"}}, "`register.location`: that is no URL", 2),
    "no database": ({"register": {"url": "nowhere"}}, "SCHEMA_NOT_FOUND", 4),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_registered_is_told_before_anything_is_read(program, made, lake, wrong):
    keys, words, code = WRONG[wrong]
    if wrong == "no database":
        keys = {"register": {"url": made.url(database="nowhere")}}
    if wrong == "no catalog":
        job = program.job(
            {"url": "tpch:"},
            tables=["nation"],
            target={"url": f"{made.root}/wrong"},
            register={"url": "tpch:"},
        )
    else:
        job = registered(program, made, "wrong", ["nation"], **keys)
    line, told = program.refused("run", job)
    assert words in line and told == code, line
    assert not [path for path in lake.files("wrong") if not path.startswith(".longshore")]


@pytest.fixture
def impala():
    server = Impala(duckdb.connect())
    server.tables = {}

    def describe(sql):
        name = sql.split("`")[-2]
        if name not in server.tables:
            return f"AnalysisException: Could not resolve path: 'lake.{name}'"
        location, columns = server.tables[name]
        text = [("# col_name", "data_type", "comment"), ("", "", ""), *((n, t, "") for n, t in columns), ("", "", ""),
                ("# Detailed Table Information", "", ""), ("Location:           ", location, ""),
                ("Table Type:         ", "EXTERNAL_TABLE      ", ""),
                ("InputFormat:        ", "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat", "")]  # fmt: skip
        return [("name", "string"), ("type", "string"), ("comment", "string")], text

    def create(sql):
        name = sql.split("`")[3]
        columns = re.findall(
            r"`(\w+)` ([\w<>]+(?:\([^)]*\))?)", sql.split(name + "`", 1)[1].split(" STORED AS ")[0]
        )
        server.tables[name] = (re.search(r"LOCATION '([^']*)'", sql)[1], columns)
        return SUMMARY

    server.answers["^DESCRIBE FORMATTED"] = describe
    server.answers["^CREATE EXTERNAL TABLE"] = create
    server.answers["^(USE|REFRESH|COMPUTE STATS|INVALIDATE|DROP TABLE|ALTER TABLE)"] = SUMMARY
    server.done = lambda: [sql for sql in server.statements if not sql.startswith(("DESCRIBE", "USE"))]
    yield server
    server.stop()


SUMMARY = ([("summary", "string")], [("done",)])


def at_impala(program, impala, tables=("nation",), **keys):
    target = {"url": f"file://{program.lake}", **keys.pop("target", {})}
    register = {"url": impala.url("lake"), "location": "s3a://bucket/lake", **keys.pop("register", {})}
    return program.job(
        {"url": "tpch:", "text_mib": 1}, tables=list(tables), target=target, register=register, **keys
    )


def test_impala_is_told_of_files_and_asked_for_statistics(program, impala):
    program.ok("run", at_impala(program, impala))
    created, *rest = impala.done()
    assert created.startswith(
        "CREATE EXTERNAL TABLE `lake`.`nation` (`n_nationkey` bigint, `n_name` string, `n_regionkey` bigint, `n_comment` string) "
        "STORED AS PARQUET LOCATION 's3a://bucket/lake/nation' TBLPROPERTIES ('external.table.purge' = "
        "'false', 'longshore.run' = '"
    )
    assert rest == ["REFRESH `lake`.`nation`", "COMPUTE STATS `lake`.`nation`"]
    impala.statements.clear()
    program.ok("run", at_impala(program, impala, target={"mode": "append"}, register={"statistics": False}))
    assert impala.done() == ["REFRESH `lake`.`nation`"]


def test_impala_finds_partitions(program, impala):
    program.ok(
        "run",
        at_impala(program, impala, target={"partition_by": ["n_regionkey"]}, register={"statistics": False}),
    )
    created, *rest = impala.done()
    assert "`n_comment` string) PARTITIONED BY (`n_regionkey` bigint) STORED AS PARQUET" in created
    assert rest == ["ALTER TABLE `lake`.`nation` RECOVER PARTITIONS", "REFRESH `lake`.`nation`"]


def test_a_table_that_impala_has_not_heard_of_is_found(program, impala):
    heard = iter(["AnalysisException: Table already exists: lake.nation"])
    create = impala.answers["^CREATE EXTERNAL TABLE"]

    def created(sql):
        create(sql)
        return next(heard)

    impala.answers["^CREATE EXTERNAL TABLE"] = created
    program.ok("run", at_impala(program, impala))
    assert [sql.split(" ")[0] for sql in impala.done()] == ["CREATE", "INVALIDATE", "REFRESH", "COMPUTE"]


def test_a_catalog_that_refuses_takes_back_all_of_it(program, impala):
    create = impala.answers["^CREATE EXTERNAL TABLE"]
    impala.answers["^CREATE EXTERNAL TABLE"] = lambda sql: (
        "AuthorizationException: User 'ada' does not have privileges to execute 'CREATE' on: lake"
        if "`region`" in sql
        else create(sql)
    )
    line, code = program.refused("run", at_impala(program, impala, ["nation", "region"]))
    assert "register" in line and "does not have privileges" in line and code == 5
    assert "DROP TABLE `lake`.`nation`" in impala.statements
    assert program.published() == []


def test_statistics_that_fail_are_a_warning(program, impala):
    impala.answers = {"^COMPUTE STATS": "Memory limit exceeded: x", **impala.answers}
    done = program.call("run", at_impala(program, impala))
    assert done.returncode == 0 and "the table is without statistics" in done.stderr


def test_a_run_that_is_killed_while_it_registers_goes_on_with_it(program, impala):
    create, stuck = impala.answers["^CREATE EXTERNAL TABLE"], []

    def never(sql):
        stuck.append(sql)
        impala.never_done = True
        return create(sql)

    impala.answers["^CREATE EXTERNAL TABLE"] = never
    job = at_impala(program, impala)
    daemon = Daemon(program)
    job.rename(daemon.inbox / job.name)
    wait_for(lambda: stuck)
    daemon.stop(signal.SIGKILL)
    assert [path.suffix for path in (program.lake / "nation").iterdir()] == [".parquet"]
    impala.never_done = False
    impala.answers["^CREATE EXTERNAL TABLE"] = create
    daemon.start()
    [report] = daemon.reports("done")
    daemon.stop()
    assert report["relations"][0]["registered_as"] == "lake.nation"
    assert "COMPUTE STATS `lake`.`nation`" in impala.statements
    assert len([sql for sql in impala.statements if sql.startswith("CREATE")]) == 1


def test_a_store_that_is_out_of_reach_leaves_the_table_to_the_server(program, impala):
    impala.database.execute("CREATE TABLE orders AS SELECT range AS id FROM range(100)")
    impala.tables["orders"] = ("hdfs://127.0.0.1:1/orders", [("id", "bigint")])
    impala.answers["^SHOW"] = "AnalysisException: x"
    hdfs = {"settings": {"dfs.client.failover.max.attempts": "1"}}
    reads = {"url": impala.url(), "direct": {"files": "auto", "hdfs": hdfs}}
    assert "(not directly: hdfs://127.0.0.1:1" in program.ok("plan", program.job(reads, tables=["orders"]))
    program.ok("run", program.job(reads, tables=["orders"]))
    assert pq.read_table(program.lake / "orders").num_rows == 100
    line, code = program.refused(
        "run", program.job({**reads, "direct": {"files": "always", "hdfs": hdfs}}, tables=["orders"])
    )
    assert "127.0.0.1:1" in line and code == 3


def test_impalas_partitions_are_read_from_their_files(program, impala):
    for part in range(3):
        folder = program.folder / f"files/part={part}"
        folder.mkdir(parents=True)
        # Impala does not say of texts that they are text.
        ids = list(range(part, 3_000, 3))
        pq.write_table(pa.table({"id": ids, "name": [f"o{n}".encode() for n in ids]}), folder / "1.parq")
        (folder / "_impala_insert_staging").mkdir()
    at = f"file://{program.folder}/files"
    impala.database.execute(
        "CREATE TABLE orders AS SELECT range AS id, 'o' || range AS name, range % 3 AS part FROM range(3000)"
    )
    impala.tables["orders"] = (at, [("id", "bigint"), ("name", "string")])
    plain = impala.answers["^DESCRIBE FORMATTED"]

    def describe(sql):
        names, text = plain(sql)
        heading = [
            ("# Partition Information", "", ""),
            ("# col_name", "data_type", "comment"),
            ("", "", ""),
            ("part", "bigint", ""),
        ]
        return names, [*text[:4], *heading, *text[4:]]

    impala.answers["^DESCRIBE FORMATTED"] = describe
    columns = [
        ("part", "string"),
        ("#Rows", "bigint"),
        ("#Files", "bigint"),
        ("Size", "string"),
        ("Format", "string"),
        ("Location", "string"),
    ]
    parts = [(str(part), 1_000, 1, "10KB", "PARQUET", f"{at}/part={part}") for part in range(3)]
    impala.answers["^SHOW (PARTITIONS|TABLE STATS)"] = (
        columns,
        [*parts, ("Total", 3_000, 3, "30KB", "", "")],
    )
    reads = {"url": impala.url(), "direct": {"files": "always", "under": [at]}}
    program.ok("run", program.job(reads, tables=["orders"]))
    table = pq.read_table(program.lake / "orders")
    assert (
        sorted(table["id"].to_pylist()) == list(range(3_000))
        and str(table.schema.field("name").type) == "string"
    )
    assert all(row["part"] == row["id"] % 3 and row["name"] == f"o{row['id']}" for row in table.to_pylist())
    assert not [sql for sql in impala.statements if sql.startswith("SELECT `")]
