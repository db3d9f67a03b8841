"""The Python wheel, made and installed once: for imports in the tests, and as an environment of its own."""

import fcntl
import hashlib
import os
import subprocess
import sys
from contextlib import contextmanager

from support.longshore import LONGSHORE, PLUGINS, ROOT

#: Without links: `target` may be one, and the kernel names a program by its real path.
FOLDER = (ROOT / "target/python").resolve()

WHEELS = FOLDER / "wheels"

#: `pip install --target`: what the tests import.
SITE = FOLDER / "site"

#: An environment of its own, whose Python knows nothing else.
VENV = FOLDER / "venv"


def installed():
    """Makes the wheel and installs it, unless that is done."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _alone():
        stamp, now = FOLDER / "stamp", _inputs()
        if stamp.exists() and stamp.read_text() == now:
            return
        stamp.unlink(missing_ok=True)
        for folder in (WHEELS, SITE, VENV):
            subprocess.run(["rm", "-rf", folder], check=True)
        _run(sys.executable, ROOT / "tools/wheel.py", "--fast", "--out", WHEELS)
        _run(sys.executable, "-m", "venv", "--without-pip", VENV)
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        install = ["install", "--no-index", "--no-compile", "--find-links", WHEELS, "longshore"]
        _run(*pip, *install, "--target", SITE)
        _run(*pip, "--python", VENV / "bin/python", *install)
        stamp.write_text(now)


def _run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _inputs():
    """What the wheel is made of, as far as times and sizes tell."""
    files = [LONGSHORE, LONGSHORE.with_name("longshore-odbc"), ROOT / "tools/wheel.py", ROOT / "Cargo.toml"]
    files += sorted(PLUGINS.glob("*.wasm")) + sorted(p for p in (ROOT / "python").rglob("*") if p.is_file())
    seen = "".join(f"{path} {path.stat().st_mtime_ns} {path.stat().st_size}\n" for path in files)
    return hashlib.sha256(seen.encode()).hexdigest()


@contextmanager
def _alone():
    """Several workers ask at the same time."""
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def python(program, script, *args, **options):
    """Runs a script with the environment's Python."""
    # What the tests import is not of this environment.
    env = {key: value for key, value in program.env.items() if key not in ("LONGSHORE_PLUGINS", "PYTHONPATH")}
    env = {**env, **options.pop("env", {}), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(VENV / "bin/python"), "-c", script, *map(str, args)]
    return subprocess.Popen(
        command,
        env=env,
        cwd=program.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def _program(pid):
    """What a process runs; nothing for one that has ended."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def is_alive(pid):
    """Whether a process runs: a zombie does not."""
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid=None):
    """The processes of the wheel's program that a process has started, zombies too."""
    tasks = f"/proc/{pid or os.getpid()}/task"
    found = []
    for task in os.listdir(tasks):
        found += map(int, open(f"{tasks}/{task}/children").read().split())
    return [child for child in found if _program(child).startswith(str(FOLDER)) or not _program(child)]
