"""The DAGs of test_airflow.py: one for each promise."""

import os
from datetime import timedelta

from airflow.sdk import dag
from longshore_provider.operators import LongshoreRunOperator, LongshoreSubmitOperator
from longshore_provider.sensors import LongshoreRunSensor, LongshoreSuccessSensor

FOLDER, GATE = os.environ["SCENARIOS"], os.environ["SCENARIOS_GATE"]

ROWS = {"url": f"file://{FOLDER}/rows.csv"}

QUICK = {"retries": 1, "retry_delay": timedelta(seconds=1)}


def published(name):
    """A job of three rows."""
    return {"source": ROWS, "target": {"url": f"file://{FOLDER}/lake/{name}"}}


def held(name):
    """A job that is under way until its gate is opened."""
    return {"name": name, "source": ROWS, "target": {"url": f"{GATE}/{name}", "timeout_secs": 120}}


def scenario(tasks):
    """A DAG that is called as its function is."""
    return dag(tasks.__name__, schedule=None)(tasks)()


def submit(task, job, **options):
    # A trigger that fires before Airflow knows that its task is deferred fails the task.
    poll_interval = 2 if options.get("deferrable") else 0.2
    return LongshoreSubmitOperator(task_id=task, job=job, poll_interval=poll_interval, **options)


@scenario
def submitted():
    """A job file, with values from the DAG."""
    job = f"{FOLDER}/by_day.yaml"
    values = {"day": "{{ '2026-11-20' }}", "dag_of": "{{ dag.dag_id }}"}
    submit("load", job, parameters=values)
    submit("load_deferred", job, parameters={**values, "dag_of": "other"}, deferrable=True)
    LongshoreRunOperator(
        task_id="load_here", job=job, parameters={**values, "dag_of": "here"}, state=f"{FOLDER}/local"
    )


@scenario
def waiting():
    """Tasks that wait for a run under way."""
    submit("worker", held("waiting.worker"))
    submit("deferred", held("waiting.deferred"), deferrable=True)


@scenario
def restarting():
    """Tasks whose daemon is restarted meanwhile."""
    submit("worker", held("restarting.worker"))
    submit("deferred", held("restarting.deferred"), deferrable=True)


@scenario
def killed():
    submit("worker", held("killed.worker"), **QUICK)
    submit("deferred", held("killed.deferred"), deferrable=True, **QUICK)
    LongshoreRunOperator(task_id="here", job=held("killed.here"), state=f"{FOLDER}/local", **QUICK)


@scenario
def lost():
    """Tasks whose process dies, and that are tried again."""
    submit("worker", held("lost.worker"), **QUICK)
    LongshoreRunOperator(task_id="here", job=f"{FOLDER}/lost.yaml", state=f"{FOLDER}/local", **QUICK)


@scenario
def late():
    # Airflow's own timer must not ring before the job is submitted and the task deferred.
    submit("worker", held("late.worker"), execution_timeout=timedelta(seconds=10))
    submit("deferred", held("late.deferred"), deferrable=True, execution_timeout=timedelta(seconds=10))


@scenario
def cleared():
    submit("load", published("cleared"))


@scenario
def mapped():
    names = ["a", "b"]
    LongshoreSubmitOperator.partial(task_id="load", job=f"{FOLDER}/named.yaml", poll_interval=0.2).expand(
        parameters=[{"name": name} for name in names]
    )


@scenario
def failing():
    nowhere = {"url": "postgres://reader@127.0.0.1:1/shop", "password": {"env": "PGPASSWORD"}}
    data = {**published("data"), "transform": [{"sql": "SELECT id / 0 AS x FROM data"}]}
    submit("config", {**published("config"), "zzz": 1}, **QUICK)
    submit("data", data, **QUICK)
    submit("data_deferred", data, deferrable=True, **QUICK)
    submit("platform", {**published("platform"), "source": nowhere, "tables": ["orders"]}, **QUICK)
    submit("token", published("token"), longshore_conn_id="wrong_token", **QUICK)
    submit("daemon", published("daemon"), longshore_conn_id="away", **QUICK)
    LongshoreRunOperator(task_id="here", job=data, state=f"{FOLDER}/local", **QUICK)
    LongshoreRunOperator(
        task_id="nothing_here", job=published("x"), env={"LONGSHORE_NO": "1"}, cwd="/nowhere", **QUICK
    )


@scenario
def recovering():
    """A server that is away at the first attempt."""
    submit("load", {"source": ROWS, "target": {"url": f"{GATE}/recovering"}}, **{**QUICK, "retries": 20})


@scenario
def sensing():
    """Sensors of runs that begin later, in test_airflow.py."""
    options = {"poke_interval": 0.2, "timeout": 600}
    LongshoreSuccessSensor(
        task_id="success", job_name="later", since="{{ dag_run.start_date.isoformat() }}", **options
    )
    LongshoreSuccessSensor(
        task_id="success_deferred", job_name="later", deferrable=True, **{**options, "poke_interval": 2}
    )
    LongshoreSuccessSensor(task_id="nothing", job_name="never", deferrable=True, poke_interval=0.2, timeout=2)


@scenario
def sensing_runs():
    options = {"run_id": "{{ dag_run.conf['run'] }}", "poke_interval": 0.2, "timeout": 60}
    LongshoreRunSensor(task_id="run", **options)
    LongshoreRunSensor(task_id="run_deferred", deferrable=True, **{**options, "poke_interval": 2})
