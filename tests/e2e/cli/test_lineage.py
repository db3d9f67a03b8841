"""Lineage: collectors are told what runs read and write, and which columns come from which. It delays no run."""

import json
import re
import signal
import socket
import uuid

import pytest

from support.daemon import Daemon, drop, endings
from support.endpoint import held, target
from support.lineage import check, check_schemas, needs_specification, row_sources, sources
from support.longshore import QUICK, ROOT, only, rows_job
from support.wait import wait_for
from support.webhook import Webhooks

PARENT = "airflow/nightly.load/019c2d00-7a1b-7000-8000-0123456789ab"

WHOLE = ["START", "RUNNING", "COMPLETE"]


@pytest.fixture
def collector():
    return Webhooks()


def env(collector, **more):
    return {"OPENLINEAGE_URL": collector.url, **more}


def told(collector):
    """The events that a collector got. Each is one that OpenLineage's client takes."""
    events = [request.body for request in collector.told if request.path == "/api/v1/lineage"]
    for event in events:
        check(event)
    return events


def once(events):
    """Without those that were sent again: their daemon died before it read the answer."""
    return [event for at, event in enumerate(events) if event not in events[:at]]


def kinds(events):
    return [event["eventType"] for event in events]


def event_of(program, job, collector, **more):
    """The last event of a run of a job."""
    program.ok("run", job, env=env(collector, **more))
    return told(collector)[-1]


def printed(program, job):
    """What `longshore lineage` prints of a job."""
    event = json.loads(program.ok("--json", "lineage", job))
    check(event)
    return event


def test_a_run_is_told_from_its_beginning_to_its_end(program, collector):
    more = {"OPENLINEAGE_API_KEY": "of a key", "OPENLINEAGE_NAMESPACE": "warehouse"}
    report = program.report("run", rows_job(program), env=env(collector, **more))
    events = told(collector)
    assert kinds(events) == WHOLE
    assert {request.headers["Authorization"] for request in collector.told} == {"Bearer of a key"}
    [identity] = {event["run"]["runId"] for event in events}
    assert uuid.UUID(identity).version == 7
    start, running, complete = events
    assert (start["job"]["namespace"], start["job"]["name"]) == ("warehouse", "good")
    assert start["run"]["facets"]["tags"]["tags"][0]["value"] == report["run"]
    assert start["inputs"] == start["outputs"] == []
    [read], [written] = running["inputs"], running["outputs"]
    assert (read["namespace"], read["name"]) == ("file", f"{program.folder}/rows.csv")
    assert (written["namespace"], written["name"]) == ("file", f"{program.lake}/good")
    assert [field["name"] for field in read["facets"]["schema"]["fields"]] == ["id", "name"]
    assert written["facets"]["schema"]["fields"][0] == {"name": "id", "type": "Int64"}
    assert sources(written, "name") == {f"{program.folder}/rows.csv.name": "IDENTITY"}
    [read], [written] = complete["inputs"], complete["outputs"]
    statistics = written["outputFacets"]["outputStatistics"]
    assert (statistics["rowCount"], statistics["fileCount"]) == (3, 1) and statistics["size"] > 0
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 3


@needs_specification
def test_the_schemas_of_the_specification_refuse_what_is_wrong(program):
    event = printed(program, rows_job(program))
    check_schemas(event)
    event["outputs"][0]["facets"]["schema"]["fields"] = "id"
    with pytest.raises(AssertionError):
        check_schemas(event)


def test_a_run_that_fails_says_why(program, collector):
    bad = rows_job(program, "bad.yaml", transform=[{"sql": "SELECT id / 0 AS x FROM data"}])
    assert program.call("run", bad, env=env(collector)).returncode == 4
    events = told(collector)
    assert kinds(events) == ["START", "RUNNING", "FAIL"]
    error = events[-1]["run"]["facets"]["errorMessage"]
    assert "bad" in error["message"] and error["programmingLanguage"] == "Rust"
    assert "outputStatistics" not in events[-1]["outputs"][0].get("outputFacets", {})
    # Nothing is known of what it would have read.
    unplanned = rows_job(program, "none.yaml", transform=[{"sql": "SELECT nothing FROM data"}])
    program.call("run", unplanned, env=env(collector))
    assert kinds(told(collector))[3:] == ["START", "FAIL"]


