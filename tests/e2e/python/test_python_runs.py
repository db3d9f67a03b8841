"""`longshore.run`, `copy` and `start`: reports, errors, progress, and what ends a run."""

import asyncio
import datetime
import decimal
import enum
import json
import os
import pickle
import re
import signal
import socket
import threading
import time
import types
import uuid

import pyarrow.parquet
import pytest

from support.api import serving
from support.longshore import ROOT, only, rows_job, runs
from support.wait import wait_for
from support.wheel import children, is_alive, python


@pytest.fixture
def held(program, gate):
    """A job that is under way until the gate is opened."""
    rows_job(program)
    source = {"url": f"file://{program.folder}/rows.csv"}
    return {"name": "held", "source": source, "target": {"url": f"{gate.url}/rows", "timeout_secs": 120}}


def rows_of(folder):
    return pyarrow.parquet.read_table(folder).to_pylist()


def nothing_is_left(program):
    """No process, and no job of a run that has ended."""
    jobs = program.folder / "state/jobs"
    return not children() and not (jobs.exists() and list(jobs.iterdir()))


def test_a_path_a_text_and_a_dict_run_the_same_job(longshore, program):
    job = rows_job(program)
    source, target = f"file://{program.folder}/rows.csv", f"file://{program.lake}"
    text = f"name: good\nsource: {{url: '{source}'}}\ntarget: {{url: '{target}'}}\n"
    keys = {"name": "good", "source": {"url": source}, "target": {"url": target}}
    for given in (job, str(job), "good.yaml", text, keys):
        report = longshore.run(given)
        assert (report.status, report.rows, report.job) == ("succeeded", 3, "good")
        [relation] = report.relations
        assert (relation.relation, relation.rows, relation.parts) == ("good", 3, 1)
        assert len(rows_of(relation.folder)) == 3
        # What this version does not know is there, too.
        assert report.raw["relations"][0]["chunks"] == relation.chunks == 1
    assert len(runs(program)) == 5 and nothing_is_left(program)


def test_relative_paths_of_a_dict_are_relative_to_the_folder(longshore, program, monkeypatch):
    (program.folder / "a b").mkdir()
    (program.folder / "a b/query.sql").write_text("SELECT id FROM data WHERE name <> 'one'")
    job = {
        **json.loads(rows_job(program, "x.json").read_text()),
        "transform": [{"sql_file": "query.sql"}],
    }
    assert longshore.run(job, cwd=program.folder / "a b").rows == 2
    monkeypatch.chdir(program.folder / "a b")
    assert longshore.run(job).rows == 2
    with pytest.raises(longshore.ConfigError, match="query.sql"):
        longshore.run(job, cwd=program.folder)


def test_copy_needs_no_job_file_and_takes_odd_names(longshore, program):
    rows = program.folder / "Zeilen für 100% #1.csv"
    rows.write_text("id,name\n1,ä\n2,😀\n3,c\n")
    report = longshore.copy(rows, "die Ablage/ß", sql="SELECT * FROM data WHERE id > 1", as_="zwei 😀")
    assert report.rows == 2
    assert rows_of(program.folder / "die Ablage/ß/zwei 😀") == [
        {"id": 2, "name": "😀"},
        {"id": 3, "name": "c"},
    ]
    report = longshore.copy(str(rows), {"url": "lake", "compression": "zstd"}, format="csv", as_="all")
    assert report.relations[0].folder == str(program.folder / "lake/all")
    with pytest.raises(longshore.ConfigError, match="unknown key `tabels`"):
        longshore.copy(rows, "lake", tabels=["x"])


def test_copy_reads_tables_and_queries(longshore, program):
    source = {"url": "tpch:", "scale": 0.01, "text_mib": 1}
    assert longshore.copy(source, "lake", tables="nation").relations[0].published_as == "nation"
    report = longshore.copy(source, "lake", tables=["nation", "region"], mode="replace")
    assert [relation.rows for relation in report.relations] == [25, 5]
    assert longshore.copy(source, "lake", tables="region", as_="again").relations[0].published_as == "again"
    for wrong in ({"tables": ["a"], "query": "b"}, {"tables": ["a", "b"], "as_": "c"}):
        with pytest.raises(longshore.ConfigError):
            longshore.copy(source, "lake", **wrong)


