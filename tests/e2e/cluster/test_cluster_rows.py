"""A cluster gives what one machine gives: the same rows, the same files for each chunk, the same manifest."""

import io
import json
from pathlib import Path

import pyarrow.dataset
import pyarrow.parquet
import pytest

from support.longshore import PLUGINS
from support.stores import S3, Azure, job, rows, visible

TPCH = {"url": "tpch:", "scale": 0.02, "text_mib": 1}


def tables_of(folder):
    """The rows of each file, in the order of the files' chunks; names of files have their attempts in them."""
    files = sorted(folder.glob("*.parquet"), key=lambda path: path.name.split("-")[1])
    return [pyarrow.parquet.read_table(path) for path in files]


def relation_facts(manifest, known):
    """What a manifest says of relations, without names of files and times."""
    facts = []
    for relation in manifest["relations"]:
        parts = [[part[key] for key in known] for part in relation["parts"]]
        rest = {key: relation[key] for key in ("name", "published_as", "rows", "schema") if key in relation}
        rest["left_out"] = relation.get("left_out", {}).get("rows")
        facts.append((rest, parts))
    return facts


def both(program, job, known=("chunk", "rows", "bytes", "checksum")):
    """What a job publishes by the cluster and by this machine alone, in two folders: the same, as far as is known."""
    reports, manifests, folders = [], [], []
    for name, call in (("many", program.report), ("one", program.alone)):
        target = program.folder / f"lake {name}"
        keys = {**job, "target": {**job.get("target", {}), "url": f"file://{target}"}}
        path = program.folder / f"{name}.json"
        path.write_text(json.dumps({**keys, "name": "job"}))
        report = call("run", path)
        reports.append(report)
        folders.append(target)
        manifests.append(json.loads(Path(report["manifest"]).read_text()))
    many, one = folders
    tables = [relation["published_as"] for relation in reports[0]["relations"]]
    assert tables == [relation["published_as"] for relation in reports[1]["relations"]]
    for table in tables:
        assert tables_of(many / table) == tables_of(one / table), table
    assert relation_facts(manifests[0], known) == relation_facts(manifests[1], known)
    return reports[0]


@pytest.mark.parametrize("executors", [1, 2, 4])
def test_rows_files_and_manifest_are_the_same_on_any_number_of_executors(program, cluster, executors):
    cluster.grow(executors)
    job = {
        "source": TPCH,
        "tables": ["lineitem", "orders", "nation"],
        "chunk": {"rows": 10_000},
        "parallel": {"chunks": 4},
    }
    report = both(program, job)
    assert report["rows"] > 100_000 and report["relations"][0]["chunks"] > 4
    # Who asks first gets the next chunk: one that asks late may get none of a short run.
    assert sum("taken up" in executor.said() for executor in cluster.executors) >= min(executors, 2)


