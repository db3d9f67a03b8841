"""How relations are cut: nothing lost, nothing doubled, and nothing read that need not be."""

import contextlib
import threading

import pytest

from support.compare import read, same_rows

ROWS = 60_000


@contextlib.contextmanager
def schema(server, sql, name="c"):
    """Tables of a test's own."""
    with server.connect() as connection:
        connection.execute(
            f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; SET search_path = {name}, public"
        )
        connection.execute(sql)
        connection.execute("ANALYZE")
    yield server
    with server.connect() as connection:
        connection.execute(f"DROP SCHEMA {name} CASCADE")


def scan(program, job):
    plan = program.report("plan", job)["relations"][0]
    return plan["scans"][0]


def labels(program, job):
    return [chunk["label"] for chunk in scan(program, job)["chunks"]]


PARTITIONED = """
    CREATE TABLE sales (id int NOT NULL, day date NOT NULL, note text) PARTITION BY RANGE (day);
    CREATE TABLE sales_2023 PARTITION OF sales FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
    CREATE TABLE "sales 2024" (note text, day date NOT NULL, id int NOT NULL);
    ALTER TABLE sales ATTACH PARTITION "sales 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')
"""

FILLED = f"""{PARTITIONED};
    CREATE TABLE sales_rest PARTITION OF sales DEFAULT PARTITION BY HASH (id);
    CREATE TABLE sales_rest_0 PARTITION OF sales_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE sales_rest_1 PARTITION OF sales_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO sales SELECT g, DATE '2022-07-01' + g % 1300, repeat('x', g % 90) FROM generate_series(1, {ROWS}) g
"""


def test_partitions_are_cut_each_for_itself(server, program):
    with schema(server, FILLED):
        job = program.postgres(server, tables=["c.sales"], chunk={"rows": 5_000})
        found = labels(program, job)
        for leaf in ("c.sales_2023", 'c."sales 2024"', "c.sales_rest_0", "c.sales_rest_1"):
            assert any(label.startswith(f"{leaf}: pages 0 to") for label in found), (leaf, found)
        program.ok("run", job)
        same_rows(read(program.lake / "sales"), server.rows("SELECT * FROM c.sales"))


def test_many_small_partitions_are_one_chunk(server, program):
    with schema(server, FILLED):
        job = program.postgres(server, tables=["c.sales"], chunk={"rows": ROWS})
        assert scan(program, job)["strategy"] == "one chunk: it is small"
        program.ok("run", job)
        same_rows(read(program.lake / "sales"), server.rows("SELECT * FROM c.sales"))


def test_partitions_that_a_filter_rules_out_are_not_read(server, program):
    with schema(server, FILLED):
        sql = "SELECT id, day FROM data WHERE day >= DATE '2023-03-01' AND day < DATE '2023-04-01'"
        job = program.postgres(server, tables=["c.sales"], chunk={"rows": 5_000}, transform=[{"sql": sql}])
        assert all(label.startswith("c.sales_2023") for label in labels(program, job))
        program.ok("run", job)
        theirs = server.rows("SELECT id, day FROM c.sales WHERE day >= '2023-03-01' AND day < '2023-04-01'")
        same_rows(read(program.lake / "sales"), theirs)


def test_a_filter_that_rules_out_every_partition_reads_nothing(server, program):
    with schema(server, PARTITIONED):
        sql = "SELECT id FROM data WHERE day = DATE '1999-01-01'"
        job = program.postgres(server, tables=["c.sales"], transform=[{"sql": sql}])
        assert scan(program, job)["chunks"] == []
        program.ok("run", job)
        assert read(program.lake / "sales") == []


def test_a_table_without_partitions_has_no_rows_and_a_schema(server, program):
    with schema(server, "CREATE TABLE bare (id int, day date) PARTITION BY RANGE (day)"):
        program.ok("run", program.postgres(server, tables=["c.bare"]))
        assert read(program.lake / "bare") == []


