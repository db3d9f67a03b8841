"""One peer's way to snappy Parquet, from a table of PostgreSQL (`peers.py NAME PORT TABLE KEY OUT`) or from a
file (`peers.py NAME FILE SQL OUT`)."""

import subprocess
import sys
from pathlib import Path


def duckdb_sql(port, sql):
    import duckdb
    import duckdb_extension_postgres_scanner as package

    extension = next(Path(package.__file__).parent.rglob("*.duckdb_extension"))
    db = duckdb.connect()
    db.execute(f"LOAD '{extension}'")
    db.execute(
        f"ATTACH 'host=127.0.0.1 port={port} user=postgres dbname=postgres' AS pg (TYPE postgres, READ_ONLY)"
    )
    db.execute(sql)


def duckdb_(port, table, _, out):
    duckdb_sql(port, f"COPY (SELECT * FROM pg.{table}) TO '{out}' (FORMAT parquet, COMPRESSION snappy)")


def connectorx(port, table, key, out):
    import connectorx
    import pyarrow.parquet as parquet

    url = f"postgresql://postgres:secret@127.0.0.1:{port}/postgres?cxprotocol=binary"
    # Two readers, as many as the machine's cores.
    rows = connectorx.read_sql(
        url, f"SELECT * FROM {table}", return_type="arrow", partition_on=key, partition_num=2
    )
    parquet.write_table(rows, out, compression="snappy")


def to_csv(file, out):
    import duckdb

    duckdb.sql(f"COPY (FROM '{file}') TO '{out}'")


def duckdb_files(file, sql, out):
    import duckdb

    duckdb.sql(f"CREATE VIEW data AS FROM '{file}'")
    duckdb.sql(f"COPY ({sql}) TO '{out}' (FORMAT parquet, COMPRESSION snappy)")


def datafusion_files(file, sql, out):
    import shutil

    from datafusion import ParquetWriterOptions, SessionContext

    # A folder, to which a run adds.
    shutil.rmtree(out, ignore_errors=True)

    context = SessionContext()
    register = context.register_csv if file.endswith(".csv") else context.register_parquet
    register("data", file)
    context.sql(sql).write_parquet_with_options(out, ParquetWriterOptions(compression="snappy"))


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


def impyla(port, table, _, out):
    import pyarrow
    import pyarrow.parquet as parquet
    from impala.dbapi import connect

    with connect(host="127.0.0.1", port=int(port), auth_mechanism="NOSASL") as connection:
        cursor = connection.cursor()
        cursor.arraysize = 10_000
        cursor.execute(f"SELECT * FROM {table}")
        names = [column[0].split(".")[-1] for column in cursor.description]
        # What is inferred from the digits of a batch does not fit the next one.
        types = [
            pyarrow.decimal128(column[4], column[5]) if column[1] == "DECIMAL" else None
            for column in cursor.description
        ]
        writer = None
        while batches := cursor.fetchcolumnar():
            for batch in batches:
                columns = [
                    pyarrow.array(list(column.values), type_)
                    for column, type_ in zip(batch.columns, types, strict=True)
                ]
                batch = pyarrow.table(columns, names=names)
                writer = writer or parquet.ParquetWriter(out, batch.schema, compression="snappy")
                writer.write_table(batch)
        writer.close()


def hive_readers(port, table, key, _):
    """Two sessions that read a half each, at the same time, and drop the rows."""
    halves = [f"SELECT * FROM {table} WHERE pmod(hash({key}), 2) = {half}" for half in (0, 1)]
    readers = [subprocess.Popen([sys.executable, __file__, "hive_reader", port, half]) for half in halves]
    assert [reader.wait() for reader in readers] == [0, 0]


def hive_reader(port, query):
    from impala.dbapi import connect

    with connect(host="127.0.0.1", port=int(port), auth_mechanism="NOSASL") as connection:
        cursor = connection.cursor()
        cursor.arraysize = 10_000
        cursor.execute(query)
        while cursor.fetchcolumnar():
            pass


def odbc(connection, query, *_):
    """All rows, in batches that nobody wants."""
    from arrow_odbc import read_arrow_batches_from_odbc

    for _ in read_arrow_batches_from_odbc(query=query, connection_string=connection, batch_size=65_535):
        pass


def raw(port, table, *_):
    psql = ["psql", "-q", "-h", "127.0.0.1", "-p", port, "-U", "postgres"]
    pages = int(
        subprocess.check_output([*psql, "-Atc", f"SELECT relpages FROM pg_class WHERE relname = '{table}'"])
    )
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
    peers = [
        connectorx,
        adbc,
        raw,
        impyla,
        hive_readers,
        hive_reader,
        odbc,
        to_csv,
        duckdb_files,
        duckdb_sql,
        datafusion_files,
    ]
    {"duckdb": duckdb_, **{peer.__name__: peer for peer in peers}}[name](*arguments)