def test_steps_and_plugins_of_the_driver_are_carried_out_by_executors_that_have_none(program, cluster):
    cluster.grow(2)
    steps = [
        {"sql": "SELECT o_orderkey, o_comment, o_totalprice * 2 AS twice FROM data WHERE o_orderkey % 3 = 0"},
        {"plugin": "mask", "columns": ["o_comment"], "mode": "hash", "salt": {"env": "MASK_KEY"}},
    ]
    program.env["MASK_KEY"] = "a key of the driver's"
    both(program, {"source": TPCH, "tables": ["orders"], "transform": steps, "chunk": {"rows": 5_000}})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT l_returnflag, l_linestatus, sum(l_quantity) AS q, count(*) AS n FROM data GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT l_orderkey, l_linenumber FROM data ORDER BY l_orderkey DESC, l_linenumber LIMIT 1000",
        "SELECT DISTINCT l_shipmode FROM data ORDER BY 1",
        "SELECT count(DISTINCT l_partkey) AS parts, count(*) AS n FROM data HAVING count(*) > 1",
        """SELECT l_orderkey, l_linenumber, row_number() OVER (PARTITION BY l_shipmode ORDER BY l_orderkey, l_linenumber) AS n
           FROM data ORDER BY l_orderkey, l_linenumber""",
        "SELECT l_orderkey FROM data EXCEPT SELECT l_orderkey FROM data WHERE l_linenumber > 1 ORDER BY 1",
        """SELECT a.l_orderkey, count(*) AS n FROM data a LEFT JOIN data b
           ON a.l_orderkey = b.l_partkey AND b.l_quantity > 40 GROUP BY 1 ORDER BY 1""",
        "SELECT l_orderkey FROM data WHERE l_orderkey NOT IN (SELECT l_partkey FROM data) ORDER BY 1",
        # Not cut: one executor makes it.
        "SELECT l_orderkey FROM data WHERE l_orderkey < 9 UNION ALL SELECT l_partkey FROM data ORDER BY 1",
    ],
)
def test_sql_over_all_rows_gives_the_same(program, cluster, sql):
    cluster.grow(2)
    both(
        program,
        {"source": TPCH, "tables": ["lineitem"], "transform": [{"sql": sql}], "chunk": {"rows": 20_000}},
    )


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM data", "SELECT a % 7 AS k, count(*) AS n FROM data GROUP BY 1 ORDER BY 1"]
)
def test_rows_that_are_left_out_are_counted_wherever_they_are_read(program, cluster, sql):
    cluster.grow(2)
    data = program.folder / "data" / "t"
    data.mkdir(parents=True)
    for file in range(4):
        lines = ["a", *map(str, range(1_000)), *["x"] * file]
        (data / f"{file}.csv").write_text("\n".join(lines) + "\n")
    source = {"url": f"file://{data.parent}", "sample_rows": 100, "bad_rows": "skip"}
    job = {"source": source, "tables": ["t"], "chunk": {"bytes": 1_000}, "transform": [{"sql": sql}]}
    [relation] = both(program, job)["relations"]
    assert relation["left_out"]["rows"] == 6


#: Joins and subqueries of which some cannot be divided among processes.
WHOLE_LEFT_SIDES = [
    "SELECT o_orderkey FROM orders WHERE o_orderkey NOT IN (SELECT l_orderkey FROM lineitem WHERE l_quantity > 45)",
    """SELECT o_orderkey FROM orders WHERE NOT EXISTS
       (SELECT 1 FROM lineitem WHERE l_orderkey = o_orderkey AND l_quantity > 45)""",
    """SELECT o_orderkey, l_linenumber FROM orders LEFT JOIN lineitem
       ON l_orderkey = o_orderkey AND l_shipmode = 'AIR' WHERE o_orderpriority = '1-URGENT'""",
    "SELECT o_orderkey FROM orders WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem WHERE l_quantity > 45)",
    """SELECT o_orderkey, l_linenumber FROM orders FULL JOIN lineitem
       ON l_orderkey = o_orderkey AND l_quantity > 45 AND o_totalprice > 200000""",
    "SELECT o_orderkey FROM orders INTERSECT SELECT l_orderkey FROM lineitem WHERE l_quantity > 49",
    "SELECT o_orderkey FROM orders LEFT JOIN lineitem ON l_orderkey < o_orderkey AND l_orderkey > 59990",
    "SELECT o_orderkey FROM orders WHERE o_totalprice > (SELECT avg(o_totalprice) FROM orders)",
    "SELECT (SELECT max(l_orderkey) FROM lineitem) AS m, o_orderkey FROM orders WHERE o_orderkey < 1000",
    """SELECT count(*) AS n, sum(l_quantity) AS q FROM orders LEFT JOIN lineitem
       ON l_orderkey = o_orderkey AND l_shipmode = 'AIR'""",
]


@pytest.mark.parametrize("memory", ["128MiB", "1GiB"])
def test_joins_that_keep_rows_without_a_match_give_the_same(program, cluster, memory):
    """With little memory there is one stream, and the left side of a join is read whole by each partition of the right."""
    program.env["LONGSHORE_MEMORY"] = memory
    cluster.grow(2, env={"LONGSHORE_MEMORY": memory})
    for number, sql in enumerate(WHOLE_LEFT_SIDES):
        same_rows(program, f"q{number}", sql)