def test_a_view_over_tables_that_the_user_may_not_read_is_read(server, program):
    secret = """CREATE SCHEMA IF NOT EXISTS hidden; DROP TABLE IF EXISTS hidden.base; CREATE TABLE hidden.base (id int);
        INSERT INTO hidden.base SELECT generate_series(1, 10); CREATE VIEW shown AS SELECT id FROM hidden.base;
        DROP ROLE IF EXISTS viewer; CREATE ROLE viewer LOGIN PASSWORD 'secret';
        GRANT USAGE ON SCHEMA c TO viewer; GRANT SELECT ON shown TO viewer"""
    with schema(server, secret):
        job = program.postgres(server, source={"url": server.url(user="viewer")}, tables=["c.shown"])
        program.ok("run", job)
        same_rows(read(program.lake / "shown"), server.rows("SELECT * FROM hidden.base"))


INHERITED = f"""
    CREATE TABLE base (id int PRIMARY KEY, note text);
    CREATE TABLE child (extra int) INHERITS (base);
    CREATE TABLE grandchild (more int) INHERITS (child);
    INSERT INTO base SELECT g, 'base' FROM generate_series(1, {ROWS}) g;
    INSERT INTO child SELECT g, 'child', 7 FROM generate_series(1, {ROWS}) g;
    INSERT INTO grandchild SELECT g, 'grandchild', 7, 8 FROM generate_series(1, 10) g
"""


def test_children_are_read_once_with_the_parents_columns(server, program):
    with schema(server, INHERITED):
        job = program.postgres(server, tables=["c.base"], chunk={"rows": 10_000})
        assert len(labels(program, job)) > 8
        program.ok("run", job)
        same_rows(read(program.lake / "base"), server.rows("SELECT * FROM c.base"))


@pytest.mark.parametrize("tables, name", [(FILLED, "sales"), (INHERITED, "base")])
def test_a_user_who_may_read_only_the_whole_reads_it_in_pages(server, program, tables, name):
    grants = f"""{tables}; DROP ROLE IF EXISTS limited; CREATE ROLE limited LOGIN PASSWORD 'secret';
        GRANT USAGE ON SCHEMA c TO limited; GRANT SELECT ON {name} TO limited"""
    with schema(server, grants):
        source = {"url": server.url(user="limited")}
        job = program.postgres(server, source=source, tables=[f"c.{name}"], chunk={"rows": 5_000})
        assert all(label.startswith(f"c.{name}: pages") for label in labels(program, job))
        program.ok("run", job)
        same_rows(read(program.lake / name), server.rows(f"SELECT * FROM c.{name}"))


def test_row_security_of_a_partitioned_table_holds(server, program):
    guarded = f"""{FILLED}; DROP ROLE IF EXISTS guarded; CREATE ROLE guarded LOGIN PASSWORD 'secret';
        GRANT USAGE ON SCHEMA c TO guarded; GRANT SELECT ON ALL TABLES IN SCHEMA c TO guarded;
        ALTER TABLE sales ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON sales USING (id % 2 = 0)"""
    with schema(server, guarded):
        job = program.postgres(
            server, source={"url": server.url(user="guarded")}, tables=["c.sales"], chunk={"rows": 5_000}
        )
        program.ok("run", job)
        same_rows(read(program.lake / "sales"), server.rows("SELECT * FROM c.sales WHERE id % 2 = 0"))


INDEXED = f"""
    CREATE TABLE big (id int PRIMARY KEY, kind int, note text);
    INSERT INTO big SELECT g, g % 10, repeat('x', 100) FROM generate_series(1, {ROWS}) g
"""


