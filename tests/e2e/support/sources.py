"""The sources that Longshore reads from, each with the same tables, as far as it can have them.

`goods` has `COUNT` rows of a key and a text, `odd names` has columns that must be quoted, `bare` has no rows.
"""

import sqlite3

import duckdb

from support.hive import STATS, Impala

COUNT = 4_000
#: What the tables of Impala and Hive are partitioned into.
PARTS = 20

#: Names that mean something to a shell, to SQL, in a path or in a URL.
ODD_COLUMNS = ["select", "größe ☃", "a b", "50%", "it's"]


def goods():
    return [(n, f"good {n}" if n % 7 else None) for n in range(COUNT)]


class Source:
    """`keys` is what a job says of it; tables are called as it calls them."""

    columns = ["id", "name"]
    goods, odd, bare = "goods", "odd", "bare"
    #: What a connection test calls `goods`, if it is another name.
    listed = None
    #: Chunks of which `goods` has many.
    chunk = {"rows": 50}

    def start(self, folder, ask):
        """Fills it. `ask` gives a fixture by its name."""

    def stop(self):
        pass

    def rows(self):
        return goods()

    def keys(self):
        raise NotImplementedError


def quoted(names, quote='"'):
    return [f"{quote}{name}{quote}" for name in names]


def statements(quote='"'):
    """Makes the tables in any SQL, but for `goods`' rows."""
    odd = ", ".join(f"{name} int" for name in quoted(ODD_COLUMNS, quote))
    return [
        "CREATE TABLE goods (id int PRIMARY KEY, name varchar(20))",
        f"CREATE TABLE odd ({odd})",
        "INSERT INTO odd VALUES (1, 2, 3, 4, 5)",
        "CREATE TABLE bare (id int, name varchar(20))",
    ]


class Tpch(Source):
    goods, odd, bare = "orders", None, None
    columns = ["o_orderkey"]
    chunk = {"rows": 200}

    def keys(self):
        return {"url": "tpch:", "scale": 0.01, "text_mib": 1}

    def rows(self):
        # Of every 32 numbers, the first eight are keys.
        return [(n // 8 * 32 + n % 8,) for n in range(1, 15_001)]


class Files(Source):
    goods, odd, bare = "goods.csv", "odd.csv", "bare.csv"

    def start(self, folder, ask):
        self.folder = folder
        lines = [f"{n},{name if name else ''}\n" for n, name in goods()]
        (folder / "goods.csv").write_text("id,name\n" + "".join(lines))
        (folder / "odd.csv").write_text(",".join(ODD_COLUMNS) + "\n1,2,3,4,5\n")
        (folder / "bare.csv").write_text("id,name\n")

    def keys(self):
        return {"url": f"file://{self.folder}/"}


class Postgres(Source):
    goods, odd, bare = "shop.goods", "shop.odd", "shop.bare"

    def start(self, folder, ask):
        self.server = ask("server")
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS shop CASCADE; CREATE SCHEMA shop; SET search_path = shop")
            for statement in statements():
                cursor.execute(statement)
            cursor.executemany("INSERT INTO goods VALUES (%s, %s)", goods())
            cursor.execute("ANALYZE goods")

    def keys(self):
        return {"url": self.server.url(), "password": {"env": "PGPASSWORD"}}


class Sqlite(Source):
    def start(self, folder, ask):
        self.path = folder / "shop.db"
        with sqlite3.connect(self.path) as connection:
            for statement in statements():
                connection.execute(statement)
            connection.executemany("INSERT INTO goods VALUES (?, ?)", goods())
            connection.execute("ANALYZE")
        connection.close()

    def keys(self):
        return {"url": f"sqlite://{self.path}"}


class MariaDB(Source):
    listed = "shop.goods"

    def start(self, folder, ask):
        self.server = ask("mariadb")
        self.server.run("DROP TABLE IF EXISTS goods, odd, bare", *statements("`"))
        with self.server.connect() as connection, connection.cursor() as cursor:
            cursor.executemany("INSERT INTO goods VALUES (%s, %s)", goods())
            cursor.execute("ANALYZE TABLE goods")

    def keys(self):
        return self.server.source()


class ByImpala(Source):
    """The tests' own, over DuckDB."""

    odd, bare = None, None
    chunk = {"bytes": 1_000_000}

    def start(self, folder, ask):
        database = duckdb.connect()
        database.execute("CREATE MACRO fnv_hash(x) AS CAST(hash(x) % 1000000007 AS BIGINT) - 500000000")
        database.execute("CREATE MACRO version() AS 'impalad version 4.4.0-RELEASE RELEASE (build 1)'")
        database.execute("CREATE TABLE goods (id int, name varchar, part int)")
        database.executemany(
            "INSERT INTO goods VALUES (?, ?, ?)", [(*row, row[0] % PARTS) for row in goods()]
        )
        self.server = Impala(database)
        parts = [(str(part), COUNT // PARTS, 1, "1.00MB", "PARQUET") for part in range(PARTS)]
        total = ("Total", COUNT, PARTS, f"{PARTS}.00MB", "")
        for said in ["^SHOW TABLE STATS", "^SHOW PARTITIONS"]:
            self.server.answers[said] = ([("part", "string"), *STATS], [*parts, total])

    def keys(self):
        return {"url": self.server.url()}

    def stop(self):
        self.server.stop()


class Hive(Source):
    """Spark's Thrift Server."""

    chunk = {"bytes": 4_000}

    def start(self, folder, ask):
        self.server = ask("spark")
        odd = ", ".join(f"{n} AS {name}" for n, name in enumerate(quoted(ODD_COLUMNS, "`"), 1))
        self.server.run(
            # The server is shared: tests of another file may have made it.
            "DROP DATABASE IF EXISTS shop CASCADE",
            "CREATE DATABASE shop",
            "USE shop",
            "CREATE TABLE goods STORED AS PARQUET PARTITIONED BY (part) AS SELECT cast(id as int) AS id, "
            f"if(id % 7 = 0, null, concat('good ', id)) AS name, cast(id % {PARTS} as int) AS part FROM range({COUNT})",
            "ANALYZE TABLE goods COMPUTE STATISTICS",
            f"CREATE TABLE odd STORED AS PARQUET AS SELECT {odd}",
            "CREATE TABLE bare (id int, name string) STORED AS PARQUET",
        )

    def keys(self):
        return {"url": self.server.url(database="shop"), "auth": "nosasl", "direct": "never"}


SOURCES = {
    "tpch": Tpch, "files": Files, "postgres": Postgres, "sqlite": Sqlite, "mariadb": MariaDB, "impala": ByImpala, "hive": Hive,
}  # fmt: skip
