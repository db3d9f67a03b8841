"""A job's parameter file, which is dropped beside it, taken with it, and put away with it."""

import json
import os
import signal

import yaml

from support.daemon import PATIENCE, Daemon, drop, endings, left, log, settled, told
from support.longshore import only, rows_job, runs
from support.wait import wait_for


def job(program, name="shop.yaml", **keys):
    parameters = {"least": "integer", "word": {"type": "text", "default": "none"}}
    step = {"sql": "SELECT *, {{ word }} AS word FROM data WHERE id >= {{ least }}"}
    return rows_job(only(program), name, **{"parameters": parameters, "transform": [step], **keys})


def give(program, daemon, values, name="shop.params.yaml"):
    path = program.folder / name
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    drop(daemon, path)


def beside(daemon, part, suffix=".params.yaml"):
    return [path.name for path in (daemon.inbox / part).iterdir() if path.name.endswith(suffix)]


def test_it_is_taken_and_put_away_with_its_job(program):
    daemon = Daemon(program)
    give(program, daemon, {"least": 2, "word": "a\0b"})
    drop(daemon, job(program))
    [report] = settled(daemon)
    assert (report["status"], report["rows"]) == ("succeeded", 2)
    assert report["parameters"] == {"least": 2, "word": "a\0b"}
    # The report comes first.
    wait_for(lambda: beside(daemon, "done") == [f"shop.{report['run']}.params.yaml"])
    wait_for(lambda: left(daemon) == [] and beside(daemon, "running") == [])


def test_it_has_the_format_of_its_job(program):
    daemon = Daemon(program)
    for number, (ending, text) in enumerate([("json", '{"least": 3}'), ("toml", "least = 3\n")], 1):
        give(program, daemon, text, f"shop.params.{ending}")
        if ending == "json":
            drop(daemon, job(program, "shop.json"))
        else:
            path = program.folder / "shop.toml"
            path.write_text(
                f"[parameters]\nleast = 'integer'\n[source]\nurl = 'file://{program.folder}/rows.csv'\n"
                f"[[transform]]\nsql = 'SELECT * FROM data WHERE id >= {{{{ least }}}}'\n"
                f"[target]\nurl = 'file://{program.lake}'\n"
            )
            drop(daemon, path)
        assert [report["rows"] for report in settled(daemon, number)] == [1] * number


def test_a_job_waits_for_a_parameter_file_that_is_being_written(program):
    daemon = Daemon(program)
    with (daemon.inbox / "shop.params.yaml").open("w") as file:
        file.write("least: 1")
        file.flush()
        drop(daemon, job(program))
        drop(daemon, rows_job(program, "other.yaml"))
        # The daemon looks, and takes another one meanwhile.
        wait_for(lambda: [name for name in endings(daemon) if name.startswith("other.")], PATIENCE)
        assert "shop.yaml" in left(daemon)
        file.write("0\n")
    reports = settled(daemon, 2)
    assert [report["rows"] for report in reports if report["job"] == "shop"] == [0]


def test_it_is_no_job(program):
    daemon = Daemon(program)
    give(program, daemon, {"least": 1})
    drop(daemon, rows_job(only(program), "other.yaml"))
    settled(daemon)
    assert left(daemon) == ["shop.params.yaml"] and told(program, "shop.params") == []


def test_what_is_wrong_with_it_is_said(program):
    daemon = Daemon(program)
    cases = {
        "missing": (None, ["`parameters.least` has no value", "missing.params.yaml"]),
        "wrong": ({"least": "many"}, ["wrong.params.yaml: `least`", "is not a whole number"]),
        "unknown": ({"least": 1, "wrod": "x"}, ["no parameter `wrod`", "did you mean `word`?"]),
        "list": ("- 1\n", ["list.params.yaml", "holds no keys"]),
        "broken": ("least: [\n", ["broken.params.yaml", "not valid yaml"]),
    }
    for name, (values, _) in cases.items():
        if values is not None:
            give(program, daemon, values, f"{name}.params.yaml")
        drop(daemon, job(program, f"{name}.yaml"))
    settled(daemon, len(cases))
    for file, report in endings(daemon).items():
        said = f"{report['error']['message']} {report['error']['next_step']}"
        assert report["in"] == "failed" and report["error"]["exit_code"] == 2
        assert all(word in said for word in cases[file.split(".")[0]][1]), said
    # The report comes first, and then the files.
    wait_for(lambda: len(beside(daemon, "failed")) == len(cases) - 1 and left(daemon) == [])