def test_a_selective_filter_uses_its_index_and_a_broad_one_the_pages(server, program):
    with schema(server, INDEXED):

        def job(condition):
            sql = f"SELECT id, note FROM data WHERE {condition}"
            return program.postgres(
                server, tables=["c.big"], chunk={"bytes": 500_000}, transform=[{"sql": sql}]
            )

        narrow = scan(program, job("id BETWEEN 100 AND 200"))
        assert narrow["strategy"] == "one chunk: an index finds its rows"
        assert narrow["chunks"][0]["rows"] == pytest.approx(100, rel=0.5)
        assert scan(program, job("kind = 3"))["strategy"].startswith("ctid ranges")
        for condition in ("id BETWEEN 100 AND 200", "kind = 3"):
            program.ok("run", job(condition))
        same_rows(
            read(program.lake / "big"), server.rows("SELECT id, note FROM c.big WHERE id BETWEEN 100 AND 200")
        )
        same_rows(read(program.lake / "big_v2"), server.rows("SELECT id, note FROM c.big WHERE kind = 3"))


def test_what_is_stored_out_of_line_counts(server, program):
    wide = """CREATE TABLE wide (id int, doc text); ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
        INSERT INTO wide SELECT g, repeat(md5(g::text), 3000) FROM generate_series(1, 400) g"""
    with schema(server, wide):
        job = program.postgres(server, tables=["c.wide"], chunk={"bytes": 8 << 20})
        # 38 MB of texts in 3 pages of rows: a chunk cannot be less than a page.
        assert len(labels(program, job)) >= 3
        program.ok("run", job)
        same_rows(read(program.lake / "wide"), server.rows("SELECT * FROM c.wide"))


# A key with everything that a key can have: negative, null, and one value in a third of the rows.
KEYED = f"""
    CREATE TABLE keyed (k int, t text COLLATE "C", u text, f float8, n numeric, note text);
    INSERT INTO keyed SELECT CASE WHEN g % 3 = 0 THEN 42 WHEN g % 50 = 0 THEN NULL ELSE g - {ROWS // 2} END,
        chr(33 + g % 90) || g, CASE WHEN g % 7 = 0 THEN 'Ä' || g ELSE 'z''\\ ' || g END,
        CASE g % 11 WHEN 0 THEN 'NaN'::float8 WHEN 1 THEN '-Infinity' ELSE g END, g % 1000 / 7.0, 'x'
        FROM generate_series(1, {ROWS}) g;
    CREATE VIEW seen AS SELECT k AS key, t, note FROM keyed WHERE note = 'x';
    CREATE VIEW seen_twice AS SELECT key AS k2, t FROM seen
"""


@pytest.fixture(scope="module")
def keyed(server):
    with schema(server, KEYED):
        yield server


@pytest.mark.parametrize("key", ["k", "t", "u", "f", "n"])
@pytest.mark.parametrize("form", ["table", "query"])
def test_ranges_of_a_key_lose_and_double_nothing(keyed, program, key, form):
    relation = (
        {"table": "c.keyed"} if form == "table" else {"query": "SELECT * FROM c.keyed WHERE note = 'x'"}
    )
    job = program.postgres(
        keyed,
        relations=[{**relation, "as": "keyed", "chunk_by": key}],
        chunk={"rows": 5_000},
        consistency="snapshot",
    )
    chosen = scan(program, job)
    assert chosen["strategy"] == f"ranges of `{key}`, by the job's wish" and len(chosen["chunks"]) > 4
    report = program.report("run", job)
    columns = "k, t, u, f::text, n, note"
    rows = keyed.rows("SELECT k, t, u, f, n::text, note FROM c.keyed")
    text = lambda rows: [tuple(str(value) for value in row) for row in rows]
    same_rows(text(read(program.lake / "keyed")), text(rows))
    # The value that a third of the rows have does not make its neighbours' chunk large too.
    assert columns and report["relations"][0]["parts"] > 4


