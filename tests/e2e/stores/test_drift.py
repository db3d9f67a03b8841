"""Columns that change between two runs: each kind of change, by each policy, in each format and mode."""

import json
import shutil

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from support.longshore import only
from support.metrics import Metrics
from support.wait import wait_for

#: The columns at first, and their types.
COLUMNS = {"id": "int", "name": "string", "price": "decimal(8,2)"}

#: Each kind of change: the columns that come then, the key that speaks of it, and a word that lets it through.
KINDS = {
    "added": ({**COLUMNS, "city": "string"}, "on_added", "evolve"),
    "ignored": ({**COLUMNS, "city": "string"}, "on_added", "ignore"),
    "removed": ({"id": "int", "price": "decimal(8,2)"}, "on_removed", "keep"),
    "widened": ({**COLUMNS, "id": "bigint", "price": "decimal(12,2)"}, "on_widened", "evolve"),
    "narrowed": ({**COLUMNS, "id": "smallint", "price": "decimal(6,2)"}, None, None),
    "retyped": ({**COLUMNS, "id": "string"}, "on_narrowed", "version"),
    "reordered": ({"price": "decimal(8,2)", "id": "int", "name": "string"}, None, None),
}

VALUES = {"name": "één", "price": 1.25, "city": "東京", "title": "né"}

FORMATS = ["parquet", "csv", "json", "arrow"]

ENDINGS = {"parquet": "parquet", "csv": "csv", "json": "jsonl", "arrow": "arrow"}


class Goods:
    """A job that reads a file of one row, whose columns a test changes."""

    def __init__(self, program):
        self.program = only(program)
        self.path = program.folder / "goods.jsonl"
        self.number = 0

    def set(self, columns):
        """The file has these columns now, and another row."""
        self.number += 1
        row = {name: VALUES.get(name, self.number) for name in columns}
        if columns.get("id") == "string":
            row["id"] = str(self.number)
        self.path.write_text(json.dumps(row) + "\n")
        self.columns = columns
        return self

    def job(self, mode="append", format="parquet", partition_by=(), lake=None, **keys):
        target = {"url": f"file://{lake or self.program.lake}", "mode": mode, "format": format}
        if partition_by:
            target["partition_by"] = list(partition_by)
        source = {"url": f"file://{self.path}", "columns": self.columns}
        return self.program.job(source, "goods.yaml", target=target, **keys)

    def run(self, *args, **keys):
        return self.program.report("run", self.job(**keys), *args)

    def refused(self, **keys):
        before = self.program.published()
        line, code = self.program.refused("run", self.job(**keys))
        assert code == 2 and self.program.published() == before, line
        return line


@pytest.fixture
def goods(program):
    return Goods(program)


def rows(folder, format):
    """What other programs read of a folder, in the order of `id`, as texts."""
    files = sorted(str(file) for file in folder.glob(f"*.{ENDINGS[format]}"))
    if format == "parquet":
        table = duckdb.sql(f"SELECT * FROM read_parquet({files}, union_by_name = true)").to_arrow_table()
    elif format == "csv":
        table = duckdb.sql(f"SELECT * FROM read_csv({files}, all_varchar = true)").to_arrow_table()
    elif format == "json":
        table = duckdb.sql(f"SELECT * FROM read_json({files}, union_by_name = true)").to_arrow_table()
    else:
        tables = [pyarrow.ipc.open_file(file).read_all() for file in files]
        table = pa.concat_tables(tables, promote_options="permissive")
    return as_texts(table.to_pylist())


def own_rows(program, folder):
    """What a job reads of a folder."""
    out = program.folder / "again"
    shutil.rmtree(out, ignore_errors=True)
    job = program.job(
        {"url": f"file://{folder}/"}, "again.yaml", target={"url": f"file://{out}", "format": "json"}
    )
    program.ok("run", job)
    return as_texts(json.loads(line) for part in (out / "again").iterdir() for line in part.open())


def as_texts(found):
    text = {name: lambda value: None if value is None else str(value) for name in ["id", "price"]}
    found = [
        {name: text.get(name, lambda value: value)(value) for name, value in row.items()} for row in found
    ]
    return sorted(found, key=lambda row: int(row.get("id") or 0))


