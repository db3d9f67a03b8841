"""The examples for Dagster and Prefect run a job, and try again only what may succeed later."""

import json
import subprocess

import pytest

from support.longshore import LONGSHORE, QUICK, ROOT, only, rows_job, runs

VENV = ROOT / "target/orchestrators"

PAGE = ROOT / "docs/how-to/workflow-schedulers.md"

installed = pytest.mark.skipif(not VENV.exists(), reason="they are not installed: make orchestrators")

DAGSTER = """
import sys
from dagster import materialize, DagsterInstance
sys.path.insert(0, ".")
from orders import orders
done = materialize([orders], partition_key="2026-11-20", raise_on_error=False, instance=DagsterInstance.ephemeral())
found = [event for event in done.all_events if event.event_type_value == "ASSET_MATERIALIZATION"]
shown = {key: value.value for each in found for key, value in each.materialization.metadata.items()}
retries = len([event for event in done.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"])
import json
print(json.dumps({"ok": done.success, "shown": shown, "retries": retries}, default=str))
"""

PREFECT = """
import json, sys
from datetime import date
sys.path.insert(0, ".")
from orders import orders
state = orders(date(2026, 11, 20), return_state=True)
print(json.dumps({"ok": state.is_completed(), "shown": state.result(raise_on_failure=False)}, default=str))
"""


@pytest.mark.parametrize("name", ["dagster", "prefect"])
def test_the_guide_shows_the_examples(name):
    code = (ROOT / f"integrations/{name}/orders.py").read_text()
    assert f"```python\n{code}```" in PAGE.read_text()


def job(program, source, **keys):
    target = {"url": f"file://{program.lake}/day={{{{ day }}}}"}
    steps = [{"sql": "SELECT *, {{ day }} AS day FROM data"}]
    parameters = {"day": "date"}
    return program.job(source, "orders.yaml", parameters=parameters, transform=steps, target=target, **keys)


def answer(program, name, script):
    """What a script says of the example, whose waits are short here."""
    code = (ROOT / f"integrations/{name}/orders.py").read_text()
    code = code.replace("/jobs/", f"{program.folder}/").replace("300", "0")
    (program.folder / "orders.py").write_text(code)
    env = {
        **program.env,
        **QUICK,
        "PYTHONPATH": str(ROOT / "python/src"),
        "LONGSHORE_PROGRAM": str(LONGSHORE),
        "HOME": str(program.folder),
        "DAGSTER_HOME": str(program.folder),
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(program.folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    command = [VENV / "bin/python", "-c", script]
    done = subprocess.run(command, env=env, cwd=program.folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


SCRIPTS = pytest.mark.parametrize("name, script", [("dagster", DAGSTER), ("prefect", PREFECT)])


@installed
@pytest.mark.orchestrators
@SCRIPTS
def test_an_example_copies_a_day_and_reports_it(program, name, script):
    rows_job(only(program))
    job(program, {"url": f"file://{program.folder}/rows.csv"})
    told = answer(program, name, script)
    [run] = runs(program)
    assert told["ok"] and told["shown"]["run"] == run["run"], told
    assert told["shown"].get("dagster/row_count", told["shown"].get("rows")) == 3
    assert list(program.lake.glob("day=2026-11-20/**/*.parquet"))


@installed
@pytest.mark.orchestrators
@SCRIPTS
def test_an_example_tries_again_only_what_may_succeed_later(program, name, script):
    only(program, "postgres")
    source = {"url": "postgres://reader@127.0.0.1:1/shop", "password": {"env": "PGPASSWORD"}}
    job(program, source, tables=["orders"])
    assert not answer(program, name, script)["ok"]
    # All attempts went on with one run; the next call is another task, and its job has no second attempt.
    assert len(runs(program)) == 1
    job(program, {"url": f"file://{program.folder}/missing.csv"})
    assert not answer(program, name, script)["ok"]
    assert len(runs(program)) == 2
