"""What a run shows while it is under way."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios

import pytest

from support.longshore import LONGSHORE, rows_job
from support.wait import wait_for

COLUMNS, ROWS = 40, 10

#: What removes the lines that were drawn before, so many rows.
ERASED = re.compile(rb"\r\x1b\[(\d+)A\x1b\[J")


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


class OnATerminal:
    """A run on a terminal of this size."""

    def __init__(self, program, *args, rows=ROWS, columns=COLUMNS, **env):
        self.ours, theirs = pty.openpty()
        resize(theirs, rows, columns)
        self.process = subprocess.Popen(
            [str(LONGSHORE), *map(str, args)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**program.env, "TERM": "xterm", **env},
            cwd=program.folder,
        )
        os.close(theirs)
        program.started.append(self.process)
        self.seen = b""

    def read(self):
        """Reads what has come, until the program ends."""
        while select.select([self.ours], [], [], 0.05)[0]:
            try:
                piece = os.read(self.ours, 65_536)
            except OSError:
                return
            if not piece:
                return
            self.seen += piece

    def shows(self, words):
        def found():
            self.read()
            return words in self.seen

        try:
            wait_for(found)
        except AssertionError:
            raise AssertionError(self.seen.decode(errors="replace")) from None

    def end(self):
        wait_for(lambda: (self.read(), self.process.poll() is not None)[1])
        self.read()
        os.close(self.ours)
        return self.seen.decode(errors="replace")


@pytest.fixture
def many(program, gate):
    """A job of 30 relations, of which none is done until the gate is opened."""
    folder = program.folder / "many"
    folder.mkdir()
    for number in range(30):
        (folder / f"relation_{number:02}.csv").write_text("id\n1\n2\n")
    relations = [{"table": path.name, "as": path.stem} for path in sorted(folder.iterdir())]
    target = {"url": f"{gate.url}/rows", "timeout_secs": 120}
    parallel = {"relations": 20, "chunks": 1}
    return program.job({"url": f"file://{folder}/"}, relations=relations, target=target, parallel=parallel)


def test_a_small_terminal_shows_no_more_than_it_has_also_when_it_becomes_smaller(program, gate, many):
    env = {"LONGSHORE_PARALLEL": "20", "NO_COLOR": "1"}
    run = OnATerminal(program, "run", many, **env)
    run.shows(b"0 of 30 relations done")
    run.shows(b", 20 under way")
    before = len(run.seen)
    resize(run.ours, 6, 30)
    run.shows(b" rows/s")
    wait_for(lambda: (run.read(), len(ERASED.findall(run.seen[before:])) > 3)[1])
    gate.open.set()
    text = run.end()
    assert run.process.returncode == 0, text
    erased = [int(rows) for rows in ERASED.findall(run.seen)]
    assert erased and max(erased) <= 2 * ROWS
    assert max([int(rows) for rows in ERASED.findall(run.seen[before:])][2:]) < 6
    # Between two erasures lies what was drawn.
    drawn = ERASED.split(run.seen)[2:-1:2]
    assert drawn and all(len(line) < 2 * COLUMNS for lines in drawn for line in lines.split(b"\r\n"))
    # What was drawn is gone, and the report is there.
    last = re.split(r"\x1b\[J", text)[-1]
    assert "published 60 rows" in last and "under way" not in last
    assert "\x1b[36m" not in text


def test_without_a_terminal_a_line_comes_now_and_then(program, gate, many):
    log = program.folder / "daemon.log"
    run = program.start("run", many, env={"LONGSHORE_PARALLEL": "20"})
    line = re.compile(r"^ *\d+%(, .*)?, [\d,]+ rows/s, .*, \d+ of 30 relations done", re.MULTILINE)
    wait_for(lambda: line.search(log.read_text()))
    assert "\x1b" not in log.read_text()
    gate.open.set()
    assert run.wait(120) == 0


def test_quiet_says_nothing_but_errors_and_verbose_says_more(program):
    job = rows_job(program)
    done = program.call("-q", "run", job)
    assert (done.returncode, done.stderr) == (0, "") and "published 3 rows" in done.stdout
    bad = rows_job(program, "bad.yaml", transform=[{"sql": "SELECT id / 0 AS x FROM data"}])
    line, code = program.refused("run", bad, "-q")
    assert code == 4
    assert "an attempt begins" in program.call("run", job, "-v").stderr
    assert "an attempt begins" in program.call("run", job, "--verbose").stderr
    done = program.call("run", job, "-q", "-v")
    assert done.returncode == 2 and "cannot be used with" in done.stderr
