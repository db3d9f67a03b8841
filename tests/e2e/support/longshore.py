"""The program, with folders of its own: jobs, calls and their reports."""

import json
import os
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]

LONGSHORE = ROOT / "target/release/longshore"

PLUGINS = ROOT / "target/release/plugins"

HOSTILE = ROOT / "target/hostile"

PASSWORD = "secret"

#: A user of every Linux who owns nothing.
NOBODY = 65534


class Program:
    """The program, with folders of its own."""

    #: What is called.
    executable = LONGSHORE

    def __init__(self, folder, cache):
        self.folder = folder
        self.lake = folder / "lake"
        self.started = []
        self.env = {
            **os.environ,
            "LONGSHORE_CACHE": str(cache),
            "LONGSHORE_STATE": str(folder / "state"),
            "LONGSHORE_PLUGINS": str(PLUGINS),
            "PGPASSWORD": PASSWORD,
        }

    def job(self, source, name="job.yaml", **keys):
        job = {"source": source, "target": {"url": f"file://{self.lake}"}, **keys}
        path = self.folder / name
        path.write_text(json.dumps(job) if name.endswith(".json") else yaml.safe_dump(job))
        return path

    def postgres(self, server, name="job.yaml", source=None, **keys):
        source = {"url": server.url(), "password": {"env": "PGPASSWORD"}, **(source or {})}
        return self.job(source, name, **keys)

    def call(self, *args, env=None, cwd=None, seconds=300):
        command = [str(self.executable), *map(str, args)]
        env, cwd = {**self.env, **(env or {})}, cwd or self.folder
        return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=seconds)

    def ok(self, *args, **options):
        done = self.call(*args, **options)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def report(self, *args, **options):
        return json.loads(self.ok("--json", *args, **options))

    def refused(self, *args, **options):
        """What a failed call says, in its one line, and its exit code."""
        done = self.call(*args, **options)
        assert done.returncode != 0, done.stdout
        lines = [line for line in done.stderr.splitlines() if line.startswith("longshore:")]
        assert len(lines) == 1, done.stderr
        # A plugin may panic; the host never.
        assert "thread '" not in done.stderr, done.stderr
        return lines[0], done.returncode

    def start(self, *args, env=None):
        command = [str(self.executable), *map(str, args)]
        log = (self.folder / "daemon.log").open("a")
        process = subprocess.Popen(
            command, env={**self.env, **(env or {})}, cwd=self.folder, stdout=log, stderr=log
        )
        self.started.append(process)
        return process

    def end(self):
        """Ends what a test that failed left running."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def published(self):
        """Everything that can be seen at the target, hidden leftovers too."""
        if not self.lake.exists():
            return []
        return sorted(str(path.relative_to(self.lake)) for path in self.lake.rglob("*") if path.is_file())


def only(program, *plugins):
    """The program with these plugins: most jobs here read a file and need none."""
    folder = program.folder / "plugins"
    folder.mkdir(exist_ok=True)
    for name in plugins:
        (folder / f"{name}.wasm").symlink_to(PLUGINS / f"{name}.wasm")
    program.env["LONGSHORE_PLUGINS"] = str(folder)
    return program


def rows_job(program, name="good.yaml", **keys):
    """A job of three rows, that needs no plugin."""
    rows = program.folder / "rows.csv"
    if not rows.exists():
        rows.write_text("id,name\n1,one\n2,two\n3,three\n")
    return program.job({"url": f"file://{rows}"}, name, **keys)


def runs(program):
    return json.loads(program.ok("--json", "runs"))


QUICK = {"AWS_MAX_ATTEMPTS": "1", "LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0"}
