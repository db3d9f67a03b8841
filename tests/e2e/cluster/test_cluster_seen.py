"""Who looks sees the members of a cluster, and what each does for a run."""

from support.api import Api
from support.daemon import Daemon, drop
from support.gate import CHUNKS
from support.longshore import Program
from support.metrics import Metrics
from support.ports import free_port
from support.wait import wait_for


def test_the_status_of_a_cluster_names_its_executors(program, cluster):
    empty = program.report("cluster", "status")
    assert empty["scheduler"] == cluster.url and empty["executors"] == []
    cluster.grow(2, slots=3)
    wait_for(lambda: len(program.report("cluster", "status")["executors"]) == 2)
    executors = program.report("cluster", "status")["executors"]
    assert [(one["name"], one["slots"]) for one in executors] == [("executor 0", 3), ("executor 1", 3)]
    head, titles, *lines = program.ok("cluster", "status").splitlines()
    assert head == f"{cluster.url} (Longshore {empty['version']}): 2 executors, 6 slots"
    assert titles.split() == ["EXECUTOR", "ADDRESS", "SLOTS"] and len(lines) == 2
    del program.env["LONGSHORE_CLUSTER"]
    said, code = program.refused("cluster", "status")
    assert "--cluster URL" in said and code == 2


def test_a_run_shows_what_each_executor_does(program, cluster, gate, job):
    cluster.grow(2, slots=2)
    run = program.start("run", job)
    wait_for(lambda: run.poll() is not None or gate.waiting() >= 4)
    name = program.report("runs")[0]["run"]
    executors = program.report("runs", "show", name)["executors"]
    assert executors == [
        {"executor": f"executor {number}", "running": 2, "done": 0, "failed": 0} for number in range(2)
    ]
    assert "executor executor 0: 0 done, 2 running" in program.ok("runs", "show", name)
    assert "attempt 0 on executor " in program.ok("runs", "show", name)
    gate.open()
    assert run.wait(60) == 0
    executors = program.report("runs", "show", name)["executors"]
    assert sum(one["done"] for one in executors) == CHUNKS
    assert not any(one["running"] or one["failed"] for one in executors)


def test_a_daemon_can_be_the_scheduler_and_shows_its_executors(program, cluster):
    port, server = free_port(), f"127.0.0.1:{free_port()}"
    url = f"https://127.0.0.1:{port}"
    program.env["LONGSHORE_CLUSTER"] = url
    daemon = Daemon(program, "--scheduler-listen", f"127.0.0.1:{port}", "--listen", server)
    try:
        cluster.start_executor(slots=2, scheduler=url)
        wait_for(lambda: program.report("cluster", "status")["executors"])
        job = program.job(
            {"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["orders"], chunk={"rows": 5_000}
        )
        drop(daemon, job)
        [report] = daemon.reports("done")
        api = Api(program)
        shown = api.get(f"/runs/{report['run']}")
        assert shown["executors"] == [{"executor": "executor 0", "running": 0, "done": 3, "failed": 0}]
        token = {"LONGSHORE_TOKEN": api.token}
        remote = program.ok("runs", "--server", api.url, "show", report["run"], env=token)
        assert "executor executor 0: 3 done" in remote
        attempts = api.get(f"/runs/{report['run']}/chunks/orders/0")["attempts"]
        assert [attempt["executor"] for attempt in attempts] == ["executor 0"]
        metrics = Metrics(api.call("GET", "/metrics")[2])
        metrics.lint()
        assert metrics.value("longshore_cluster_executors", cluster=url) == 1
        assert metrics.value("longshore_cluster_slots", cluster=url) == 2
        assert metrics.value("longshore_read_rows_total") == 15_000
        assert metrics.value("longshore_read_bytes_total") > 1_000_000
    finally:
        daemon.stop()


def test_a_daemon_without_clusters_says_which_program_has_them(program, cluster):
    plain = Program(program.folder, program.env["LONGSHORE_CACHE"])
    inbox = ["--inbox", program.folder / "inbox"]
    said, code = plain.refused("serve", *inbox, "--scheduler-listen", "127.0.0.1:0")
    assert "longshore-cluster" in said and code == 2
    said, code = program.refused("serve", *inbox, "--scheduler-listen", f"127.0.0.1:{cluster.port}")
    assert "--scheduler-listen" in said and "in use" in said, said


def test_the_parts_of_a_relation_made_as_a_whole_name_all_their_executors(program, cluster):
    cluster.grow(2, slots=2)
    sql = "SELECT l_shipmode, count(*) AS n FROM data GROUP BY 1"
    job = program.job(
        {"url": "tpch:", "scale": 0.02, "text_mib": 1}, tables=["lineitem"], transform=[{"sql": sql}]
    )
    report = program.report("run", job)
    details = program.report("runs", "show", report["run"])
    assert sum(one["done"] for one in details["executors"]) >= 1


def test_an_executor_is_reached_by_the_address_that_it_is_given(program, cluster):
    """As in Kubernetes, where certificates name hosts, and addresses change."""
    ports = [free_port(), free_port()]
    for port in ports:
        cluster.start_executor(slots=1, env={"LONGSHORE_CLUSTER_ADDRESS": f"localhost:{port}"})
    wait_for(lambda: len(program.report("cluster", "status")["executors"]) == 2)
    addresses = {one["address"] for one in program.report("cluster", "status")["executors"]}
    assert addresses == {f"localhost:{port}" for port in ports}
    sort = {"sql": "SELECT o_orderkey FROM data ORDER BY o_comment, o_orderkey"}
    source = {"url": "tpch:", "scale": 0.02, "text_mib": 1}
    job = program.job(source, tables=["orders"], transform=[sort], chunk={"rows": 5_000})
    assert program.report("run", job)["rows"] == 30_000
