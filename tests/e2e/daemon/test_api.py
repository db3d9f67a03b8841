"""The HTTP API: jobs are submitted, runs are looked at, followed, cancelled and tried again."""

import json
import signal
import stat

import pytest

from support.api import Api, Unix, serving
from support.endpoint import held
from support.longshore import only, rows_job
from support.wait import wait_for


@pytest.fixture
def api(program):
    daemon, api = serving(program)
    api.daemon = daemon
    yield api
    daemon.stop(signal.SIGKILL)


@pytest.fixture
def sink_api(program):
    """The same, with the sink that a gate holds."""
    daemon, api = serving(only(program, "http-sink"))
    api.daemon = daemon
    yield api
    daemon.stop(signal.SIGKILL)


def under_way(api):
    """The one run that is under way."""
    return wait_for(lambda: api.get("/overview")["active"])[0]["run"]


def test_a_job_is_submitted_and_its_run_looked_at(api, program):
    job = rows_job(program)
    run = api.submit(job, requested := "nightly", key="k1")["run"]
    shown = api.ended(run)
    assert (shown["state"], shown["job"], shown["report"]["rows"]) == ("succeeded", requested, 3)
    assert shown["trigger"]["kind"] == "api" and shown["trigger"]["requested_by"] == "api-token"
    assert [phase["phase"] for phase in shown["phases"]] == [
        "queued",
        "planning",
        "reading",
        "committing",
        "succeeded",
    ]
    assert shown["relations"] == [
        {"name": requested, "chunks": 1, "done": 1, "rows": 3, "bytes": shown["relations"][0]["bytes"]}
    ]
    assert api.get(f"/runs/{run}/chunks")["relations"] == [
        {"name": requested, "chunks": 1, "states": "d", "attempts": []}
    ]
    [attempt] = api.get(f"/runs/{run}/chunks/{requested}/0")["attempts"]
    assert attempt["finished"] and not attempt["error"]
    assert api.get(f"/runs/{run}/manifest")["rows"] == 3
    lines = api.get(f"/runs/{run}/log")["lines"]
    assert any("taken" in line["text"] for line in lines), lines
    [listed] = api.get("/runs")["runs"]
    assert listed["run"] == run and "relations" not in listed["report"]
    assert api.get("/overview")["counts"]["succeeded"] == 1


def test_runs_are_listed_page_by_page_and_filtered(api, program):
    runs = [api.ended(api.submit(rows_job(program), f"job{n}")["run"])["run"] for n in range(5)]
    bad = api.submit(program.job({"url": "file:///nowhere/at-all.csv"}), "bad")["run"]
    assert api.ended(bad)["state"] == "failed"
    found, cursor = [], ""
    while cursor is not None:
        page = api.get(f"/runs?limit=2{cursor and f'&cursor={cursor}'}")
        found += [run["run"] for run in page["runs"]]
        cursor = page["next"]
    assert found == [bad, *reversed(runs)]
    names = lambda query: [run["job"] for run in api.get(f"/runs?{query}")["runs"]]
    assert names("state=failed") == ["bad"] and names("job=job3") == ["job3"]
    assert names("search=JOB1") == ["job1"] and names("state=running") == []
    assert names("since=2100-01-01T00:00:00Z") == [] and len(names("until=2100-01-01T00:00:00Z")) == 6


def test_a_job_that_cannot_be_read_is_refused_and_no_run_begins(api):
    body = {"name": "bad", "document": "tabels: [x]\n"}
    error = api.post("/runs", body, 422)["error"]
    assert error["class"] == "config" and error["owner"] == "the job's owner"
    assert error["next_step"] == "did you mean `tables`?"
    assert api.get("/runs")["runs"] == []


def test_a_key_asks_once_whatever_happens(program):
    daemon, api = serving(program)
    job = rows_job(program)
    try:
        first = api.submit(job, key="night-1")
        daemon.stop(signal.SIGKILL)
        daemon.start()
        api = Api(program)
        again = api.submit(job, key="night-1", expected=200)
        assert again == {"run": first["run"], "is_new": False}
        body = {"name": "shop", "document": job.read_text()}
        header = {"Idempotency-Key": "night-1"}
        assert api.post("/runs", body, 200, headers=header)["run"] == first["run"]
        other = {**body, "document": job.read_text() + "\n# another\n"}
        assert "another job" in api.post("/runs", other, 409, headers=header)["error"]["message"]
        assert api.ended(first["run"])["state"] == "succeeded"
        assert len(api.get("/runs")["runs"]) == 1
    finally:
        daemon.stop(signal.SIGKILL)


