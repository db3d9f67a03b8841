"""Jobs with parameters: what commands do with them, where values go, and what is recorded of them."""

import json
import re
import signal

import pyarrow.dataset as dataset
import pytest

from support.longshore import only, rows_job, runs
from support.wait import wait_for


def by_day(program, name="job.yaml", **keys):
    """A job over three rows, published by day."""
    target = {"url": f"file://{program.lake}/day={{{{ day }}}}", **keys.pop("target", {})}
    step = {"sql": "SELECT *, {{ day }} AS day FROM data WHERE id >= {{ least }}"}
    declared = {"day": "date", "least": {"type": "integer", "default": 1, "description": "the first row"}}
    return rows_job(
        only(program), name, **{"parameters": declared, "transform": [step], "target": target, **keys}
    )


def test_every_command_takes_and_shows_values(program):
    job, given = by_day(program), ["--param", "day=2026-11-20", "--param=least=2"]
    expected = {"day": "2026-11-20", "least": 2}
    line = "parameters: day = 2026-11-20, least = 2\n"
    assert program.report("validate", job, *given)["parameters"] == expected
    assert line in program.ok("validate", job, *given)
    plan = program.report("plan", job, *given)
    assert plan["parameters"] == expected and plan["target"].endswith("/day=2026-11-20")
    assert line in program.ok("plan", job, *given)
    [rows] = program.report("preview", job, *given).values()
    assert [row["id"] for row in rows] == ["2", "3"] and rows[0]["day"] == "2026-11-20"
    program.ok("test-connection", job, *given)
    report = program.report("run", job, *given)
    assert (report["parameters"], report["rows"]) == (expected, 2)
    manifest = json.loads(open(report["manifest"].removeprefix("file://")).read())
    assert manifest["job"]["parameters"] == expected
    assert program.report("runs", "show", report["run"])["parameters"] == expected
    assert line in program.ok("runs", "show", report["run"])
    assert line in program.ok("run", job, *given)
    program.ok("verify", report["manifest"], "--job", job, "--source", *given)
    # The rows of another value are not those that were published.
    other = ["--param", "day=2026-11-20", "--param=least=3"]
    done = program.call("verify", report["manifest"], "--job", job, "--source", *other)
    assert done.returncode != 0 and "the source has 1 rows, 2 were published" in done.stderr


def test_values_of_a_target_do_not_meet(program):
    job = by_day(program, target={"mode": "error"})
    for day in ["2026-11-20", "2026-11-21"]:
        program.ok("run", job, "--param", f"day={day}")
    assert {path.split("/")[0] for path in program.published()} == {"day=2026-11-20", "day=2026-11-21"}
    line, code = program.refused("run", job, "--param", "day=2026-11-21")
    assert code == 2 and "day=2026-11-21" in line


def test_a_job_without_parameters_keeps_its_braces(program):
    step = {"sql": "SELECT '{{ day }}' AS a, '{{x}}' AS b FROM data LIMIT 1"}
    job = rows_job(only(program), transform=[step], target={"url": f"file://{program.lake}/{{{{ a }}}}"})
    report = program.report("run", job)
    assert "parameters" not in report and "parameters" not in program.report("plan", job)
    assert "parameters" not in json.loads(open(report["manifest"].removeprefix("file://")).read())["job"]
    [folder] = (program.lake / "{{ a }}").glob("[!.]*")
    assert dataset.dataset(folder, format="parquet").to_table().to_pylist() == [
        {"a": "{{ day }}", "b": "{{x}}"}
    ]
    line, code = program.refused("run", job, "--param", "day=1")
    assert code == 2 and "no parameter `day`" in line


def test_an_unused_parameter_is_a_warning(program):
    job = by_day(
        program, parameters={"day": "date", "least": "integer", "idle": {"type": "text", "default": "x"}}
    )
    done = program.call("validate", job, "--param=day=2026-11-20", "--param=least=1")
    assert done.returncode == 0
    assert re.search(r"job.yaml: line \d+, column \d+: `parameters.idle` is used nowhere", done.stderr)


@pytest.mark.parametrize("command", ["run", "plan", "preview", "validate"])
@pytest.mark.parametrize(
    "given, words",
    [
        ([], ["`parameters.day` has no value", "line ", "--param day=VALUE"]),
        (["day=20.11.2026"], ["--param day", "`20.11.2026` is not a date", "2026-11-20"]),
        (["day=2026-11-20", "dayy=1"], ["no parameter `dayy`", "did you mean `day`?"]),
        (["day=2026-11-20", "least="], ["--param least", "is not a whole number"]),
        (["day"], ["--param `day` gives no value"]),
    ],
)
def test_wrong_values_are_refused_before_anything_runs(program, command, given, words):
    job = by_day(program)
    line, code = program.refused(command, job, *[f"--param={one}" for one in given])
    assert code == 2 and all(word in line for word in words), line
    assert program.published() == []


