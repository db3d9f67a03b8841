"""The provider in a whole Airflow, with tasks that ask a real daemon."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from support.airflow import OVER, PROVIDER, VENV, Airflow
from support.api import Api
from support.daemon import Daemon
from support.endpoint import Endpoint
from support.longshore import QUICK, ROOT, Program, only, rows_job
from support.ports import free_port
from support.wait import wait_for

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.skipif(not VENV.exists(), reason="it is not installed: make airflow"),
]

DAGS = Path(__file__).parent / "dags"

#: What needs nothing of its test: begun first, so that tests wait for each other's runs, and not for their own.
AT_ONCE = """
    submitted waiting killed lost late cleared mapped failing recovering sensing restarting
""".split()


class Gates(Endpoint):
    """Takes the rows of each path when its gate is open; what `fails` says is refused."""

    def __init__(self):
        super().__init__()
        self.gates, self.fails = {}, set()
        self.refuse = self.hold

    def gate(self, name):
        with self.lock:
            return self.gates.setdefault(name, threading.Event())

    def hold(self, request, _):
        name = request.path.strip("/")
        if name in self.fails:
            return 503, {}, b""
        self.gate(name).wait(120)

    def holds(self, name):
        wait_for(lambda: f"/{name}" in self.requests)

    def open(self):
        for gate in list(self.gates.values()):
            gate.set()


@pytest.fixture(scope="module")
def gates():
    gates = Gates()
    gates.fails.add("recovering")
    gates.gate("recovering").set()
    yield gates
    gates.open()
    gates.server.shutdown()


@pytest.fixture(scope="module")
def longshore(scratch, cache):
    folder = scratch / "airflow"
    folder.mkdir()
    program = only(Program(folder, cache), "http-sink", "postgres")
    program.env |= QUICK
    rows_job(program)
    parameters = {"day": "date", "dag_of": "text"}
    steps = [{"sql": "SELECT id, {{ day }} AS day, {{ dag_of }} AS dag FROM data"}]
    source = {"url": f"file://{folder}/rows.csv"}
    target = {"url": f"file://{folder}/lake/{{{{ dag_of }}}}", "format": "csv"}
    program.job(source, "by_day.yaml", parameters=parameters, transform=steps, target=target)
    steps = [{"sql": "SELECT id, {{ day }} AS day FROM data"}]
    target = {"url": f"file://{folder}/lake/day={{{{ day }}}}"}
    program.job(source, "orders.yaml", parameters={"day": "date"}, transform=steps, target=target)
    target = {"url": f"file://{folder}/lake/{{{{ name }}}}"}
    program.job(source, "named.yaml", parameters={"name": "text"}, target=target)
    yield program
    program.end()


@pytest.fixture(scope="module")
def daemon(longshore):
    # A port of its own, which it has again when it is restarted.
    daemon = Daemon(longshore, "--listen", f"127.0.0.1:{free_port()}", "--jobs", "24")
    api = Api(longshore)
    api.daemon = daemon
    yield api
    daemon.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def airflow(daemon, longshore, gates, server):
    # More than one chunk, so that something is left to resume.
    (longshore.folder / "lost").mkdir()
    for number in range(4):
        (longshore.folder / f"lost/{number}.csv").write_text(f"id\n{number}\n")
    source = {"url": f"file://{longshore.folder}/lost"}
    target = {"url": f"{gates.url}/lost.here", "timeout_secs": 120}
    relations = [{"table": "*.csv", "as": "numbers"}]
    longshore.job(source, "lost.yaml", relations=relations, target=target, parallel={"chunks": 1})
    address = {"conn_type": "longshore", "host": daemon.url, "password": daemon.token}
    connections = {
        "longshore_default": address,
        "wrong_token": {**address, "password": "wrong"},
        "away": {**address, "host": "http://127.0.0.1:1"},
    }
    env = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()}
    env |= {key: longshore.env[key] for key in ["LONGSHORE_CACHE", "LONGSHORE_PLUGINS", *QUICK]}
    env |= {"SCENARIOS": str(longshore.folder), "SCENARIOS_GATE": gates.url, "PGPASSWORD": "none"}
    dags = shutil.copytree(DAGS, longshore.folder / "dags")
    example = (PROVIDER / "examples/orders.py").read_text()
    (dags / "orders.py").write_text(example.replace("/jobs/", f"{longshore.folder}/"))
    airflow = Airflow(longshore.folder / "home", dags, server, env)
    yield airflow
    gates.open()
    airflow.stop()


@pytest.fixture(scope="module")
def begun(airflow):
    return {name: airflow.trigger(name) for name in AT_ONCE}


def run_of(daemon, dag_run, task):
    """The daemon's run of a task, once it has one."""
    dag_run.until(task, "running", "deferred", "up_for_retry", *OVER)
    wait_for(lambda: dag_run.xcoms(task, "run"), 60)
    return dag_run.xcom(task, "run")


