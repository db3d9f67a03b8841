"""All chunks of all relations of a run see one instant, whatever happens to the source meanwhile."""

import json
import threading
import time

import pytest

from support.compare import read

ROWS = 300_000


@pytest.fixture
def accounts(server):
    """Two tables; every transaction moves an amount from one to the other."""
    with server.connect() as connection:
        for table in ("left_side", "right_side"):
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(f"CREATE TABLE {table} (id int NOT NULL, amount bigint NOT NULL, note text)")
            connection.execute(
                f"INSERT INTO {table} SELECT g, 1000, repeat('x', 50) FROM generate_series(1, {ROWS}) g"
            )
            connection.execute(f"CREATE UNIQUE INDEX ON {table} (id)")
            connection.execute(f"ANALYZE {table}")
    yield server
    with server.connect() as connection:
        connection.execute("DROP TABLE left_side, right_side")


class Writers:
    """Keeps the tables moving: sums over both never change, and rows move to other pages."""

    def __init__(self, server):
        self.server, self.stop, self.moves = server, threading.Event(), 0
        self.thread = threading.Thread(target=self.write)

    def write(self):
        with self.server.connect() as connection:
            while not self.stop.is_set():
                first = 1 + self.moves * 997 % (ROWS - 2_000)
                connection.execute("BEGIN")
                for table, amount in (("left_side", -1), ("right_side", 1)):
                    rows = f"id BETWEEN {first} AND {first + 1_999}"
                    connection.execute(f"UPDATE {table} SET amount = amount + {amount} WHERE {rows}")
                    connection.execute(f"INSERT INTO {table} VALUES ({ROWS + 1 + self.moves}, 0, 'new')")
                connection.execute("COMMIT")
                self.moves += 1

    def __enter__(self):
        self.thread.start()
        while self.moves < 3:
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_chunks_of_all_relations_see_one_instant_under_concurrent_writes(accounts, program):
    job = program.postgres(
        accounts,
        tables=["left_side", "right_side"],
        chunk={"rows": 10_000},
        consistency="snapshot",
        parallel={"chunks": 2},
    )
    with Writers(accounts) as writers:
        before = writers.moves
        report = program.report("run", job)
        during = writers.moves - before
    assert during > 3, "nothing was written meanwhile"
    assert report["consistency"] == "snapshot"
    left, right = (read(program.lake / table) for table in ("left_side", "right_side"))
    # As many moves in the one as in the other; no row twice, none lost.
    moves = sum(note == "new" for _, _, note in left)
    assert moves > 0
    assert sum(amount for _, amount, _ in left) == 1_000 * ROWS - 2_000 * moves
    assert sum(amount for _, amount, _ in right) == 1_000 * ROWS + 2_000 * moves
    for side in (left, right):
        assert sorted(number for number, _, _ in side) == list(range(1, ROWS + moves + 1))
    manifest = json.loads((program.lake / ".longshore/runs" / f"{report['run']}.json").read_text())
    assert manifest["consistency"] == "snapshot"
    assert manifest["snapshot"]["id"] and manifest["snapshot"]["source"].startswith("PostgreSQL 1")


def test_the_leader_goes_when_the_run_is_over(accounts, program):
    program.ok("run", program.postgres(accounts, tables=["left_side"], chunk={"rows": 50_000}))
    until = time.monotonic() + 5
    while sessions := accounts.rows(
        "SELECT query FROM pg_stat_activity WHERE application_name = 'longshore'"
    ):
        assert time.monotonic() < until, sessions
        time.sleep(0.05)


@pytest.mark.parametrize(
    "rewrite",
    [
        "VACUUM FULL left_side",
        "CLUSTER left_side USING left_side_id_idx",
        "BEGIN; CREATE TEMP TABLE kept AS SELECT * FROM left_side; TRUNCATE left_side; "
        "INSERT INTO left_side SELECT * FROM kept; DROP TABLE kept; COMMIT",
        "BEGIN; CREATE TABLE other AS SELECT * FROM left_side; DROP TABLE left_side; "
        "ALTER TABLE other RENAME TO left_side; CREATE INDEX left_side_id_idx ON left_side (id); COMMIT",
    ],
    ids=["vacuum full", "cluster", "truncate", "replace"],
)
def test_a_table_that_is_rewritten_between_its_chunks_is_read_anew(accounts, program, rewrite):
    """Every row would be on another page, or gone under the snapshot."""
    job = program.postgres(accounts, tables=["left_side"], chunk={"rows": 3_000}, parallel={"chunks": 1})
    rewrites = []

    def write():
        with accounts.connect() as connection:
            for _ in range(3):
                for statement in rewrite.split("; "):
                    connection.execute(statement)
                rewrites.append(1)
                time.sleep(0.2)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        program.ok("run", job)
    finally:
        thread.join()
    assert len(rewrites) == 3
    assert sorted(number for number, _, _ in read(program.lake / "left_side")) == list(range(1, ROWS + 1))


def test_an_idle_timeout_of_the_server_does_not_end_the_leader(accounts, program):
    with accounts.connect() as connection:
        connection.execute("ALTER SYSTEM SET idle_in_transaction_session_timeout = '50ms'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        job = program.postgres(accounts, tables=["left_side"], chunk={"rows": 5_000}, consistency="snapshot")
        assert program.report("run", job)["consistency"] == "snapshot"
    finally:
        with accounts.connect() as connection:
            connection.execute("ALTER SYSTEM RESET idle_in_transaction_session_timeout")
            connection.execute("SELECT pg_reload_conf()")


def test_plan_tells_what_the_consistency_rests_on(accounts, program):
    text = program.ok("plan", program.postgres(accounts, tables=["left_side"]))
    assert "consistency: snapshot (PostgreSQL 1" in text
