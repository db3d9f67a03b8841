"""Whatever happens to an inbox at random: each job that was dropped whole runs once, or it is told what became of it.

The events come from a seed, which a failure names: `FUZZ_SEED=7` has them again. `FUZZ_SECONDS=600` goes on for longer.
"""

import contextlib
import os
import random
import shutil
import signal
import time

import pyarrow.parquet as pq

from support.daemon import PARTS, PATIENCE, Daemon, drop, lives, log, told
from support.longshore import only, rows_job
from support.wait import wait_for

#: How long one inbox is played with, and all of them together.
ROUND_SECONDS = 10
SECONDS = float(os.environ.get("FUZZ_SECONDS", ROUND_SECONDS))

#: What names may be made of, beside a number that tells them apart.
ODD = [
    "é",
    "☃",
    " ",
    "..",
    "%41",
    "#",
    "?",
    "*",
    "[a]",
    "'",
    '"',
    "\\",
    "\n",
    "\t",
    "\x1b[2J",
    "-",
    "~",
    "$x",
    "\udcff",
    "x" * 150,
]


def parts(target):
    """What was published into a folder; hidden is what was not yet."""
    return list(target.glob("[!.]*/*.parquet"))


class Play:
    """A daemon to which things happen."""

    def __init__(self, program, dice):
        self.program, self.dice = program, dice
        self.daemon = Daemon(only(program), "--drain-secs", "0")
        self.number, self.events = 0, []
        #: The targets of the jobs that were dropped whole, and the names that they were dropped under.
        self.whole = {}

    @property
    def inbox(self):
        return self.daemon.inbox

    def name(self):
        self.number += 1
        odd = "".join(self.dice.sample(ODD, self.dice.choice([0, 0, 1, 2])))
        ending = self.dice.choice([".yaml", ".yaml", ".yml", ".json"])
        return f"j{self.number}n{odd}", ending

    def job(self):
        """A whole job with a target of its own, where it does not lie yet, and its name."""
        name, ending = self.name()
        target = self.program.folder / "targets" / f"t{self.number}"
        job = rows_job(self.program, f"job{self.number}{ending}", target={"url": f"file://{target}"})
        return job, target, name + ending

    def drop_whole(self):
        job, target, name = self.job()
        drop(self.daemon, job, name)
        self.whole[target] = name

    def drop_some(self):
        for _ in range(self.dice.randrange(2, 6)):
            self.drop_whole()

    def drop_bad(self):
        name, ending = self.name()
        text = self.dice.choice(["", "tabels: [x]\n", "source: {", "\x00", "- a\n", "{}", "\ufeff"])
        (self.program.folder / "bad").write_text(text)
        drop(self.daemon, self.program.folder / "bad", name + ending)

    def write_slowly(self):
        job, _, name = self.job()
        text = job.read_bytes()
        cut = self.dice.randrange(len(text))
        with (
            contextlib.suppress(OSError),
            open(os.fsencode(self.inbox) + b"/" + os.fsencode(name), "wb") as slow,
        ):
            slow.write(text[:cut])
            slow.flush()
            time.sleep(self.dice.random() / 5)
            slow.write(text[cut:] if self.dice.random() < 0.7 else b"")

    def hide_and_rename(self):
        job, target, name = self.job()
        drop(self.daemon, job, f".hidden{self.number}")
        time.sleep(self.dice.random() / 5)
        aside = os.fsencode(self.inbox) + b"/"
        os.rename(aside + f".hidden{self.number}".encode(), aside + os.fsencode(name))
        self.whole[target] = name

    def link(self):
        job, target, name = self.job()
        os.symlink(job, os.fsencode(self.inbox) + b"/" + os.fsencode(name))
        self.whole[target] = name

    def link_to_nothing(self):
        name, ending = self.name()
        to = self.dice.choice(["nowhere", name + ending, "/dev/zero", "/tmp"])
        os.symlink(to, os.fsencode(self.inbox) + b"/" + os.fsencode(name + ending))

    def make_folder(self):
        name, ending = self.name()
        os.mkdir(os.fsencode(self.inbox) + b"/" + os.fsencode(name + ending))

    def remove_part(self):
        # Those that run are in `running`, and with them what is known of jobs that were taken.
        shutil.rmtree(self.inbox / self.dice.choice(["done", "failed"]), ignore_errors=True)

    def remove_empty_running(self):
        with contextlib.suppress(OSError):
            (self.inbox / "running").rmdir()

    def move_inbox(self):
        """What lay in it is dropped anew, into the one that comes in its place."""
        aside = self.program.folder / f"aside{self.number}"
        self.number += 1
        os.rename(self.inbox, aside)
        time.sleep(self.dice.random() / 5)
        if self.dice.random() < 0.5:
            os.rename(aside, self.inbox) if not self.inbox.exists() else self.refill(aside)
        else:
            self.inbox.mkdir(exist_ok=True)
            self.refill(aside)

    def refill(self, aside):
        for part in [*PARTS, ""]:
            (self.inbox / part).mkdir(exist_ok=True)
            for path in (aside / part).iterdir() if (aside / part).is_dir() else []:
                if path.name not in PARTS:
                    os.rename(path, self.inbox / part / path.name)

    def close_and_open(self):
        self.inbox.chmod(0o000)
        time.sleep(self.dice.random() / 3)
        self.inbox.chmod(0o755)

    def start_again(self, how):
        ended = self.daemon.stop(how)
        assert how == signal.SIGKILL or ended == 0, ended
        self.daemon.start()

    def kill(self):
        self.start_again(signal.SIGKILL)

    def terminate(self):
        self.start_again(signal.SIGTERM)

    def pause(self):
        time.sleep(self.dice.random())

    def play(self, seconds):
        often = (
            [self.drop_whole] * 8 + [self.drop_some] * 3 + [self.hide_and_rename, self.link, self.pause] * 2
        )
        seldom = [
            self.drop_bad,
            self.write_slowly,
            self.link_to_nothing,
            self.make_folder,
            self.remove_part,
            self.remove_empty_running,
            self.move_inbox,
            self.close_and_open,
            self.kill,
            self.kill,
            self.terminate,
        ]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            event = self.dice.choice(often + seldom)
            self.events.append(f"{event.__name__} {self.number}")
            # A daemon may be making its folders where something is put at the same time.
            with contextlib.suppress(FileNotFoundError, FileExistsError, PermissionError):
                event()
            lives(self.daemon)

    def is_told(self, name):
        """Whether somebody who looks for a job finds why it was not run."""
        stem = name.split("n")[0] + "n"
        failed = [path.name for path in (self.inbox / "failed").glob("*.report.json")]
        errors = [line for line in told(self.program, stem) if " ERROR " in line]
        return any(file.startswith(stem) for file in failed) or bool(errors)

    def lost(self):
        """The jobs of which nothing was published, and nothing is said."""
        return [
            ascii(name) for target, name in self.whole.items() if not parts(target) and not self.is_told(name)
        ]

    def twice(self):
        """The jobs whose rows were published more than once."""
        rows = {
            target: sum(pq.read_metadata(path).num_rows for path in parts(target)) for target in self.whole
        }
        return {ascii(self.whole[target]): count for target, count in rows.items() if count not in (0, 3)}


def plays(program, seed, seconds):
    play = Play(program, random.Random(seed))
    try:
        play.play(seconds)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: lives(play.daemon) and not play.lost(), PATIENCE)
        last = "\n".join([f"FUZZ_SEED={seed}", *play.events[-60:], log(program)[-6000:]])
        assert play.lost() == [], f"{play.lost()} are lost: {last}"
        assert play.twice() == {}, f"{play.twice()}: {last}"
    except BaseException as fault:
        fault.add_note(f"FUZZ_SEED={seed}")
        raise
    finally:
        play.daemon.stop(signal.SIGKILL)


def test_each_job_runs_once_or_is_told_of_whatever_happens(program):
    seed = int(os.environ.get("FUZZ_SEED", random.randrange(1 << 32)))
    until = time.monotonic() + SECONDS
    while True:
        plays(program, seed, min(ROUND_SECONDS, SECONDS))
        if time.monotonic() > until:
            return
        seed += 1
        for path in program.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
