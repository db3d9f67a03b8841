"""A whole Airflow: its database, API server, scheduler, DAG processor and triggerer, as processes of their own."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from urllib.parse import quote

from support.longshore import LONGSHORE, PASSWORD, ROOT
from support.ports import free_port
from support.wait import wait_for

#: Airflow in an environment of its own, by `make airflow`.
VENV = ROOT / "target/airflow"

PROVIDER = ROOT / "integrations/airflow"

#: Logs are read from their files.
COMPONENTS = {
    "api-server": [],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}

#: How often a task is looked at.
LOOK_SECS = 0.3

#: The ends of a task, and of a DAG's run.
OVER = {"success", "failed", "skipped", "upstream_failed"}


def installed(folder):
    """The provider's wheel, unpacked into a folder for PYTHONPATH, as an installer does."""
    # Built beside the sources, which stay as they are.
    source, target = shutil.copytree(PROVIDER, folder / "provider"), folder / "site"
    build = "import flit_core.buildapi as backend; print(backend.build_wheel('.'))"
    command = [VENV / "bin/python", "-c", build]
    done = subprocess.run(command, cwd=source, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(source / done.stdout.split()[-1]) as wheel:
        wheel.extractall(target)
    return target


class Airflow:
    """An Airflow of one machine, with tasks as its scheduler's children. Its components write to their database at the same
    time: that of PostgreSQL takes it."""

    def __init__(self, folder, dags, server, env):
        self.folder, self.processes = folder, []
        folder.mkdir()
        site = installed(folder)
        with server.connect() as connection:
            connection.execute("CREATE DATABASE airflow")
        database = f"postgres:{PASSWORD}@127.0.0.1:{server.port}/airflow"
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rpartition(":")[2]
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
            "PATH": f"{VENV}/bin:{os.environ['PATH']}",
            "PYTHONPATH": f"{site}:{ROOT}/python/src",
            "LONGSHORE_PROGRAM": str(LONGSHORE),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": port,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
            **env,
        }
        self._airflow("db", "migrate")
        self.processes = [self._started(name) for name in COMPONENTS]
        wait_for(self._is_healthy)
        self.token = self._json("GET", f"{self.url}/auth/token")["access_token"]

    def _airflow(self, *args):
        done = subprocess.run(
            ["airflow", *args], env=self.env, cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def python(self, code):
        """What a script says in Airflow's Python."""
        command = [VENV / "bin/python", "-c", code]
        done = subprocess.run(command, env=self.env, cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def _started(self, name):
        with (self.folder / f"{name}.log").open("w") as log:
            return subprocess.Popen(
                [VENV / "bin/airflow", name, *COMPONENTS[name]], env=self.env, cwd=self.folder, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def _is_healthy(self):
        for name, process in zip(COMPONENTS, self.processes, strict=True):
            assert process.poll() is None, (self.folder / f"{name}.log").read_text()
        try:
            health = self._json("GET", f"{self.url}/api/v2/monitor/health")
        except OSError:
            return False
        return all(part["status"] == "healthy" for part in health.values())

    def _json(self, method, url, body=None):
        headers = {"Content-Type": "application/json"}
        if token := getattr(self, "token", None):
            headers["Authorization"] = f"Bearer {token}"
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {url}: {error.code} {error.read().decode()}") from None

    def call(self, method, path, body=None):
        return self._json(method, f"{self.url}/api/v2{path}", body)

    def connection_form(self, kind):
        """How the connection's form looks."""
        found = self._json("GET", f"{self.url}/ui/connections/hook_meta")
        return next(form for form in found if form["connection_type"] == kind)

    def trigger(self, dag, conf=None, logical_date=None):
        """Starts a DAG as soon as it is known."""
        wait_for(lambda: dag in {found["dag_id"] for found in self.call("GET", "/dags?limit=100")["dags"]})
        body = {"logical_date": logical_date, "conf": conf or {}}
        return DagRun(self, dag, self.call("POST", f"/dags/{dag}/dagRuns", body)["dag_run_id"])

    def stop(self):
        """Ends all processes: its database is thrown away."""
        for process in self.processes:
            # Each began a session, which its children are in.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def said(self):
        """All that lies in its folder: logs, and its database."""
        return b"".join(path.read_bytes() for path in Path(self.folder).rglob("*") if path.is_file())


class DagRun:
    """A run of a DAG."""

    def __init__(self, airflow, dag, run):
        self.airflow, self.dag, self.run = airflow, dag, run
        self.path = f"/dags/{dag}/dagRuns/{quote(run, safe='')}"

    def task(self, task, index=-1):
        listed = self.airflow.call("GET", f"{self.path}/taskInstances?limit=100")["task_instances"]
        return next(found for found in listed if (found["task_id"], found["map_index"]) == (task, index))

    def until(self, task, *states, index=-1, tries=1):
        """The task, when it is in one of these states, at least in this attempt."""

        def found():
            now = self.task(task, index)
            if now["state"] in states and now["try_number"] >= tries:
                return now
            # Each look costs Airflow much.
            time.sleep(LOOK_SECS)
            return None

        try:
            return wait_for(found, 90)
        except AssertionError:
            now = self.task(task, index)
            raise AssertionError(f"{self.dag}.{task}: {now}\n{self.log(task, now['try_number'])}") from None

    def over(self, task, index=-1, tries=1):
        """The task, when it has ended for good."""
        return self.until(task, *OVER, index=index, tries=tries)

    def log(self, task, attempt=1, index=-1):
        path = f"{self.path}/taskInstances/{task}/logs/{attempt}?map_index={index}&full_content=true"
        return "\n".join(
            f"{line.get('level')} {line['event']} {line.get('error_detail', '')}"
            for line in self.airflow.call("GET", path)["content"]
        )

    def log_has(self, task, text):
        """Waits until a task has logged this."""
        wait_for(lambda: time.sleep(LOOK_SECS) or text in self.log(task), 90)

    def xcom(self, task, key="return_value", index=-1):
        path = f"{self.path}/taskInstances/{task}/xcomEntries/{key}?map_index={index}"
        value = self.airflow.call("GET", path)["value"]
        return json.loads(value) if isinstance(value, str) and value[:1] in '[{"' else value

    def xcoms(self, task, key, index=-1):
        """The value, once there is one."""
        path = f"{self.path}/taskInstances/{task}/xcomEntries?map_index={index}"
        return key in {entry["key"] for entry in self.airflow.call("GET", path)["xcom_entries"]}

    def links(self, task):
        return self.airflow.call("GET", f"{self.path}/taskInstances/{task}/links")["extra_links"]

    def mark(self, task, state):
        """What a user does who says how a task ended."""
        self.airflow.call("PATCH", f"{self.path}/taskInstances/{task}", {"new_state": state})

    def clear(self, task):
        body = {"dry_run": False, "task_ids": [task], "dag_run_id": self.run, "only_failed": False}
        self.airflow.call("POST", f"/dags/{self.dag}/clearTaskInstances", {**body, "reset_dag_runs": True})