def state(daemon, run):
    return daemon.get(f"/runs/{run}")["state"]


@pytest.mark.parametrize(
    "task, dag_of", [("load", "submitted"), ("load_deferred", "other"), ("load_here", "here")]
)
def test_a_task_runs_a_job_with_values_of_the_dag_and_gives_its_report(begun, longshore, task, dag_of):
    dag_run = begun["submitted"]
    assert dag_run.over(task)["state"] == "success", dag_run.log(task)
    found = dag_run.xcom(task)
    assert (found["status"], found["rows"], found["job"]) == ("succeeded", 3, "by_day"), found
    [relation] = found["relations"]
    assert relation["rows"] == 3 and Path(found["manifest"].removeprefix("file://")).exists()
    [part] = Path(relation["folder"].removeprefix("file://")).glob("*.csv")
    assert part.read_text().splitlines()[1] == f"1,2026-11-20,{dag_of}"
    assert dag_run.xcom(task, "run") == found["run"]
    assert "published 3 rows" in dag_run.log(task)


@pytest.mark.parametrize("task", ["worker", "deferred"])
def test_a_task_follows_its_run_and_shows_its_log_and_its_page(begun, daemon, gates, task):
    dag_run = begun["waiting"]
    gates.holds(f"waiting.{task}")
    dag_run.until(task, "deferred" if task == "deferred" else "running")
    run = run_of(daemon, dag_run, task)
    assert daemon.get(f"/runs/{run}")["job"] == f"waiting.{task}"
    gates.gate(f"waiting.{task}").set()
    assert dag_run.over(task)["state"] == "success", dag_run.log(task)
    assert dag_run.xcom(task)["run"] == run
    lines = daemon.get(f"/runs/{run}/log")["lines"]
    logged = [line["text"] for line in lines if line["level"] != "debug"]
    assert logged
    log = dag_run.log(task)
    for text in logged:
        assert log.count(text) == 1, log
    # Airflow keeps it after it has told how the task ended.
    wait_for(lambda: dag_run.links(task) == {"Longshore run": f"{daemon.url}/ui/runs/{run}"})


@pytest.mark.parametrize("task", ["worker", "deferred"])
def test_a_run_is_cancelled_when_its_task_is_ended(begun, daemon, gates, task):
    dag_run = begun["killed"]
    gates.holds(f"killed.{task}")
    dag_run.until(task, "deferred" if task == "deferred" else "running")
    run = run_of(daemon, dag_run, task)
    dag_run.mark(task, "failed")
    wait_for(lambda: state(daemon, run) == "cancelled")
    now = dag_run.over(task)
    assert (now["state"], now["try_number"]) == ("failed", 1)


def test_a_run_on_the_worker_is_cancelled_when_its_task_is_ended(begun, longshore, gates):
    dag_run = begun["killed"]
    gates.holds("killed.here")
    dag_run.mark("here", "failed")
    wait_for(lambda: local_runs(longshore, "killed.here")[0]["state"] == "cancelled")
    assert dag_run.over("here")["state"] == "failed"


def local_runs(longshore, job):
    """The runs of the state folder that the workers share, newest first."""
    found = longshore.report("runs", env={"LONGSHORE_STATE": str(longshore.folder / "local")})
    return [run for run in found if run["job"] == job]


@pytest.mark.parametrize("task", ["worker", "here"])
def test_a_task_that_is_tried_again_goes_on_with_its_run(begun, daemon, longshore, gates, task):
    """Its process is killed in the midst of the run."""
    dag_run = begun["lost"]
    gates.holds(f"lost.{task}")
    pid = dag_run.until(task, "running")["pid"]
    run = run_of(daemon, dag_run, task) if task == "worker" else local_runs(longshore, "lost")[0]["run"]
    os.kill(pid, signal.SIGKILL)
    dag_run.until(task, "running", tries=2)
    gates.gate(f"lost.{task}").set()
    now = dag_run.over(task, tries=2)
    assert (now["state"], now["try_number"]) == ("success", 2), dag_run.log(task, 2)
    assert dag_run.xcom(task)["run"] == run
    assert dag_run.xcom(task)["rows"] == (3 if task == "worker" else 4)
    if task == "here":
        [only] = local_runs(longshore, "lost")
        assert only["state"] == "succeeded"