@pytest.mark.parametrize("given", [{"tables": []}, {"tables": ()}, {"tables": iter([])}, {"relations": []}])
def test_an_empty_list_is_not_everything(longshore, program, given):
    rows_job(program)
    [key] = given
    with pytest.raises(ValueError, match=f"`{key}` is empty") as caught:
        longshore.copy(program.folder, "lake", **given)
    assert isinstance(caught.value, longshore.ConfigError) and not program.published()


def test_errors_of_a_job_speak_of_what_python_was_given(longshore, program):
    rows_job(program)
    job = {
        "name": "x",
        "source": {"url": f"file://{program.folder}/rows.csv"},
        "target": {"url": f"file://{program.lake}"},
    }
    dated = {**job, "parameters": {"day": "date"}}
    for wrong, params, words in [
        ({**job, "source": {"url": 5}}, {}, "the job: `source.url` is a whole number"),
        ({**job, "tabels": []}, {}, "the job: unknown key `tabels`"),
        (dated, {}, "the job: `parameters.day` has no value; next: give params={'day': ..}"),
        (dated, {"day": "x"}, "the job: `params`: `day`: `x` is not a date"),
        (job, {"day": "x"}, "the job: `params`: `day`: the job has no parameter `day`"),
        # The line of a text is known to whoever wrote it.
        ("name: x\ntabels: []\n", {}, "the job: line 2, column 1: unknown key `tabels`"),
    ]:
        for ask in (longshore.run, longshore.validate):
            with pytest.raises(longshore.ConfigError) as caught:
                ask(wrong, params=params)
            told = [str(caught.value), *map(str, caught.value.also)]
            assert told[0].startswith(words) and caught.value.object == "the job"
            assert not any("stdin" in text or "--param" in text for text in told), told


@pytest.mark.parametrize("path", ["\udcff", "/a/\ud800.csv", b"/a/\xff.csv"])
def test_a_path_that_is_no_text_is_an_error_that_names_its_argument(longshore, program, path):
    rows = str(rows_job(program).with_name("rows.csv"))
    asks = {
        "source": [lambda: longshore.copy(path, "lake"), lambda: longshore.copy({"url": path}, "lake")],
        "target": [lambda: longshore.copy(rows, path), lambda: longshore.copy_job(rows, {"url": path})],
        "cwd": [lambda: longshore.copy("rows.csv", "lake", cwd=path)],
        "what": [lambda: longshore.preview(path)],
    }
    for argument, calls in asks.items():
        for call in calls:
            with pytest.raises(longshore.ConfigError, match=f"`{argument}`: the path is no UTF-8") as caught:
                call()
            # It can be printed and written down.
            assert str(caught.value).encode() and caught.value.hint
    for call in (lambda: longshore.run(path), lambda: longshore.run(rows, cwd=path)):
        with pytest.raises(longshore.ConfigError) as caught:
            call()
        assert str(caught.value).encode()


def test_a_state_folder_that_is_no_path_is_named_so(longshore, program):
    for state in ("a\0", "\ud800"):
        with pytest.raises(longshore.ConfigError, match="`state`"):
            longshore.run(rows_job(program), state=state)


def test_a_path_of_bytes_is_that_path(longshore, program):
    rows_job(program)
    for path in (b"rows.csv", os.fsencode(program.folder / "rows.csv")):
        assert longshore.preview(path).num_rows == 3
        assert longshore.copy(path, b"lake", mode="replace").rows == 3