def test_an_executor_that_plans_otherwise_changes_no_row(program, cluster):
    cluster.grow(2, env={"LONGSHORE_MEMORY": "128MiB"})
    program.env["LONGSHORE_MEMORY"] = "1GiB"
    for number, sql in enumerate(WHOLE_LEFT_SIDES[:3]):
        same_rows(program, f"q{number}", sql)


def same_rows(program, name, sql):
    """The order of rows is nobody's promise where the query has none."""
    found = []
    for call, lake in [(program.report, "many"), (program.alone, "one")]:
        job = program.job(
            {"url": "tpch:", "scale": 0.01, "text_mib": 1},
            name=f"{name}.yaml",
            relations=[{"table": "orders"}, {"table": "lineitem"}],
            sql=sql,
            chunk={"rows": 3_000},
            target={"url": f"file://{program.folder}/{lake}"},
        )
        call("run", job)
        read = pyarrow.parquet.read_table(program.folder / lake / name)
        found.append(read.sort_by([(column, "ascending") for column in read.column_names]))
    assert found[0] == found[1], sql


def test_joins_of_several_tables_give_the_same(program, cluster):
    cluster.grow(2)
    sql = """SELECT n_name, count(*) AS customers, sum(c_acctbal) AS balance FROM customer
             JOIN nation ON c_nationkey = n_nationkey GROUP BY n_name ORDER BY n_name"""
    relations = [{"table": "customer"}, {"table": "nation"}]
    both(program, {"source": TPCH, "relations": relations, "sql": sql, "chunk": {"rows": 1_000}})


def test_now_is_one_moment_on_all_executors(program, cluster):
    cluster.grow(2)
    sql = "SELECT n, count(*) AS c FROM (SELECT o_orderkey, now() AS n FROM data) x GROUP BY n"
    for number, step in enumerate([sql, "SELECT o_orderkey, now() AS n FROM data"]):
        target = {"url": f"file://{program.folder}/{number}"}
        job = program.job(
            TPCH, tables=["orders"], transform=[{"sql": step}], target=target, chunk={"rows": 1_000}
        )
        program.report("run", job)
        moments = pyarrow.parquet.read_table(program.folder / str(number) / "orders", columns=["n"])["n"]
        assert len(moments.unique()) == 1, moments.unique()


def test_a_table_that_is_read_many_times_is_planned_alike_by_all(program, cluster, server):
    """Its scans are planned at the same time, and come in any order."""
    cluster.grow(2)
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE many AS SELECT n AS id, n % 1000 AS size FROM generate_series(1, 5000) n; ANALYZE many"
        )
    exists = [
        f"EXISTS (SELECT 1 FROM many m{n} WHERE m.id = m{n}.id AND m{n}.size > {n * 10})" for n in range(1, 8)
    ]
    sql = f"SELECT id FROM many m WHERE {' AND '.join(exists)}"
    job = program.postgres(server, "read.yaml", relations=[{"table": "many"}], sql=sql, chunk={"rows": 1_000})
    many, one = program.report("run", job), program.alone("run", job)
    assert many["rows"] == one["rows"] == 5_000 - 5 * 71
    assert many["interruptions"] == [] == one["interruptions"]


def test_files_are_read_by_executors(program, cluster):
    cluster.grow(2)
    folder = program.folder / "in"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.csv").write_text(
            "id,name\n" + "".join(f"{n},n{n}\n" for n in range(number, 500))
        )
    both(program, {"source": {"url": f"file://{folder}/*.csv"}})


