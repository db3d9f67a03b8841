"""The section `odbc`: tables behind ODBC drivers, against odbc2parquet, and against what the driver alone
needs. Memory is that of all processes together: sessions are processes."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench/peers.py"
ODBC2PARQUET = ROOT / "target/tools/bin/odbc2parquet"
ODBC2PARQUET_VERSION = "11.0.1"


def family(pid):
    """A process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    pids = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            pids += [other for child in children for other in family(int(child))]
    except OSError:
        pass
    return pids


def memory_kib(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(command, env=None, fresh=None):
    """Wall, CPU and the peak memory of all processes, looked at every 50 ms: nobody waits for sessions."""
    if fresh:
        shutil.rmtree(fresh, ignore_errors=True)
    started, peak, cpu = time.monotonic(), 0, {}
    process = subprocess.Popen(
        [str(part) for part in command], env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL
    )
    while True:
        pids = family(process.pid)
        peak = max(peak, sum(memory_kib(pid) for pid in pids))
        cpu |= {pid: max(cpu.get(pid, 0), cpu_seconds(pid)) for pid in pids}
        if process.poll() is not None:
            break
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command} failed")
    return {"wall": time.monotonic() - started, "cpu": sum(cpu.values()), "mib": peak / 1024}


def install():
    if not ODBC2PARQUET.exists():
        subprocess.run(["cargo", "install", "--quiet", "--locked", "--root", ROOT / "target/tools", "odbc2parquet",
                        "--version", ODBC2PARQUET_VERSION], check=True)  # fmt: skip


def contenders(longshore, scratch, source, connection, env):
    path = scratch / "odbc.json"
    target = {"url": f"file://{scratch}/lake", "compression": "snappy"}
    path.write_text(json.dumps({"source": source, "tables": ["lineitem"], "target": target}))
    query, out = "SELECT * FROM lineitem", scratch / "out.parquet"
    peer = [
        ODBC2PARQUET,
        "--quiet",
        "query",
        "--column-compression-default",
        "snappy",
        "--connection-string",
        connection,
        out,
        query,
    ]
    limit = [sys.executable, PEERS, "odbc", connection, query]
    return {
        "Longshore": lambda: measure([longshore, "run", path], env, scratch / "lake"),
        "odbc2parquet": lambda: measure(peer, env),
        "limit: the driver alone, into arrow": lambda: measure(limit, env),
    }


def odbc(longshore, server, password, table, in_turn, scratch, runs, scale):
    install()
    env = {"PGPASSWORD": password, "LONGSHORE_CACHE": str(scratch / "cache")}
    source = {
        "url": f"odbc+postgresql://postgres@127.0.0.1:{server.port}/postgres",
        "password": {"env": "PGPASSWORD"},
    }
    connection = (f"Driver={{PostgreSQL Unicode}};Server=127.0.0.1;Port={server.port};Database=postgres;"
                  f"UID=postgres;PWD={password};")  # fmt: skip
    found = in_turn(contenders(longshore, scratch, source, connection, env), runs)
    table(f"ODBC, PostgreSQL: `lineitem` at scale {scale} to snappy Parquet", found)
    file = sqlite_copy(server, scratch)
    found = in_turn(
        contenders(longshore, scratch, {"url": f"sqlite://{file}"}, f"Driver=SQLite3;Database={file};", env),
        runs,
    )
    table(f"ODBC, SQLite: `lineitem` at scale {scale} to snappy Parquet", found)


def sqlite_copy(server, scratch):
    """The same rows as a SQLite file."""
    file, rows = scratch / "lineitem.db", scratch / "lineitem.csv"
    with server.connect() as connection, connection.cursor() as cursor, rows.open("wb") as out:
        with cursor.copy("COPY lineitem TO STDOUT (FORMAT csv)") as copy:
            for block in copy:
                out.write(block)
    import csv

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
