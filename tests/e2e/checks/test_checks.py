"""Checks of rows: exact, over the whole run, before anybody can see a row."""

import json

import duckdb
import pytest

from support.checks import ROWS, job_of, random_table, results
from support.longshore import rows_job

#: Checks of rows, and the same in DuckDB's SQL: the rows that fail.
FAILING = {
    "ids": ({"not_null": ["id"]}, "id IS NULL"),
    "both": ({"not_null": ["id", "status"]}, "id IS NULL OR status IS NULL"),
    "status": (
        {"accepted": {"column": "status", "values": ["open", "closed"]}},
        "status NOT IN ('open', 'closed')",
    ),
    "amounts": (
        {"accepted": {"column": "Amount, net", "values": ["1.50", -3, 0.25]}},
        '"Amount, net" NOT IN (1.50, -3, 0.25)',
    ),
    "whole": ({"range": {"column": "id", "min": 10, "max": 9000}}, "id < 10 OR id > 9000"),
    "net": ({"range": {"column": "Amount, net", "min": "-0.5"}}, '"Amount, net" < -0.5'),
    "ratio": ({"range": {"column": "ratio", "max": 7.25}}, "ratio > 7.25"),
    "day": ({"range": {"column": "day", "min": "2026-02-01"}}, "day < DATE '2026-02-01'"),
    "at": (
        {"range": {"column": "at", "max": "2026-01-05T00:00:00+02:00"}},
        "\"at\" > TIMESTAMPTZ '2026-01-04 22:00:00+00'",
    ),
    "words": (
        {"pattern": {"column": "status", "regex": "[a-zö]+"}},
        "NOT regexp_full_match(status, '[a-zö]+')",
    ),
    "long": ({"length": {"column": "status", "min": 1, "max": 5}}, "length(status) NOT BETWEEN 1 AND 5"),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_duckdb_finds_the_same_rows(program, seed):
    source, table = random_table(program, seed)
    checks = [{"name": name, "severity": "warn", **check} for name, (check, _) in FAILING.items()]
    report = program.report("run", job_of(program, source, checks))
    assert report["rows"] == ROWS and report["relations"][0]["chunks"] > 1
    found = results(report)
    for name, (_, fails) in FAILING.items():
        [[expected]] = duckdb.sql(f"SELECT count(*) FROM {table} WHERE {fails}").fetchall()
        result = found[name]
        assert 0 < expected < ROWS and result["failing"] == expected, (name, expected, result)
        assert result["outcome"] == "failed" and result["rows"] == ROWS
        assert len(result["samples"]) == 5
    columns = {tuple(sorted(sample)) for sample in found["both"]["samples"]}
    assert columns == {("id", "status")}
    manifest = json.loads((program.lake / f".longshore/runs/{report['run']}.json").read_text())
    assert {check["name"] for check in manifest["relations"][0]["checks"]} == set(FAILING)
    shown = program.ok("runs", "show", report["run"])
    assert all(f"check `{name}` (warn)" in shown for name in FAILING), shown


def test_a_check_that_fails_publishes_nothing_and_names_rows(program):
    checks = [
        {"not_null": ["name"]},
        {"range": {"column": "id", "max": 2}},
        {"rows": {"min": 10}},
        {"name": "only told", "severity": "warn", "rows": {"max": 1}},
        {"name": "fine", "length": {"column": "name", "max": 5}},
    ]
    job = rows_job(program, checks=checks)
    line, code = program.refused("run", job)
    assert code == 4 and "2 checks failed" in line and "only told" not in line, line
    assert 'good: check `range(id)` (fail): 1 of 3 rows fail, such as id="3"' in line, line
    assert "check `rows` (fail): 3 rows, at least 10 are wanted" in line, line
    assert "nothing is published" in line
    assert program.published() == []
    failed = json.loads(program.call("--json", "run", job).stdout)
    outcomes = {name: result["outcome"] for name, result in results(failed).items()}
    assert outcomes == {
        "not_null(name)": "passed",
        "range(id)": "failed",
        "rows": "failed",
        "only told": "failed",
        "fine": "passed",
    }
    assert (failed["error"]["class"], failed["error"]["code"]) == ("data", "check")


def test_what_is_allowed_may_fail(program):
    for allow, is_fine in [(1, True), ("34%", True), (0, False), ("33%", False)]:
        job = rows_job(program, checks=[{"range": {"column": "id", "max": 2}, "allow": allow}])
        assert (program.call("run", job).returncode == 0) == is_fine, allow


def test_rows_are_compared_with_the_last_run_that_succeeded(program):
    table = program.folder / "rows.csv"

    def run(rows):
        table.write_text("id\n" + "\n".join(map(str, range(rows))) + "\n")
        job = program.job({"url": f"file://{table}"}, "count.yaml", checks=[{"rows": {"change": "20%"}}])
        return program.call("run", job)

    assert run(100).returncode == 0, "there is no run before the first"
    assert run(120).returncode == 0
    done = run(95)
    assert done.returncode == 4 and "95 rows, the last run had 120: they may differ by 20%" in done.stderr
    # What failed is no measure for the next.
    assert run(96).returncode == 0


def test_null_rates_and_ages_are_of_the_whole_relation(program):
    source, table = random_table(program)
    checks = [
        {"name": "often", "severity": "warn", "null_rate": {"column": "status", "max": "1%"}},
        {"name": "seldom", "severity": "warn", "null_rate": {"column": "status", "max": "50%"}},
        {"name": "old", "severity": "warn", "freshness": {"column": "day", "max_age": "1s"}},
        {"name": "young", "severity": "warn", "freshness": {"column": "at", "max_age": "360d"}},
    ]
    found = results(program.report("run", job_of(program, source, checks)))
    [[nulls, newest]] = duckdb.sql(f"SELECT count(*) - count(status), max(day) FROM {table}").fetchall()
    assert f"NULL in {nulls:,} of 10,000 rows, 1% may be" in found["often"]["found"]
    assert f"the newest value is {newest}T00:00:00.000Z" in found["old"]["found"]
    outcomes = [found[name]["outcome"] for name in ["often", "seldom", "old", "young"]]
    assert outcomes == ["failed", "passed", "failed", "passed"]


def test_a_relation_without_rows_fails_what_asks_for_some(program):
    (program.folder / "none.csv").write_text("id,day\n")
    columns = {"id": "bigint", "day": "date"}
    checks = [
        {"not_null": ["id"]},
        {"null_rate": {"column": "id", "max": "0%"}},
        {"severity": "warn", "rows": {"min": 1}},
        {"severity": "warn", "freshness": {"column": "day", "max_age": "9d"}},
    ]
    source = {"url": f"file://{program.folder}/none.csv", "columns": columns}
    found = results(program.report("run", program.job(source, checks=checks)))
    outcomes = [result["outcome"] for result in found.values()]
    assert outcomes == ["passed", "passed", "failed", "failed"]
    assert found["freshness(day)"]["found"] == "there is no value"


REFUSED = {
    "a column that is not there": ({"not_null": ["nam"]}, "no column `nam`", "did you mean `name`?"),
    "a text for a number": (
        {"range": {"column": "id", "min": "ten"}},
        "`range.min`: `ten` is no value of the column `id`, which is Int64",
        "whole number",
    ),
    "text of a number": (
        {"length": {"column": "id", "max": 3}},
        "the column `id` is Int64",
        "a column of text",
    ),
    "an age of a text": (
        {"freshness": {"column": "name", "max_age": "1d"}},
        "the column `name` is Utf8",
        "dates or timestamps",
    ),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_does_not_fit_the_rows_is_refused_before_they_are_read(program, refused):
    check, cause, hint = REFUSED[refused]
    job = rows_job(program, checks=[check])
    for command in ["plan", "run"]:
        line, code = program.refused(command, job)
        assert code == 2 and cause in line and hint in line, line
    assert program.published() == []


def test_a_pattern_that_is_none_is_refused_without_a_look_at_the_rows(program):
    job = rows_job(program, checks=[{"pattern": {"column": "name", "regex": "(?<=a)b"}}])
    line, code = program.refused("validate", job)
    assert code == 2 and "`(?<=a)b` is no regular expression: look-around" in line, line


def test_the_plan_lists_the_checks(program):
    checks = [{"not_null": ["id"], "allow": "1%"}, {"severity": "warn", "rows": {"min": 1}}]
    job = rows_job(program, checks=checks)
    text = program.ok("plan", job)
    assert "check: not_null(id) (fail, 1% of the rows may fail)\n" in text and "check: rows (warn)\n" in text
    [relation] = program.report("plan", job)["relations"]
    assert [check["severity"] for check in relation["checks"]] == ["fail", "warn"]


def test_rows_are_checked_after_all_transforms_and_masks(program):
    mask = {"sql": "SELECT id, 'x' || length(name) AS name FROM data WHERE id > 1"}
    checks = [
        {"severity": "warn", "range": {"column": "id", "max": 0}},
        {"accepted": {"column": "name", "values": ["x3"]}, "severity": "warn"},
    ]
    found = results(program.report("run", rows_job(program, transform=[mask], checks=checks)))
    assert found["range(id)"]["failing"] == 2
    assert found["accepted(name)"]["samples"] == [{"name": "x5"}]


def test_checks_are_counted(program):
    checks = [{"severity": "warn", "rows": {"min": 10}}, {"not_null": ["id"]}]
    metrics = program.folder / "run.prom"
    program.ok("run", "--metrics-file", metrics, rows_job(program, checks=checks))
    text = metrics.read_text()
    assert 'longshore_checks_total{severity="warn",outcome="failed"} 1\n' in text
    assert 'longshore_checks_total{severity="fail",outcome="passed"} 1\n' in text