def test_events_are_followed_and_resumed_across_a_restart_without_a_gap(program):
    daemon, api = serving(program)
    try:
        stream = api.events()
        first = api.submit(rows_job(program), "first")["run"]
        seen = stream.until(lambda e: e["data"] and e["name"] == "run" and e["data"]["phase"] == "succeeded")
        seen = [event for event in seen if event["name"] == "run"]
        assert [event["data"]["phase"] for event in seen] == [
            "queued",
            "planning",
            "reading",
            "committing",
            "succeeded",
        ]
        assert {event["data"]["run"] for event in seen} == {first}
        stream.close()
        missed = api.submit(rows_job(program), "missed")["run"]
        api.ended(missed)
        daemon.stop()
        daemon.start()
        api = Api(program)
        last = {"Last-Event-ID": str(seen[1]["id"])}
        stream = api.events(headers=last)
        after = api.submit(rows_job(program), "after")["run"]
        is_end = lambda e: e["name"] == "run" and e["data"]["run"] == after
        resumed = stream.until(lambda e: is_end(e) and e["data"]["phase"] == "succeeded")
        resumed = [event for event in resumed if event["name"] == "run"]
        phases = [(event["data"]["run"], event["data"]["phase"]) for event in resumed]
        all_phases = ["queued", "planning", "reading", "committing", "succeeded"]
        expected = [(first, phase) for phase in all_phases[2:]]
        expected += [(run, phase) for run in [missed, after] for phase in all_phases]
        assert phases == expected
        ids = [event["id"] for event in resumed]
        assert ids == sorted(set(ids))
        one = api.events(f"/events?run={missed}&after=0")
        events = one.until(lambda e: e["name"] == "run" and e["data"]["phase"] == "succeeded")
        assert {event["data"]["run"] for event in events if event["name"] == "run"} == {missed}
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_run_whose_chunk_hangs_is_cancelled(sink_api, gate):
    api = sink_api
    held(api.daemon, gate)
    run = under_way(api)
    now = api.post(f"/runs/{run}/cancel", {"deadline_seconds": 0})
    assert now["is_over"] or now["alive"] == ["chunk 0 of held"], now
    assert api.ended(run)["state"] == "cancelled"
    status, _, body = api.call("POST", f"/api/v1/runs/{run}/cancel")
    assert status == 409 and "cancelled" in body["error"]["message"]


def test_a_cancel_waits_for_the_end(sink_api, gate):
    held(sink_api.daemon, gate)
    run = under_way(sink_api)
    answer = sink_api.post(f"/runs/{run}/cancel")
    assert answer == {"state": "cancelled", "is_over": True, "alive": []}


def test_a_cancel_right_after_the_submit_is_not_lost(api, program):
    job = rows_job(program)
    for _ in range(20):
        run = api.submit(job)["run"]
        status, _, _ = api.call("POST", f"/api/v1/runs/{run}/cancel")
        # What was over by then cannot be cancelled, and is not said to be.
        state = api.ended(run)["state"]
        assert (status, state) in [(200, "cancelled"), (409, "succeeded")]


def test_progress_is_told_while_a_run_is_under_way(sink_api, gate):
    stream = sink_api.events()
    held(sink_api.daemon, gate)
    run = under_way(sink_api)
    told = stream.until(lambda e: e["name"] == "progress" and e["data"] and e["data"][0]["relations"])[-1]
    [active] = told["data"]
    assert active["run"] == run and active["relations"][0]["name"] == "held"
    assert sink_api.get(f"/runs/{run}")["progress"]["relations"][0]["chunks"] == 1
    assert sink_api.get(f"/runs/{run}/chunks")["relations"][0]["states"] == "r"
    gate.open.set()
    assert sink_api.ended(run)["state"] == "succeeded"