def test_errors_have_a_class_and_say_who_must_act(longshore, program):
    job = {**json.loads(rows_job(program, "x.json").read_text()), "name": "x"}
    with pytest.raises(longshore.ConfigError) as caught:
        longshore.run({**job, "tabels": ["x"]})
    error = caught.value
    assert (error.error_class, error.exit_code, error.retryable) == ("config", 2, False)
    assert error.responsible == "the job's owner" and error.hint and error.run is None
    assert "unknown key `tabels`" in error.message and str(error).endswith(f"; next: {error.hint}")
    with pytest.raises(longshore.DataError) as caught:
        longshore.run({**job, "transform": [{"sql": "SELECT id / 0 AS x FROM data"}]})
    error = caught.value
    assert error.report.status == "failed" and error.report.run == error.run
    assert error.object == "x" and error.run in [run["run"] for run in runs(program)]
    # Others may want it in another process.
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.run, again.hint) == (
        type(error),
        str(error),
        error.run,
        error.hint,
    )
    with pytest.raises(longshore.ConfigError, match="none.yaml"):
        longshore.run("none.yaml")
    with pytest.raises(longshore.ConfigError, match="`params`"):
        longshore.run(job, params={"day": None})
    with pytest.raises(longshore.ConfigError, match="`cwd`"):
        longshore.run(job, cwd="/none")
    with pytest.raises(longshore.ConfigError, match="the job"):
        longshore.run({**job, "name": {1, 2}})
    assert nothing_is_left(program)


class Region(str, enum.Enum):  # noqa: UP042
    EU = "EU"


