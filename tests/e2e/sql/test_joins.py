"""SQL over several relations of one source: what can be is done there, the rest here."""

import json

import duckdb
import pytest

from support.proxy import Proxy, cut

TPCH = {"url": "tpch:", "scale": 0.02, "text_mib": 1}

BY_NATION = """
SELECT n_name, count(*) AS orders, sum(o_totalprice) AS total, max(o_orderdate) AS last
FROM orders JOIN customer ON o_custkey = c_custkey JOIN nation ON c_nationkey = n_nationkey
WHERE o_totalprice > 100000.00
GROUP BY n_name
"""


def published(program, relation):
    return duckdb.sql(f"SELECT * FROM '{program.lake}/{relation}/*.parquet'")


@pytest.fixture
def tables(program):
    """The inputs, published one by one: what DuckDB makes of them is what must come out."""
    program.ok("run", program.job(TPCH, "inputs.yaml", tables=["orders", "customer", "nation"]))
    for name in ("orders", "customer", "nation"):
        duckdb.sql(f"CREATE OR REPLACE VIEW {name} AS SELECT * FROM '{program.lake}/{name}/*.parquet'")


@pytest.mark.parametrize("parallel", [1, 2, 16])
def test_a_join_is_what_another_engine_makes_of_it(program, tables, parallel):
    job = program.job(TPCH, "by_nation.yaml", tables=["orders", "customer", "nation"], sql=BY_NATION, chunk={"rows": 2_000},
                      parallel={"chunks": parallel})  # fmt: skip
    report = program.report("run", job)
    assert [relation["relation"] for relation in report["relations"]] == ["by_nation"]
    ours = sorted(published(program, "by_nation").fetchall())
    assert ours == sorted(duckdb.sql(BY_NATION).fetchall()) and len(ours) == 25
    manifest = json.loads(open(report["manifest"]).read())
    [relation] = manifest["relations"]
    assert (
        relation["source"]["from"]["nation"] == {"table": "nation"}
        and "JOIN customer" in relation["source"]["sql"]
    )


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT o.* FROM orders o JOIN (SELECT max(c_custkey) AS m FROM customer) c ON o.o_custkey < c.m",
        "SELECT o_orderkey FROM orders WHERE o_totalprice > (SELECT avg(o_totalprice) FROM orders)",
        "SELECT o_orderkey AS key FROM orders UNION ALL SELECT c_custkey FROM customer",
        "SELECT c_name FROM customer c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.o_custkey = c.c_custkey)",
        "SELECT c_custkey, row_number() OVER (PARTITION BY c_nationkey ORDER BY c_custkey) AS n FROM customer",
        "SELECT o.o_orderkey, p.o_orderkey AS other FROM orders o JOIN orders p ON o.o_custkey = p.o_custkey "
        "AND o.o_orderdate = p.o_orderdate AND o.o_orderkey < p.o_orderkey",
    ],
)
def test_no_plan_waits_for_itself(program, tables, sql):
    # One place to read in, and more chunks than batches wait anywhere.
    job = program.job(
        TPCH, "q.yaml", tables=["orders", "customer"], sql=sql, chunk={"rows": 2_000}, parallel={"chunks": 1}
    )
    program.ok("run", job)
    assert sorted(published(program, "q").fetchall(), key=repr) == sorted(
        duckdb.sql(sql).fetchall(), key=repr
    )


SOLD = """
SELECT a.name, count(*) AS flights, avg(f.distance) AS distance
FROM flights f JOIN airlines a ON f.carrier = a.carrier JOIN seats s ON s.tailnum = f.tailnum
WHERE f.month = 2 AND s.seats > 100 GROUP BY a.name
"""


def sold(program, flights, **keys):
    relations = [{"table": "flights"}, {"table": "public.airlines"},
                 {"query": "SELECT tailnum, seats FROM planes WHERE year > 1990", "as": "seats"}]  # fmt: skip
    return program.postgres(flights, "sold.yaml", relations=relations, sql=SOLD, **keys)