def test_a_run_that_failed_as_a_server_was_away_is_tried_again(begun, daemon, gates):
    dag_run = begun["recovering"]
    wait_for(lambda: state(daemon, run_of(daemon, dag_run, "load")) == "failed", 60)
    gates.fails.remove("recovering")
    assert dag_run.over("load")["state"] == "success", dag_run.log("load", 2)
    runs = daemon.get("/runs?job=recovering.load")["runs"]
    assert runs[0]["state"] == "succeeded"
    assert {run["state"] for run in runs[1:]} == {"failed"}
    assert dag_run.xcom("load")["run"] == runs[0]["run"]


@pytest.mark.parametrize("task", ["worker", "deferred"])
def test_a_run_that_takes_too_long_is_cancelled(begun, daemon, task):
    dag_run = begun["late"]
    assert dag_run.over(task)["state"] == "failed"
    [run] = daemon.get(f"/runs?job=late.{task}")["runs"]
    wait_for(lambda: state(daemon, run["run"]) == "cancelled")


def test_a_task_that_is_cleared_starts_another_run(begun, daemon):
    dag_run = begun["cleared"]
    assert dag_run.over("load")["state"] == "success"
    first = dag_run.xcom("load")["run"]
    dag_run.clear("load")
    assert dag_run.over("load", tries=2)["state"] == "success"
    assert dag_run.xcom("load")["run"] != first
    assert len(daemon.get("/runs?job=cleared.load")["runs"]) == 2


def test_mapped_tasks_have_a_run_each(begun):
    dag_run = begun["mapped"]
    states = [dag_run.over("load", index=index)["state"] for index in range(2)]
    assert states == ["success", "success"], dag_run.log("load", index=0)
    found = [dag_run.xcom("load", index=index) for index in range(2)]
    assert found[0]["run"] != found[1]["run"]
    assert [report["relations"][0]["folder"].split("/")[-2] for report in found] == ["a", "b"]


@pytest.mark.parametrize(
    "task, attempts, who, says",
    [
        ("config", 1, "the job's owner", "unknown key `zzz`"),
        ("data", 1, "the job's owner", "by zero"),
        ("data_deferred", 1, "the job's owner", "by zero"),
        ("here", 1, "the job's owner", "by zero"),
        ("nothing_here", 1, "the job's owner", "/nowhere"),
        ("token", 1, "the job's owner", "token"),
        ("platform", 2, "the platform", "127.0.0.1:1"),
        ("daemon", 2, "the platform", "127.0.0.1:1"),
    ],
)
def test_only_what_may_succeed_later_is_tried_again(begun, task, attempts, who, says):
    dag_run = begun["failing"]
    now = dag_run.over(task)
    assert (now["state"], now["try_number"]) == ("failed", attempts), dag_run.log(task)
    log = dag_run.log(task)
    assert says in log and f"Who must act: {who}" in log and "next: " in log, log


def test_sensors_wait_for_the_success_of_a_job(begun, daemon, longshore):
    dag_run = begun["sensing"]
    dag_run.until("success", "running")
    dag_run.until("success_deferred", "deferred")
    run = daemon.submit(longshore.folder / "good.yaml", name="later")["run"]
    for task in ["success", "success_deferred"]:
        assert dag_run.over(task)["state"] == "success", dag_run.log(task)
        assert dag_run.xcom(task)["run"] == run and dag_run.xcom(task)["rows"] == 3
    assert dag_run.over("nothing")["state"] == "failed"


def test_sensors_wait_for_a_run_and_fail_with_it(airflow, daemon, longshore, gates):
    fails = longshore.job({"url": f"file://{longshore.folder}/no.csv"}, "fails.yaml")
    name = "sensed"
    held = longshore.job(
        {"url": f"file://{longshore.folder}/rows.csv"}, "held.yaml", target={"url": f"{gates.url}/{name}"}
    )
    run, failing = (daemon.submit(job)["run"] for job in [held, fails])
    waits, ends = (airflow.trigger("sensing_runs", {"run": run}) for run in [run, failing])
    waits.until("run_deferred", "deferred")
    waits.until("run", "running")
    gates.gate(name).set()
    for task in ["run", "run_deferred"]:
        assert waits.over(task)["state"] == "success", waits.log(task)
        assert waits.xcom(task)["run"] == run
        assert ends.over(task)["state"] == "failed"
        assert "no.csv" in ends.log(task)


def test_the_example_copies_the_day_before(airflow, longshore):
    dag_run = airflow.trigger("orders", logical_date="2026-11-21T00:00:00Z")
    assert dag_run.over("copy")["state"] == "success", dag_run.log("copy")
    assert list((longshore.folder / "lake/day=2026-11-20").rglob("*.parquet"))


