"""Metrics: what `longshore run` leaves for Prometheus, and what the dashboard and the rules ask for."""

import json
import re
import shutil
import subprocess
import time

import pytest
import yaml

from support.longshore import QUICK, ROOT, only, rows_job
from support.metrics import Metrics

#: What only a daemon has.
OF_A_DAEMON = {"longshore_queue_jobs", "longshore_queue_oldest_age_seconds"}


def metrics(program, *args, code=0, **options):
    file = program.folder / "longshore.prom"
    done = program.call("run", *args, "--metrics-file", file, **options)
    assert done.returncode == code, done.stderr
    return Metrics(file.read_text())


def test_a_run_counts_what_it_read_and_wrote(program):
    before = time.time()
    page = metrics(program, rows_job(program))
    page.lint()
    assert page.value("longshore_read_rows_total") == page.value("longshore_written_rows_total") == 3
    assert page.value("longshore_read_bytes_total") > 0 and page.value("longshore_written_bytes_total") > 0
    assert page.value("longshore_chunks_total", outcome="done") == 1
    assert page.value("longshore_runs_total", outcome="succeeded") == 1
    assert page.value("longshore_attempts_succeeded_total") == 1
    last = page.value("longshore_job_last_success_timestamp_seconds", job_name="good")
    assert last >= before - 1
    assert page.value("longshore_ledger_write_seconds_count") > 0
    budget = page.value("longshore_memory_budget_bytes")
    assert 0 <= page.value("longshore_memory_used_bytes") <= budget
    assert page.value("longshore_outbox_messages") == 0
    assert not list(program.folder.glob(".longshore-*"))


def test_a_run_that_fails_counts_its_attempts_by_class(program, endpoint):
    endpoint.refuse = lambda request, number: (503, {}, b"")
    target = {"url": f"{endpoint.url}/rows"}
    page = metrics(program, rows_job(program, target=target), code=3, env={**QUICK, "LONGSHORE_RETRIES": "1"})
    page.lint()
    assert page.value("longshore_runs_total", outcome="failed") == 1
    assert page.value("longshore_chunks_total", outcome="failed") == 1
    failed = {
        labels["class"]: value for name, labels, value in page.samples if name.endswith("s_failed_total")
    }
    assert sum(failed.values()) == 2 and failed["internal"] == 0
    assert page.value("longshore_written_rows_total") == 0


def test_a_job_whose_name_needs_quotes_is_a_label(program):
    page = metrics(program, rows_job(program, 'a "name"\\ of it.yaml'))
    page.lint()
    names = [labels["job_name"] for name, labels, _ in page.samples if "job_name" in labels]
    assert names == ['a \\"name\\"\\\\ of it']


def test_a_file_that_cannot_be_written_costs_no_run(program):
    done = program.call("run", rows_job(program), "--metrics-file", program.folder / "none/of.prom")
    assert done.returncode == 0 and "--metrics-file" in done.stderr


def test_promtool_finds_nothing_to_correct(program):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("Debian's package prometheus is not installed")
    only(program, "tpch")
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])
    file = program.folder / "longshore.prom"
    program.ok("run", job, "--metrics-file", file)
    done = subprocess.run([promtool, "check", "metrics"], input=file.read_bytes(), capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    rules = ROOT / "packaging/prometheus/longshore.rules.yml"
    assert subprocess.run([promtool, "check", "rules", rules]).returncode == 0


def expressions(node):
    """All that a dashboard or a file of rules asks for."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ["expr", "query"] and isinstance(value, str):
                yield value
            else:
                yield from expressions(value)
    elif isinstance(node, list):
        for value in node:
            yield from expressions(value)


def test_the_dashboard_and_the_rules_use_metrics_that_exist(program):
    page = metrics(program, rows_job(program))
    there = {name for name, _, _ in page.samples} | OF_A_DAEMON
    dashboard = json.loads((ROOT / "packaging/grafana/longshore.json").read_text())
    rules = yaml.safe_load((ROOT / "packaging/prometheus/longshore.rules.yml").read_text())
    recorded = {rule["record"] for group in rules["groups"] for rule in group["rules"] if "record" in rule}
    for where in [dashboard, rules]:
        asked = {name for text in expressions(where) for name in re.findall(r"\blongshore[_:][\w:]+", text)}
        assert len(asked) > 10 and asked <= there | recorded, asked - there - recorded
        # Each metric is of use to somebody.
    documented = (ROOT / "docs/how-to/monitoring.md").read_text()
    assert all(name in documented for name in page.types)
