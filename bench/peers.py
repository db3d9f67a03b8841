"""One peer's way from a table of PostgreSQL to snappy Parquet: `peers.py NAME PORT TABLE KEY OUT`."""

import subprocess
import sys
from pathlib import Path


def duckdb_(port, table, _, out):
    import duckdb
    import duckdb_extension_postgres_scanner as package

    extension = next(Path(package.__file__).parent.rglob("*.duckdb_extension"))
    db = duckdb.connect()
    db.execute(f"LOAD '{extension}'")
    db.execute(f"ATTACH 'host=127.0.0.1 port={port} user=postgres dbname=postgres' AS pg (TYPE postgres, READ_ONLY)")
    db.execute(f"COPY (SELECT * FROM pg.{table}) TO '{out}' (FORMAT parquet, COMPRESSION snappy)")


def connectorx(port, table, key, out):
    import connectorx
    import pyarrow.parquet as parquet

    url = f"postgresql://postgres:secret@127.0.0.1:{port}/postgres?cxprotocol=binary"
    # Two readers, as many as the machine's cores.
    rows = connectorx.read_sql(
        url, f"SELECT * FROM {table}", return_type="arrow", partition_on=key, partition_num=2
    )
    parquet.write_table(rows, out, compression="snappy")


def adbc(port, table, _, out):
    import adbc_driver_postgresql.dbapi as dbapi
    import pyarrow.parquet as parquet

    with dbapi.connect(f"postgresql://postgres:secret@127.0.0.1:{port}/postgres") as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {table}")
            reader = cursor.fetch_record_batch()
            with parquet.ParquetWriter(out, reader.schema, compression="snappy") as writer:
                for batch in reader:
                    writer.write_batch(batch)


def raw(port, table, *_):
    psql = ["psql", "-q", "-h", "127.0.0.1", "-p", port, "-U", "postgres"]
    pages = int(subprocess.check_output([*psql, "-Atc", f"SELECT relpages FROM pg_class WHERE relname = '{table}'"]))
    halves = [f"ctid < '({pages // 2},0)'::tid", f"ctid >= '({pages // 2},0)'::tid"]
    readers = [
        subprocess.Popen(
            [*psql, "-c", f"COPY (SELECT * FROM {table} WHERE {half}) TO STDOUT (FORMAT binary)"],
            stdout=subprocess.DEVNULL,
        )
        for half in halves
    ]
    assert [reader.wait() for reader in readers] == [0, 0]


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {"duckdb": duckdb_, "connectorx": connectorx, "adbc": adbc, "raw": raw}[name](*arguments)
