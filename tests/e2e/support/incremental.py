"""Incremental loads: jobs, what they published, and writers that commit late."""

import json
import random
import threading
import time

import pyarrow.dataset as dataset


def job(program, server, name="shop.yaml", table="t", source=None, mode="append", **keys):
    """A job that appends what is new of one table; its file names it."""
    incremental = {"column": "id", **keys}
    relation = {"as": "t", "incremental": incremental}
    relation |= {"query": table} if table.startswith("SELECT") else {"table": table}
    source = source or {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    target = {"url": f"file://{program.lake}", "mode": mode}
    return program.job(source, name, relations=[relation], target=target)


def loaded(program, column="id", relation="t"):
    """The values of a column that were published, in order."""
    folder = program.lake / relation
    if not list(folder.glob("*.parquet")):
        return []
    values = dataset.dataset(folder, format="parquet").to_table(columns=[column]).column(0).to_pylist()
    return sorted(values, key=lambda value: (value is not None, value))


def load(program, path, *flags):
    """One run; how many rows it published."""
    return program.report("run", path, *flags)["rows"]


def manifests(program):
    found = [json.loads(path.read_text()) for path in (program.lake / ".longshore/runs").glob("*.json")]
    return sorted(found, key=lambda manifest: manifest["finished"])


class LateWriters:
    """Transactions that take their values at their beginning and commit in another order, with savepoints, and some
    rolled back. The values are unique over all of them."""

    def __init__(self, server, writers=4):
        self.server, self.stop, self.written = server, threading.Event(), []
        self.threads = [threading.Thread(target=self.write, args=(seed,)) for seed in range(writers)]

    def write(self, seed):
        dice = random.Random(seed)
        with self.server.connect() as connection:
            while not self.stop.is_set():
                connection.execute("BEGIN")
                rows = [self.insert(connection, dice) for _ in range(dice.randrange(1, 6))]
                # Long enough for others to take greater values and commit before.
                time.sleep(dice.random() ** 4 * 0.7)
                if dice.random() < 0.15:
                    connection.execute("ROLLBACK")
                else:
                    connection.execute("COMMIT")
                    self.written += [row for row in rows if row is not None]

    @staticmethod
    def insert(connection, dice):
        """A row, perhaps in a transaction within, which may be taken back."""
        insert = "INSERT INTO t (note) VALUES ('late') RETURNING id"
        kind = dice.random()
        if kind < 0.5:
            return connection.execute(insert).fetchone()[0]
        connection.execute("SAVEPOINT inner_one")
        row = connection.execute(insert).fetchone()[0]
        if kind < 0.7:
            connection.execute("ROLLBACK TO SAVEPOINT inner_one")
            return None
        connection.execute("RELEASE SAVEPOINT inner_one")
        return row

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for thread in self.threads:
            thread.join()