def row(number, columns, before=COLUMNS):
    """What a reader of the target sees of a row that had these columns."""
    known = {
        **{name: str(value) if name == "price" else value for name, value in VALUES.items()},
        "id": str(number),
    }
    return {name: known[name] if name in columns else None for name in [*before, *columns]}


def same(found, *expected):
    """The same rows; a column that no row has counts as NULL."""
    names = {name for row in [*found, *expected] for name in row}
    whole = [[{name: row.get(name) for name in names} for row in rows] for rows in [found, expected]]
    assert whole[0] == whole[1]


def changes(report):
    return [
        (change["kind"], change["column"], change["action"])
        for own in report["relations"]
        for change in own.get("drift", [])
    ]


@pytest.mark.parametrize("mode", ["append", "version", "replace"])
@pytest.mark.parametrize("format", FORMATS)
def test_each_kind_of_change_is_let_through_or_refused(goods, format, mode):
    lake = goods.program.lake
    for kind, (columns, key, word) in KINDS.items():
        shutil.rmtree(lake, ignore_errors=True)
        keys = {"format": format, "mode": mode}
        first, then = goods.set(COLUMNS).number, goods.number + 1
        goods.run(**keys)
        goods.set(columns)
        if key:
            line = goods.refused(**keys, schema={})
            assert f"`schema.{key}` is fail" in line, line
        schema = {key: word} if key else {}
        if (kind, format, mode) == ("added", "csv", "append"):
            line, code = goods.program.refused("validate", goods.job(**keys, schema=schema))
            assert code == 2 and "`schema.on_added`" in line and "CSV" in line, line
            continue
        report = goods.run(**keys, schema=schema)
        told = {"ignored": "added"}.get(kind, kind)
        assert {found for found, _, _ in changes(report)} == {told}, report
        [published] = report["relations"]
        is_new = mode == "version" or kind == "retyped"
        assert published["published_as"] == ("goods_v2" if is_new else "goods")
        found = rows(lake / published["published_as"], format)
        before = {} if kind == "retyped" else COLUMNS
        columns = COLUMNS if kind == "ignored" else columns
        if mode == "append" and kind != "retyped":
            same(found, row(first, COLUMNS), row(then, columns))
        else:
            same(found, row(then, columns, before))
        if mode == "append":
            same(own_rows(goods.program, lake / published["published_as"]), *found)
        # Once the target has it, it is no change.
        goods.set(goods.columns)
        again = {found for found, _, _ in changes(goods.run(**keys, schema=schema))}
        assert again == (set() if kind in ["added", "widened", "retyped"] else {told})


def test_without_a_word_append_refuses_and_names_the_key(goods):
    goods.set(COLUMNS).run()
    for columns in [columns for columns, _, _ in KINDS.values()]:
        line = goods.set(columns).refused()
        assert "has other columns" in line and "`schema`" in line, line
    goods.set(COLUMNS).run()
    assert len(rows(goods.program.lake / "goods", "parquet")) == 2


@pytest.mark.parametrize("mode", ["version", "replace"])
def test_without_a_word_a_new_table_has_the_columns_of_the_source(goods, mode):
    goods.set(COLUMNS).run(mode=mode)
    report = goods.set({"id": "bigint", "title": "string"}).run(mode=mode)
    told = {
        ("widened", "id", "none"),
        ("removed", "name", "none"),
        ("removed", "price", "none"),
        ("added", "title", "none"),
    }
    assert set(changes(report)) == told
    folder = goods.program.lake / ("goods_v2" if mode == "version" else "goods")
    assert rows(folder, "parquet") == [{"id": "2", "title": "né"}]