@pytest.mark.parametrize(
    "kind, value, text",
    [
        ("decimal", decimal.Decimal("1E-7"), "0.0000001"),
        ("decimal", decimal.Decimal("1E+3"), "1000"),
        ("decimal", decimal.Decimal("100").normalize(), "100"),
        ("decimal", 1e-7, "0.0000001"),
        ("decimal", 1e22, "10000000000000000000000"),
        ("text", Region.EU, "EU"),
        ("text", enum.Enum("Other", {"A": "a"}).A, "a"),
        ("integer", enum.IntEnum("Number", {"TWO": 2}).TWO, 2),
        ("text", uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("text", "ä😀\n", "ä😀\n"),
        ("date", datetime.date(2026, 11, 29), "2026-11-29"),
        ("timestamp", datetime.datetime(2026, 11, 29, 6, 30), "2026-11-29T06:30:00"),
        (
            "timestamp",
            datetime.datetime(2026, 11, 29, 6, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
            "2026-11-29T04:00:00",
        ),
    ],
)
def test_a_value_of_python_is_that_value(longshore, program, kind, value, text):
    job = json.loads(rows_job(program, "x.json").read_text())
    job = {
        **job,
        "name": "x",
        "parameters": {"p": kind},
        "transform": [{"sql": "SELECT {{ p }} AS p FROM data"}],
    }
    assert longshore.run(job, params={"p": value}).parameters == {"p": text}


@pytest.mark.parametrize(
    "value", ["a\0b", "\udcff", "\ud800", object(), [1], b"x", float("nan"), decimal.Decimal("1E+999999999")]
)
def test_a_value_that_is_none_names_its_parameter(longshore, value):
    with pytest.raises(longshore.ConfigError, match="`params`: `day`") as caught:
        longshore.run("job.yaml", params={"day": value})
    assert caught.value.hint


@pytest.mark.parametrize("key", ["", "a" * 201, "ä" * 101, "a\nb", "a\0b", "\udcff", b"x"])
def test_a_run_key_that_is_none_is_refused_here(longshore, key):
    with pytest.raises(longshore.ConfigError, match="`run_key`") as caught:
        longshore.run("job.yaml", run_key=key)
    assert "version" not in caught.value.hint


def test_what_no_program_can_be_given_says_what_to_do(longshore, program):
    job = rows_job(program)
    with pytest.raises(longshore.ConfigError, match="`params` and `env`") as caught:
        longshore.run(job, params={f"p{number}": "x" * 8192 for number in range(300)})
    assert type(caught.value) is longshore.ConfigError and "put long texts" in caught.value.hint
    with pytest.raises(longshore.ConfigError, match="a=b"):
        longshore.run(job, params={"a=b": 1})
    for name, value in [
        ("A", "s3cr3t\0"),
        ("A", None),
        ("A", "s3cr3t\ud800"),
        ("A=B", "s3cr3t"),
        (1, "s3cr3t"),
    ]:
        with pytest.raises(longshore.ConfigError, match="`env`") as caught:
            longshore.run(job, env={name: value})
        assert "s3cr3t" not in str(caught.value)
    for given in ({"job": "a\0.yaml"}, {"job": job, "cwd": "a\0"}, {"job": "name: \udcff\n"}):
        with pytest.raises(longshore.ConfigError):
            longshore.run(**given)


def test_a_relative_path_of_the_program_is_that_of_this_process(longshore, program, monkeypatch):
    monkeypatch.setenv("LONGSHORE_PROGRAM", os.path.relpath(longshore.find_program()))
    (program.folder / "there").mkdir()
    assert longshore.validate(rows_job(program), cwd=program.folder / "there")["valid"]


def test_a_job_of_python_is_what_it_says(longshore, program):
    rows_job(program)
    source = types.MappingProxyType({"url": f"file://{program.folder}/rows.csv"})
    job = {"name": Region.EU, "source": source, "target": {"url": f"file://{program.lake}"}}
    assert longshore.validate(types.MappingProxyType(job))["job"] == "EU"
    with pytest.raises(longshore.ConfigError, match="`source.password`.*bytes") as caught:
        longshore.run({**job, "source": {**source, "password": b"s3cr3t"}})
    assert "s3cr3t" not in str(caught.value)
    job["job"] = job
    with pytest.raises(longshore.ConfigError, match="holds itself"):
        longshore.run(job)


def test_an_error_is_raised_where_the_exit_code_is_lost(longshore, program, gate, held):
    """As with an ignored SIGCHLD, or where something else waits for all children."""
    job = json.loads(
        rows_job(program, "x.json", transform=[{"sql": "SELECT id / 0 AS x FROM data"}]).read_text()
    )
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(longshore.DataError) as caught:
            longshore.run(job)
        assert caught.value.report.status == "failed"
        for ask in (longshore.run, longshore.validate, longshore.preview):
            with pytest.raises(longshore.ConfigError, match="tabels"):
                ask({**job, "tabels": ["x"]})
        assert longshore.run(rows_job(program)).status == "succeeded"
        run = longshore.start(held)
        wait_for(lambda: gate.requests)
        os.kill(children()[0], signal.SIGKILL)
        with pytest.raises(longshore.LongshoreError):
            run.wait()
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_what_else_is_wrong_is_told_too(longshore, program):
    job = {"source": {"url": "file:///x", "formt": "csv"}, "target": {"url": "file:///y", "mod": "append"}}
    with pytest.raises(longshore.ConfigError) as caught:
        longshore.run(job)
    told = [caught.value.message, *(other.message for other in caught.value.also)]
    assert any("formt" in text for text in told) and any("`target.mod`" in text for text in told), told


def test_a_program_that_is_not_there_is_an_error_of_its_own(longshore, program, monkeypatch):
    monkeypatch.setenv("LONGSHORE_PROGRAM", "/none/longshore")
    with pytest.raises(longshore.ProgramNotFound, match="/none/longshore"):
        longshore.run(rows_job(program))
    monkeypatch.setenv("LONGSHORE_PROGRAM", "/bin/false")
    with pytest.raises(longshore.InternalError, match="exit code 1"):
        longshore.run(rows_job(program))


def test_a_run_key_runs_once_and_parameters_are_typed(longshore, program):
    job = {
        **json.loads(rows_job(program, "x.json").read_text()),
        "parameters": {"least": "integer", "all": "boolean"},
        "transform": [{"sql": "SELECT * FROM data WHERE id >= {{ least }} OR {{ all }}"}],
    }
    first = longshore.run(job, params={"least": 2, "all": False}, run_key="nightly")
    assert first.rows == 2 and first.parameters["least"] == 2
    assert longshore.run(job, params={"least": 2, "all": False}, run_key="nightly") == first
    with pytest.raises(longshore.ConfigError):
        longshore.run(job, params={"least": 1, "all": False}, run_key="nightly")


def test_state_is_where_it_is_said(longshore, program):
    report = longshore.run(rows_job(program), state=program.folder / "other state")
    assert (program.folder / "other state/ledger.sqlite").exists() or list(
        (program.folder / "other state").iterdir()
    )
    assert report.run not in json.dumps(runs(program))


def test_progress_is_told_in_the_callers_thread(longshore, program, gate, held):
    seen, threads = [], set()

    def on_progress(progress):
        seen.append(progress)
        threads.add(threading.current_thread())
        if progress.relations:
            gate.open.set()

    report = longshore.run(held, on_progress=on_progress)
    assert report.rows == 3 and threads == {threading.current_thread()}
    assert {progress.run for progress in seen} == {report.run}
    assert seen[0].relations == () and seen[-1].relations[0].name == "held"
    assert 0 <= seen[-1].fraction <= 1 and "rows_per_second" in seen[-1].raw


def test_a_callback_that_raises_cancels_the_run(longshore, program, gate, held):
    def on_progress(progress):
        if progress.relations:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        longshore.run(held, on_progress=on_progress)
    assert [run["state"] for run in runs(program)] == ["cancelled"] and nothing_is_left(program)
    assert not gate.rows("/rows")


def test_a_handle_is_asked_and_cancelled_from_another_thread(longshore, program, gate, held):
    run = longshore.start(held)
    wait_for(lambda: run.progress and run.progress.relations)
    assert run.id == run.progress.run and not run.done
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.01)
    threading.Thread(target=run.cancel).start()
    with pytest.raises(longshore.Cancelled) as caught:
        run.wait()
    assert (caught.value.run, caught.value.retryable, run.done) == (run.id, False, True)
    run.cancel()
    with pytest.raises(longshore.Cancelled):
        run.wait()
    assert nothing_is_left(program)


def test_a_listener_that_raises_is_logged_and_the_run_goes_on(longshore, program, gate, held, caplog):
    run = longshore.start(held)
    run.add_listener(lambda: 1 / 0)
    wait_for(lambda: run.progress and run.progress.relations)
    gate.open.set()
    assert run.wait().rows == 3
    wait_for(lambda: f"a listener of run {run.id} raised" in caplog.text)


def test_an_interrupted_run_goes_on_under_its_key(longshore, program, gate, held):
    run = longshore.start(held, run_key="nightly")
    wait_for(lambda: gate.requests)
    run.interrupt()
    with pytest.raises(longshore.Cancelled) as caught:
        run.wait()
    assert caught.value.retryable and caught.value.exit_code == 143
    gate.open.set()
    assert longshore.run(held, run_key="nightly").run == run.id
    assert nothing_is_left(program)


def test_a_job_without_a_file_can_be_cancelled_later(longshore, program, gate, held):
    """Its file is kept as long as somebody may need it."""
    (program.folder / "there").mkdir()
    (program.folder / "there/q.sql").write_text("SELECT id FROM data")
    keys = {**held, "transform": [{"sql_file": "q.sql"}]}
    run = longshore.start(keys, run_key="nightly", cwd=program.folder / "there")
    wait_for(lambda: gate.requests)
    run.interrupt()
    with pytest.raises(longshore.Cancelled):
        run.wait()
    [kept] = (program.folder / "state/jobs").glob("*/stdin.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    program.ok("runs", "cancel", run.id)
    assert [run["state"] for run in runs(program)] == ["cancelled"] and nothing_is_left(program)


def test_a_block_that_raises_cancels_the_run(longshore, program, gate, held):
    with pytest.raises(KeyError), longshore.start(held):
        wait_for(lambda: gate.requests)
        raise KeyError("mine")
    assert [run["state"] for run in runs(program)] == ["cancelled"] and nothing_is_left(program)


@pytest.mark.parametrize("stop", ["cancel", "interrupt"])
def test_a_block_does_not_raise_again_what_wait_has_raised(longshore, program, gate, held, stop):
    with longshore.start(held) as run:
        wait_for(lambda: gate.requests)
        getattr(run, stop)()
        with pytest.raises(longshore.Cancelled):
            run.wait()
    assert run.done
    # Whoever asks again is told again.
    with pytest.raises(longshore.Cancelled):
        run.wait()


def test_a_block_does_not_raise_again_an_error_or_what_a_callback_has_raised(longshore, program, gate, held):
    with longshore.start({**held, "tabels": []}) as run, pytest.raises(longshore.ConfigError):
        run.wait()
    with longshore.start(held) as run, pytest.raises(ZeroDivisionError):
        run.wait(on_progress=lambda progress: 1 / 0)
    assert run.done and nothing_is_left(program)


def test_a_block_that_has_not_waited_for_the_end_raises_the_error(longshore, program, gate, held):
    with pytest.raises(longshore.ConfigError), longshore.start({**held, "tabels": []}):
        pass
    with pytest.raises(longshore.Cancelled), longshore.start(held) as run:
        # That it goes on says nothing of its end.
        with pytest.raises(TimeoutError):
            run.wait(timeout=0.01)
        run.cancel()


def test_a_run_can_be_cancelled_before_it_begins(longshore, program, gate, held):
    """At several moments of the program's start."""
    for wait in (0, 0.01, 0.03):
        run = longshore.start(held)
        time.sleep(wait)
        run.cancel()
        with pytest.raises(longshore.Cancelled):
            run.wait()
    assert not gate.rows("/rows") and not children()


def test_two_threads_run_at_once(longshore, program, gate, held):
    reports = []
    jobs = [{**held, "name": f"held {number}"} for number in range(2)]
    threads = [threading.Thread(target=lambda job=job: reports.append(longshore.run(job))) for job in jobs]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(gate.requests) >= 2)
    gate.open.set()
    for thread in threads:
        thread.join()
    assert sorted(report.job for report in reports) == ["held 0", "held 1"]


def test_a_run_outlives_the_thread_that_started_it(longshore, program, gate, held):
    started = []
    thread = threading.Thread(target=lambda: started.append(longshore.start(held)))
    thread.start()
    thread.join()
    gate.open.set()
    assert started[0].wait().rows == 3


def test_a_forked_process_leaves_its_parents_run_alone(longshore, program, gate, held):
    run = longshore.start(held)

    def leaves_the_block():
        with run:
            pass
        raise RuntimeError

    def leaves_the_block_by_an_error():
        with run:
            raise RuntimeError

    asks = [run.wait, run.cancel, run.kill, lambda: asyncio.run(longshore.aio.wait(run))]
    for ask in (*asks, leaves_the_block, leaves_the_block_by_an_error):
        child = os.fork()
        if child == 0:
            # Nothing may wait for ever.
            signal.alarm(20)
            try:
                ask()
            except RuntimeError:
                os._exit(42)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
    gate.open.set()
    assert run.wait().rows == 3


def test_a_huge_report_fits_through_the_pipes(longshore, program):
    """More than a pipe holds, on both of them."""
    folder = program.folder / "many"
    folder.mkdir()
    for number in range(300):
        (folder / f"relation_{number:03}_{'x' * 60}.csv").write_text("id\n1\n")
    relations = [{"table": path.name, "as": path.stem} for path in sorted(folder.iterdir())]
    job = {"source": {"url": f"file://{folder}/"}, "relations": relations, "target": {"url": "lake"}}
    job["target"] = {"url": f"file://{program.lake}"}
    report = longshore.run(job)
    assert len(report.relations) == 300 and len(json.dumps(report.raw)) > 65_536


SCRIPT = """
import json, sys, longshore
run = None
def on_progress(progress):
    print(progress.run, flush=True)
try:
    longshore.run(json.loads(sys.argv[1]), on_progress=on_progress)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""


def test_ctrl_c_cancels_the_run_and_waits_for_its_end(longshore, program, gate, held):
    script = python(program, SCRIPT, json.dumps(held), start_new_session=True)
    run = script.stdout.readline().strip()
    wait_for(lambda: gate.requests)
    [child] = children(script.pid)
    # As a terminal does it: all of the foreground's group.
    os.killpg(script.pid, signal.SIGINT)
    out, _ = script.communicate(timeout=60)
    assert out.endswith("interrupted\n") and script.returncode == -signal.SIGINT
    assert not is_alive(child)
    [ended] = runs(program)
    assert (ended["run"], ended["state"]) == (run, "cancelled")


@pytest.mark.parametrize("key, state", [(None, "cancelled"), ("nightly", "interrupted")])
def test_a_run_ends_when_python_is_killed(longshore, program, gate, held, key, state):
    keyed = SCRIPT.replace("on_progress=on_progress", f"on_progress=on_progress, run_key={key!r}")
    script = python(program, keyed, json.dumps(held))
    script.stdout.readline()
    wait_for(lambda: gate.requests)
    [child] = children(script.pid)
    script.kill()
    script.communicate()
    wait_for(lambda: not is_alive(child))
    assert [run["state"] for run in runs(program)] == [state]


def test_a_password_is_in_no_argument_and_in_no_file(longshore, program):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgres://ada@127.0.0.1:{silent.getsockname()[1]}/shop"
        job = longshore.copy_job(url, "lake", tables="t", has_password=True)
        run = longshore.start(job, env={"LONGSHORE_COPY_PASSWORD": "s3cret!"})
        wait_for(lambda: run.id)
        [child] = children()
        assert b"s3cret!" not in open(f"/proc/{child}/cmdline", "rb").read()
        kept = [path.read_bytes() for path in (program.folder / "state").rglob("*") if path.is_file()]
        assert kept and not any(b"s3cret!" in data for data in kept)
        run.cancel()
        with pytest.raises(longshore.LongshoreError) as caught:
            run.wait()
        assert "s3cret!" not in str(caught.value)


def test_a_job_of_a_copy_holds_no_password(longshore):
    url = "postgres://ada@127.0.0.1:1/shop"
    with pytest.raises(longshore.ConfigError, match="`password`") as caught:
        longshore.copy_job(url, "lake", tables="t", password="s3cr3t")
    assert "has_password=True" in caught.value.hint and "s3cr3t" not in str(caught.value)
    with pytest.raises(longshore.ConfigError, match="`env`"):
        longshore.copy_job(url, "lake", tables="t", env={"A": "s3cr3t"})
    # What the next step says can be done.
    with pytest.raises(longshore.ConnectionFailed):
        job = longshore.copy_job(url, "lake", tables="t", has_password=True)
        longshore.run(job, env={"LONGSHORE_COPY_PASSWORD": "s3cr3t", "LONGSHORE_RETRIES": "0"})


def test_an_empty_path_is_not_the_current_folder(longshore, program):
    rows_job(program)
    for source, target in (("", "lake"), ("rows.csv", ""), ({"url": ""}, "lake"), ("rows.csv", {"url": ""})):
        with pytest.raises(longshore.ConfigError, match="no `url`"):
            longshore.copy(source, target, mode="replace")
    for ask in (longshore.run, longshore.plan, longshore.preview):
        with pytest.raises(longshore.ConfigError, match="path is empty"):
            ask("")


@pytest.mark.parametrize(
    "given, words",
    [
        ({"sql": "SELECT 1", "transform": [{"sql": "SELECT 2"}]}, "`transform` and `sql`"),
        ({"tables": "a", "relations": [{"table": "b"}]}, "`relations` and `tables`"),
        ({"password": "s3cr3t"}, "password is given twice"),
    ],
)
def test_what_is_given_twice_to_a_copy_is_refused(longshore, given, words):
    source = {"url": "postgres://ada@127.0.0.1:1/shop", "password": {"env": "OWN"}}
    with pytest.raises(longshore.ConfigError, match=words) as caught:
        longshore.copy(source, "lake", **given)
    assert "s3cr3t" not in str(caught.value)


def test_the_guide_works(longshore, program, monkeypatch, capsys):
    """Its blocks, in their order, in one module."""
    text = (ROOT / "docs/how-to/python.md").read_text().replace("/tmp/lake", str(program.lake))
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    daemon, api = serving(only(program, "tpch"))
    names = {}
    for block in blocks:
        own = block.replace("https://lake.example:8460", api.url).replace("longshore_..", api.token)
        exec(compile(own, "docs/how-to/python.md", "exec"), names)
    assert len(blocks) >= 7 and names["report"].status == "succeeded" and names["table"].num_rows == 5
    assert "not-found the job's owner False" in capsys.readouterr().out
    daemon.stop()
