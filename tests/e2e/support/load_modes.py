"""Load modes: a source that is one Parquet file, a job over it, and what the target holds afterwards."""

import io
from urllib.parse import unquote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from support.stores import visible

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


class Load:
    """A relation `orders` in a folder of a store, loaded again and again from rows that the test gives."""

    def __init__(self, program, lake, folder, schema, **target):
        self.program, self.lake, self.folder, self.schema = program, lake, folder, schema
        self.target = lake.target(folder, **target)
        #: The columns of the target, where they are others than those of the source.
        self.columns = schema

    def job(self, rows, chunks=1, name="load.yaml", **keys):
        """The job, over these rows, in so many files: each is a chunk."""
        data = self.program.folder / name.removesuffix(".yaml")
        data.mkdir(exist_ok=True)
        for old in data.iterdir():
            old.unlink()
        for chunk in range(chunks):
            part = pa.Table.from_pylist(rows[chunk::chunks], self.schema)
            pq.write_table(part, data / f"{chunk:03}.parquet")
        return self.program.job(
            {"url": f"file://{data.parent}/"},
            name,
            target=self.target,
            relations=[{"table": data.name, "as": "orders"}],
            **keys,
        )

    def run(self, rows, chunks=1, **keys):
        """Loads these rows; gives what the report says of the relation."""
        [relation] = self.program.report("run", self.job(rows, chunks, **keys))["relations"]
        return relation

    def files(self):
        """The files that readers of the relation see."""
        files = visible(self.lake.files(self.folder))
        return {path: data for path, data in files.items() if path.startswith("orders/")}

    def rows(self):
        """The rows that the target holds, as sorted tuples, with what folders say in the places of their columns."""
        found = []
        for path, data in self.files().items():
            _, *folders, _ = path.split("/")
            table = pq.read_table(io.BytesIO(data))
            for folder in folders:
                column, _, value = folder.partition("=")
                field = self.columns.field(unquote(column))
                value = None if value == NULL_FOLDER else unquote(value)
                values = pa.array([value] * table.num_rows, pa.string()).cast(field.type)
                table = table.append_column(field, values)
            found += table.to_pylist()
        return ordered(found)


def ordered(rows):
    """Rows in one order, whatever values they have."""
    return sorted(rows, key=lambda row: repr(sorted(row.items())))


class Expected:
    """What a merge should give, by SQL on DuckDB: what is there but for the keys that come, and the last row of each."""

    def __init__(self, schema, key, order_by=None, deleted=None):
        self.database = duckdb.connect()
        self.key, self.order_by, self.deleted = key, order_by, deleted
        self.schema = schema
        self.database.register("empty", pa.Table.from_pylist([], schema))
        self.database.execute("CREATE TABLE target AS SELECT * FROM empty")

    def load(self, rows):
        """Merges rows; gives the rows that are held then, and how many were inserted, updated, deleted, unchanged."""
        columns = ", ".join(f'"{name}"' for name in self.schema.names)
        same_key = " AND ".join(f't."{name}" IS NOT DISTINCT FROM s."{name}"' for name in self.key)
        same_row = " AND ".join(f't."{name}" IS NOT DISTINCT FROM s."{name}"' for name in self.schema.names)
        by = ", ".join(f'"{name}"' for name in self.key)
        last = f'"{self.order_by}" DESC NULLS LAST, arrival DESC' if self.order_by else "arrival DESC"
        arrived = pa.Table.from_pylist(rows, self.schema).append_column(
            "arrival", pa.array(range(len(rows)), pa.int64())
        )
        self.database.register("arrived", arrived)
        deleted = self.deleted or "FALSE"
        self.database.execute(
            f"CREATE OR REPLACE TEMP TABLE source AS SELECT {columns}, coalesce({deleted}, FALSE) AS removes "
            f"FROM arrived QUALIFY row_number() OVER (PARTITION BY {by} ORDER BY {last}) = 1"
        )
        count = lambda sql: self.database.execute(f"SELECT count(*) FROM {sql}").fetchone()[0]
        joined = f"target t JOIN source s ON {same_key}"
        lives, same = f"{joined} WHERE NOT removes", f"{joined} WHERE NOT removes AND {same_row}"
        counts = {
            "inserted": count("source WHERE NOT removes") - count(lives),
            "updated": count(lives) - count(same),
            "deleted": count(f"{joined} WHERE removes"),
            "unchanged": count(same),
        }
        self.database.execute(f"DELETE FROM target t USING source s WHERE {same_key}")
        self.database.execute(f"INSERT INTO target SELECT {columns} FROM source WHERE NOT removes")
        return ordered(
            self.database.execute("FROM target").to_arrow_table().cast(self.schema).to_pylist()
        ), counts


class ExpectedVersions:
    """What a history should be, by SQL on DuckDB: `id` is the key, `plan` and `seats` are tracked, `at` is the time."""

    END = "TIMESTAMPTZ '9999-12-31 00:00:00+00'"

    def __init__(self):
        self.database = duckdb.connect()
        self.database.execute("SET timezone = 'UTC'")
        self.database.execute(
            "CREATE TABLE target (valid_from TIMESTAMPTZ, valid_to TIMESTAMPTZ, is_current BOOLEAN, "
            "id BIGINT, plan VARCHAR, seats INTEGER, note VARCHAR)"
        )

    def load(self, rows, schema):
        """The versions after these rows."""
        self.database.register("source", pa.Table.from_pylist(rows, schema))
        self.database.execute(f"""
            CREATE OR REPLACE TABLE target AS
            WITH known AS (
                SELECT id, valid_from AS t, 1 AS side, plan, seats, note FROM target
                UNION ALL
                SELECT id, valid_to, 0, NULL, NULL, NULL FROM target WHERE valid_to < {self.END}
                UNION ALL
                SELECT id, "at", 2, plan, seats, note FROM source
            ), instants AS (
                SELECT *, max(side) OVER (PARTITION BY id, t) > 0 AS begins FROM known
                QUALIFY row_number() OVER (PARTITION BY id, t ORDER BY side DESC) = 1
            ), compared AS (
                SELECT *,
                    lag(begins) OVER w AND lag(plan) OVER w IS NOT DISTINCT FROM plan
                    AND lag(seats) OVER w IS NOT DISTINCT FROM seats AS is_same
                FROM instants WINDOW w AS (PARTITION BY id ORDER BY t)
            ), kept AS (
                SELECT * FROM compared WHERE NOT begins OR NOT coalesce(is_same, FALSE)
            ), ended AS (
                SELECT *, lead(t) OVER (PARTITION BY id ORDER BY t) AS next FROM kept
            )
            SELECT t AS valid_from, coalesce(next, {self.END}) AS valid_to, next IS NULL AS is_current,
                id, plan, seats, note
            FROM ended WHERE begins
        """)
        return ordered(self.database.execute("FROM target").to_arrow_table().to_pylist())