def test_airflow_knows_the_provider_and_its_connections(airflow, daemon):
    [provider] = [
        found
        for found in airflow.call("GET", "/providers?limit=100")["providers"]
        if found["package_name"] == "airflow-provider-longshore"
    ]
    assert provider["version"] == "0.6.0"
    form = airflow.connection_form("longshore")
    assert form["hook_name"] == "Longshore" and {"ca_file", "dashboard_url"} <= form["extra_fields"].keys()
    body = {"connection_id": "x", "conn_type": "longshore", "host": daemon.url, "password": daemon.token}
    assert airflow.call("POST", "/connections/test", body) == {
        "status": True,
        "message": "The daemon answers, and takes the token.",
    }
    refused = airflow.call("POST", "/connections/test", {**body, "password": "wrong"})
    assert not refused["status"] and "token" in refused["message"]


def test_tasks_wait_for_a_daemon_that_restarts(begun, daemon, gates):
    dag_run = begun["restarting"]
    tasks = ["worker", "deferred"]
    for task in tasks:
        gates.holds(f"restarting.{task}")
    dag_run.until("deferred", "deferred")
    runs = {task: run_of(daemon, dag_run, task) for task in tasks}
    daemon.daemon.stop(signal.SIGKILL)
    dag_run.log_has("worker", "waiting for the daemon")
    daemon.daemon.start()
    for task in tasks:
        gates.gate(f"restarting.{task}").set()
        assert dag_run.over(task)["state"] == "success", dag_run.log(task)
        assert dag_run.xcom(task)["run"] == runs[task]


#: What the provider makes of DAGs' names and of connections, asked in Airflow's Python.
ASKED = """
import json
from types import SimpleNamespace
from airflow.sdk import Connection
from longshore_provider.hook import Daemon
from longshore_provider.run_key import attempt, run_key

def ti(tries=1, max_tries=3, retries=3, dag="shop", index=-1):
    task = SimpleNamespace(retries=retries)
    return SimpleNamespace(dag_id=dag, task_id="load", run_id="r1", map_index=index, try_number=tries,
                           max_tries=max_tries, task=task)

def key(**values):
    return run_key({"ti": ti(**values)})

def daemon(**values):
    found = Daemon.of(Connection(conn_id="x", conn_type="longshore", **values))
    return [found.url, found.token, found.ca_file, found.link("a/b")]

print(json.dumps({
    "first": key(), "second": key(tries=2), "mapped": key(index=2), "cleared": key(tries=2, max_tries=4),
    "fewer retries": key(max_tries=1, retries=3), "long": key(dag="\u00e9" * 150), "longer": key(dag="\u00e9" * 151),
    "attempts": [attempt(ti()), attempt(ti(tries=3)), attempt(ti(tries=2, max_tries=4))],
    "url": daemon(host="https://lake:8460/", password="t", extra=json.dumps({"ca_file": "/ca"})),
    "parts": daemon(host="lake", port=8460), "plain": daemon(host="lake", schema="http"),
    "socket": daemon(host="unix:/run/api.sock"),
    "browser": daemon(host="http://a", extra=json.dumps({"dashboard_url": "https://b"})),
    "nothing": daemon(),
}))
"""


def test_keys_and_addresses_are_made_of_what_airflow_has(airflow):
    told = json.loads(airflow.python(ASKED))
    assert told["first"] == told["second"] == told["fewer retries"] == "shop/load/r1"
    assert told["mapped"] == "shop/load/r1/2" and told["cleared"] == "shop/load/r1/cleared-after-1"
    assert told["attempts"] == [1, 3, 1]
    assert len(told["long"].encode()) <= 200 and told["long"] != told["longer"]
    assert told["url"] == ["https://lake:8460/", "t", "/ca", "https://lake:8460/ui/runs/a%2Fb"]
    assert told["parts"][0] == "https://lake:8460" and told["plain"][0] == "http://lake"
    assert told["socket"] == ["unix:/run/api.sock", None, None, None]
    assert told["browser"][3] == "https://b/ui/runs/a%2Fb" and told["nothing"] == ["", None, None, None]


def test_every_dag_is_read(airflow):
    assert airflow.call("GET", "/importErrors")["import_errors"] == []


def test_the_guide_shows_the_example():
    page = (ROOT / "docs/how-to/airflow.md").read_text()
    assert f"```python\n{(PROVIDER / 'examples/orders.py').read_text()}```" in page


def test_the_token_is_written_nowhere(begun, airflow, daemon):
    begun["submitted"].over("load_deferred")
    assert daemon.token.encode() not in airflow.said()
