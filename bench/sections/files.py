"""`lineitem` as a file to snappy Parquet, against DuckDB and DataFusion."""

import subprocess

import rows
from measuring import compare, in_turn, measure
from setting import PEERS, PYTHON

#: What is asked of files: as our SQL step, which sees `data`.
FILES = {
    "CSV to snappy Parquet": ("csv", "SELECT * FROM data"),
    "Parquet to snappy Parquet": ("parquet", "SELECT * FROM data"),
    "Parquet to Parquet, a filter": (
        "parquet",
        "SELECT l_orderkey, l_extendedprice, l_comment FROM data WHERE l_shipdate >= DATE '1998-06-01'",
    ),
    "Parquet to Parquet, a filter and an aggregate": (
        "parquet",
        "SELECT l_returnflag, l_shipmode, count(*) AS n, sum(l_extendedprice) AS price FROM data "
        "WHERE l_shipdate >= DATE '1996-01-01' GROUP BY l_returnflag, l_shipmode",
    ),
}


def lines(setting):
    parquet = setting.generated("parquet")
    folder = parquet.parent
    subprocess.run([PYTHON, PEERS, "to_csv", parquet, folder / "lineitem.csv"], check=True)
    for title, (format_, sql) in FILES.items():
        found = contend(setting, folder / f"lineitem.{format_}", sql)
        best = min(["DuckDB", "DataFusion"], key=lambda peer: found[peer]["wall"])
        yield from compare("files", title, found, ("wall", best, 0.9), ("mib", best, 0.5))


def contend(setting, file, sql):
    step = [] if sql == "SELECT * FROM data" else [{"sql": sql}]
    path = setting.job({"url": f"file://{file.parent}"}, file.name, transform=step)
    # A number of a CSV file is kept as it is written, and not as what DuckDB takes it for.
    is_text = file.suffix == ".csv"
    read = f"read_csv('{file}', all_varchar = true)" if is_text else f"'{file}'"
    wanted = rows.fingerprint(f"({sql})", f"CREATE VIEW data AS FROM {read}", numbers=not is_text)
    peer = lambda name: lambda: measure([PYTHON, PEERS, name, file, sql, setting.scratch / name], setting.env)
    contenders = {
        "Longshore": lambda: measure(setting.run(path), setting.env, setting.lake),
        "DuckDB": peer("duckdb_files"),
        "DataFusion": peer("datafusion_files"),
    }
    return in_turn(contenders, setting.runs, lambda: rows.check(setting.lake / "*", wanted, not is_text))
