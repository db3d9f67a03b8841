"""`longshore run --run-key`: a task that is tried again resumes."""

import json
import signal

import pytest

from support.longshore import QUICK, only, rows_job, runs
from support.wait import wait_for

LONG = {
    "source": {"url": "tpch:", "scale": 1, "text_mib": 1},
    "tables": ["orders"],
    "chunk": {"rows": 50_000},
}


def keyed(program, job, *args, key="nightly"):
    return program.report("run", job, "--run-key", key, *args)


def test_a_key_whose_run_has_succeeded_gives_its_report_again(program):
    job = rows_job(program)
    first = keyed(program, job)
    published = program.published()
    assert keyed(program, job) == first and program.published() == published
    assert [run["run"] for run in runs(program)] == [first["run"]]
    assert first["run"] in program.ok("run", job, "--run-key", "nightly")
    assert keyed(program, job, key="another")["run"] != first["run"]


@pytest.mark.parametrize("how, code", [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_task_that_was_ended_resumes_by_its_key(program, how, code):
    only(program, "tpch")
    job = program.job(LONG["source"], tables=LONG["tables"], chunk=LONG["chunk"])
    run = program.start("run", job, "--run-key", "nightly")
    wait_for(lambda: any(run["tasks"]["done"] > 3 for run in runs(program)))
    line, refused = program.refused("run", job, "--run-key", "nightly")
    assert refused == 2 and "under way in another process" in line
    run.send_signal(how)
    assert run.wait(120) == code
    [left] = runs(program)
    assert left["state"] == "interrupted"
    report = keyed(program, job)
    assert report["run"] == left["run"] and report["rows"] == 1_500_000
    assert any(f"{left['tasks']['done']} of" in text for text in report["interruptions"]), report


def test_a_run_keeps_what_it_has_read_after_an_error_that_passes(program, endpoint):
    """The sink answers again when the task is tried again."""
    only(program, "tpch", "http-sink")
    endpoint.refuse = lambda request, number: (503, {}, b"") if number > 3 else None
    source, target = {"url": "tpch:", "scale": 0.01, "text_mib": 1}, {"url": f"{endpoint.url}/rows"}
    keys = {"chunk": {"rows": 1_000}, "parallel": {"chunks": 1}}
    job = program.job(source, tables=["orders"], target=target, **keys)
    done = program.call("--json", "run", job, "--run-key", "nightly", env=QUICK)
    report = json.loads(done.stdout)
    assert (done.returncode, report["status"]) == (3, "interrupted"), report
    [left] = runs(program)
    assert left["state"] == "interrupted" and left["tasks"]["done"] > 0
    endpoint.refuse = lambda request, number: None
    again = keyed(program, job)
    assert (again["run"], again["rows"]) == (report["run"], 15_000)
    assert any("what was read is kept" in text for text in again["interruptions"])
    assert any(f"{left['tasks']['done']} of" in text for text in again["interruptions"]), again
    assert len(endpoint.rows("/rows")) == 15_000


def test_a_run_that_failed_for_good_is_tried_anew_and_its_job_may_be_corrected(program):
    job = rows_job(program, transform=[{"sql": "SELECT id / 0 AS x FROM data"}])
    line, code = program.refused("run", job, "--run-key", "nightly")
    assert code == 4, line
    job = rows_job(program)
    report = keyed(program, job)
    assert report["rows"] == 3
    assert [run["state"] for run in runs(program)] == ["succeeded", "failed"]


def test_a_key_is_not_for_another_job_or_other_values(program):
    parameters = {"day": "date"}
    steps = [{"sql": "SELECT id, name, {{ day }} AS day FROM data"}]
    job = rows_job(program, parameters=parameters, transform=steps)
    keyed(program, job, "--param", "day=2026-11-20")
    line, code = program.refused("run", job, "--run-key", "nightly", "--param", "day=2026-11-21")
    assert code == 2 and "other values" in line and "next: give each job" in line
    other = rows_job(program, "other.yaml")
    line, code = program.refused("run", other, "--run-key", "nightly")
    assert code == 2 and "stands for the job `good`" in line
    line, code = program.refused("run", other, "--run-key", "nightly", "--param", "day")
    assert code == 2


def test_values_that_were_computed_stay_with_their_key(program):
    parameters = {"at": {"type": "timestamp", "default": "{{ scheduled }}"}}
    steps = [{"sql": "SELECT {{ at }} AS at, id / 0 AS x FROM data"}]
    job = rows_job(program, parameters=parameters, transform=steps)
    at = [
        json.loads(program.call("--json", "run", job, "--run-key", "nightly").stdout)["parameters"]
        for _ in range(2)
    ]
    assert at[0] == at[1]