def test_a_query_file_has_placeholders(program):
    (program.folder / "step.sql").write_text("SELECT *\nFROM data\nWHERE id = {{ id }}\n")
    keys = {"parameters": {"id": "integer"}, "transform": [{"sql_file": "step.sql"}]}
    job = rows_job(only(program), **keys)
    assert program.report("run", job, "--param=id=2")["rows"] == 1
    (program.folder / "step.sql").write_text("SELECT *\nFROM data\nWHERE id = '{{ id }}'\n")
    line, code = program.refused("run", job, "--param=id=2")
    assert code == 2 and "`transform[0].sql_file`" in line and "line 3 of the text" in line
    assert "remove the quotes" in line


def test_files_and_their_folders_have_parameters(program):
    for day in ["2026-11-20", "2026-11-21"]:
        folder = program.folder / "raw" / day
        folder.mkdir(parents=True)
        (folder / "rows.csv").write_text(f"id\n{day[-2:]}\n")
    (program.folder / "raw" / "2026-11-20" / "other.csv").write_text("id\n99\n")
    job = program.job(
        {"url": f"file://{program.folder}/raw/{{{{ day }}}}/"},
        parameters={"day": "date", "file": {"type": "text", "default": "rows"}},
        relations=[{"table": "{{ file }}.csv", "as": "rows_{{ day }}"}],
    )
    only(program)
    program.ok("run", job, "--param=day=2026-11-21")
    rows = dataset.dataset(program.lake / "rows_2026-11-21", format="parquet").to_table().to_pylist()
    assert rows == [{"id": 21}]
    line, code = program.refused("run", job, "--param=day=2026-11-20", "--param=file=*")
    assert code == 2 and "pattern" in line
    line, code = program.refused("run", job, "--param=day=2026-11-20", "--param=file=../2026-11-21/rows")
    assert code == 2 and "slash" in line


def test_tables_and_schemas_are_parameters(program, server):
    with server.connect() as connection:
        connection.execute("DROP SCHEMA IF EXISTS sales_eu CASCADE")
        connection.execute("CREATE SCHEMA sales_eu")
        connection.execute("CREATE TABLE sales_eu.orders_2026 AS SELECT 1 AS id")
    keys = {
        "parameters": {"region": "text", "year": "integer"},
        "tables": ["sales_{{ region }}.orders_{{ year }}"],
    }
    job = program.postgres(server, **keys)
    report = program.report("run", job, "--param=region=eu", "--param=year=2026")
    assert [relation["relation"] for relation in report["relations"]] == ["orders_2026"]
    hostile = 'eu"; DROP SCHEMA sales_eu; --'
    line, code = program.refused("run", job, f"--param=region={hostile}", "--param=year=2026")
    assert code == 2 and "plain identifier" in line


def test_a_run_goes_on_and_is_retried_with_the_values_that_it_began_with(program):
    parameters = {"at": {"type": "timestamp", "default": "{{ scheduled }}"}, "n": "integer"}
    source = {"url": "tpch:", "scale": 20, "text_mib": 1}
    step = [{"sql": "SELECT *, {{ at }} AS at, {{ n }} AS n FROM data"}]
    job = program.job(
        source, parameters=parameters, tables=["lineitem"], transform=step, chunk={"rows": 100_000}
    )
    process = program.start("run", job, "--param=n=7")
    wait_for(lambda: list(program.lake.rglob("part-*")))
    process.send_signal(signal.SIGKILL)
    process.wait()
    [run] = runs(program)
    began = program.report("runs", "show", run["run"])["parameters"]
    # By another minute, the default would be another one.
    began_at = began["at"]
    wait_for(lambda: program.report("validate", job, "--param=n=7")["parameters"]["at"] != began_at)
    again = program.start("runs", "retry", run["run"])
    kept = wait_for(lambda: program.report("runs", "show", run["run"])["events"] or again.poll() is not None)
    assert kept
    assert program.report("runs", "show", run["run"])["parameters"] == began
    again.send_signal(signal.SIGINT)
    assert again.wait(120) == 130
    report = program.report("runs", "show", run["run"])["report"]
    assert report["parameters"] == began and report["status"] == "cancelled"


def test_a_failed_run_is_retried_with_its_values(program):
    parameters = {"at": {"type": "timestamp", "default": "{{ scheduled }}"}}
    step = {"sql": "SELECT 1 / (id - 1) AS x, {{ at }} AS at FROM data"}
    job = rows_job(only(program), parameters=parameters, transform=[step])
    program.refused("run", job)
    [first] = runs(program)
    at = first["report"]["parameters"]["at"]
    wait_for(lambda: program.report("validate", job)["parameters"]["at"] != at)
    program.refused("runs", "retry", first["run"])
    assert [run["report"]["parameters"]["at"] for run in runs(program)] == [at, at]


def test_a_policy_holds_for_what_values_make(program):
    job = by_day(program, target={"url": "file:///{{ root }}/lake"}, parameters={
        "day": {"type": "date", "default": "2026-11-20"}, "least": {"type": "integer", "default": 1}, "root": "text",
    })  # fmt: skip
    policy = program.folder / "policy.toml"
    policy.write_text('[[rule]]\nplugin = "*"\nwrite = ["file:///srv/lake"]\n')
    program.ok("--policy", policy, "validate", job, "--param=root=srv")
    line, code = program.refused("--policy", policy, "validate", job, "--param=root=etc")
    assert code == 5 and "/etc/lake" in line, line