def test_a_run_that_is_cancelled_is_aborted(program, collector, gate):
    process = program.start("run", rows_job(program, target=target(gate)), env={**QUICK, **env(collector)})
    # It is told while it is under way, and not only when it is over.
    wait_for(lambda: kinds(told(collector)) == ["START", "RUNNING"])
    wait_for(lambda: len(gate.requests) > gate.allowed)
    process.send_signal(signal.SIGINT)
    # Opened before, the run could end before it hears of the signal.
    assert process.wait(60) == 130
    gate.open.set()
    events = told(collector)
    assert kinds(events) == ["START", "RUNNING", "ABORT"]
    [written] = events[-1]["outputs"]
    assert (written["namespace"], written["name"]) == (gate.url, "rows/good")


def test_a_run_is_a_part_of_its_callers(program, collector):
    variables = {"OPENLINEAGE_PARENT_ID": PARENT, "OPENLINEAGE_ROOT_PARENT_ID": PARENT.replace("load", "all")}
    program.ok("run", rows_job(program), env=env(collector, **variables))
    namespace, job, run = PARENT.split("/")
    for event in told(collector):
        parent = event["run"]["facets"]["parent"]
        assert parent["job"] == {"namespace": namespace, "name": job} and parent["run"] == {"runId": run}
        assert parent["root"]["job"]["name"] == "nightly.all"
    done = program.call("run", rows_job(program), env=env(collector, OPENLINEAGE_PARENT_ID="nonsense"))
    assert done.returncode == 0 and "OPENLINEAGE_PARENT_ID names no run" in done.stderr
    assert "parent" not in told(collector)[-1]["run"]["facets"]


def test_columns_are_followed_through_joins_steps_and_masks(program):
    (program.folder / "orders.csv").write_text("id,customer,price,state\n1,7,250,open\n2,8,400,gone\n")
    (program.folder / "customers.csv").write_text("id,name,email\n7,Zoë,z@x.org\n8,Bo,b@x.org\n")
    job = program.job(
        {"url": f"file://{program.folder}/"},
        "sales.yaml",
        relations=[{"table": "orders.csv", "as": "orders"}, {"table": "customers.csv", "as": "customers"}],
        sql="SELECT c.email, o.price, o.id AS order_id FROM orders o JOIN customers c ON c.id = o.customer "
        "WHERE o.state = 'open'",
        transform=[
            {"plugin": "mask", "columns": ["email"]},
            {"sql": 'SELECT email, sum(price) AS "Umsatz €", count(order_id) AS n FROM data GROUP BY email'},
        ],
    )
    event = printed(program, job)
    [written] = event["outputs"]
    orders, customers = f"{program.folder}/orders.csv", f"{program.folder}/customers.csv"
    assert [read["name"] for read in event["inputs"]] == [orders, customers]
    assert sources(written, "email") == {f"{customers}.email": "TRANSFORMATION*"}
    assert sources(written, "Umsatz €") == {f"{orders}.price": "AGGREGATION"}
    assert sources(written, "n") == {f"{orders}.id": "AGGREGATION*"}
    assert row_sources(written) == {
        f"{orders}.state": "FILTER",
        f"{orders}.customer": "JOIN",
        f"{customers}.id": "JOIN",
        f"{customers}.email": "GROUP_BY*",
    }
    queries = event["job"]["facets"]["sql"]["query"]
    assert queries.startswith("SELECT c.email") and "Umsatz €" in queries
    text = program.ok("lineage", job)
    assert re.search(r"email +Utf8\w* +\S+customers.csv.email \(transformation, masked\)", text), text
    assert "orders.csv.state (filter)" in text and program.published() == []