@pytest.mark.parametrize("view, key", [("seen", "key"), ("seen_twice", "k2")])
def test_a_view_is_cut_by_a_column_of_its_table(keyed, program, view, key):
    job = program.postgres(keyed, relations=[{"table": f"c.{view}", "chunk_by": key}], chunk={"rows": 5_000})
    assert len(labels(program, job)) > 1
    program.ok("run", job)
    same_rows(read(program.lake / view), keyed.rows(f"SELECT * FROM c.{view}"))


def test_a_key_that_cannot_be_is_refused_with_the_reason(keyed, program):
    with keyed.connect() as connection:
        connection.execute("CREATE TABLE c.unknown (k int)")
    refusals = [
        ({"table": "c.keyed", "chunk_by": "nowhere"}, "no column `nowhere`", 4),
        ({"query": "SELECT k + 1 AS k FROM c.keyed", "as": "q", "chunk_by": "k"}, "not a plain column", 2),
        ({"table": "c.unknown", "chunk_by": "k"}, "no statistics", 2),
    ]
    for relation, cause, code in refusals:
        line, exit_code = program.refused("plan", program.postgres(keyed, relations=[relation]))
        assert cause in line and "`chunk_by`" in line and exit_code == code, line
    line, code = program.refused("validate", program.postgres(keyed, tables=["c.keyed"], chunk_by="k"))
    assert "`chunk_by` without `query`" in line and code == 2


def test_a_table_that_grows_and_shrinks_while_it_is_read_is_whole(keyed, program):
    """By key ranges and by pages, while rows move to other pages and to other ranges."""
    stop = threading.Event()

    def write():
        with keyed.connect() as connection:
            while not stop.is_set():
                connection.execute("BEGIN; DELETE FROM c.keyed WHERE note = 'y'")
                connection.execute("UPDATE c.keyed SET k = -k WHERE k BETWEEN 100 AND 300")
                connection.execute(
                    "INSERT INTO c.keyed SELECT g, g, g, g, g, 'y' FROM generate_series(1, 2000) g; COMMIT"
                )
                connection.execute("VACUUM c.keyed")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        job = program.postgres(
            keyed,
            relations=[
                {"table": "c.keyed", "as": "by_pages"},
                {"table": "c.keyed", "as": "by_key", "chunk_by": "k"},
            ],
            chunk={"rows": 2_000},
            consistency="snapshot",
        )
        program.ok("run", job)
    finally:
        stop.set()
        thread.join()
    by_pages, by_key = read(program.lake / "by_pages"), read(program.lake / "by_key")
    text = lambda rows: [tuple(str(value) for value in row) for row in rows]
    same_rows(text(by_pages), text(by_key))
    assert sum(row[5] == "x" for row in by_key) == ROWS
    assert sum(row[5] == "y" for row in by_key) in (0, 2_000)


@pytest.fixture(scope="module")
def greenplum(keyed):
    """As far as a PostgreSQL can be made to look like one: a user to whom it says that it is."""
    with keyed.connect() as connection:
        connection.execute(
            """CREATE ROLE gp LOGIN SUPERUSER PASSWORD 'secret'; CREATE SCHEMA gp;
            CREATE FUNCTION gp.version() RETURNS text LANGUAGE sql AS
              $$ SELECT 'PostgreSQL 12.12 (Greenplum Database 7.1.0 build x) on x86_64' $$;
            CREATE TABLE gp.gp_segment_configuration (content int);
            INSERT INTO gp.gp_segment_configuration VALUES (-1), (0), (1), (2), (0);
            CREATE TABLE gp.spread (id int, note text, gp_segment_id int);
            INSERT INTO gp.spread SELECT g, repeat('x', 100), g % 3 FROM generate_series(1, 20000) g;
            CREATE TABLE gp.keyed (id int PRIMARY KEY, note text);
            INSERT INTO gp.keyed SELECT g, repeat('x', 100) FROM generate_series(1, 20000) g; ANALYZE;
            ALTER ROLE gp SET search_path = gp, pg_catalog, public"""
        )
    yield keyed
    with keyed.connect() as connection:
        connection.execute("DROP SCHEMA gp CASCADE; DROP ROLE gp")