def test_a_failed_run_is_tried_again_and_a_good_one_is_not(api, program):
    rows = program.folder / "late.csv"
    failed = api.submit(program.job({"url": f"file://{rows}"}))["run"]
    assert api.ended(failed)["state"] == "failed"
    rows.write_text("id\n1\n")
    again = api.post(f"/runs/{failed}/retry", expected=201)["run"]
    shown = api.ended(again)
    assert shown["state"] == "succeeded" and shown["trigger"]["kind"] == "retry"
    assert api.post(f"/runs/{again}/retry", expected=409)["error"]["class"] == "config"


def test_what_is_not_there_is_not_found(api):
    for path in ["/runs/nothing", "/runs/nothing/chunks", "/runs/nothing/manifest", "/nothing"]:
        status, _, body = api.call("GET", f"/api/v1{path}")
        assert status == 404 and body["error"]["class"] == "not-found", path
    assert api.call("POST", "/api/v1/runs/nothing/cancel")[0] == 404


def test_jobs_are_validated_planned_and_previewed_as_commands_do(api, program):
    job = rows_job(program)
    text, yaml = job.read_text(), {"Content-Type": "application/yaml"}
    assert api.post("/jobs/validate", text, headers=yaml) == {"valid": True, "warnings": []}
    wrong = api.post("/jobs/validate", text + "tabels: [x]\n", headers=yaml)
    assert not wrong["valid"] and wrong["error"]["line"] == text.count("\n") + 1
    plan = api.post("/jobs/plan", text, headers=yaml)
    named = json.loads(program.ok("--json", "plan", job))
    assert plan["relations"][0]["columns"] == named["relations"][0]["columns"]
    [preview] = api.post("/jobs/preview?rows=2", text, headers=yaml)["relations"]
    assert [column["name"] for column in preview["columns"]] == ["id", "name"]
    assert preview["rows"] == [["1", "one"], ["2", "two"]]
    assert api.post("/sources/test", text, headers=yaml)["ok"]
    with_parameter = program.job(
        {"url": f"file://{program.folder}/rows.csv"},
        "parameters.yaml",
        parameters={"least": {"type": "integer"}},
        transform=[{"sql": "SELECT * FROM data WHERE id >= {{ least }}"}],
    ).read_text()
    [preview] = api.post("/jobs/preview?param.least=3", with_parameter, headers=yaml)["relations"]
    assert preview["rows"] == [["3", "three"]]
    assert "least" in api.post("/jobs/plan", with_parameter, 422, headers=yaml)["error"]["message"]


def test_no_answer_holds_a_secret(api, program):
    secret = "hunter2hunter2"
    source = {"url": f"postgres://reader:{secret}@127.0.0.1:1/x"}
    job = program.job(source, tables=["t"])
    yaml = {"Content-Type": "application/yaml"}
    answers = [
        api.call("POST", f"/api/v1/{path}", job.read_text(), yaml)
        for path in ["jobs/validate", "jobs/plan", "jobs/preview", "sources/test"]
    ]
    source = {"url": "postgres://reader@127.0.0.1:1/x", "password": secret}
    job = program.job(source, tables=["t"])
    answers += [
        api.call("POST", f"/api/v1/{path}", job.read_text(), yaml)
        for path in ["jobs/validate", "jobs/plan", "jobs/preview", "sources/test"]
    ]
    run = api.submit(job)["run"]
    wait_for(lambda: api.get(f"/runs/{run}/log")["lines"])
    for path in ["/runs", f"/runs/{run}", f"/runs/{run}/log", f"/runs/{run}/chunks", "/overview", "/audit"]:
        answers.append(api.get(path))
    stream = api.events("/events?after=0")
    answers.append(stream.next())
    assert secret not in json.dumps([str(answer) for answer in answers])


def test_plugins_are_listed_locked_and_installed_only_if_the_policy_allows(program):
    policy = program.folder / "policy.toml"
    policy.write_text("")
    daemon, api = serving(only(program, "http-sink"), "--policy", policy)
    reference = {"reference": "oci://127.0.0.1:1/plugins/none:1"}
    try:
        [plugin] = api.get("/plugins")["plugins"]
        assert (plugin["name"], plugin["kind"], plugin["error"]) == ("http-sink", "sink", None)
        [locked] = api.post("/plugins/lock")["plugins"]
        assert locked["digest"] == plugin["digest"]
        assert plugin["digest"] in (program.folder / "plugins/plugins.lock").read_text()
        assert "remote_install" in api.post("/plugins/install", reference, 403)["error"]["next_step"]
        policy.write_text("remote_install = true\n")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: api.call("POST", "/api/v1/plugins/install", reference)[0] == 424)
        # Files are those of the daemon's machine.
        assert api.post("/plugins/install", {"reference": "/etc/passwd"}, 400)
    finally:
        daemon.stop(signal.SIGKILL)


