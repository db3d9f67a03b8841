"""Whether the rows that were written are those of the source: their number, and a sum over the hashes of all.

DuckDB runs in a process of its own: what a process holds when it starts another counts as that one's peak memory."""

import json
import subprocess
import sys
from pathlib import Path

#: Types of numbers: a format may have another one.
NUMBERS = ("DECIMAL", "DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "HUGEINT")


def fingerprint(rows, *before, numbers=True):
    """Of what a FROM names, after some statements. A row's hash is over its values as text, without blanks at their
    ends: readers of `char(n)` differ. Numbers are compared by their values, or as they are written."""
    arguments = json.dumps([rows, before, numbers])
    return json.loads(subprocess.check_output([sys.executable, __file__, arguments]))


def query(sql, *before):
    import duckdb

    for statement in before:
        duckdb.execute(statement)
    return duckdb.sql(sql).fetchall()


def query_fingerprint(rows, before, numbers):
    def text(name, type_):
        value = f'"{name}"::DOUBLE' if numbers and type_.startswith(NUMBERS) else f'"{name}"'
        return f"coalesce(rtrim({value}::VARCHAR), '\\N')"

    columns = query(f"DESCRIBE SELECT * FROM {rows}", *before)
    texts = ", ".join(text(*column[:2]) for column in columns)
    [(count, total)] = query(f"SELECT count(*), sum(hash(concat_ws('|', {texts}))::HUGEINT) FROM {rows}")
    return [count, total]


def check(folder, wanted, numbers=True):
    """Compares the Parquet files of a folder."""
    found = fingerprint(f"'{folder}/*.parquet'", numbers=numbers)
    if found != wanted:
        raise SystemExit(f"{folder}: {found} is there, {wanted} in the source")


def of_postgres(server, table, password):
    """The fingerprint of a table of PostgreSQL, read by DuckDB."""
    import importlib.util

    # Found, not imported: it would load DuckDB.
    package = Path(importlib.util.find_spec("duckdb_extension_postgres_scanner").origin).parent
    extension = next(package.rglob("*.duckdb_extension"))
    at = f"host=127.0.0.1 port={server.port} user=postgres password={password} dbname=postgres"
    attach = f"ATTACH '{at}' AS pg (TYPE postgres, READ_ONLY)"
    return fingerprint(f"pg.{table}", f"LOAD '{extension}'", attach)


if __name__ == "__main__":
    print(json.dumps(query_fingerprint(*json.loads(sys.argv[1]))))
