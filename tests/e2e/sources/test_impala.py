"""What only Impala does, against a server of the tests' own that answers as its documents and source
say: its catalog's words, polling, fetches that are empty though there is more, lost sessions."""

import json
import signal
import time

import pyarrow.parquet as pq
import pytest

from support.hive import STATS
from support.wait import wait_for


def source(impala, **keys):
    return {"url": impala.url(), **keys}


def ids(program, relation="orders"):
    return sorted(row["id"] for row in pq.read_table(program.lake / relation).to_pylist())


def selects(impala):
    return [sql for sql in impala.statements if sql.startswith("SELECT `")]


def test_a_table_is_read_in_buckets_of_a_hash(program, impala):
    job = program.job(source(impala, query_options={"mem_limit": "2g"}), tables=["orders"], chunk={"bytes": 1_000_000},
                      parallel={"chunks": 3})  # fmt: skip
    shown = program.ok("plan", job)
    assert "3 buckets of a hash of id" in shown and "about 20,000 rows, 3.2 MiB" in shown, shown
    program.ok("run", job)
    assert ids(program) == list(range(20_000))
    assert impala.options == {"mem_limit": "2g"}
    assert "impalad version 4.4.0-RELEASE RELEASE" in program.ok("test-connection", job)


def test_partitions_are_grouped_by_their_sizes(program, impala):
    keys = [("part", "string"), *STATS]
    rows = [("0", 6_667, 1, "1.00MB", "PARQUET"), ("1", 6_667, 1, "100.00KB", "PARQUET"), ("2", 6_666, 1, "200.00KB", "PARQUET"),
            ("NULL", 0, 0, "0B", "PARQUET"), ("Total", 20_000, 3, "1.30MB", "")]  # fmt: skip
    impala.answers["^SHOW PARTITIONS"] = (keys, rows)
    impala.answers["^SHOW TABLE STATS"] = (keys, rows)
    job = program.job(source(impala), tables=["orders"], chunk={"bytes": 1_000_000})
    assert "4 partitions" in program.ok("plan", job)
    program.ok("run", job)
    assert ids(program) == list(range(20_000))
    conditions = [sql.split(" WHERE ")[1] for sql in selects(impala)]
    assert conditions == ["((`part` = 0))", "((`part` = 1 OR `part` = 2 OR `part` IS NULL))"] or sorted(
        conditions
    ) == sorted(["((`part` = 0))", "((`part` = 1 OR `part` = 2 OR `part` IS NULL))"])


def test_a_table_whose_files_changed_is_refreshed_and_read_again(program, impala):
    refused = []

    def stale(sql):
        if "REFRESH `orders`" in impala.statements:
            return impala.query(sql)
        refused.append(sql)
        return "Disk I/O error: Failed to open HDFS file hdfs://nn/orders/0.parq Error(2): No such file or directory"

    impala.answers[r"^SELECT `id`"] = stale
    impala.answers["^REFRESH"] = ([("summary", "string")], [])
    program.ok("--retries", "0", "run", program.job(source(impala), tables=["orders"]))
    assert refused and ids(program) == list(range(20_000))


def test_a_session_that_the_server_lost_is_opened_again(program, impala):
    lost = iter([True, False])

    def once(sql):
        return (
            "Client session expired due to more than 60s of inactivity (last activity was at: x)."
            if next(lost, False)
            else impala.query(sql)
        )

    impala.answers[r"^SELECT `id`"] = once
    program.ok("--retries", "0", "run", program.job(source(impala), tables=["orders"]))
    assert ids(program) == list(range(20_000))


REFUSALS = {
    "AnalysisException: Could not resolve table reference: 'orders'": ("not-found", 4),
    "AuthorizationException: User 'ada' does not have privileges to execute 'SELECT' on: default.orders": (
        "auth",
        5,
    ),
    "Rejected query from pool default-pool: queue full, limit=200, num_queued=200.": ("throttled", 3),
    "Memory limit exceeded: Could not allocate memory while trying to increase reservation.": ("resource", 6),
    "ParseException: Syntax error in line 1:undefined: SELEC": ("data", 4),
}


@pytest.mark.parametrize("said", REFUSALS)
def test_an_error_says_who_must_act(program, impala, said):
    impala.answers[r"^SELECT `id`"] = said
    done = program.call(
        "--json",
        "--retries",
        "0",
        "--relation-retries",
        "0",
        "run",
        program.job(source(impala), tables=["orders"]),
    )
    error = json.loads(done.stdout)["error"]
    assert (error["class"], done.returncode) == REFUSALS[said], error
    assert said.split(": ", 1)[-1][:40] in error["message"]


def test_a_value_that_is_too_large_is_told_with_its_column(program, impala):
    columns = [("id", "bigint"), ("name", "string"), ("part", "bigint")]
    impala.answers[r"^SELECT `id`"] = (columns, [(1, "x" * (100 << 20), 0)])
    line, code = program.refused(
        "--retries", "0", "--relation-retries", "0", "run", program.job(source(impala), tables=["orders"])
    )
    assert (
        code == 4
        and "orders: " in line
        and "column `name`: a value of 100 MiB: a value may hold 96 MiB" in line
    ), line
    assert "fault of the plugin" not in line, line


def test_a_run_that_is_stopped_cancels_its_query(program, impala):
    def begins(sql):
        impala.never_done = True
        return impala.query(sql)

    impala.answers[r"^SELECT `id`"] = begins
    process = program.start("run", program.job(source(impala), tables=["orders"]))
    wait_for(lambda: selects(impala))
    # Its state has been asked for, then.
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) != 0
    wait_for(lambda: "CANCEL" in impala.statements)


def test_lineage_names_the_tables_that_the_servers_plan_scans(program, impala):
    impala.answers["^EXPLAIN "] = (
        [("explain string", "string")],
        [("PLAN-ROOT SINK",), ("|",), ("01:EXCHANGE [UNPARTITIONED]",), ("|",), ("|--02:SCAN KUDU [crm.customers k]",),
         ("00:SCAN HDFS [shop.orders o, RANDOM]",), ("   partitions=1/1 files=1 size=185B",)],
    )  # fmt: skip
    job = program.job(source(impala), query="SELECT id FROM orders")
    place = f"impala://127.0.0.1:{impala.port}"
    shown = program.ok("lineage", job)
    assert f"reads  {place}  crm.customers\nreads  {place}  shop.orders\n" in shown, shown
    # Where the server does not explain, the query's text has to do.
    impala.answers["^EXPLAIN "] = "AuthorizationException: no privileges"
    assert f"reads  {place}  default.orders\n" in program.ok("lineage", job)
    statements = len(impala.statements)
    program.ok("run", job)
    # Nobody wants to know.
    assert not any(sql.startswith("EXPLAIN") for sql in impala.statements[statements:])