def test_a_column_that_is_ignored_is_not_read(program, server):
    with server.connect() as connection:
        connection.execute(
            "DROP TABLE IF EXISTS drift_a; CREATE TABLE drift_a AS SELECT 1 AS id, 'a' AS name"
        )
        target = {"url": f"file://{program.lake}", "mode": "append"}
        job = program.postgres(server, tables=["drift_a"], target=target, schema={"on_added": "ignore"})
        program.ok("run", job)
        connection.execute("ALTER TABLE drift_a ADD COLUMN secret text DEFAULT 'x'")
    plan = program.report("plan", job)
    [relation] = plan["relations"]
    assert relation["scans"][0]["projection"] == ["id", "name"]
    assert [(own["kind"], own["action"]) for own in relation["drift"]] == [("added", "ignore")]
    assert "it is left out" in program.ok("plan", job)
    program.ok("run", job)
    assert duckdb.sql(f"SELECT * FROM '{program.lake}/drift_a/*.parquet'").columns == ["id", "name"]


def test_a_table_that_is_altered_again_and_again(program, server):
    """By PostgreSQL's own `ALTER TABLE`, and read back by DuckDB and pyarrow after each."""
    target = {"url": f"file://{program.lake}", "mode": "append"}
    schema = {"on_added": "evolve", "on_removed": "keep", "on_widened": "evolve", "on_narrowed": "version"}
    job = program.postgres(
        server, relations=[{"table": 'drift."Straße 1"', "as": "t"}], target=target, schema=schema
    )
    steps = [
        (None, []),
        ("ADD COLUMN at timestamptz DEFAULT '2026-01-02 03:04:05.123456Z'", [("added", "at")]),
        ("ALTER COLUMN id TYPE bigint", [("widened", "id")]),
        ("ALTER COLUMN price TYPE numeric(20,2)", [("widened", "price")]),
        ("ALTER COLUMN name DROP NOT NULL", [("nullable", "name")]),
        ('ADD COLUMN "Größe ""x""" int DEFAULT 7', [("added", 'Größe "x"')]),
        ("RENAME COLUMN name TO title", [("removed", "name"), ("added", "title")]),
        ("DROP COLUMN title", [("removed", "name"), ("removed", "title")]),
        ("ALTER COLUMN id TYPE int", [("narrowed", "id"), ("removed", "name"), ("removed", "title")]),
    ]
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS drift CASCADE; CREATE SCHEMA drift")
        connection.execute(
            'CREATE TABLE drift."Straße 1" (id int NOT NULL, name text NOT NULL, price numeric(8,2))'
        )
        connection.execute("""INSERT INTO drift."Straße 1" VALUES (1, 'a', 1.25)""")
        for number, (step, told) in enumerate(steps):
            if step:
                connection.execute(f'ALTER TABLE drift."Straße 1" {step}')
            report = program.report("run", job)
            assert [(kind, column) for kind, column, _ in changes(report)] == told, step
            files = sorted((program.lake / "t").glob("*.parquet"))
            assert len(files) == number + 1
        found = duckdb.sql(f"FROM read_parquet('{program.lake}/t/*.parquet', union_by_name = true)")
        assert found.columns == ["id", "name", "price", "at", 'Größe "x"', "title"]
        assert [str(kind) for kind in found.types[:3]] == ["BIGINT", "VARCHAR", "DECIMAL(20,2)"]
        assert duckdb.sql(
            'SELECT count(*), count("at"), count(name), count(title), count(id) FROM found'
        ).fetchall() == [(9, 8, 6, 1, 9)]
        last = json.loads((program.lake / ".longshore/runs" / f"{report['run']}.json").read_text())
        whole = pa.unify_schemas([pq.read_schema(file) for file in files], promote_options="permissive")
        assert ds.dataset(program.lake / "t", schema=whole).count_rows() == 9
        assert [own["name"] for own in last["relations"][0]["schema"]] == found.columns
        # It comes back with another type: that is another table, and the next runs go there.
        connection.execute('ALTER TABLE drift."Straße 1" ADD COLUMN name int')
        for count in [1, 2]:
            report = program.report("run", job)
            assert report["relations"][0]["published_as"] == "t_v2"
            assert duckdb.sql(f"SELECT count(*) FROM '{program.lake}/t_v2/*.parquet'").fetchone() == (count,)
        assert changes(report) == []