def test_the_socket_lets_only_its_owner_in(program):
    daemon, _ = serving(program)
    try:
        path = program.folder / "state/api.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        connection = Unix(path)
        connection.request("GET", "/api/v1/session")
        assert json.loads(connection.getresponse().read()) == {"name": "local user", "role": "admin"}
    finally:
        daemon.stop(signal.SIGKILL)
    assert stat.S_IMODE((program.folder / "state/api-token").stat().st_mode) == 0o600


def test_the_document_is_the_one_that_is_published(api):
    status, _, document = api.call("GET", "/api/v1/openapi.json", token=False)
    assert status == 200 and document["openapi"] == "3.1.0"
    assert api.call("GET", "/health", token=False)[2] == {"status": "ok"}
    assert api.call("GET", "/ready", token=False)[2] == {"status": "ready"}


def test_a_run_is_tried_again_once_however_often_that_is_asked(api, program):
    job = program.job({"url": f"file://{program.folder}/nowhere.csv"})
    run = api.submit(job)["run"]
    assert api.ended(run)["state"] == "failed"
    again = api.post(f"/runs/{run}/retry", expected=201)["run"]
    assert api.post(f"/runs/{run}/retry", expected=200)["run"] == again
    assert again in program.ok("runs", "retry", run)


def test_a_key_asks_for_one_job_with_the_same_values(api, program):
    step = {"sql": "SELECT *, {{ n }} AS n FROM data"}
    job = rows_job(program, parameters={"n": "integer"}, transform=[step])
    run = api.submit(job, key="k", parameters={"n": 1})["run"]
    assert api.submit(job, key="k", parameters={"n": 1}, expected=200)["run"] == run
    assert "another job" in api.submit(job, key="k", parameters={"n": 2}, expected=409)["error"]["message"]


def test_what_is_published_is_counted_in_the_list(api, program):
    run = api.submit(rows_job(program))["run"]
    api.ended(run)
    [listed] = api.get("/runs")["runs"]
    assert (listed["rows_read"], listed["tasks"]["chunks"], listed["tasks"]["done"]) == (3, 1, 1)


def test_a_stream_ends_when_its_token_is_revoked(api, program):
    text = program.ok("token", "create", "--name", "reader", "--role", "viewer").split()[-1]
    connection = api.connection()
    connection.request("GET", "/api/v1/events", headers={"Authorization": f"Bearer {text}"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.readline().startswith(b":")
    program.ok("token", "revoke", "reader")
    # It ends: reading comes to an end.
    answer.read()
    connection.close()


def test_no_job_reads_what_longshore_has_of_its_own(api, program):
    state = program.folder / "state"
    secret = (state / "api-token").read_text().strip()
    for step in [{"sql_file": str(state / "api-token")}, {"sql_file": "../state/api-token"}]:
        job = rows_job(program, transform=[step])
        body = {"name": "x", "document": job.read_text(), "format": "yaml"}
        status, _, answer = api.call("POST", "/api/v1/runs", body)
        assert status != 201 and secret not in json.dumps(answer), answer
        assert "no job reads it" in answer["error"]["message"]
    source = {"url": f"file://{state}", "format": "csv", "csv": {"header": False}}
    job = program.job(source, relations=[{"table": "api-token", "as": "a"}])
    _, _, answer = api.call(
        "POST", "/api/v1/jobs/preview", job.read_text(), {"Content-Type": "application/yaml"}
    )
    assert secret not in json.dumps(answer) and "no job reads it" in json.dumps(answer), answer


@pytest.mark.parametrize("path", ["/runs?jobs=a", "/runs/none?verbose=1", "/plugins?x", "/overview?a=1&b=2"])
def test_a_parameter_that_an_endpoint_does_not_know_is_refused(api, path):
    status, _, answer = api.call("GET", f"/api/v1{path}")
    assert status == 400 and "unknown field" in json.dumps(answer), answer


def test_an_unknown_schedule_is_not_found(api):
    status, _, _ = api.call("GET", "/api/v1/schedules/nosuch")
    assert status == 404