@pytest.mark.parametrize(
    "table, strategy, chunks",
    [("spread", "one chunk for each segment", 3), ("keyed", "ranges of `id`, by its statistics", 4)],
)
def test_greenplum_is_cut_by_key_or_by_segment(greenplum, program, table, strategy, chunks):
    source = {"url": greenplum.url(user="gp")}
    job = program.postgres(greenplum, source=source, tables=[f"gp.{table}"], chunk={"rows": 5_000})
    found = scan(program, job)
    assert (found["strategy"], len(found["chunks"])) == (strategy, chunks)
    assert program.report("run", job)["consistency"] == "per-chunk"
    same_rows(read(program.lake / table), greenplum.rows(f"SELECT * FROM gp.{table}"))


def test_greenplum_exports_no_snapshot_and_a_demand_for_one_is_refused_with_the_reason(greenplum, program):
    source = {"url": greenplum.url(user="gp")}
    demand = {"tables": ["gp.keyed"], "chunk": {"rows": 5_000}, "consistency": "snapshot"}
    line, code = program.refused("run", program.postgres(greenplum, source=source, **demand))
    assert "demands snapshot" in line and "gives per-chunk" in line and code == 2
    assert "Greenplum exports none" in line


#: Tables of each kind, so many that they are looked up together.
MANY = f"""{FILLED};
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE typed (m mood, a int[], n numeric(30, 8), t text COLLATE "C", "Not lower" jsonb);
    CREATE TABLE parent (id int PRIMARY KEY, at timestamptz);
    CREATE TABLE child (more text) INHERITS (parent);
    CREATE TABLE empty_partitions (id int) PARTITION BY LIST (id);
    CREATE VIEW upper_ids AS SELECT id, at FROM parent WHERE id > 3;
    CREATE MATERIALIZED VIEW kept AS SELECT count(*) AS n FROM sales;
    CREATE TABLE guarded (id int, owner text); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE TABLE dropped (a int, b int, c text); ALTER TABLE dropped DROP COLUMN b;
    INSERT INTO parent SELECT g, now() FROM generate_series(1, 2000) g
"""

KINDS = [
    "sales",
    "sales_rest",
    "typed",
    "parent",
    "child",
    "empty_partitions",
    "upper_ids",
    "kept",
    "guarded",
    "dropped",
]


def test_tables_that_are_looked_up_together_are_planned_as_each_alone(server, program):
    with schema(server, MANY, "many") as made:
        with made.connect() as connection:
            connection.execute("SET search_path = many")
            for number in range(40):
                connection.execute(f"CREATE TABLE t{number} AS SELECT {number} AS v")
        tables = [f"many.{name}" for name in [*KINDS, *(f"t{number}" for number in range(40))]]
        job = program.postgres(server, tables=tables, chunk={"rows": 5_000})
        together = {relation["name"]: relation for relation in program.report("plan", job)["relations"]}
        assert len(together) == len(tables)
        for table in tables[: len(KINDS) + 2]:
            [alone] = program.report("plan", program.postgres(server, tables=[table], chunk={"rows": 5_000}))[
                "relations"
            ]
            # How many chunks are read at a time, and so their size, is the same.
            assert together[alone["name"]] == alone, table
        job = program.postgres(server, tables=[*tables, "many.nowhere", '"many"."Parent"'])
        missing, _ = program.refused("plan", job)
        assert "no table `many.nowhere`" in missing, missing


def test_a_table_that_is_missing_among_many_is_named_with_its_likely_name(server, program):
    with schema(server, 'CREATE TABLE "Orders" (id int); CREATE TABLE a (id int)', "many"):
        missing, _ = program.refused("plan", program.postgres(server, tables=["many.a", "many.orders"]))
        assert "no table `many.orders`" in missing and 'there is `many."Orders"`' in missing, missing