def test_a_rename_is_suspected_and_never_assumed(goods):
    goods.set(COLUMNS).run()
    report = goods.set({"id": "int", "title": "string", "price": "decimal(8,2)"}).run(
        schema={"on_added": "evolve", "on_removed": "keep"}
    )
    suspected = [own.get("maybe_renamed_from") for own in report["relations"][0]["drift"]]
    assert suspected == [None, "name"]
    found = rows(goods.program.lake / "goods", "parquet")
    assert [(own["name"], own["title"]) for own in found] == [("één", None), (None, "né")]


@pytest.mark.parametrize("on_added", ["evolve", "ignore"])
def test_capitals_alone_make_no_column(goods, on_added):
    """A reader that knows no capitals would take two columns for one, or find nothing in it."""
    goods.set(COLUMNS).run()
    columns = {"id": "int", "Name": "string", "price": "decimal(8,2)"}
    line = goods.set(columns).refused(schema={"on_added": on_added, "on_removed": "keep"})
    assert "`Name`" in line and "capitals only" in line and 'SELECT "Name" AS "name"' in line
    step = {"sql": 'SELECT id, "Name" AS name, price FROM data'}
    goods.run(schema={}, transform=[step])


def test_what_is_accepted_is_taken_and_nothing_else(goods):
    program = goods.program
    job = goods.set(COLUMNS).job()
    line, code = program.refused("schema", "accept", job)
    assert code == 2 and "nothing is published" in line
    goods.run()
    assert program.call("schema", "diff", job).returncode == 0
    goods.set({"id": "bigint", "name": "string", "city": "string"})
    job = goods.job()
    done = program.call("schema", "--json", "diff", job)
    [relation] = json.loads(done.stdout)["relations"]
    assert done.returncode == 4 and {own["action"] for own in relation["changes"]} == {"fail"}
    assert [own["name"] for own in relation["columns"]] == ["id", "name", "city"]
    goods.refused()
    line, _ = program.refused("schema", "accept", job, "good")
    assert "no relation `good`" in line and "`goods`" in line
    assert "are accepted" in program.ok("schema", "accept", job, "goods")
    # Twice: what is gone stays gone, and is accepted still.
    for _ in range(2):
        report = goods.run()
    assert changes(report) == [("removed", "price", "keep")]
    assert program.call("schema", "diff", job).returncode == 4
    assert "`on_removed" in goods.set({"id": "bigint", "name": "string"}).refused(schema={})
    # Another type is no question of consent.
    goods.set({**COLUMNS, "id": "string"})
    line, code = program.refused("schema", "accept", goods.job())
    assert code == 2 and "`id` is Int64 in the target, and Utf8" in line


def test_changes_are_told_everywhere(goods):
    program = goods.program
    goods.set(COLUMNS).run()
    goods.set({**COLUMNS, "city": "string"})
    file = program.folder / "metrics.prom"
    report = goods.run("--metrics-file", file, schema={"on_added": "evolve"})
    change = {"kind": "added", "column": "city", "to": "Utf8", "action": "evolve"}
    assert report["relations"][0]["drift"] == [change] and report["interruptions"] == []
    manifest = json.loads((program.lake / f".longshore/runs/{report['run']}.json").read_text())
    assert manifest["relations"][0]["drift"] == [change] and manifest["format"] == 3
    shown = json.loads(program.ok("--json", "runs", "show", report["run"]))
    [event] = shown["events"]
    assert event["kind"] == "schema-change" and event["text"].startswith("goods: schema change: `city`")
    page = Metrics(file.read_text())
    page.lint()
    assert page.value("longshore_schema_changes_total", kind="added") == 1
    assert page.value("longshore_schema_changes_total", kind="removed") == 0