def test_tables_are_named_as_other_programs_name_them(program, server):
    with server.connect() as connection:
        connection.execute('DROP SCHEMA IF EXISTS "Sales.EU" CASCADE')
        connection.execute('CREATE SCHEMA "Sales.EU"')
        connection.execute('CREATE TABLE "Sales.EU"."Kunden" ("Straße" text, "group" numeric(12,2))')
        connection.execute("DROP TABLE IF EXISTS plain")
        connection.execute("CREATE TABLE plain (id int, at timestamptz)")
    job = program.postgres(
        server,
        relations=[
            {"table": '"Sales.EU"."Kunden"', "as": "Kunden"},
            {"table": "PLAIN", "as": "plain"},
            {
                "query": 'WITH k AS (SELECT * FROM "Sales.EU"."Kunden") SELECT k.*, p.id FROM k, Plain p',
                "as": "q",
            },
        ],
    )
    event = printed(program, job)
    namespace = f"postgres://127.0.0.1:{server.port}"
    assert {read["namespace"] for read in event["inputs"]} == {namespace}
    kunden, plain = "postgres.Sales.EU.Kunden", "postgres.public.plain"
    assert [read["name"] for read in event["inputs"]] == [kunden, plain]
    fields = event["inputs"][0]["facets"]["schema"]["fields"]
    assert fields == [{"name": "Straße", "type": "text"}, {"name": "group", "type": "numeric(12,2)"}]
    written = {output["name"].rpartition("/")[2]: output for output in event["outputs"]}
    assert sources(written["Kunden"], "Straße") == {f"{kunden}.Straße": "IDENTITY"}
    # A query's columns are the server's work: what they come from is not known here.
    assert sources(written["q"], "id") == {}
    assert "password" not in json.dumps(event).lower()


def test_partitions_and_versions_are_one_dataset(program, collector):
    folder = program.folder / "raw/day=2026-11-20"
    folder.mkdir(parents=True)
    (folder / "part.csv").write_text("id,kind\n1,a\n2,b\n")
    job = program.job(
        {"url": f"file://{program.folder}/raw/"},
        "part.yaml",
        target={"url": f"file://{program.lake}", "partition_by": ["kind"]},
    )
    names, versions = set(), []
    for _ in range(2):
        event = event_of(program, job, collector)
        [written] = event["outputs"]
        names.add(written["name"])
        versions.append(written["facets"].get("version", {}).get("datasetVersion"))
    assert names == {f"{program.lake}/part"} and versions == [None, "part_v2"]
    [link] = written["facets"]["symlinks"]["identifiers"]
    assert link == {"namespace": "file", "name": f"{program.lake}/part_v2", "type": "LOCATION"}
    assert [field["name"] for field in written["facets"]["schema"]["fields"]] == ["id", "day", "kind"]
    assert sources(written, "kind") == {f"{program.folder}/raw.kind": "IDENTITY"}
    assert event["inputs"][0]["name"] == f"{program.folder}/raw"


def test_events_come_in_order_and_at_least_once(program, collector):
    """A collector that is down, and a daemon that is killed while it is."""
    program.env.update(env(collector))
    collector.status = 503
    daemon = Daemon(program)
    for number in range(3):
        drop(daemon, rows_job(program, f"job{number}.yaml"))
    wait_for(lambda: len(endings(daemon)) == 3)
    assert all(report["status"] == "succeeded" for report in endings(daemon).values())
    daemon.stop(signal.SIGKILL)
    collector.told.clear()
    collector.status = 200
    daemon.start()
    try:
        wait_for(lambda: kinds(told(collector)).count("COMPLETE") >= 3)
    finally:
        daemon.stop()
    runs = {}
    for event in told(collector):
        of_run = runs.setdefault(event["run"]["runId"], [])
        # One that was sent and not confirmed is sent again.
        if event["eventType"] not in of_run:
            of_run.append(event["eventType"])
    assert list(runs.values()) == [WHOLE] * 3


@pytest.mark.parametrize("is_there, end", [(True, "COMPLETE"), (False, "FAIL")])
def test_a_run_whose_daemon_is_killed_begins_once_and_ends_once(program, collector, gate, is_there, end):
    """It is resumed, or its job file is gone by then."""
    program.env.update(env(collector))
    daemon = Daemon(only(program, "http-sink"))
    held(daemon, gate)
    wait_for(lambda: kinds(told(collector)) == ["START", "RUNNING"])
    daemon.stop(signal.SIGKILL)
    if not is_there:
        for file in (daemon.inbox / "running").iterdir():
            file.unlink()
    gate.open.set()
    daemon.start()
    try:
        wait_for(lambda: end in kinds(told(collector)))
    finally:
        daemon.stop()
    events = once(told(collector))
    assert kinds(events) == ["START", "RUNNING", end]
    assert len({event["run"]["runId"] for event in events}) == 1
    assert events[1]["outputs"][0]["name"] == events[2]["outputs"][0]["name"]


def test_a_collector_that_never_answers_holds_up_no_run(program):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        report = program.report("run", rows_job(program), env={"OPENLINEAGE_URL": url})
    assert report["status"] == "succeeded"