def test_executors_read_one_snapshot_of_postgresql(program, cluster, flights):
    cluster.grow(2)
    source = {"url": flights.url(), "password": {"env": "PGPASSWORD"}}
    tables = ["flights", "weather", "planes"]
    # Batches end where the server's answers do, and pages of files with them.
    known = ("chunk", "rows")
    report = both(program, {"source": source, "tables": tables, "chunk": {"rows": 40_000}}, known)
    assert report["consistency"].startswith("snapshot")
    secret = program.env["PGPASSWORD"]
    # The scheduler learns nothing, and nobody writes it down.
    for member in cluster.members:
        assert secret not in member.said()
    files = [path for path in cluster.folder.rglob("*") if path.is_file()]
    assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_checks_and_quarantine_are_the_same(program, cluster):
    cluster.grow(2)
    checks = [{"not_null": "o_orderkey"}, {"range": {"column": "o_totalprice", "min": 0}}]
    both(program, {"source": TPCH, "tables": ["orders"], "checks": checks, "chunk": {"rows": 5_000}})


@pytest.mark.parametrize(
    "sql",
    [None, "SELECT o_custkey, count(*) AS n, sum(o_totalprice) AS total FROM data GROUP BY 1 ORDER BY 1"],
    ids=["chunks", "all rows"],
)
def test_a_sink_gets_the_same_rows(program, cluster, database, sql):
    cluster.grow(2)
    steps = {"transform": [{"sql": sql}]} if sql else {}
    job = program.job(TPCH, tables=["orders"], target=database.target(), chunk={"rows": 3_000}, **steps)
    many, one = program.report("run", job), program.alone("run", job)
    assert many["rows"] == one["rows"] > 1_000
    shown = json.loads(program.ok("--json", "runs", "show", many["run"]))
    assert shown.get("executors"), shown
    for first, second in [("orders", "orders_v2"), ("orders_v2", "orders")]:
        assert database.rows(f"SELECT * FROM {first} EXCEPT ALL SELECT * FROM {second}") == []
    assert database.tables() == ["orders", "orders_v2"], "nothing of staging is left"


def test_a_merge_into_a_sink_gives_the_same(program, cluster, database):
    cluster.grow(2)
    keys = {"mode": "merge", "merge": {"key": ["o_orderkey"]}}
    for year in (1995, 1996):
        step = {"sql": f"SELECT *, {year} AS loaded FROM data WHERE o_orderdate < DATE '{year}-06-01'"}
        job = program.job(
            TPCH, tables=["orders"], target=database.target(**keys), transform=[step], chunk={"rows": 3_000}
        )
        report = program.report("run", job)
    assert json.loads(program.ok("--json", "runs", "show", report["run"]))["executors"]
    [[count, keys, loaded]] = database.rows(
        "SELECT count(*), count(DISTINCT o_orderkey), min(loaded) FROM orders"
    )
    assert (count, keys, loaded) == (report["rows"], report["rows"], 1996)


#: Keys of a target, and the rows of each of two loads.
LOADS = {
    "append": ({"mode": "append"}, ["o_orderkey < 20000", "o_orderkey >= 20000"]),
    "partitions": ({"mode": "append", "partition_by": ["o_orderstatus"]}, ["true", "o_orderkey < 100"]),
    "merge": (
        {"mode": "merge", "merge": {"key": ["o_orderkey"]}},
        ["o_orderkey < 30000", "o_orderkey > 9000"],
    ),
    "scd2": (
        {"mode": "scd2", "scd2": {"key": ["o_orderkey"], "changed_at": "o_orderdate"}},
        ["o_orderkey < 30000", "o_orderkey > 9000"],
    ),
    "snapshot": (
        {"mode": "snapshot", "snapshot": {"arrival": "o_orderdate"}},
        ["true", "o_orderdate > DATE '1997-01-01' AND o_orderkey % 2 = 0"],
    ),
    "replace_partitions": (
        {"mode": "replace_partitions", "partition_by": ["o_orderstatus"]},
        ["true", "o_orderstatus = 'F' AND o_orderkey < 1000"],
    ),
}


