"""`make bench`: Longshore and its peers, in turn, on one machine, in one run.

Prints a table for docs/benchmarks.md. Each command is run in turn with the others, so that all see
the same machine; medians are shown, and ratios to Longshore's.

    run.py [--runs N] [--scale SF] [--size S] [SECTION ...]
                                        sections: postgres, shapes, tax, instances, odbc, hive, files,
                                        tpch, stores, ledger, startup
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The servers are those of the tests.
sys.path.append(str(ROOT / "tests/e2e"))

import odbc  # noqa: E402
import stores  # noqa: E402
from support.hive import HiveServer  # noqa: E402
from support.longshore import LONGSHORE, PASSWORD, PLUGINS  # noqa: E402
from support.postgres import Server  # noqa: E402

PYTHON = sys.executable
PEERS = ROOT / "bench/peers.py"

LINEITEM = """CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL, l_partkey bigint NOT NULL, l_suppkey bigint NOT NULL,
    l_linenumber integer NOT NULL, l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL, l_returnflag char(1) NOT NULL,
    l_linestatus char(1) NOT NULL, l_shipdate date NOT NULL, l_commitdate date NOT NULL,
    l_receiptdate date NOT NULL, l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL,
    l_comment varchar(44) NOT NULL)"""


def measure(command, env=None, fresh=None):
    """Wall, CPU (children too) and peak memory (the largest process) of one run."""
    if fresh:
        shutil.rmtree(fresh, ignore_errors=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command} failed")
    return {
        "wall": time.monotonic() - started,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
    }


def in_turn(contenders, runs):
    """The median figures of each contender; the first run of each is a warm-up."""
    figures = {name: [] for name in contenders}
    for turn in range(runs + 1):
        for name, run in contenders.items():
            figure = run()
            if turn:
                figures[name].append(figure)
    return {
        name: {key: statistics.median(f[key] for f in all_) for key in all_[0]}
        for name, all_ in figures.items()
    }


def table(title, medians):
    ours = medians["Longshore"]
    print(f"\n### {title}\n")
    print("| | wall s | CPU s | peak MiB | wall ratio | CPU ratio |\n|---|---|---|---|---|---|")
    for name, m in medians.items():
        print(
            f"| {name} | {m['wall']:.2f} | {m['cpu']:.2f} | {m['mib']:.0f} "
            f"| {ours['wall'] / m['wall']:.2f} | {ours['cpu'] / m['cpu']:.2f} |"
        )
    print("\nA ratio is Longshore's figure by the row's: below 1, Longshore needs less.", flush=True)


def load_lineitem(server, scratch, scale):
    folder = scratch / "tbl"
    tpchgen = Path(PYTHON).parent / "tpchgen-cli"
    command = [tpchgen, "tbl", "-s", str(scale), "--tables=lineitem", f"--output-dir={folder}"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    with server.connect() as connection:
        connection.execute(LINEITEM)
        with connection.cursor() as cursor, (folder / "lineitem.tbl").open("rb") as rows:
            with cursor.copy("COPY lineitem FROM STDIN (DELIMITER '|')") as copy:
                while block := rows.readlines(8 << 20):
                    copy.write(b"".join(row[:-2] + b"\n" for row in block))
        connection.execute("VACUUM (FREEZE, ANALYZE) lineitem")
        count = connection.execute("SELECT count(*) FROM lineitem").fetchone()[0]
    shutil.rmtree(folder)
    return count


def job(scratch, source, table_, **keys):
    path = scratch / f"{table_}.json"
    target = {"url": f"file://{scratch}/lake", "compression": "snappy"}
    path.write_text(json.dumps({"source": source, "tables": [table_], "target": target, **keys}))
    return path


def hive(scratch, runs, scale):
    server = HiveServer(scratch / "hive", memory="3g")
    try:
        env = {"LONGSHORE_CACHE": str(scratch / "cache")}
        generated = job(scratch, {"url": "tpch:", "scale": scale}, "lineitem")
        measure([LONGSHORE, "run", generated], env, None)
        server.run(
            f"CREATE TEMPORARY VIEW generated USING parquet OPTIONS (path '{scratch}/lake/lineitem')",
            "CREATE TABLE lineitem STORED AS PARQUET AS SELECT * FROM generated",
            "ANALYZE TABLE lineitem COMPUTE STATISTICS",
        )
        shutil.rmtree(scratch / "lake")
        source = {"url": server.url(), "auth": "nosasl"}
        path = job(scratch, source, "lineitem")
        direct = scratch / "direct.json"
        under = [f"file://{scratch}/hive/warehouse"]
        own = json.loads(path.read_text())
        direct.write_text(
            json.dumps({**own, "source": {**source, "direct": {"files": "always", "under": under}}})
        )
        contenders = {
            "Longshore": lambda: measure([LONGSHORE, "run", path], env, scratch / "lake"),
            "Longshore, from the table's files": lambda: measure(
                [LONGSHORE, "run", direct], env, scratch / "lake"
            ),
            "impyla + pyarrow": lambda: measure(
                [PYTHON, PEERS, "impyla", server.port, "lineitem", "l_orderkey", scratch / "out.parquet"], env
            ),
        }
        table(
            f"HiveServer2 (Spark): `lineitem` at scale {scale} to snappy Parquet", in_turn(contenders, runs)
        )
    finally:
        server.stop()


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


def files(scratch, runs, scale):
    folder = scratch / "files"
    tpchgen = Path(PYTHON).parent / "tpchgen-cli"
    command = [tpchgen, "parquet", "-s", str(scale), "--tables=lineitem", f"--output-dir={folder}"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    subprocess.run(
        [PYTHON, PEERS, "to_csv", folder / "lineitem.parquet", folder / "lineitem.csv"], check=True
    )
    env = {"LONGSHORE_CACHE": str(scratch / "cache")}
    for title, (format_, sql) in FILES.items():
        file = folder / f"lineitem.{format_}"
        step = [] if sql == "SELECT * FROM data" else [{"sql": sql}]
        path = job(scratch, {"url": f"file://{folder}"}, file.name, transform=step)
        peer = lambda name, file=file, sql=sql: (
            lambda: measure([PYTHON, PEERS, name, file, sql, scratch / name], env)
        )
        contenders = {
            "Longshore": lambda path=path: measure([LONGSHORE, "run", path], env, scratch / "lake"),
            "DuckDB": peer("duckdb_files"),
            "DataFusion": peer("datafusion_files"),
        }
        table(f"Files: {title}, `lineitem` at scale {scale}", in_turn(contenders, runs))


# Tables that stress one thing each; {0} is their size, 1 for the full one. `key` is for the peers
# that need one.
SHAPES = {
    "narrow": (
        "two integers, {rows} rows",
        "SELECT g AS key, g % 1000 AS value FROM generate_series(1, ({0} * 50000000)::int) g",
    ),
    "wide": (
        "200 columns, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"g % {n + 2} AS c{n}" for n in range(199))
        + " FROM generate_series(1, ({0} * 500000)::int) g",
    ),
    "long": (
        "texts of 1 KB, {rows} rows",
        "SELECT g AS key, (SELECT string_agg(md5((g * 32 + n)::text), '') FROM generate_series(1, 32) n) AS doc "
        "FROM generate_series(1, ({0} * 1000000)::int) g",
    ),
    "numerics": (
        "ten numerics, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"(g * {n + 1}.37)::numeric(15,2) AS c{n}" for n in range(10))
        + " FROM generate_series(1, ({0} * 5000000)::int) g",
    ),
    "nulls": (
        "ten columns of which nine values in ten are null, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"CASE WHEN g % 10 = {n} THEN g END AS c{n}" for n in range(5))
        + ", "
        + ", ".join(f"CASE WHEN g % 10 = {n} THEN md5(g::text) END AS c{n}" for n in range(5, 10))
        + " FROM generate_series(1, ({0} * 5000000)::int) g",
    ),
}


def shapes(server, scratch, runs, size):
    for name, (title, query) in SHAPES.items():
        with server.connect() as connection:
            connection.execute(f"CREATE TABLE {name} AS {query.format(size)}")
            connection.execute(f"VACUUM (FREEZE, ANALYZE) {name}")
            rows = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        title = f"PostgreSQL, {title.format(rows=f'{rows:,}')}"
        postgres(server, scratch, runs, name, "key", title, raw=False)
        with server.connect() as connection:
            connection.execute(f"DROP TABLE {name}")


def postgres(server, scratch, runs, name, key, title, raw=True):
    env = {"PGPASSWORD": PASSWORD, "LONGSHORE_CACHE": str(scratch / "cache")}
    source = {"url": server.url(parameters="?sslmode=disable"), "password": {"env": "PGPASSWORD"}}
    path = job(scratch, source, name)
    command = lambda peer: [PYTHON, PEERS, peer, server.port, name, key, scratch / "out.parquet"]
    peer = lambda peer: lambda: measure(command(peer), env)
    contenders = {
        "Longshore": lambda: measure([LONGSHORE, "run", path], env, scratch / "lake"),
        "DuckDB + postgres": peer("duckdb"),
        "ConnectorX + pyarrow": peer("connectorx"),
        "ADBC + pyarrow": peer("adbc"),
    }
    if raw:
        contenders["limit: two raw binary COPYs to /dev/null"] = peer("raw")
    table(f"{title} to snappy Parquet", in_turn(contenders, runs))


def native(plugin):
    """A plugin without the sandbox, optimised as a whole, as components are."""
    build = [
        "cargo",
        "build",
        "--profile",
        "dist",
        "--locked",
        "-p",
        f"longshore-plugin-{plugin}",
        "--examples",
    ]
    subprocess.run(build, cwd=ROOT, check=True)
    return ROOT / f"target/dist/examples/native_{plugin}"


def cpu(*command, env=None):
    """CPU seconds, without start-up and compilation where the command tells them itself."""
    before = os.times()
    answer = subprocess.run(
        [str(part) for part in command], env={**os.environ, **(env or {})}, check=True, capture_output=True
    )
    after = os.times()
    total = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(answer.stdout).get("cpu", total)


def tax(server, scratch, runs):
    url = server.url(parameters="?sslmode=disable")
    measure, env = ROOT / "target/release/examples/measure", {"PGPASSWORD": PASSWORD}
    postgres, mask = native("postgres"), native("mask")
    rows = job(scratch, {"url": "tpch:", "scale": 1}, "lineitem", target={"url": f"file://{scratch}/arrow", "format": "arrow"},
               chunk={"rows": 10_000_000})  # fmt: skip
    subprocess.run(
        [LONGSHORE, "run", rows],
        env={**os.environ, "LONGSHORE_CACHE": str(scratch / "cache")},
        check=True,
        capture_output=True,
    )
    [file] = (scratch / "arrow/lineitem").glob("*.arrow")
    replace, hashed = (json.dumps({"columns": ["l_comment"], "mode": mode}) for mode in ("replace", "hash"))
    contenders = {
        "postgres, `lineitem` read on one connection": (
            lambda: cpu(measure, "read", PLUGINS, url, "lineitem", env=env),
            lambda: cpu(postgres, url, "lineitem", env=env),
        ),
        "mask, a text of `lineitem` replaced": (
            lambda: cpu(measure, "change", PLUGINS, "mask", file, replace),
            lambda: cpu(mask, file, replace),
        ),
        "mask, a text of `lineitem` hashed": (
            lambda: cpu(measure, "change", PLUGINS, "mask", file, hashed),
            lambda: cpu(mask, file, hashed),
        ),
    }
    print("\n### The cost of WebAssembly: CPU seconds, with the host's encoding, decoding and validation\n")
    print("| | component | native | ratio |\n|---|---|---|---|")
    for name, (sandboxed, natively) in contenders.items():
        pairs = [(sandboxed(), natively()) for _ in range(runs)]
        ours, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        ratio = statistics.median(pair[0] / pair[1] for pair in pairs)
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {ratio:.2f} |", flush=True)


def tpch(scratch, runs, scale):
    path = job(scratch, {"url": "tpch:", "scale": scale}, "lineitem")
    env = {"LONGSHORE_CACHE": str(scratch / "cache")}
    tpchgen = Path(PYTHON).parent / "tpchgen-cli"
    folder = scratch / "generated"
    command = [tpchgen, "parquet", "-s", str(scale), "--tables=lineitem", f"--output-dir={folder}"]
    contenders = {
        "Longshore": lambda: measure([LONGSHORE, "run", path], env, scratch / "lake"),
        "tpchgen-cli": lambda: measure(command, None, folder),
    }
    table(f"Generated `lineitem` at scale {scale} to snappy Parquet", in_turn(contenders, runs))


def startup():
    examples = ROOT / "target/release/examples"
    answer = subprocess.run([examples / "measure", "startup", PLUGINS], check=True, capture_output=True)
    print("\n### Start-up of a component\n")
    print("| | size KiB | cold compile ms | load from cache ms | instance and `describe` µs "
          "| file to serving, cold ms | cached ms |\n|---|---|---|---|---|---|---|")  # fmt: skip
    for one in sorted(json.loads(answer.stdout), key=lambda one: one["plugin"]):
        print(
            f"| {one['plugin']} | {one['bytes'] / 1024:.0f} | {one['cold_ms']:.0f} | {one['cached_ms']:.1f} "
            f"| {one['instance_us']:.0f} | {one['cold_serving_ms']:.0f} | {one['cached_serving_ms']:.0f} |"
        )
    sys.stdout.flush()


def instances(server):
    """Throughput of one kind of plugin after the other, by more and more instances."""
    config = {"url": server.url(), "password": PASSWORD}
    # The server takes few connections.
    few = ["--with", json.dumps(config), "--instances", "1,8,16"]
    subjects = {
        "postgres, lineitem": ["postgres", *few, "--table", "lineitem"],
        "mask": ["mask", "--with", '{"columns": ["text", "note"]}'],
        "postgres-sink": ["postgres-sink", *few],
    }
    print("\n### More instances at a time\n")
    print("| | instances | rows/s | MiB/s | CPU µs a row | memory of each MiB | host calls a MiB |")
    print("|---|---|---|---|---|---|---|")
    for name, arguments in subjects.items():
        command = [LONGSHORE, "--plugins", PLUGINS, "--json", "plugin", "bench", *arguments]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for one in answer["measured"]:
            mib = one["bytes"] / (1 << 20)
            print(
                f"| {name} | {one['instances']} | {one['rows'] / one['wall_secs']:,.0f} | {mib / one['wall_secs']:.0f} "
                f"| {one['cpu_secs'] * 1e6 / one['rows']:.3f} | {one['memory_bytes'] / (1 << 20):.1f} "
                f"| {one['host_calls'] / mib:.1f} |"
            )
        sys.stdout.flush()


def machine():
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    return f"{os.cpu_count()} cores of{model.split(':')[1]}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1, help="of lineitem")
    parser.add_argument("--size", type=float, default=1, help="of the shapes")
    parser.add_argument("sections", nargs="*")
    arguments = parser.parse_args()
    wanted = lambda section: not arguments.sections or section in arguments.sections
    build = ["cargo", "build", "--release", "--locked", "--workspace", "--examples"]
    subprocess.run(build, cwd=ROOT, check=True)
    scratch = Path(tempfile.mkdtemp(prefix="longshore-bench."))
    scratch.chmod(0o755)
    (scratch / "cache").mkdir(mode=0o700)
    print(f"Machine: {machine()}. Runs: {arguments.runs}, medians.", flush=True)
    server = None
    try:
        if any(wanted(section) for section in ("postgres", "tax", "instances", "odbc")):
            server = Server(scratch / "postgres")
            rows = load_lineitem(server, scratch, arguments.scale)
            if wanted("postgres"):
                title = f"PostgreSQL `lineitem` ({rows:,} rows)"
                postgres(server, scratch, arguments.runs, "lineitem", "l_orderkey", title)
            if wanted("tax"):
                tax(server, scratch, arguments.runs)
            if wanted("instances"):
                instances(server)
            if wanted("odbc"):
                odbc.odbc(
                    LONGSHORE, server, PASSWORD, table, in_turn, scratch, arguments.runs, arguments.scale
                )
        if wanted("shapes"):
            server = server or Server(scratch / "postgres")
            shapes(server, scratch, arguments.runs, arguments.size)
        if wanted("hive"):
            hive(scratch, arguments.runs, arguments.scale)
        if wanted("files"):
            files(scratch, arguments.runs, arguments.scale)
        if wanted("tpch"):
            tpch(scratch, arguments.runs, arguments.scale)
        if wanted("stores"):
            stores.stores(measure, in_turn, scratch, arguments.runs, arguments.scale)
        if wanted("ledger"):
            stores.ledger(measure, in_turn, scratch, arguments.runs)
        if wanted("startup"):
            startup()
    finally:
        if server:
            server.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