def test_events_are_lines_of_a_file_or_of_stderr(program):
    file = program.folder / "lineage.jsonl"
    settings = program.folder / "longshore.toml"
    settings.write_text(f"[lineage]\nnamespace = 'shop'\nfile = '{file}'\n")
    for _ in range(2):
        program.ok("run", rows_job(program))
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert kinds(events) == WHOLE * 2 and {event["job"]["namespace"] for event in events} == {"shop"}
    done = program.call("run", rows_job(program), env={"OPENLINEAGE__TRANSPORT__TYPE": "console"})
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert kinds(lines) == WHOLE and len(file.read_text().splitlines()) == 6
    for event in events + lines:
        check(event)


def test_the_collectors_key_is_a_secret(program, collector):
    (program.folder / "longshore.toml").write_text(
        f"[lineage]\nurl = '{collector.url}'\nendpoint = 'in'\napi_key = {{ env = 'THE_KEY' }}\n"
    )
    program.ok("run", rows_job(program), env={"THE_KEY": "hidden-key"})
    kept = [file for file in (program.folder / "state").rglob("*") if file.is_file()]
    assert kept and not any(b"hidden-key" in file.read_bytes() for file in kept)
    assert {request.headers["Authorization"] for request in collector.told} == {"Bearer hidden-key"}
    assert {request.path for request in collector.told} == {"/in"}


def test_nobody_is_told_unless_somebody_asks(program, collector):
    program.ok("run", rows_job(program))
    program.ok("run", rows_job(program), env=env(collector, OPENLINEAGE_DISABLED="true"))
    program.ok("run", rows_job(program, "secret.yaml", lineage=False), env=env(collector))
    done = program.call("run", rows_job(program), env={"OPENLINEAGE__TRANSPORT__TYPE": "kafka"})
    assert done.returncode == 0 and "the transport `kafka` is none of http, file and console" in done.stderr
    assert collector.told == []
    (program.folder / "longshore.toml").write_text("[lineage]\nurl = 'https://a'\nconsole = true\n")
    line, code = program.refused("run", rows_job(program))
    assert code == 2 and "several places" in line and "`url`, `file` and `console`" in line


def test_the_guides_job_is_told_as_the_guide_says(program):
    text = (ROOT / "docs/how-to/lineage.md").read_text()
    [job] = re.findall(r"^`sales.yaml`:\n\n```yaml\n(.*?)^```", text, re.M | re.S)
    raw = program.folder / "raw"
    raw.mkdir()
    (raw / "orders.csv").write_text("id,customer,price,state\n1,7,2.50,open\n")
    (raw / "customers.csv").write_text("id,name,email\n7,Zoë,z@x.org\n")
    path = program.folder / "sales.yaml"
    path.write_text(job.replace("/data/raw", str(raw)).replace("/lake/shop", str(program.lake)))
    shown = (
        program.ok("lineage", path).replace(str(raw), "/data/raw").replace(str(program.lake), "/lake/shop")
    )
    # The columns of the table are as wide as the folders' names.
    told = [re.sub(r" {2,}", "  ", line.strip()) for line in shown.splitlines()]
    [block] = re.findall(r"^\$ longshore lineage sales.yaml\n(.*?)^```", text, re.M | re.S)
    assert told == [re.sub(r" {2,}", "  ", line.strip()) for line in block.splitlines()]


def test_checks_are_told_as_assertions_of_what_is_written(program, collector):
    checks = [{"not_null": ["name"]}, {"range": {"column": "id", "max": 2}, "severity": "warn"}]
    event = event_of(program, rows_job(program, checks=checks), collector)
    [written] = event["outputs"]
    assertions = written["facets"]["dataQualityAssertions"]["assertions"]
    assert [(each["assertion"], each["success"]) for each in assertions] == [
        ("not_null", True),
        ("range", False),
    ]
    assert assertions[1]["severity"] == "warn" and "1 of 3 rows fail" in assertions[1]["actual"]
    checks[1]["severity"] = "fail"
    program.refused("run", rows_job(program, checks=checks), env=env(collector))
    event = told(collector)[-1]
    assert event["eventType"] == "FAIL"
    assert not event["outputs"][0]["facets"]["dataQualityAssertions"]["assertions"][1]["success"]
