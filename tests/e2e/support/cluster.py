"""Clusters: a scheduler and executors, each a process with a state folder of its own."""

import json
import os
import signal
import subprocess
from pathlib import Path

from support.longshore import LONGSHORE, Program
from support.ports import free_port
from support.wait import wait_for

CLUSTER = LONGSHORE.with_name("longshore-cluster")


class Member:
    """A process of a cluster."""

    def __init__(self, command, env, log, before=()):
        self.log = Path(log)
        command = [*before, str(CLUSTER), *map(str, command)]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, env=env, stdout=out, stderr=out, start_new_session=True)

    @property
    def pid(self):
        return self.process.pid

    def said(self):
        return self.log.read_text(errors="replace")

    def send(self, number):
        os.kill(self.pid, number)

    def kill(self):
        """Ends it as a lost machine ends; a stopped process, too."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def ended(self, seconds=60):
        return self.process.wait(seconds)


class Cluster:
    """A scheduler and executors on this machine; the scheduler is at an address of it."""

    def __init__(self, folder, cache, address="127.0.0.1", others=()):
        self.folder, self.cache, self.address = folder, cache, address
        folder.mkdir()
        self.port, self.members, self.executors = free_port(), [], []
        self.tls = self.certificate("member", address, "localhost", *others)
        self.scheduler = self.start_scheduler()

    def certificate(self, name, *hosts, authority="authority"):
        out = self.folder / name
        command = [
            CLUSTER,
            "cluster",
            "certificate",
            "--authority",
            self.folder / authority,
            "--out",
            out,
            *hosts,
        ]
        env = {**os.environ, "LONGSHORE_STATE": str(self.folder / "certificates")}
        subprocess.run(list(map(str, command)), check=True, env=env)
        return out

    @property
    def url(self):
        return f"https://{self.address}:{self.port}"

    def _env(self, name, plugins):
        env = {key: value for key, value in os.environ.items() if not key.startswith("LONGSHORE_")}
        return {
            **env,
            "LONGSHORE_CACHE": str(self.cache),
            "LONGSHORE_STATE": str(self.folder / name),
            "LONGSHORE_PLUGINS": str(plugins),
            "LONGSHORE_CLUSTER_TLS": str(self.tls),
        }

    def _start(self, name, *command, env=None, plugins=None, before=()):
        nothing = self.folder / "no plugins"
        nothing.mkdir(exist_ok=True)
        env = {**self._env(name, plugins or nothing), **(env or {})}
        member = Member(["cluster", *command], env, self.folder / f"{name}.log", before)
        self.members.append(member)
        return member

    def start_scheduler(self):
        scheduler = self._start("scheduler", "scheduler", "--listen", f"{self.address}:{self.port}")
        wait_for(lambda: "listens on" in scheduler.said())
        return scheduler

    def start_executor(self, *options, slots=2, scheduler=None, **rest):
        """Another executor, which has no plugins of its own unless it is given some."""
        name = f"executor {len(self.executors)}"
        flags = ["--scheduler", scheduler or self.url, "--slots", slots, "--name", name, *options]
        executor = self._start(name, "executor", *flags, **rest)
        self.executors.append(executor)
        return executor

    def grow(self, executors, **options):
        """As many executors, which serve."""
        for _ in range(executors):
            self.start_executor(**options)
        for executor in self.executors:
            wait_for(lambda executor=executor: "serves https" in executor.said())
        return self

    def end(self):
        for member in self.members:
            if member.process.poll() is None:
                member.send(signal.SIGCONT)
            member.kill()


class ClusterProgram(Program):
    """The program that can use clusters."""

    executable = CLUSTER

    def use(self, cluster):
        self.env["LONGSHORE_CLUSTER"] = cluster.url
        self.env["LONGSHORE_CLUSTER_TLS"] = str(cluster.tls)
        return self

    def alone(self, *args, **options):
        """A report of the same, done by this machine."""
        return json.loads(self.ok("--json", *args, env={"LONGSHORE_CLUSTER": ""}, **options))
