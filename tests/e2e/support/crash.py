"""Rounds of kill -9: a real daemon on a real job, killed at random moments until it is done.

`make crash` runs many rounds; the tests run a few.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from support.longshore import LONGSHORE, PASSWORD, PLUGINS
from support.postgres import Server

#: Accounts between which money moves while it is read: at any one instant their sum is nought.
ACCOUNTS = 100_000


#: So many deaths in a row the daemon may have while its run gets nowhere: after one more the job is set aside.
DEATHS_LIMIT = 2


class Background:
    """What goes on in a thread of its own until the `with` block ends."""

    def __init__(self):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Transfers(Background):
    """Moves money between accounts of both tables, all the time."""

    def __init__(self, server):
        super().__init__()
        self.server = server

    def work(self):
        dice = random.Random(7)
        with self.server.connect() as connection:
            while not self.over.is_set():
                amount, one, other = (
                    dice.randrange(1, 100),
                    dice.randrange(ACCOUNTS),
                    dice.randrange(ACCOUNTS),
                )
                with connection.transaction():
                    connection.execute("UPDATE crash_a SET money = money - %s WHERE id = %s", (amount, one))
                    connection.execute("UPDATE crash_b SET money = money + %s WHERE id = %s", (amount, other))


def prepare(server):
    with server.connect() as connection:
        for table in ["crash_a", "crash_b"]:
            connection.execute(f"DROP TABLE IF EXISTS {table}")
            connection.execute(
                f"CREATE TABLE {table} AS SELECT n AS id, 0::bigint AS money, repeat(md5(n::text), 4) AS filler "
                f"FROM generate_series(0, {ACCOUNTS - 1}) n"
            )
            connection.execute(f"CREATE INDEX ON {table} (id)")
            connection.execute(f"ANALYZE {table}")


class Watcher(Background):
    """Lists the target all the while: what it ever saw of each relation."""

    def __init__(self, lake):
        super().__init__()
        self.lake, self.seen = lake, {}

    def work(self):
        while not self.over.is_set():
            for name in os.listdir(self.lake) if self.lake.exists() else []:
                if not name.startswith("."):
                    self.seen.setdefault(name, set()).add(frozenset(os.listdir(self.lake / name)))
            time.sleep(0.002)


def deaths(folder):
    """How often the daemon died since its run last got on. At the third time the job is set aside, as it should be."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{folder}/state/ledger.sqlite?mode=ro", uri=True)
        ) as ledger:
            return ledger.execute("SELECT coalesce(max(crashes), 0) FROM claims").fetchone()[0]
    except sqlite3.OperationalError:
        # It is not there yet.
        return 0


def one_round(server, folder, env, seed, longest=0.6):
    """Returns how often the daemon was killed, and the report."""
    dice = random.Random(seed)
    folder.mkdir()
    lake, inbox = folder / "lake", folder / "inbox"
    job = {
        "source": {"url": server.url(), "password": {"env": "PGPASSWORD"}},
        "tables": ["crash_a", "crash_b"],
        "chunk": {"rows": 500},
        "target": {"url": f"file://{lake}"},
        "consistency": "snapshot",
    }
    (folder / "crash.yaml").write_text(yaml.safe_dump(job))
    log = (folder / "daemon.log").open("ab")
    command = [str(LONGSHORE), "serve", "--inbox", str(inbox), "--state", str(folder / "state")]
    kills = 0
    with Watcher(lake) as watcher:
        until = time.monotonic() + 300
        while True:
            said_before = log.seek(0, os.SEEK_END)
            daemon = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=folder)
            # Most kills early, where little is done; a few late, in the commit.
            patience = dice.uniform(0.05, longest) if kills < 6 else 60
            if not kills:
                while not (inbox / "failed").exists():
                    time.sleep(0.005)
                (folder / "crash.yaml").rename(inbox / "crash.yaml")
            killed = time.monotonic() + patience
            over = lambda: list((inbox / "done").glob("*.json")) + list((inbox / "failed").glob("*.json"))
            while (time.monotonic() < killed or deaths(folder) >= DEATHS_LIMIT) and not over():
                time.sleep(0.005)
            if over():
                # One that is told before it listens has nothing to end in order.
                while b"taking jobs" not in (folder / "daemon.log").read_bytes()[said_before:]:
                    time.sleep(0.005)
                daemon.send_signal(signal.SIGTERM)
                assert daemon.wait(30) == 0
                break
            daemon.kill()
            daemon.wait()
            kills += 1
            assert time.monotonic() < until, "the run does not end"
    [report] = [json.loads(path.read_text()) for path in over()]
    check(lake, inbox, report, watcher, folder)
    return kills, report


def check(lake, inbox, report, watcher, folder):
    told = (folder / "daemon.log").read_text()[-4000:]
    assert report["status"] == "succeeded", f"{report}\n{told}"
    assert sorted(path.name for path in lake.iterdir()) == [".longshore", "crash_a", "crash_b"], told
    hidden = sorted(str(p.relative_to(lake / ".longshore")) for p in (lake / ".longshore").rglob("*"))
    kept = ["names", "runs", f"runs/{report['run']}.json", "staging"]
    assert hidden == kept, f"leftovers: {hidden}\n{told}"
    total = 0
    for table in ["crash_a", "crash_b"]:
        rows = pq.read_table(lake / table)
        assert sorted(rows["id"].to_pylist()) == list(range(ACCOUNTS)), f"{table}: lost or doubled\n{told}"
        total += pc.sum(rows["money"]).as_py()
        whole = frozenset(os.listdir(lake / table))
        assert watcher.seen.get(table, {whole}) <= {whole}, f"half of {table} was seen\n{told}"
    assert total == 0, f"not one instant: {total}\n{told}"
    assert not list((folder / "state/holders").glob("*")), f"a holder was left\n{told}"
    assert not list((inbox / "running").iterdir())


def environment(cache):
    return {
        **os.environ,
        "LONGSHORE_CACHE": str(cache),
        "LONGSHORE_PLUGINS": str(PLUGINS),
        "PGPASSWORD": PASSWORD,
    }


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rounds", type=int, default=1000)
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="longshore-crash."))
    scratch.chmod(0o755)
    server = Server(scratch / "postgres")
    try:
        (scratch / "cache").mkdir(mode=0o700)
        env = environment(scratch / "cache")
        prepare(server)
        kills = kept = 0
        with Transfers(server):
            for number in range(given.rounds):
                killed, report = one_round(server, scratch / str(number), env, given.seed + number)
                kills += killed
                kept += any("are kept" in text for text in report["interruptions"])
                shutil.rmtree(scratch / str(number))
                print(
                    f"round {number + 1}: killed {killed} times; {kills} in all, {kept} runs kept chunks",
                    flush=True,
                )
    finally:
        server.stop()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