def test_a_relation_has_its_own_word(goods, program):
    for name in ["a", "b"]:
        (program.folder / f"{name}.jsonl").write_text('{"id": 1}\n')
    relations = [{"table": "a.jsonl"}, {"table": "b.jsonl", "schema": {"on_added": "ignore"}}]
    source = {"url": f"file://{program.folder}/"}
    target = {"url": f"file://{program.lake}", "mode": "append"}
    job = program.job(
        source, relations=relations, target=target, schema={"on_added": "evolve", "on_removed": "keep"}
    )
    program.ok("run", job)
    for name in ["a", "b"]:
        (program.folder / f"{name}.jsonl").write_text('{"x": 1}\n')
    report = program.report("run", job)
    assert changes(report) == [
        ("removed", "id", "keep"),
        ("added", "x", "evolve"),
        ("removed", "id", "keep"),
        ("added", "x", "ignore"),
    ]
    assert duckdb.sql(f"SELECT * FROM read_parquet('{program.lake}/b/*.parquet') ORDER BY 1").fetchall() == [
        (1,),
        (None,),
    ]


def test_partitions_and_a_query_over_several_inputs_evolve_too(program):
    (program.folder / "a.jsonl").write_text('{"id": 1, "day": "x"}\n')
    (program.folder / "b.jsonl").write_text('{"id": 1, "name": "n"}\n')
    source = {"url": f"file://{program.folder}/"}
    target = {"url": f"file://{program.lake}", "mode": "append", "partition_by": ["day"]}
    keys = {
        "tables": ["a.jsonl", "b.jsonl"],
        "sql": 'SELECT * FROM "a" JOIN "b" USING (id)',
        "target": target,
    }
    job = program.job(source, **keys, schema={"on_added": "evolve", "on_removed": "keep"})
    program.ok("run", job)
    (program.folder / "b.jsonl").write_text('{"id": 1, "size": 2.5}\n')
    report = program.report("run", job)
    assert changes(report) == [("removed", "name", "keep"), ("added", "size", "evolve")]
    found = duckdb.sql(
        f"SELECT day, name, size FROM read_parquet('{program.lake}/job/**/*.parquet', union_by_name = true,"
        " hive_partitioning = true) ORDER BY size NULLS FIRST"
    )
    assert found.fetchall() == [("x", "n", None), ("x", None, 2.5)]
    relation = {"table": "a.jsonl", "schema": {}}
    job = program.job(source, relations=[relation, {"table": "b.jsonl"}], sql=keys["sql"], target=target)
    line, code = program.refused("validate", job)
    assert code == 2 and "`relations[0].schema`" in line and "beside `sql`" in line


