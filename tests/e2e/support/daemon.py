"""The daemon, its inbox, its reports and its log."""

import json
import os
import re
import shutil
import signal

from support.longshore import rows_job
from support.wait import wait_for


def reports_of(inbox, outcome):
    """The reports of the jobs that are put away. A report is written before its job file leaves `running`."""
    under_way = {path.name.rsplit(".", 1)[0] for path in (inbox / "running").glob("*")}
    return [
        report
        for report in sorted((inbox / outcome).glob("*.report.json"))
        if report.name.removesuffix(".report.json") not in under_way
    ]


class Daemon:
    def __init__(self, program, *args):
        self.program, self.args = program, args
        self.inbox = program.folder / "inbox"
        self.start()

    def start(self):
        state, log = self.program.folder / "state", self.program.folder / "daemon.log"
        before = log.stat().st_size if log.exists() else 0
        self.process = self.program.start("serve", "--inbox", self.inbox, "--state", state, *self.args)
        wait_for(lambda: b"taking jobs" in log.read_bytes()[before:] or self.process.poll() is not None)

    def reports(self, outcome, count=1):
        def found():
            reports = reports_of(self.inbox, outcome)
            return reports if len(reports) >= count else None

        try:
            return [json.loads(report.read_text()) for report in wait_for(found)]
        except AssertionError:
            there = sorted(str(path.relative_to(self.inbox)) for path in self.inbox.rglob("*.*"))
            raise AssertionError(
                "\n".join([*there, (self.program.folder / "daemon.log").read_text()])
            ) from None

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(120)


#: What every line of a daemon's log begins with.
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S* +(ERROR|WARN|INFO|DEBUG|TRACE) ")

PARTS = ["running", "done", "failed"]

#: Nothing that is tried here may take longer than this, in seconds. The daemon tries again after a minute what
#: failed: that must not hide what should come at once.
PATIENCE = 50


def drop(daemon, job, name=None):
    """Moves a job file into the inbox, in one step, under any name."""
    inbox = os.fsencode(daemon.inbox)
    aside = inbox + b"/.aside"
    shutil.move(job, aside)
    os.rename(aside, inbox + b"/" + os.fsencode(name or job.name))


def log(program):
    return (program.folder / "daemon.log").read_text(errors="backslashreplace")


def told(program, words):
    return [line for line in log(program).splitlines() if words in line]


def lives(daemon):
    assert daemon.process.poll() is None, log(daemon.program)[-3000:]
    return True


def endings(daemon):
    """The reports so far, by their files' names."""
    found = [path for part in ["done", "failed"] for path in reports_of(daemon.inbox, part)]
    return {path.name: {**json.loads(path.read_text()), "in": path.parent.name} for path in found}


def settled(daemon, count=1):
    """The reports, when there are so many."""
    try:
        return list(
            wait_for(
                lambda: lives(daemon) and len(endings(daemon)) >= count and endings(daemon), PATIENCE
            ).values()
        )
    except AssertionError:
        there = sorted(ascii(str(path.relative_to(daemon.inbox))) for path in daemon.inbox.rglob("*"))
        raise AssertionError(
            "\n".join([f"{len(endings(daemon))} of {count} reports", *there, log(daemon.program)])
        ) from None


def report_of(daemon, name):
    """The report of a job of this name, when it is done."""
    found = lambda: [it for it in reports_of(daemon.inbox, "done") if it.name.startswith(f"{name}.")]
    report, *_ = wait_for(lambda: lives(daemon) and found(), PATIENCE)
    return json.loads(report.read_text())


def serves(daemon, name="after"):
    """A job that is dropped now is run."""
    program = daemon.program
    drop(daemon, rows_job(program, f"{name}.yaml", target={"url": f"file://{program.folder}/{name}"}))
    assert report_of(daemon, name)["rows"] == 3


def left(daemon):
    """What still lies in the inbox."""
    names = (path.name for path in daemon.inbox.iterdir())
    return [name for name in names if name not in PARTS and not name.startswith(".")]
