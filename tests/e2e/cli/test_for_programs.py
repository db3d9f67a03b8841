"""What programs use that start runs: jobs on standard input, progress as JSON, an end with whoever started it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.longshore import LONGSHORE, rows_job, runs
from support.wait import wait_for


def call(program, *args, text, cwd=None):
    command = [str(LONGSHORE), *map(str, args)]
    cwd = cwd or program.folder
    return subprocess.run(command, env=program.env, cwd=cwd, capture_output=True, text=True, input=text)


def test_a_job_comes_from_standard_input(program):
    rows_job(program)
    (program.folder / "q.sql").write_text("SELECT id FROM data")
    job = {
        "source": {"url": f"file://{program.folder}/rows.csv"},
        "target": {"url": f"file://{program.lake}"},
        "transform": [{"sql_file": "q.sql"}],
    }
    for text in (json.dumps(job), json.dumps({**job, "name": "\ud83d\ude00"}), "# YAML\n" + json.dumps(job)):
        for command in ("validate", "plan", "preview", "test-connection", "lineage", "run"):
            done = call(program, "--json", command, "-", text=text)
            assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 3
    assert not list((program.folder / "state/jobs").iterdir())
    # A file of that name is named as `./-`.
    (program.folder / "-.json").write_text(json.dumps(job))
    assert call(program, "run", "./-.json", text="").returncode == 0


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "stdin.yaml: the file holds no keys"),
        ("source: [\n", "stdin.yaml: not valid yaml"),
        ('{"source": {"url": "tpch:"}, "tabels": []}', "stdin.json: line 1"),
        ("x" * (5 << 20), "standard input holds more than 4194304 bytes"),
    ],
)
def test_standard_input_that_is_no_job_is_refused(program, text, words):
    done = call(program, "run", "-", text=text)
    assert done.returncode == 2 and words in done.stderr and done.stderr.count("longshore:") >= 1


@pytest.mark.parametrize("args", [["runs", "--limit", "-1"], ["init", "--exampel", "tpch"], ["nosuch"]])
def test_arguments_that_are_no_command_are_told_as_json(program, args):
    done = call(program, "--json", *args, text="")
    error = json.loads(done.stdout)["error"]
    assert done.returncode == 2 and error["class"] == "config"
    assert args[-1].strip("-") in error["message"] or args[1] in error["message"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "args",
    [
        ["preview", "job.yaml"],
        ["--json", "plan", "job.yaml"],
        ["schema"],
        ["completions", "bash"],
        ["--help"],
    ],
)
def test_an_answer_that_cannot_be_written_is_a_failure(program, args):
    rows_job(program, "job.yaml")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [LONGSHORE, *args],
            env=program.env,
            cwd=program.folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 6 and "cannot be written to stdout" in done.stderr, done


def test_a_reader_that_has_seen_enough_is_no_failure(program):
    shell = f"set -o pipefail; {LONGSHORE} schema | head -c 10"
    done = subprocess.run(["bash", "-c", shell], env=program.env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done


def test_progress_comes_as_lines_of_json(program, gate):
    job = rows_job(program, name="held.yaml", target={"url": f"{gate.url}/rows", "timeout_secs": 120})
    log = program.folder / "daemon.log"
    run = program.start("--json", "run", job, "--progress", "json")

    def told():
        lines = log.read_text().splitlines()
        return [json.loads(line)["progress"] for line in lines if line.startswith('{"progress"')]

    wait_for(lambda: any(progress["relations"] for progress in told()))
    first, last = told()[0], told()[-1]
    assert first["relations"] == [] and first["run"] == last["run"] and first["job"] == "held"
    assert last["relations"][0]["name"] == "held" and last["relations"][0]["chunks"] == 1
    gate.open.set()
    assert run.wait(120) == 0
    assert [run["run"] for run in runs(program)] == [first["run"]]


@pytest.mark.parametrize("key, state", [([], "cancelled"), (["--run-key", "k"], "interrupted")])
def test_a_run_ends_with_the_process_that_started_it(program, gate, key, state):
    job = rows_job(program, name="held.yaml", target={"url": f"{gate.url}/rows", "timeout_secs": 120})
    script = "import os, subprocess, sys; subprocess.run([*sys.argv[1:], '--parent-pid', str(os.getpid())])"
    command = [sys.executable, "-c", script, str(LONGSHORE), "run", str(job), *key]
    parent = subprocess.Popen(command, env=program.env, cwd=program.folder, stderr=subprocess.DEVNULL)
    wait_for(lambda: gate.requests)
    parent.kill()
    parent.wait()
    wait_for(lambda: [run["state"] for run in runs(program)] == [state])


def test_a_parent_that_is_gone_already_ends_the_run_at_once(program, gate):
    job = rows_job(program, name="held.yaml", target={"url": f"{gate.url}/rows", "timeout_secs": 120})
    done = program.call("run", job, "--parent-pid", "1")
    assert done.returncode == 143 and not gate.rows("/rows")
