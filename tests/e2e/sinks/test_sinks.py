"""Rows into a sink, a plugin of its own: as they were, all or nothing, and never twice."""

import random
import signal
import threading
import time

import pytest

from support import crash
from support.daemon import Daemon
from support.samples import SAMPLES
from support.wait import wait_for

TPCH = {"url": "tpch:", "scale": 0.01, "text_mib": 1}


def same(server, lake, table, columns="*"):
    """Compares a table with its copy, as texts, value by value."""
    sql = f"SELECT t::text FROM (SELECT {columns} FROM {table}) t ORDER BY 1"
    with server.connect() as source, lake.connect() as copy:
        for connection in [source, copy]:
            connection.execute("SET timezone = 'UTC'")
        assert source.execute(sql).fetchall() == copy.execute(sql).fetchall(), table


def test_what_is_new_is_added(program, server, lake):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS news; CREATE TABLE news (id int NOT NULL)")
        relations = [{"table": "news", "incremental": {"column": "id"}}]
        job = program.postgres(server, relations=relations, target=lake.target(mode="append"))
        for first in (1, 3):
            connection.execute(f"INSERT INTO news VALUES ({first}), ({first + 1})")
            assert program.report("run", job)["rows"] == 2
            assert program.report("run", job)["rows"] == 0
        connection.execute("DROP TABLE news")
    assert lake.rows("SELECT id FROM news ORDER BY id") == [(1,), (2,), (3,), (4,)]


def test_tables_arrive_as_they_were(program, flights, lake):
    tables = ["airlines", "airports", "planes", "weather", "flights"]
    job = program.postgres(flights, tables=tables, target=lake.target(), chunk={"rows": 20_000})
    report = program.report("run", job)
    assert report["rows"] == sum(lake.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables)
    for table in tables:
        same(flights, lake, table)
    assert lake.tables() == sorted(tables)
    assert report["relations"][0]["folder"].endswith(f"/{lake.name}/airlines")
    manifest = program.folder / "state/manifests" / f"{report['run']}.json"
    assert report["manifest"] == str(manifest) and manifest.exists()
    shown = program.ok("runs", "show", report["run"])
    assert "succeeded" in shown


ARRIVES = ["bool", "int2", "int4", "int8", "float4", "float8", "numeric(4,4)", "numeric(15,2)", "numeric(18,1)",
           "numeric(38,10)", "numeric(76,20)", "numeric(3,7)", "text", "varchar(5)", "bytea", "date", "time",
           "timestamp", "timestamptz", "uuid", "json"]  # fmt: skip


