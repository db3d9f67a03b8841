"""How everything here is measured: time, CPU and memory of a command, medians of commands in turn, and lines
that compare a figure with a peer's and with a goal."""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

#: How often the memory of several processes is looked at.
LOOK_SECS = 0.05


@dataclass
class Line:
    """One figure, its peer's, and whether the goal is met. Less is better."""

    section: str
    what: str
    unit: str
    ours: float
    #: Whom the figure is compared with; none where the goal is a limit of the figure itself.
    peer: str | None = None
    theirs: float | None = None
    #: The largest ratio, or the largest figure where there is no peer; none where the line only informs.
    goal: float | None = None

    @property
    def ratio(self):
        return self.ours / self.theirs if self.theirs else None

    @property
    def verdict(self):
        if self.goal is None:
            return None
        return "met" if (self.ours if self.ratio is None else self.ratio) <= self.goal else "missed"

    def as_json(self):
        return {**asdict(self), "ratio": self.ratio, "verdict": self.verdict}

    def as_row(self):
        number = lambda value: "" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"
        theirs = f"{self.peer}: {number(self.theirs)}" if self.peer else ""
        cells = [self.what, f"{number(self.ours)} {self.unit}", theirs, number(self.ratio), number(self.goal)]
        return f"| {' | '.join([self.section, *cells, self.verdict or ''])} |"


HEAD = "| section | what | Longshore | peer | ratio | goal | verdict |\n|---|---|---|---|---|---|---|"


def measure(command, env=None, fresh=None):
    """Wall, CPU (children too) and peak memory (the largest process) of one run."""
    started, process = start(command, env, fresh)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    if status:
        raise SystemExit(f"{command} failed: {words(process)}")
    return {
        "wall": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "mib": usage.ru_maxrss / 1024,
    }


def measure_family(command, env=None, fresh=None):
    """The same, but the memory is that of all processes together. Nobody waits for some of them."""
    started, process = start(command, env, fresh)
    peak, cpu = 0, {}
    while True:
        pids = family(process.pid)
        peak = max(peak, sum(memory_kib(pid) for pid in pids))
        cpu |= {pid: max(cpu.get(pid, 0), cpu_seconds(pid)) for pid in pids}
        if process.poll() is not None:
            break
        time.sleep(LOOK_SECS)
    if process.returncode:
        raise SystemExit(f"{command} failed: {words(process)}")
    return {"wall": time.monotonic() - started, "cpu": sum(cpu.values()), "mib": peak / 1024}


def start(command, env, fresh):
    if fresh:
        shutil.rmtree(fresh, ignore_errors=True)
    command, env = [str(part) for part in command], {**os.environ, **(env or {})}
    said = tempfile.TemporaryFile()
    started = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=said)
    process.stderr = said
    return started, process


def words(process):
    """What a process that failed said last."""
    process.stderr.seek(0)
    return process.stderr.read()[-2_000:].decode(errors="replace")


def family(pid):
    """A process and all that it started."""
    pids = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            pids += [other for child in children for other in family(int(child))]
    except OSError:
        pass
    return pids


def memory_kib(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def in_turn(contenders, runs, check=None):
    """The median figures of each contender; the first run of each is a warm-up. After each run of ours, `check`
    compares the rows with the source."""
    figures = {name: [] for name in contenders}
    for turn in range(runs + 1):
        for name, run in contenders.items():
            figure = run()
            if check and name == "Longshore":
                check()
            if turn:
                figures[name].append(figure)
    return {
        name: {key: statistics.median(f[key] for f in all_) for key in all_[0]}
        for name, all_ in figures.items()
    }


def compare(section, what, medians, *goals):
    """Lines for medians. A goal is a figure, a peer (none: a limit), and the largest ratio (none: no goal)."""
    units = {"wall": "s", "cpu": "s of CPU", "mib": "MiB"}
    ours = medians["Longshore"]
    for key, peer, goal in goals:
        name = f"{what}, {'wall' if key == 'wall' else 'CPU' if key == 'cpu' else 'peak'}"
        yield Line(section, name, units[key], ours[key], peer, medians[peer][key] if peer else None, goal)
