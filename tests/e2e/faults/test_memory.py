"""The budget holds for tables of every shape."""

import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

#: The program, its compiled plugins, and what the allocator keeps come on top of what is counted.
BUDGET_MIB, LIMIT_MIB = 128, 200

SHAPES = {
    "wide": "SELECT "
    + ", ".join(f"n + {i} AS c{i}" for i in range(1_600))
    + " FROM generate_series(1, 4000) n",
    "long": "SELECT n, (SELECT string_agg(md5((n * 1000 + k)::text), '') FROM generate_series(1, 32000) k) AS t "
    "FROM generate_series(1, 200) n",
    "many": "SELECT n AS a, n * 7 AS b FROM generate_series(1, 3000000) n",
}


def peak_mib(process):
    """The most that a process ever held."""
    peak = 0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        peak = max(
            [peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))]
        )
        time.sleep(0.005)
    return peak / 1024


@pytest.mark.parametrize("shape", SHAPES)
def test_a_run_under_a_small_budget_succeeds_and_stays_near_it(program, server, shape):
    with server.connect() as connection:
        connection.execute(f"DROP TABLE IF EXISTS shape_{shape}")
        connection.execute(f"CREATE TABLE shape_{shape} AS {SHAPES[shape]}")
        connection.execute(f"ANALYZE shape_{shape}")
    job = program.postgres(
        server, tables=[f"shape_{shape}"], chunk={"bytes": 8_000_000}, parallel={"chunks": 8}
    )
    # Compiled before: what the compiler holds is not the run's.
    program.ok("test-connection", job)
    run = program.start("--memory", f"{BUDGET_MIB}MiB", "run", job)
    peak = peak_mib(run)
    assert run.wait() == 0
    assert 0 < peak < LIMIT_MIB, f"{peak:.0f} MiB"


def test_rows_of_many_mib_are_moved_within_the_budget_and_a_quarter(program, server):
    budget_mib, row_mib, rows = 256, 20, 12
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS large_rows")
        value = f"repeat(md5(n::text), {row_mib} << 15)"
        connection.execute(
            f"CREATE TABLE large_rows AS SELECT n, {value} AS v FROM generate_series(1, {rows}) n"
        )
    job = program.postgres(server, tables=["large_rows"], chunk={"rows": 2}, parallel={"chunks": 6})
    program.ok("test-connection", job)
    run = program.start("--memory", f"{budget_mib}MiB", "run", job)
    peak = peak_mib(run)
    assert run.wait() == 0
    assert 0 < peak < budget_mib * 1.25, f"{peak:.0f} MiB"
    read = pq.read_table(program.lake / "large_rows", columns=["n"])
    assert sorted(read["n"].to_pylist()) == list(range(1, rows + 1))


def test_a_budget_that_is_too_small_or_no_size_is_refused(program):
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])
    for text, said in [("1MiB", "give 64MiB or more"), ("much", "is not a size")]:
        line, code = program.refused("--memory", text, "run", job)
        assert code == 2 and said in line


@pytest.mark.parametrize("changes", [20_000, 600_000])
def test_a_merge_into_more_than_the_budget_stays_near_it(program, changes):
    """Few changes are held in memory, many are sorted on disk."""
    database = duckdb.connect()
    made = "SELECT n * 7919 % 2000003 AS id, {} AS load, md5(n::text || {}) || md5(n::text) AS note FROM range({}) t(n)"
    target = {"url": f"file://{program.lake}", "mode": "merge", "merge": {"key": ["id"]}}
    for number, rows in enumerate([1_200_000, changes]):
        data = program.folder / "data" / "orders.parquet"
        data.parent.mkdir(exist_ok=True)
        database.execute(f"COPY ({made.format(number, number, rows)}) TO '{data}' (ROW_GROUP_SIZE 60000)")
        job = program.job({"url": f"file://{data.parent}/"}, tables=["orders.parquet"], target=target)
        run = program.start("--memory", f"{BUDGET_MIB}MiB", "run", job)
        peak = peak_mib(run)
        assert run.wait() == 0
        assert 0 < peak < LIMIT_MIB, f"{peak:.0f} MiB"
    files = f"read_parquet('{program.lake}/orders/*.parquet')"
    expected = (
        f"SELECT * FROM ({made.format(1, 1, changes)}) UNION ALL "
        f"SELECT * FROM ({made.format(0, 0, 1_200_000)}) WHERE id NOT IN (SELECT id FROM ({made.format(1, 1, changes)}))"
    )
    for one, other in [(f"FROM {files}", expected), (expected, f"FROM {files}")]:
        assert database.execute(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchone() == (0,)


def test_keys_of_many_rows_are_told_apart_within_the_budget(program):
    """What does not fit is sorted on the disk."""
    path = program.folder / "keys.parquet"
    duckdb.sql(f"COPY (SELECT md5(i::VARCHAR) AS key FROM range(3000000) t(i)) TO '{path}'")
    job = program.job({"url": f"file://{path}"}, checks=[{"unique": ["key"]}])
    run = program.start("--memory", "256MiB", "run", job)
    peak = peak_mib(run)
    assert run.wait() == 0
    assert 0 < peak < 256 * 1.25, f"{peak:.0f} MiB"


def test_rows_of_many_chunks_are_sorted_within_the_budget(program):
    path = program.folder / "rows.parquet"
    made = "SELECT i AS id, md5(i::VARCHAR) AS key FROM range(1500000) t(i)"
    duckdb.sql(f"COPY ({made}) TO '{path}' (ROW_GROUP_SIZE 6144)")
    steps = [{"sql": "SELECT key, id FROM data ORDER BY key"}]
    job = program.job({"url": f"file://{path}"}, transform=steps, chunk={"rows": 6144})
    [scan] = program.report("plan", job)["relations"][0]["scans"]
    assert len(scan["chunks"]) > 200
    assert 0 < peak_of(program, job) < LIMIT_MIB
    [part] = (program.lake / "job").glob("*.parquet")
    keys = pq.read_table(part)["key"].to_pylist()
    assert len(keys) == 1_500_000 and keys == sorted(keys)


def test_tables_that_do_not_fit_into_the_budget_are_joined(program):
    folder = program.folder / "data"
    folder.mkdir()
    made = "SELECT (i * 7919) % 1500007 AS id, md5(({} + i)::VARCHAR) AS note FROM range(1500007) t(i)"
    for name, seed in [("a", 1), ("b", 2)]:
        duckdb.sql(f"COPY ({made.format(seed)}) TO '{folder}/{name}.parquet' (ROW_GROUP_SIZE 100000)")
    sql = "SELECT a.id, a.note, b.note AS other FROM a JOIN b ON a.id = b.id"
    relations = [{"table": f"{name}.parquet", "as": name} for name in "ab"]
    job = program.job({"url": f"file://{folder}/"}, relations=relations, sql=sql)
    assert 0 < peak_of(program, job) < LIMIT_MIB
    tables = f"WITH a AS ({made.format(1)}), b AS ({made.format(2)})"
    totals = "SELECT count(*), sum(hash(id, note, other)) FROM"
    found = duckdb.sql(f"{totals} read_parquet('{program.lake}/job/*.parquet')").fetchone()
    assert found == duckdb.sql(f"{tables} {totals} ({sql})").fetchone()


def peak_of(program, job):
    """The most that a run ever held, under the small budget."""
    run = program.start("--memory", f"{BUDGET_MIB}MiB", "run", job)
    peak = peak_mib(run)
    assert run.wait() == 0
    return peak