def expected(flights):
    query = SOLD.replace("JOIN seats s", "JOIN (SELECT tailnum, seats FROM planes WHERE year > 1990) s")
    return sorted((name, count, float(distance)) for name, count, distance in flights.rows(query))


def near(ours, theirs):
    return [row[:2] for row in ours] == [row[:2] for row in theirs] and all(
        abs(a[2] - b[2]) < 1e-6 for a, b in zip(ours, theirs, strict=True)
    )


def test_the_plan_shows_what_runs_where(program, flights):
    job = sold(program, flights)
    shown = program.ok("plan", job)
    assert "pushed to the source: filter (month = 2)" in shown.replace('"', ""), shown
    assert "pushed to the source: columns carrier, tailnum, distance" in shown.replace(", month", ""), shown
    assert "chunks of seats: 1" in shown and "HashJoinExec" in shown and "AggregateExec" in shown
    assert "flights.carrier: " in shown and "tried again alone: the whole relation" in shown
    scans = program.report("plan", job)["relations"][0]["scans"]
    assert sorted({scan["input"] for scan in scans}) == ["airlines", "flights", "seats"]


def test_all_tables_of_a_join_are_seen_in_one_instant(program, flights):
    report = program.report("run", sold(program, flights, consistency="snapshot"))
    assert report["consistency"].startswith("snapshot")
    assert near(sorted(published(program, "sold").fetchall()), expected(flights))


def test_a_join_whose_connection_breaks_is_made_again(program, flights):
    with Proxy(flights.port, faults=[None, None, cut(300_000), cut(500_000)]) as proxy:
        job = sold(
            program,
            flights,
            source={"url": f"postgres://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable"},
        )
        program.ok("--retries", "8", "--retry-backoff-millis", "10", "run", job)
    assert near(sorted(published(program, "sold").fetchall()), expected(flights))


def test_steps_come_after_the_join_and_a_preview_shows_it(program, tables):
    steps = [
        {"sql": "SELECT n_name, orders FROM data WHERE orders > 10"},
        {"plugin": "mask", "columns": ["n_name"], "with": "x"},
    ]
    job = program.job(
        TPCH, "masked.yaml", tables=["orders", "customer", "nation"], sql=BY_NATION, transform=steps
    )
    program.ok("run", job)
    assert {name for name, _ in published(program, "masked").fetchall()} == {"x"}
    assert "| x" in program.ok("preview", job, "--rows", "3")


def test_sql_in_a_file_lies_beside_the_job(program, tables):
    (program.folder / "query.sql").write_text("SELECT count(*) AS n FROM orders, nation")
    program.ok("run", program.job(TPCH, "counted.yaml", tables=["orders", "nation"], sql_file="query.sql"))
    assert published(program, "counted").fetchall() == [(30_000 * 25,)]


REFUSALS = {
    "SELECT * FROM lineitem": ("lineitem", 4),
    "SELECT nothing FROM orders": ("nothing", 4),
    "DROP TABLE orders": ("no query", 4),
    "SELECT": ("SQL", 4),
}


@pytest.mark.parametrize("sql", REFUSALS)
def test_sql_that_cannot_be_carried_out_is_refused_before_anything_is_read(program, sql):
    words, code = REFUSALS[sql]
    line, told = program.refused("run", program.job(TPCH, tables=["orders"], sql=sql))
    assert words in line and told == code and "sql" in line, line
    assert program.published() == []


def test_sql_over_nothing_is_refused(program):
    line, code = program.refused("validate", program.job(TPCH, sql="SELECT 1 AS one"))
    assert "names nothing to move" in line and code == 2
    line, code = program.refused(
        "validate", program.job(TPCH, tables=["orders"], sql="SELECT 1", sql_file="x.sql")
    )
    assert "both `sql` and `sql_file`" in line and code == 2
