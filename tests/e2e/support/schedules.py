"""Standing jobs of a daemon, and what the ledger has of them."""

import json
import os
import sqlite3

from support.daemon import Daemon
from support.longshore import only, rows_job
from support.wait import wait_for


class Standing:
    """The folder of standing jobs of a program, whose jobs need no plugin."""

    def __init__(self, program):
        self.program = only(program)
        self.folder = program.folder / "jobs"
        self.folder.mkdir()
        program.env["LONGSHORE_JOBS_DIR"] = str(self.folder)

    def put(self, name, schedule=None, text=None, **keys):
        """Puts a job into the folder in one step, or a text."""
        keys = {"target": {"url": f"file://{self.program.lake}/{name}", "mode": "replace"}, **keys}
        if schedule is not None:
            keys["schedule"] = schedule
        path = rows_job(self.program, f".{name}.yaml", **keys)
        if text is not None:
            path.write_text(text)
        os.replace(path, self.folder / f"{name}.yaml")

    def start(self, *args):
        return Daemon(self.program, *args)

    def ask(self, command, *args):
        return json.loads(self.program.ok("--json", "schedule", command, *args))

    def show(self, name):
        return self.ask("show", name)

    def listed(self, name):
        return next(job for job in self.ask("list") if job["name"] == name)

    def begun(self, *names):
        """Waits until the daemon looks at these schedules."""
        known = "SELECT name FROM schedules WHERE recurrence IS NOT NULL"
        wait_for(lambda: {row[0] for row in self.query(known)} >= set(names))

    def is_active(self, name):
        """Whether the daemon has read what lies in the folder."""
        copy = self.program.folder / "state/jobs" / f"{name}.yaml"
        return copy.exists() and copy.read_bytes() == (self.folder / copy.name).read_bytes()

    def query(self, text, *values):
        ledger = sqlite3.connect(f"file:{self.program.folder}/state/ledger.sqlite?mode=ro", uri=True)
        try:
            return ledger.execute(text, values).fetchall()
        finally:
            ledger.close()

    def times(self, name, kind="schedule"):
        """The scheduled times that gave runs, oldest first."""
        asked = "SELECT scheduled FROM triggers WHERE job = ? AND kind = ? ORDER BY scheduled"
        return [row[0] for row in self.query(asked, f"{name}.yaml", kind)]

    def states(self, name):
        """The phases of its runs, in the order in which they were asked for; None: not begun."""
        asked = """SELECT phase FROM triggers LEFT JOIN runs ON runs.id = triggers.run
                   WHERE triggers.job = ? ORDER BY triggers.rowid"""
        return [row[0] for row in self.query(asked, f"{name}.yaml")]

    def settled(self, name, count):
        """Waits until so many runs have ended; gives their phases."""
        ended = {"succeeded", "failed", "cancelled"}

        def found():
            states = self.states(name)
            return len(states) >= count and ended.issuperset(states) and states

        return wait_for(found)

    def events(self, name, kind):
        return [event["text"] for event in self.show(name)["events"] if event["kind"] == kind]