def test_values_of_every_type_arrive_as_they_were(program, server, lake):
    columns = {f"c{number}": type_ for number, type_ in enumerate(ARRIVES)}
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS ends")
        lists = [f"l{number} {type_}[]" for number, type_ in enumerate(ARRIVES) if type_ != "json"]
        connection.execute(
            f"CREATE TABLE ends ({', '.join([f'{n} {t}' for n, t in columns.items()] + lists)})"
        )
        for number, type_ in enumerate(ARRIVES):
            for sample in SAMPLES[type_]:
                literal = sample if sample[0] in "'rtf(" or type_ == "bytea" else f"'{sample}'"
                connection.execute(f"INSERT INTO ends (c{number}) VALUES ({literal}::{type_})")
            if type_ != "json":
                array = ", ".join(f"c{number}" for _ in range(2))
                connection.execute(
                    f"INSERT INTO ends (l{number}) SELECT ARRAY[{array}, NULL] FROM ends WHERE c{number} IS NOT NULL"
                )
                connection.execute(f"INSERT INTO ends (l{number}) VALUES ('{{}}')")
        connection.execute("INSERT INTO ends (c0) VALUES (NULL)")
    program.ok("run", program.postgres(server, tables=["ends"], target=lake.target()))
    same(server, lake, "ends")
    types = dict(lake.rows("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                           "WHERE attrelid = 'ends'::regclass AND attnum > 0"))  # fmt: skip
    assert (
        types["c7"] == "numeric(15,2)"
        and types["c18"] == "timestamp with time zone"
        and types["c19"] == "uuid"
    )
    assert types["l7"] == "numeric(15,2)[]" or types["l7"] == "numeric[]"


def test_relations_without_rows_and_sql_on_the_way(program, lake):
    sql = "SELECT n_name AS name, n_regionkey * 10 AS region FROM data WHERE n_regionkey > {}"
    for limit, count in [(2, 10), (9, 0)]:
        program.ok("run", program.job(TPCH, tables=["nation"], transform=[{"sql": sql.format(limit)}],
                                      target=lake.target(mode="replace")))  # fmt: skip
        assert lake.rows("SELECT count(*), max(region) FROM nation") == [(count, 40 if count else None)]


def test_the_modes_say_what_becomes_of_what_is_there(program, lake):
    def run(mode, number):
        sql = f"SELECT n_nationkey AS key, '{number}' AS run FROM data"
        return program.job(TPCH, f"m{number}.yaml", tables=["nation"], transform=[{"sql": sql}],
                           target=lake.target(mode=mode))  # fmt: skip

    def runs(table):
        return lake.rows(f"SELECT run, count(*) FROM {table} GROUP BY 1 ORDER BY 1")

    assert program.report("run", run("version", 1))["relations"][0]["published_as"] == "nation"
    assert program.report("run", run("version", 2))["relations"][0]["published_as"] == "nation_v2"
    assert program.report("run", run("version", 3))["relations"][0]["published_as"] == "nation_v3"
    program.ok("run", run("append", 4))
    assert runs("nation") == [("1", 25), ("4", 25)] and runs("nation_v2") == [("2", 25)]
    program.ok("run", run("replace", 5))
    assert runs("nation") == [("5", 25)]
    line, code = program.refused("run", run("error", 6))
    assert "table nation is already there" in line and code == 2
    assert lake.tables() == ["nation", "nation_v2", "nation_v3"]


def test_runs_at_the_same_time_get_versions_of_their_own(program, lake):
    jobs = [
        program.job(TPCH, f"v{n}.yaml", tables=["nation", "region"], target=lake.target()) for n in range(4)
    ]
    running = [program.start("run", job) for job in jobs]
    assert [run.wait(120) for run in running] == [0] * 4, (program.folder / "daemon.log").read_text()
    versions = [f"{t}{v}" for t in ["nation", "region"] for v in ["", "_v2", "_v3", "_v4"]]
    assert lake.tables() == versions


def test_all_relations_become_visible_or_none(program, lake):
    with lake.connect() as connection:
        connection.execute("CREATE TABLE region (r_regionkey int)")
    job = program.job(TPCH, tables=["nation", "region"], target=lake.target(mode="append"))
    line, _ = program.refused("run", job)
    assert "region" in line and "r_name" in line
    assert lake.tables() == ["region"] and lake.rows("SELECT count(*) FROM region") == [(0,)]
    # What is refused only at the commit takes all of it back, too.
    with lake.connect() as connection:
        connection.execute(
            "DROP TABLE region; CREATE TABLE region (r_regionkey bigint UNIQUE, r_name text, r_comment text)"
        )
        connection.execute("INSERT INTO region VALUES (3, 'mine', '')")
    line, code = program.refused("run", job)
    assert "duplicate key" in line and "23505" in line
    assert lake.tables() == ["region"] and lake.rows("SELECT r_name FROM region") == [("mine",)]


def run_while_killing(program, server, job, lake, which):
    """Runs a job while sessions with the target are ended, some twenty times.

    Not before chunks are written: a target that cannot be reached at all is told at once."""
    over = threading.Event()
    writing = "(SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = %(lake)s)"

    def kill():
        dice, kills = random.Random(5), 0
        with server.connect() as connection:
            while kills < 20 and not over.wait(dice.uniform(0.005, 0.2)):
                ended = connection.execute(
                    f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %(lake)s AND {which} "
                    f"AND ({'true' if kills else writing}) ORDER BY random() LIMIT 1",
                    {"lake": lake.name},
                ).fetchall()
                kills += len(ended)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done = program.call(
            "--json", "run", job, env={"LONGSHORE_RETRIES": "25", "LONGSHORE_RETRY_BACKOFF_MILLIS": "10"}
        )
    finally:
        over.set()
        killer.join()
    assert done.returncode == 0, done.stderr
    return done


def test_sessions_that_are_killed_all_the_while_lose_and_double_nothing(program, flights, lake):
    job = program.postgres(flights, tables=["flights"], target=lake.target(), chunk={"rows": 2_000},
                           parallel={"chunks": 4})  # fmt: skip
    done = run_while_killing(program, flights, job, lake, "true")
    assert '"retries": 0' not in done.stdout, "nothing was ever killed"
    same(flights, lake, "flights")
    assert lake.tables() == ["flights"]


def test_a_chunk_that_was_written_before_is_replaced(program, flights, lake):
    """The server commits a chunk, and the connection ends before it can say so: the chunk comes again."""
    job = program.postgres(flights, tables=["flights"], target=lake.target(), chunk={"rows": 20_000})
    run_while_killing(program, flights, job, lake, "state = 'idle' AND query = 'COMMIT'")
    same(flights, lake, "flights")


def test_a_daemon_that_is_killed_publishes_once(program, server, lake):
    crash.prepare(server)
    program.ok("plugin", "list")  # compiles them, once for all starts
    dice = random.Random(11)
    daemon = Daemon(program)
    job = program.postgres(server, tables=["crash_a", "crash_b"], chunk={"rows": 500}, target=lake.target(),
                           consistency="snapshot")  # fmt: skip
    with crash.Transfers(server):
        job.rename(daemon.inbox / job.name)
        kills = 0
        until = time.monotonic() + 120
        while not list((daemon.inbox / "done").glob("*.json")):
            failed = [path.read_text() for path in (daemon.inbox / "failed").glob("*.json")]
            assert time.monotonic() < until and not failed, [
                *failed,
                (program.folder / "daemon.log").read_text()[-4000:],
            ]
            # A third time, and the job would be set aside.
            if kills == 2:
                time.sleep(0.1)
                continue
            time.sleep(dice.uniform(0.5, 1.5))
            daemon.stop(signal.SIGKILL)
            kills += 1
            daemon.start()
        [report] = daemon.reports("done")
    assert daemon.stop() == 0
    assert kills > 1 and report["interruptions"]
    counts = lake.rows("SELECT count(*), count(DISTINCT id), sum(money) FROM crash_a")
    others = lake.rows("SELECT count(*), count(DISTINCT id), sum(money) FROM crash_b")
    assert counts[0][:2] == others[0][:2] == (crash.ACCOUNTS, crash.ACCOUNTS)
    assert counts[0][2] + others[0][2] == 0, "not one instant"
    assert lake.tables() == ["crash_a", "crash_b"]


def test_a_cancelled_run_leaves_nothing(program, flights, lake):
    daemon = Daemon(program)
    job = program.postgres(
        flights, tables=["flights"], target=lake.target(), chunk={"rows": 500}, parallel={"chunks": 1}
    )
    job.rename(daemon.inbox / job.name)
    [run] = wait_for(lambda: program.report("runs"))
    wait_for(lambda: len(lake.tables()) == 2)
    program.ok("runs", "cancel", run["run"] if "run" in run else run["id"])
    daemon.reports("failed")
    assert lake.tables() == []
    assert daemon.stop() == 0


def test_grants_and_the_target_are_shown(program, lake):
    job = program.job(TPCH, tables=["nation"], target=lake.target())
    shown = program.ok("plan", job)
    assert f"postgres-sink may connect to 127.0.0.1:{lake.server.port}" in shown
    assert "postgres-sink may know `password`" in shown and "PartWriter" not in shown
    assert "target: PostgreSQL" in program.ok("test-connection", job)
    assert "valid" in program.ok("validate", job)


REFUSED = {
    "an unknown key": (dict(tabel="x"), "unknown key `tabel`", 2),
    "a wrong password": (dict(password="wrong"), "password authentication failed", 5),
    "no such schema": (dict(schema="nowhere"), "there is no schema nowhere", 4),
    "an unknown scheme": (dict(url="nowhere://x/y"), "no sink for `nowhere:`", 2),
    "a sink for a folder": (
        dict(url="file:///tmp/x", plugin="postgres-sink", password=None),
        "`file:` takes no sink",
        2,
    ),
    "another plugin": (dict(plugin="postgres-sink@9"), "is `postgres-sink@9`", 2),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_target_is_refused_with_its_reason(program, lake, what):
    keys, says, code = REFUSED[what]
    target = {key: value for key, value in lake.target(**keys).items() if value is not None}
    line, given = program.refused("run", program.job(TPCH, tables=["nation"], target=target))
    assert says in line and given == code, line
    assert lake.tables() == []


def test_values_that_a_table_cannot_hold_are_refused(program, lake):
    def refused(select):
        job = program.job(TPCH, tables=["region"], transform=[{"sql": f"SELECT {select} FROM data"}],
                          target=lake.target())  # fmt: skip
        return program.refused("run", job)

    line, code = refused("struct(r_regionkey, r_name) AS pair")
    assert "column `pair` is Struct" in line and "cast it in an `sql` step" in line and code == 2
    line, code = refused("chr(0) || r_name AS name")
    assert "column `name`: a text with the character NUL" in line
    line, _ = refused("r_name AS " + "x" * 64)
    assert "over 63 bytes" in line
    line, _ = refused("arrow_cast(1, 'Timestamp(Nanosecond, None)') AS at")
    assert "1 ns are no whole microseconds" in line
    assert lake.tables() == []


def test_verify_says_that_there_are_no_files(program, lake):
    report = program.report("run", program.job(TPCH, tables=["nation"], target=lake.target()))
    line, code = program.refused("verify", report["manifest"])
    assert "rows went into a sink" in line and code == 2


def test_a_check_that_fails_leaves_the_sink_as_it_was(program, flights, lake):
    target = lake.target(mode="append")
    fine = {"not_null": ["carrier"]}
    program.ok("run", program.postgres(flights, tables=["airlines"], target=target, checks=[fine]))
    checks = [fine, {"length": {"column": "name", "max": 12}}]
    job = program.postgres(flights, tables=["airlines"], target=target, checks=checks)
    line, code = program.refused("run", job)
    assert code == 4 and "check `length(name)` (fail)" in line, line
    same(flights, lake, "airlines")
    told = [{**checks[1], "severity": "warn"}]
    report = program.report("run", program.postgres(flights, tables=["airlines"], target=target, checks=told))
    assert report["rows"] == 16 and report["checks"][0]["outcome"] == "failed"
