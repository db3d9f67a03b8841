"""A good guest of the server, and one that does not give up when the network or the server fails."""

import threading

import pytest

from support.compare import read, same_rows
from support.postgres import Server
from support.proxy import Proxy, corrupt, cut, slow
from support.wait import wait_for

ROWS = 100_000


@pytest.fixture(scope="module")
def cargo(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE cargo (id int, note text)")
        connection.execute(
            f"INSERT INTO cargo SELECT g, repeat(md5(g::text), 3) FROM generate_series(1, {ROWS}) g"
        )
        connection.execute("ANALYZE cargo")
    yield server
    with server.connect() as connection:
        connection.execute("DROP TABLE cargo")


def job(program, server, port=None, source=None, **keys):
    url = f"postgres://postgres@127.0.0.1:{port or server.port}/postgres?sslmode=disable"
    keys = {"tables": ["cargo"], "chunk": {"rows": 10_000}, "parallel": {"chunks": 4}, **keys}
    return program.postgres(server, source={"url": url, **(source or {})}, **keys)


def whole(program, server):
    same_rows(read(program.lake / "cargo"), server.rows("SELECT * FROM cargo"))


def sessions(server):
    return server.rows("SELECT pid, state, query FROM pg_stat_activity WHERE application_name = 'longshore'")


def test_connections_that_break_in_mid_chunk_are_made_again(cargo, program):
    # The first two plan and hold the snapshot; of the readers, three break.
    faults = [None, None, cut(100_000), cut(300_000), None, cut(700_000)]
    with Proxy(cargo.port, faults) as proxy:
        report = program.report("run", job(program, cargo, proxy.port, consistency="snapshot"))
    assert report["relations"][0]["retries"] >= 2
    whole(program, cargo)


def test_a_chunk_whose_retries_are_spent_is_begun_once_more_after_its_relation(cargo, program):
    no_retries = {"LONGSHORE_RETRIES": "0", "LONGSHORE_RETRY_BACKOFF_MILLIS": "10"}
    faults = [None, None, cut(100_000), None, cut(200_000)]
    with Proxy(cargo.port, faults) as proxy:
        report = program.report("run", job(program, cargo, proxy.port), env=no_retries)
    assert any("begun once more" in text for text in report["interruptions"]), report
    assert report["relations"][0]["retries"] > 0
    whole(program, cargo)
    with Proxy(cargo.port, faults) as proxy:
        never = {**no_retries, "LONGSHORE_RELATION_RETRIES": "0"}
        assert program.refused("run", job(program, cargo, proxy.port), env=never)[1] == 3


def test_a_slow_network_is_waited_for(cargo, program):
    with Proxy(cargo.port, [None, None] + [slow(0.01)] * 8) as proxy:
        program.ok("run", job(program, cargo, proxy.port))
    whole(program, cargo)


@pytest.mark.parametrize("at", [1, 60, 400, 5_000, 100_001, 500_003])
def test_a_corrupted_stream_is_an_error_or_what_was_sent_and_never_a_crash(cargo, program, at):
    """Without TLS nothing can tell a changed letter; a changed length or type must not do harm."""
    with Proxy(cargo.port, [None, None] + [corrupt(at)] * 50) as proxy:
        done = program.call("run", job(program, cargo, proxy.port, parallel={"chunks": 1}))
    assert done.returncode in (0, 1, 3, 4), done.stderr
    assert "thread '" not in done.stderr and "trapped" not in done.stderr, done.stderr
    if done.returncode != 0:
        assert program.published() == []


def test_killed_sessions_are_replaced_and_a_killed_leader_begins_the_run_anew(cargo, program):
    slow_rows = "SELECT id, note, pg_sleep(0.00001)::text FROM cargo WHERE id % 20 = 0"
    keys = {
        "tables": [],
        "relations": [{"query": slow_rows, "as": "cargo", "chunk_by": "id"}],
        "consistency": "snapshot",
    }
    running = program.start("--log", "info", "run", job(program, cargo, **keys))
    for victim in ("query LIKE 'COPY%'", "query LIKE '%pg_export_snapshot%'"):
        kill = f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'longshore' AND {victim} LIMIT 1"""
        wait_for(lambda kill=kill: cargo.rows(kill))
    assert running.wait(120) == 0, (program.folder / "daemon.log").read_text()
    log = (program.folder / "daemon.log").read_text()
    assert "trying again" in log
    same_rows(
        [row[:2] for row in read(program.lake / "cargo")],
        cargo.rows("SELECT id, note FROM cargo WHERE id % 20 = 0"),
    )


def test_a_run_that_is_stopped_cancels_what_the_server_does_for_it(cargo, program):
    """The query sends nothing for a minute: the server would not notice by itself that we are gone."""
    query = "SELECT count(*) FROM cargo a, cargo b WHERE a.note || b.note = 'x'"
    running = program.start("run", job(program, cargo, tables=[], query=query))
    wait_for(lambda: [row for row in sessions(cargo) if row[1] == "active" and "COPY" in row[2]])
    running.terminate()
    running.wait(120)
    wait_for(lambda: not sessions(cargo))
    assert program.published() == []


def test_a_role_with_few_connections_is_enough_for_many_chunks(cargo, program):
    with cargo.connect() as connection:
        connection.execute(
            "CREATE ROLE few LOGIN PASSWORD 'secret' CONNECTION LIMIT 3; GRANT SELECT ON cargo TO few"
        )
    url = cargo.url(user="few")
    done = program.call(
        "run", job(program, cargo, source={"url": url}, parallel={"chunks": 16}, chunk={"rows": 2_000})
    )
    assert done.returncode == 0, done.stderr
    whole(program, cargo)
    with cargo.connect() as connection:
        connection.execute("DROP OWNED BY few; DROP ROLE few")


def test_a_locked_table_is_waited_for_but_not_for_ever(cargo, program):
    with cargo.connect() as connection:
        connection.execute("BEGIN; LOCK TABLE cargo")
        line, code = program.refused("run", job(program, cargo, source={"lock_timeout_secs": 1}))
        assert "lock timeout" in line and "`lock_timeout_secs`" in line and code == 3
        running = program.start("run", job(program, cargo))
        wait_for(lambda: [row for row in sessions(cargo) if row[1] == "active"])
        connection.execute("COMMIT")
        assert running.wait(120) == 0
    whole(program, cargo)


def test_a_chunk_that_takes_too_long_is_ended_by_the_server(cargo, program):
    source = {"statement_timeout_secs": 1}
    keys = {"tables": [], "query": "SELECT pg_sleep(30)::text", "source": source}
    done = program.call("run", job(program, cargo, **keys))
    [line] = [line for line in done.stderr.splitlines() if line.startswith("longshore:")]
    assert "statement timeout" in line and "`statement_timeout_secs`" in line and done.returncode == 4
    assert "trying again" not in done.stderr


def test_sessions_read_only_and_are_few_and_leave_no_trace(cargo, program):
    with cargo.connect() as connection:
        size = (cargo.folder / "server.log").stat().st_size
        connection.execute("ALTER SYSTEM SET log_connections = on")
        connection.execute("ALTER SYSTEM SET log_min_messages = 'log'")
        connection.execute("SELECT pg_reload_conf()")
    try:
        keys = {"parallel": {"chunks": 2}, "chunk": {"rows": 2_000}}
        assert program.report("run", job(program, cargo, **keys))["relations"][0]["chunks"] > 30
        write = job(program, cargo, tables=[], query="SELECT nextval('s'), id FROM cargo LIMIT 1")
        with cargo.connect() as connection:
            connection.execute("CREATE SEQUENCE s")
        line, code = program.refused("run", write)
        assert "read-only" in line and code == 4
    finally:
        with cargo.connect() as connection:
            connection.execute("DROP SEQUENCE s")
            connection.execute("ALTER SYSTEM RESET log_connections; ")
            connection.execute("ALTER SYSTEM RESET log_min_messages")
            connection.execute("SELECT pg_reload_conf()")
    log = (cargo.folder / "server.log").read_bytes()[size:].decode()
    assert log.count("application_name=longshore") <= 8, log
    assert "unexpected EOF" not in log, log


@pytest.fixture
def own_server(scratch):
    """A server that a test may stop."""
    server = Server(scratch / "own")
    yield server
    server.stop()


def test_a_server_that_restarts_in_mid_run_is_waited_for(own_server, program):
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE cargo (id int, note text)")
        connection.execute(
            f"INSERT INTO cargo SELECT g, repeat('x', 100) FROM generate_series(1, {ROWS}) g; ANALYZE"
        )
    slow_rows = "SELECT id, note, pg_sleep(0.00001)::text FROM cargo WHERE id % 20 = 0"
    keys = {
        "tables": [],
        "relations": [{"query": slow_rows, "as": "cargo", "chunk_by": "id"}],
        "consistency": "snapshot",
    }
    running = program.start("--log", "info", "run", job(program, own_server, **keys))
    wait_for(lambda: [row for row in sessions(own_server) if "COPY" in row[2]])
    own_server.restart()
    assert running.wait(120) == 0, (program.folder / "daemon.log").read_text()
    assert "restarting in" in (program.folder / "daemon.log").read_text()
    same_rows(
        [row[:2] for row in read(program.lake / "cargo")],
        own_server.rows("SELECT id, note FROM cargo WHERE id % 20 = 0"),
    )


def test_a_standby_gives_one_snapshot_too(own_server, scratch, program):
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE cargo (id int, note text)")
        connection.execute(
            f"INSERT INTO cargo SELECT g, repeat('x', 100) FROM generate_series(1, {ROWS}) g; ANALYZE"
        )
    standby = own_server.standby(scratch / "standby")
    try:
        stop = threading.Event()

        def write():
            with own_server.connect() as connection:
                while not stop.is_set():
                    connection.execute("UPDATE cargo SET id = -id WHERE id % 100 = 1 OR id % 100 = -1")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            report = program.report("run", job(program, standby, consistency="snapshot"))
        finally:
            stop.set()
            writer.join()
        assert report["consistency"] == "snapshot"
        rows = read(program.lake / "cargo")
        assert sorted(abs(number) for number, _ in rows) == list(range(1, ROWS + 1))
        # Of one instant: either all of the changing rows have changed, or none.
        assert sum(number < 0 for number, _ in rows) in (0, ROWS // 100)
    finally:
        standby.stop()


def test_a_standby_that_cancels_its_readers_is_asked_anew(own_server, scratch, program):
    """Vacuuming on the primary removes rows that the run's snapshot on the standby still sees."""
    with own_server.connect() as connection:
        connection.execute("CREATE TABLE cargo (id int, note text)")
        connection.execute("INSERT INTO cargo SELECT g, 'x' FROM generate_series(1, 5000) g; ANALYZE")
    standby = own_server.standby(scratch / "standby")
    try:
        with standby.connect() as connection:
            connection.execute("ALTER SYSTEM SET max_standby_streaming_delay = 0")
            connection.execute("SELECT pg_reload_conf()")
        slow_rows = "SELECT id, note, pg_sleep(0.00001)::text FROM cargo"
        keys = {
            "tables": [],
            "relations": [{"query": slow_rows, "as": "cargo", "chunk_by": "id"}],
            "consistency": "snapshot",
        }
        running = program.start("--log", "info", "run", job(program, standby, **keys))
        wait_for(lambda: [row for row in sessions(standby) if "COPY" in row[2]])
        with own_server.connect() as connection:
            connection.execute("UPDATE cargo SET note = 'y'")
            connection.execute("VACUUM cargo")
        log = program.folder / "daemon.log"
        assert running.wait(120) == 0, log.read_text()
        assert "restarting in" in log.read_text()
        rows = read(program.lake / "cargo")
        assert sorted(row[0] for row in rows) == list(range(1, 5_001)) and len({row[1] for row in rows}) == 1
    finally:
        standby.stop()
