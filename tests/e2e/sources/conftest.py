"""Servers that several sources' tests read from."""

import duckdb
import pytest

from support.hive import STATS, Impala


@pytest.fixture
def hive(warehouse):
    warehouse.revive()
    return warehouse


@pytest.fixture
def impala():
    database = duckdb.connect()
    database.execute("CREATE MACRO fnv_hash(x) AS CAST(hash(x) % 1000000007 AS BIGINT) - 500000000")
    database.execute(
        "CREATE TABLE orders AS SELECT range AS id, 'o' || range AS name, range % 3 AS part FROM range(20000)"
    )
    database.execute("CREATE MACRO version() AS 'impalad version 4.4.0-RELEASE RELEASE (build 1)'")
    server = Impala(database)
    server.answers["^SHOW TABLE STATS"] = (STATS, [(20_000, 1, "3.20MB", "PARQUET")])
    server.answers["^SHOW PARTITIONS"] = "AnalysisException: Table is not partitioned: default.orders"
    yield server
    server.stop()
