"""`lineitem` behind ODBC drivers to snappy Parquet, against odbc2parquet, and against what the driver alone needs.
Memory is that of all processes together: sessions are processes."""

import csv
import sqlite3
import subprocess

import rows
from measuring import compare, in_turn, measure_family
from setting import PASSWORD, PEERS, PYTHON, ROOT

ODBC2PARQUET = ROOT / "target/tools/bin/odbc2parquet"
ODBC2PARQUET_VERSION = "11.0.1"

#: After the warm-up. Drivers are slow.
RUNS = 1

#: Into Arrow, in batches that nobody wants.
DRIVER = "the driver alone"


def install():
    if not ODBC2PARQUET.exists():
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", ROOT / "target/tools", "odbc2parquet",
                        "--version", ODBC2PARQUET_VERSION], check=True)  # fmt: skip


def lines(setting):
    install()
    server, wanted = setting.server, setting.lineitem
    postgres = {
        "url": f"odbc+postgresql://postgres@127.0.0.1:{server.port}/postgres",
        "password": {"env": "PGPASSWORD"},
    }
    file = sqlite_copy(server, setting.scratch)
    sources = {
        "PostgreSQL": (
            postgres,
            f"Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={server.port};Database=postgres;"
            f"UID=postgres;PWD={PASSWORD};",
        ),
        "SQLite": ({"url": f"sqlite://{file}"}, f"Driver=SQLite3;Database={file};"),
    }
    for name, (source, connection) in sources.items():
        found = in_turn(contenders(setting, source, connection), RUNS, lambda: check(setting))
        goals = [
            ("wall", DRIVER, 1.0),
            ("cpu", DRIVER, None),
            ("wall", "odbc2parquet", None),
            ("mib", DRIVER, None),
        ]
        yield from compare("odbc", f"{name}, {wanted[0]:,} rows", found, *goals)


def check(setting):
    """A driver has types of its own: the sums of the keys tell whether all rows are there."""
    sums = "count(*), sum(CAST(l_orderkey AS bigint)), sum(CAST(l_partkey AS bigint)), sum(CAST(l_linenumber AS bigint))"
    with setting.server.connect() as connection:
        wanted = connection.execute(f"SELECT {sums} FROM lineitem").fetchone()
    found = rows.query(f"SELECT {sums} FROM '{setting.lake}/lineitem/*.parquet'")[0]
    if list(map(int, found)) != list(map(int, wanted)):
        raise SystemExit(f"{found} is there, {wanted} in the source")


def contenders(setting, source, connection):
    path, out, query = (
        setting.job(source, "lineitem"),
        setting.scratch / "out.parquet",
        "SELECT * FROM lineitem",
    )
    peer = [
        ODBC2PARQUET, "--quiet", "query", "--column-compression-default", "snappy",
        "--connection-string", connection, out, query,
    ]  # fmt: skip
    return {
        "Longshore": lambda: measure_family(setting.run(path), setting.env, setting.lake),
        "odbc2parquet": lambda: measure_family(peer, setting.env),
        DRIVER: lambda: measure_family([PYTHON, PEERS, "odbc", connection, query], setting.env),
    }


def sqlite_copy(server, scratch):
    """The same rows as a SQLite file."""
    file, rows = scratch / "lineitem.db", scratch / "lineitem.csv"
    with server.connect() as connection, connection.cursor() as cursor, rows.open("wb") as out:
        with cursor.copy("COPY lineitem TO STDOUT (FORMAT csv)") as copy:
            for block in copy:
                out.write(block)
    with sqlite3.connect(file) as into:
        into.execute(
            "CREATE TABLE lineitem (l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, "
            "l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2), l_tax decimal(15,2), "
            "l_returnflag char(1), l_linestatus char(1), l_shipdate date, l_commitdate date, l_receiptdate date, "
            "l_shipinstruct char(25), l_shipmode char(10), l_comment varchar(44))"
        )
        with rows.open() as text:
            into.executemany(f"INSERT INTO lineitem VALUES ({', '.join('?' * 16)})", csv.reader(text))
    rows.unlink()
    return file