@pytest.mark.parametrize("load", LOADS)
def test_every_load_mode_gives_the_same(program, cluster, load):
    cluster.grow(2)
    target, loads = LOADS[load]
    tables = []
    for call, name in [(program.report, "many"), (program.alone, "one")]:
        lake = program.folder / name
        for number, condition in enumerate(loads):
            query = f"SELECT *, {number} AS load FROM data WHERE {condition}"
            job = {
                "source": {"url": "tpch:", "scale": 0.01, "text_mib": 1},
                "tables": ["orders"],
                "transform": [{"sql": query}],
                "target": {"url": f"file://{lake}", **target},
                "chunk": {"rows": 2_000},
            }
            path = program.folder / "load.json"
            path.write_text(json.dumps({**job, "name": "load"}))
            report = call("run", path)
            shown = json.loads(program.ok("--json", "runs", "show", report["run"]))
            assert bool(shown.get("executors")) == (name == "many")
        table = pyarrow.dataset.dataset(lake / "orders", partitioning="hive").to_table()
        tables.append(table.sort_by([(column, "ascending") for column in table.column_names]))
    assert tables[0].num_rows > 1_000 and tables[0] == tables[1]
    assert not list((program.folder / "state/scratch").glob("*/*")), "scratch goes with its run"


@pytest.mark.parametrize("name", ["orders.parquet", "orders.csv.gz"])
def test_a_single_file_is_the_same(program, cluster, name):
    cluster.grow(2)
    files = []
    for call, lake in [(program.report, "many"), (program.alone, "one")]:
        target = program.folder / lake / name
        job = program.job(TPCH, tables=["orders"], target={"url": f"file://{target}"}, chunk={"rows": 3_000})
        assert call("run", job)["rows"] == 30_000
        files.append(target.read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(
    "check, holds",
    [
        ({"unique": ["o_orderkey"]}, True),
        ({"unique": ["o_orderdate"]}, False),
        ({"sql": "SELECT o_custkey FROM data GROUP BY 1 HAVING count(*) > 1000"}, True),
        ({"sql": "SELECT o_orderkey FROM data WHERE o_totalprice > 400000"}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_checks_that_need_rows_again_find_the_same(program, cluster, check, holds):
    cluster.grow(2)
    job = program.job(TPCH, tables=["orders"], checks=[check], chunk={"rows": 3_000})
    many = json.loads(program.call("--json", "run", job).stdout)
    one = json.loads(program.call("--json", "run", job, env={"LONGSHORE_CLUSTER": ""}).stdout)
    assert many["status"] == one["status"] == ("succeeded" if holds else "failed")
    if holds:
        manifests = [json.loads(Path(run["manifest"]).read_text()) for run in (many, one)]
        assert manifests[0]["relations"][0]["checks"] == manifests[1]["relations"][0]["checks"]
    else:
        assert many["error"]["message"] == one["error"]["message"]


@pytest.fixture(scope="module", params=[S3, Azure])
def store(request, scratch):
    lake = request.param()
    lake.start(scratch / f"cluster-{request.param.__name__}")
    yield lake
    lake.stop()


@pytest.mark.parametrize("keys", [{}, {"target": {"mode": "merge", "merge": {"key": ["o_orderkey"]}}}])
def test_an_object_store_gets_the_same(program, cluster, store, keys):
    """A part is published by what its executor knows of the upload."""
    cluster.grow(2)
    sets = []
    for call, folder in [(program.report, "many"), (program.alone, "one")]:
        folder = f"{program.folder.name.replace('.', '-')}{folder}"
        path = job(program, store, folder, tables=["orders"], chunk={"rows": 3_000}, **keys)
        assert call("run", path)["rows"] == 15_000
        found = visible(store.files(folder))
        sets.append(
            sorted(pyarrow.parquet.read_metadata(io.BytesIO(data)).num_rows for data in found.values())
        )
        assert rows(store.files(folder), "orders") == 15_000
    assert sets[0] == sets[1]


def test_an_executor_may_have_the_plugins_itself(program, cluster):
    cluster.grow(1, plugins=PLUGINS)
    both(program, {"source": TPCH, "tables": ["nation"]})