def test_one_that_cannot_be_read_fails_its_job(program):
    daemon = Daemon(program)
    (daemon.inbox / "shop.params.yaml").symlink_to("/nowhere")
    drop(daemon, job(program))
    wait_for(lambda: told(program, "shop.yaml: not taken"), PATIENCE)
    wait_for(lambda: left(daemon) == [], PATIENCE)
    [report] = endings(daemon).values()
    assert "parameter file" in report["error"]["message"]


def test_values_stay_those_that_a_run_began_with(program):
    """Whatever becomes of the file, and of the clock."""
    daemon = Daemon(program)
    parameters = {"at": {"type": "timestamp", "default": "{{ scheduled }}"}, "n": "integer"}
    step = [{"sql": "SELECT *, {{ at }} AS at, {{ n }} AS n FROM data"}]
    source = {"url": "tpch:", "scale": 5, "text_mib": 1}
    long = program.job(
        source,
        "long.yaml",
        parameters=parameters,
        tables=["lineitem"],
        transform=step,
        chunk={"rows": 100_000},
    )
    give(program, daemon, {"n": 7}, "long.params.yaml")
    drop(daemon, long)
    wait_for(lambda: list(program.lake.rglob("part-*")), PATIENCE)
    daemon.stop(signal.SIGKILL)
    [run] = runs(program)
    began = program.report("runs", "show", run["run"])["parameters"]
    [file] = (daemon.inbox / "running").glob("*.params.yaml")
    file.write_text("n: 8\n")
    daemon.start()
    wait_for(lambda: "chunks are kept" in log(program), PATIENCE)
    assert program.report("runs", "show", run["run"])["parameters"] == began
    program.ok("runs", "cancel", run["run"])
    [report] = settled(daemon)
    assert report["parameters"] == began
    # A retry has the same values, those that were computed too.
    assert "the daemon takes it" in program.ok("runs", "retry", run["run"])
    wait_for(lambda: len(runs(program)) == 2, PATIENCE)
    again = runs(program)[0]["run"]
    assert program.report("runs", "show", again)["parameters"] == began
    program.ok("runs", "cancel", again)
    settled(daemon, 2)


def test_one_whose_job_was_not_taken_is_given_back(program):
    """The daemon died in between."""
    daemon = Daemon(program)
    daemon.stop()
    name = "shop.20261128T083137Z-0a1b2c3d.params.yaml"
    (daemon.inbox / "running" / name).write_text("least: 2\n")
    os.rename(job(program), daemon.inbox / "shop.yaml")
    daemon.start()
    [report] = settled(daemon)
    assert (report["rows"], report["parameters"]["least"]) == (2, 2)
    assert json.loads((daemon.inbox / "done" / f"shop.{report['run']}.report.json").read_text())["rows"] == 2


def test_a_link_is_taken_as_what_it_points_to(program):
    """As Kubernetes mounts files."""
    daemon = Daemon(program)
    real = program.folder / "values"
    real.write_text("least: 3\n")
    (daemon.inbox / "shop.params.yaml").symlink_to(real)
    drop(daemon, job(program))
    [report] = settled(daemon)
    assert report["rows"] == 1 and real.exists() and left(daemon) == []


def test_a_snapshot_is_held_for_a_job_with_parameters(program, flights):
    """The process that holds it reads the job, too."""
    daemon = Daemon(program)
    shop = program.postgres(
        flights,
        "shop.yaml",
        parameters={"word": "text"},
        relations=[
            {"query": "SELECT *, {{ word }} AS word FROM flights", "as": "other"},
            {"table": "flights"},
        ],
        chunk={"rows": 3_000},
        parallel={"relations": 1, "chunks": 1},
        consistency="snapshot",
    )
    give(program, daemon, {"word": "it's"})
    drop(daemon, shop)
    wait_for(lambda: list((program.folder / "state/holders").glob("*.sock")), PATIENCE)
    wait_for(lambda: list(program.lake.rglob("part-*")), PATIENCE)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    [report] = settled(daemon)
    assert (report["status"], report["consistency"]) == ("succeeded", "snapshot"), report
    assert report["parameters"] == {"word": "it's"}
    assert not [event for event in report["interruptions"] if "anew" in event], report