def test_an_empty_source_evolves_its_target(program, server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS drift_b; CREATE TABLE drift_b AS SELECT 1 AS id")
        target = {"url": f"file://{program.lake}", "mode": "append"}
        job = program.postgres(server, tables=["drift_b"], target=target, schema={"on_added": "evolve"})
        program.ok("run", job)
        connection.execute("TRUNCATE drift_b; ALTER TABLE drift_b ADD COLUMN b uuid")
        assert changes(program.report("run", job)) == [("added", "b", "evolve")]
        connection.execute("INSERT INTO drift_b VALUES (2, gen_random_uuid())")
        assert changes(program.report("run", job)) == []
    found = duckdb.sql(f"FROM read_parquet('{program.lake}/drift_b/*.parquet', union_by_name = true)")
    assert sorted(found.fetchall())[0] == (1, None) and len(found) == 2


def test_what_was_published_with_other_columns_is_verified(goods):
    program = goods.program
    goods.set(COLUMNS).run()
    report = goods.set({"price": "decimal(8,2)", "id": "smallint", "city": "string"}).run(
        schema={"on_added": "evolve", "on_removed": "keep"}
    )
    program.ok("verify", report["manifest"], "--job", program.folder / "goods.yaml", "--source")


def test_a_run_that_is_killed_resumes_with_the_columns_that_it_began_with(program, server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS drift_c; CREATE TABLE drift_c (id int NOT NULL)")
        target = {"url": f"file://{program.lake}", "mode": "append"}
        keys = {"tables": ["drift_c"], "target": target, "chunk": {"rows": 2_000}, "parallel": {"chunks": 1}}
        job = program.postgres(server, **keys, schema={"on_added": "evolve", "on_widened": "evolve"})
        program.ok("run", job)
        connection.execute(
            "ALTER TABLE drift_c ALTER COLUMN id TYPE bigint, ADD COLUMN name text DEFAULT 'n'"
        )
        connection.execute("INSERT INTO drift_c SELECT n FROM generate_series(1, 200000) n; ANALYZE drift_c")
    run = program.start("run", job, "--run-key", "night")
    wait_for(lambda: any(run["tasks"]["done"] > 3 for run in json.loads(program.ok("--json", "runs"))))
    run.kill()
    run.wait()
    report = program.report("run", job, "--run-key", "night")
    assert report["rows"] == 200_000 and changes(report) == [
        ("widened", "id", "evolve"),
        ("added", "name", "evolve"),
    ]
    found = duckdb.sql(f"FROM read_parquet('{program.lake}/drift_c/*.parquet', union_by_name = true)")
    assert [str(kind) for kind in found.types] == ["BIGINT", "VARCHAR"]
    assert (
        duckdb.sql("SELECT count(DISTINCT id), count(*), count(name) FROM found").fetchone() == (200_000,) * 3
    )


def test_a_run_whose_columns_are_out_of_date_starts_again(program, server):
    """It waits within its query, while another run publishes a wider column and one more."""
    target = {"url": f"file://{program.lake}", "mode": "append"}
    schema = {"on_added": "evolve", "on_removed": "keep", "on_widened": "evolve"}

    def job(name, query):
        relations = [{"query": query, "as": "t"}]
        return program.postgres(server, name, relations=relations, target=target, schema=schema)

    program.ok("run", job("first.yaml", "SELECT 1 AS id"))
    with server.connect() as gate:
        gate.execute("SELECT pg_advisory_lock(42)")
        slow = program.start(
            "run",
            job("slow.yaml", "SELECT 2 AS id, pg_advisory_lock_shared(42)::text AS gate"),
            "--run-key",
            "slow",
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_for(lambda: server.rows(waiting) != [(0,)])
        program.ok("run", job("quick.yaml", "SELECT 3::bigint AS id, 'x' AS more"))
    assert slow.wait(120) == 0
    found = duckdb.sql(f"FROM read_parquet('{program.lake}/t/*.parquet', union_by_name = true) ORDER BY id")
    assert found.columns == ["id", "more", "gate"]
    assert found.fetchall() == [(1, None, None), (2, None, ""), (3, "x", None)]
    report = program.report("run", program.folder / "slow.yaml", "--run-key", "slow")
    assert any("another run has published other columns" in text for text in report["interruptions"])


def test_two_runs_that_each_add_a_column_leave_a_table_with_both(goods):
    """Both have read their rows, and wait for a third one that publishes there."""
    program, added = goods.program, ["one", "two"]
    goods.set(COLUMNS).run()
    name = program.lake / ".longshore/names/goods"
    name.write_text("a third one")
    runs = []
    for column in added:
        goods.path = program.folder / column / "goods.jsonl"
        goods.path.parent.mkdir()
        job = goods.set({**COLUMNS, column: "string"}).job(
            schema={"on_added": "evolve", "on_removed": "keep"}
        )
        runs.append(program.start("run", job.rename(program.folder / column / "goods.yaml")))
    parts = program.lake / ".longshore/staging"
    wait_for(lambda: len({part.relative_to(parts).parts[0] for part in parts.rglob("*.parquet")}) == 2)
    name.unlink()
    assert [run.wait(120) for run in runs] == [0, 0]
    found = duckdb.sql(f"FROM read_parquet('{program.lake}/goods/*.parquet', union_by_name = true)")
    assert set(found.columns) == {*COLUMNS, *added} and len(found.fetchall()) == 3
    manifests = (program.lake / ".longshore/runs").glob("*.json")
    newest = max((json.loads(path.read_text()) for path in manifests), key=lambda run: run["finished"])
    known = [column["name"] for column in newest["relations"][0]["schema"]]
    assert set(known) == {*COLUMNS, *added}


def test_the_table_of_a_sink_is_its_databases_own(program, server):
    goods = Goods(program)
    only(program, "postgres-sink")
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS drift_sink")
        connection.execute("CREATE DATABASE drift_sink")
    url = f"postgres://postgres@127.0.0.1:{server.port}/drift_sink"
    target = {"url": url, "password": {"env": "PGPASSWORD"}, "mode": "append"}

    def job(columns, **schema):
        goods.set(columns)
        source = {"url": f"file://{goods.path}", "columns": columns}
        return program.job(source, "goods.yaml", target=target, schema=schema)

    def rows(sql):
        with server.connect(dbname="drift_sink") as connection:
            return connection.execute(sql).fetchall()

    for key, word in [("on_added", "evolve"), ("on_widened", "evolve"), ("on_narrowed", "version")]:
        line, code = program.refused("validate", job(COLUMNS, **{key: word}))
        assert code == 2 and f"`schema.{key}: {word}`" in line and "accept" in line
    program.ok("run", job(COLUMNS))
    changed = {"id": "int", "price": "decimal(8,2)", "city": "string"}
    line, code = program.refused("run", job(changed))
    assert code == 2 and "`name` (Utf8) is not at the source any more" in line
    lenient = {"on_added": "ignore", "on_removed": "keep"}
    report = program.report("run", job(changed, **lenient))
    assert changes(report) == [("removed", "name", "keep"), ("added", "city", "ignore")]
    assert [name for _, name in sorted(rows("SELECT id, name FROM goods"))] == ["één", None]
    with server.connect(dbname="drift_sink") as connection:
        connection.execute("ALTER TABLE goods ADD COLUMN city text")
    program.ok("schema", "accept", job(changed))
    program.ok("run", program.folder / "goods.yaml")
    assert rows("SELECT name, city FROM goods ORDER BY id DESC LIMIT 1") == [(None, "東京")]


def test_a_dictionary_is_no_other_type(program):
    rows = program.folder / "t.parquet"
    job = program.job({"url": f"file://{rows}"}, target={"url": f"file://{program.lake}", "mode": "append"})
    for values in [pa.array(["b"]).dictionary_encode(), pa.array(["c"])]:
        pq.write_table(pa.table({"s": values}), rows)
        program.ok("run", job)


@pytest.mark.parametrize("schema", [None, {"on_narrowed": "version"}], ids=["without", "version"])
def test_a_source_without_rows_goes_with_what_is_there(program, schema):
    only(program)
    path = program.folder / "goods.csv"
    keys = {"schema": schema} if schema else {}
    steps = [{"sql": "SELECT id, name FROM data"}]
    for transform in [[], steps]:
        for text in ["id,name\n1,x\n", "id,name\n", "id,name\n,y\n", "id,name\n2,z\n"]:
            path.write_text(text)
            target = {"url": f"file://{program.lake}", "mode": "append"}
            source = {"url": f"file://{path}"}
            program.ok("run", program.job(source, "goods.yaml", target=target, transform=transform, **keys))
    assert [folder.name for folder in program.lake.iterdir() if folder.name[0] != "."] == ["goods"]
    table = ds.dataset(program.lake / "goods").to_table()
    assert table.schema.field("id").type == pa.int64()
    assert sorted(table["name"].to_pylist()) == ["x", "x", "y", "y", "z", "z"]


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, [{"a": 1}], [[1]], ["x"]], ids=json.dumps)
def test_a_nested_column_that_is_null_in_a_whole_run_is_null(program, value):
    source = program.folder / "in"
    source.mkdir()
    job = program.job(
        {"url": f"file://{source}"},
        relations=[
            {
                "table": "rows.jsonl",
                "as": "rows",
                "checks": [{"not_null": ["o"], "severity": "warn", "name": "there"}],
            }
        ],
        target={"url": f"file://{program.lake}", "mode": "append"},
    )
    (source / "rows.jsonl").write_text(json.dumps({"id": 1, "o": value}) + "\n")
    program.ok("run", job)
    for rows in ['{"id": 2, "o": null}\n', '{"id": 3}\n{"id": 4, "o": null}\n']:
        (source / "rows.jsonl").write_text(rows)
        report = program.report("run", job)
        assert report["checks"][0]["failing"] == rows.count("\n"), report["checks"]
    found = {row["id"]: row["o"] for row in pq.read_table(program.lake / "rows").to_pylist()}
    assert found == {1: value, 2: None, 3: None, 4: None}
