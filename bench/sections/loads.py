"""Loads of what has changed, beside dlt and DuckDB: 1% of a table, a merge of 100,000 rows into 6 million, and the same
as a history. Into files and into PostgreSQL; each load finds what the one before it found."""

import json
import shutil
import sys

from measuring import compare, in_turn, measure, measure_family
from setting import PEERS, PYTHON, ROOT
from support.longshore import PASSWORD

ROWS, CHANGES = 6_000_000, 100_000

#: dlt has an environment of its own: it wants other versions than the other peers.
DLT = ROOT / "target/dlt/bin/python"
DLT_PEER = ROOT / "bench/dlt_peer.py"

COLUMNS = "id bigint, updated_at timestamptz, status text, amount numeric(15,2), note text"

MADE = """SELECT i::bigint AS id, timestamptz '2026-01-01 00:00:00+00' + i * interval '1 second' AS updated_at,
    (ARRAY['new', 'paid', 'sent', 'done'])[1 + i % 4] AS status, (i % 100000)::numeric(15,2) / 4 AS amount,
    md5(i::text) AS note"""


def lines(setting):
    load = Loads(setting)
    yield from load.incremental()
    yield from load.merges_of_files()
    yield from load.merges_of_tables()
    yield from load.histories()


class Loads:
    def __init__(self, setting):
        self.setting, self.server = setting, setting.server
        rows, changes = int(ROWS * setting.size), int(CHANGES * setting.size)
        with self.server.connect() as connection:
            connection.execute(f"CREATE TABLE orders ({COLUMNS}, PRIMARY KEY (id))")
            connection.execute(f"INSERT INTO orders {MADE} FROM generate_series(1, {rows}) i")
            connection.execute("CREATE INDEX ON orders (updated_at)")
            # Half of them change a row, half are new.
            connection.execute(f"CREATE TABLE changes ({COLUMNS}, PRIMARY KEY (id))")
            connection.execute(
                f"INSERT INTO changes SELECT CASE WHEN i % 2 = 0 THEN i * 50 ELSE {rows} + i END, "
                f"timestamptz '2026-07-01 00:00:00+00', 'changed', i, 'changed' FROM generate_series(1, {changes}) i"
            )
            connection.execute("CREATE DATABASE lake")
            connection.execute("CREATE DATABASE dlt")
            # Without room for its set of hashes, dlt looks each one up among all others.
            connection.execute("ALTER DATABASE dlt SET work_mem = '1GB'")
            connection.execute("VACUUM (FREEZE, ANALYZE)")
            share = "SELECT updated_at FROM orders ORDER BY updated_at LIMIT 1 OFFSET %s"
            [self.since] = connection.execute(share, [rows - rows // 100 - 1]).fetchone()
            merged = """SELECT count(*), sum(amount) FROM (
                SELECT amount FROM orders o WHERE NOT EXISTS (SELECT FROM changes c WHERE c.id = o.id)
                UNION ALL SELECT amount FROM changes) merged"""
            self.merged = connection.execute(merged).fetchone()
        self.rows = rows
        self.folder = setting.scratch / "dlt"

    def job(self, name, relation, target):
        path = self.setting.scratch / f"{name}.json"
        document = {"source": self.setting.postgres_source(), "relations": [relation], "target": target}
        path.write_text(json.dumps(document))
        return path

    def dlt(self, what, *args, folder=None):
        command = [DLT, DLT_PEER, what, self.server.port, folder or self.folder, *args]
        return measure_family(command, {"PGPASSWORD": PASSWORD})

    def duckdb(self, sql):
        return measure([PYTHON, PEERS, "duckdb_sql", self.server.port, sql], self.setting.env)

    def incremental(self):
        """1% of a table, by an indexed column, into Parquet."""
        setting = self.setting
        relation = {
            "table": "orders",
            "incremental": {"column": "updated_at", "initial": self.since.isoformat()},
        }
        job = self.job("incremental", relation, {"url": f"file://{setting.lake}", "mode": "append"})

        def ours():
            shutil.rmtree(setting.scratch / "state", ignore_errors=True)
            return measure(setting.run(job), setting.env, setting.lake)

        def dlt():
            shutil.rmtree(self.folder, ignore_errors=True)
            return self.dlt("incremental", self.since.isoformat())

        out = setting.scratch / "out.parquet"
        copy = (
            f"COPY (FROM pg.orders WHERE updated_at > '{self.since.isoformat()}') TO '{out}' (FORMAT parquet)"
        )
        contenders = {"Longshore": ours, "dlt": dlt, "DuckDB": lambda: self.duckdb(copy)}
        found = in_turn(contenders, setting.runs, lambda: self.check_files(self.rows // 100))
        yield from self.told("1% of 6,000,000 rows into Parquet", found)

    def merges_of_files(self):
        """100,000 rows into Parquet that is there."""
        setting = self.setting
        base = setting.scratch / "base"
        target = {"url": f"file://{setting.lake}", "mode": "merge", "merge": {"key": ["id"]}}
        measure(setting.run(self.job("base", {"table": "orders"}, target)), setting.env, setting.lake)
        shutil.copytree(setting.lake, base)
        self.dlt("delta-base", folder=setting.scratch / "delta-base")
        job = self.job("merge", {"table": "changes", "as": "orders"}, target)

        def ours():
            shutil.rmtree(setting.lake)
            shutil.copytree(base, setting.lake)
            return measure(setting.run(job), setting.env)

        def dlt():
            shutil.rmtree(self.folder, ignore_errors=True)
            shutil.copytree(setting.scratch / "delta-base", self.folder)
            return self.dlt("delta-merge")

        copy = f"""COPY (FROM '{base}/orders/*.parquet' WHERE id NOT IN (SELECT id FROM pg.changes)
            UNION ALL FROM pg.changes) TO '{setting.scratch}/out.parquet' (FORMAT parquet)"""
        contenders = {"Longshore": ours, "dlt (Delta)": dlt, "DuckDB": lambda: self.duckdb(copy)}
        found = in_turn(contenders, setting.runs, lambda: self.check_files(*self.merged))
        yield from self.told("merge of 100,000 into 6,000,000 rows of Parquet", found, dlt="dlt (Delta)")

    def merges_of_tables(self):
        """100,000 rows into a table of PostgreSQL."""
        setting = self.setting
        with self.server.connect(dbname="lake") as connection:
            connection.execute(f"CREATE TABLE orders ({COLUMNS}, PRIMARY KEY (id))")
            connection.execute(f"INSERT INTO orders {MADE} FROM generate_series(1, {self.rows}) i")
            connection.execute("VACUUM (FREEZE, ANALYZE) orders")
        # dlt makes its table of a few rows; the rest is put there by SQL, which is faster.
        with self.server.connect() as connection:
            connection.execute("CREATE TABLE base AS SELECT * FROM orders LIMIT 10")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.dlt("base")
        with self.server.connect(dbname="dlt") as connection:
            connection.execute(
                f"INSERT INTO shop.orders (id, updated_at, status, amount, note) "
                f"{MADE} FROM generate_series(11, {self.rows}) i"
            )
            connection.execute("CREATE INDEX ON shop.orders (id)")
            connection.execute("VACUUM (FREEZE, ANALYZE) shop.orders")
        target = {**self.lake_target(), "mode": "merge", "merge": {"key": ["id"]}}
        job = self.job("merge-table", {"table": "changes", "as": "orders"}, target)
        found = in_turn(
            {
                "Longshore": lambda: self.after_restoring(
                    "lake", "orders", lambda: measure(setting.run(job), setting.env)
                ),
                "dlt": lambda: self.after_restoring("dlt", "shop.orders", lambda: self.dlt("merge")),
            },
            setting.runs,
            lambda: self.check_table("SELECT count(*), sum(amount) FROM orders", self.merged),
        )
        what = "merge of 100,000 into 6,000,000 rows of PostgreSQL"
        yield from compare(
            "loads", what, found, ("wall", "dlt", 0.2), ("cpu", "dlt", None), ("mib", "dlt", None)
        )

    def after_restoring(self, database, table, load):
        """The rows are as they were, but for those that do not matter."""
        with self.server.connect(dbname=database) as connection:
            connection.execute(f"DELETE FROM {table} WHERE id > {self.rows}")
            connection.execute(
                f"UPDATE {table} t SET status = 'new', updated_at = '2026-01-01', note = 'old', amount = 0 "
                "WHERE status = 'changed'"
            )
            connection.execute(f"VACUUM ANALYZE {table}")
        return load()

    def histories(self):
        """The same as versions, into Parquet and into PostgreSQL."""
        setting = self.setting
        shutil.rmtree(setting.scratch / "base")
        base = setting.scratch / "base"
        how = {"mode": "scd2", "scd2": {"key": ["id"], "changed_at": "updated_at"}}
        target = {"url": f"file://{setting.lake}", **how}
        first = self.job("base", {"table": "orders", "as": "history"}, target)
        measure(setting.run(first), setting.env, setting.lake)
        shutil.copytree(setting.lake, base)
        job = self.job("history", {"table": "changes", "as": "history"}, target)

        def ours():
            shutil.rmtree(setting.lake)
            shutil.copytree(base, setting.lake)
            return measure(setting.run(job), setting.env)

        copy = f"""COPY (
            SELECT b.* REPLACE (coalesce(c.updated_at, b.valid_to) AS valid_to)
            FROM '{base}/history/*.parquet' b LEFT JOIN pg.changes c USING (id)
            UNION ALL SELECT updated_at, TIMESTAMPTZ '9999-12-31 00:00:00+00', id, status, amount, note FROM pg.changes
            ) TO '{setting.scratch}/out.parquet' (FORMAT parquet)"""
        versions = self.rows + int(CHANGES * setting.size)
        found = in_turn(
            {"Longshore": ours, "DuckDB": lambda: self.duckdb(copy)},
            setting.runs,
            lambda: self.check_files(versions, relation="history"),
        )
        what = "history of 100,000 in 6,000,000 rows of Parquet"
        yield from compare(
            "loads", what, found, ("wall", "DuckDB", 1.0), ("cpu", "DuckDB", None), ("mib", "DuckDB", None)
        )
        yield from self.histories_of_tables(how, versions)

    def histories_of_tables(self, how, versions):
        setting = self.setting
        shutil.rmtree(self.folder, ignore_errors=True)
        self.dlt("scd2-base")
        made = lambda first: f"FROM ({MADE} FROM generate_series({first}, {self.rows}) i) made"
        with self.server.connect(dbname="dlt") as connection:
            connection.execute(
                "INSERT INTO shop.history (id, updated_at, status, amount, note, _dlt_valid_from, row_hash) "
                "SELECT made.*, '2026-01-01', -id " + made(11)
            )
            connection.execute("CREATE INDEX ON shop.history (id)")
            connection.execute("CREATE INDEX ON shop.history (row_hash)")
            connection.execute("VACUUM (FREEZE, ANALYZE) shop.history")
        with self.server.connect(dbname="lake") as connection:
            connection.execute(
                "CREATE TABLE history (valid_from timestamptz NOT NULL, valid_to timestamptz NOT NULL, "
                "id bigint, status text, amount numeric(15,2), note text)"
            )
            connection.execute(
                "INSERT INTO history SELECT updated_at, '9999-12-31 00:00:00+00', id, status, amount, note "
                + made(1)
            )
            connection.execute("CREATE INDEX ON history (id)")
            connection.execute("VACUUM (FREEZE, ANALYZE) history")
        job = self.job("history-table", {"table": "changes", "as": "history"}, {**self.lake_target(), **how})

        def ours():
            with self.server.connect(dbname="lake") as connection:
                connection.execute("DELETE FROM history WHERE status = 'changed'")
                connection.execute(
                    "UPDATE history SET valid_to = '9999-12-31 00:00:00+00' WHERE valid_to < '9999-01-01'"
                )
                connection.execute("VACUUM ANALYZE history")
            return measure(setting.run(job), setting.env)

        def dlt():
            with self.server.connect(dbname="dlt") as connection:
                connection.execute("DELETE FROM shop.history WHERE status = 'changed'")
                connection.execute(
                    "UPDATE shop.history SET _dlt_valid_to = NULL WHERE _dlt_valid_to IS NOT NULL"
                )
                connection.execute("VACUUM ANALYZE shop.history")
            return self.dlt("scd2")

        found = in_turn(
            {"Longshore": ours, "dlt": dlt},
            setting.runs,
            lambda: self.check_table("SELECT count(*) FROM history", (versions,)),
        )
        what = "history of 100,000 in 6,000,000 rows of PostgreSQL"
        yield from compare(
            "loads", what, found, ("wall", "dlt", 0.2), ("cpu", "dlt", None), ("mib", "dlt", None)
        )

    def lake_target(self):
        url = f"postgres://postgres@127.0.0.1:{self.server.port}/lake?sslmode=disable"
        return {"url": url, "password": {"env": "PGPASSWORD"}}

    def told(self, what, found, dlt="dlt"):
        return compare(
            "loads",
            what,
            found,
            ("wall", dlt, 0.2),
            ("wall", "DuckDB", 1.0),
            ("cpu", dlt, None),
            ("cpu", "DuckDB", None),
            ("mib", dlt, None),
            ("mib", "DuckDB", None),
        )

    def check_files(self, rows, total=None, relation="orders"):
        import duckdb

        files = f"{self.setting.lake}/{relation}/*.parquet"
        found = duckdb.sql(f"SELECT count(*), sum(amount) FROM '{files}'").fetchone()
        if found[0] != rows or (total is not None and found[1] != total):
            sys.exit(f"{found} in {files}, and not {rows}, {total}")

    def check_table(self, sql, wanted):
        with self.server.connect(dbname="lake") as connection:
            found = connection.execute(sql).fetchone()
        if found[0] != wanted[0]:
            sys.exit(f"{found} and not {wanted}: {sql}")
