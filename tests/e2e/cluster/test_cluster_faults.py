"""Whatever is lost in the middle of a run, each row arrives once."""

import json
import signal
import subprocess

import pyarrow.parquet

from support.gate import CHUNKS, arrived, begun, gated_job, staged
from support.longshore import runs
from support.wait import wait_for


def ended(process, seconds=120):
    assert process.wait(seconds) == 0


def test_an_executor_that_is_killed_costs_no_row(program, cluster, gate, job):
    cluster.grow(2, slots=2)
    run = begun(program, job, gate, chunks=4)
    cluster.executors[0].kill()
    gate.open()
    ended(run)
    arrived(program)


def test_an_executor_that_is_paused_is_not_waited_for_and_harms_nothing_when_it_comes_back(
    program, cluster, gate, job
):
    cluster.grow(2, slots=2)
    run = begun(program, job, gate, chunks=4)
    paused = cluster.executors[0]
    paused.send(signal.SIGSTOP)
    gate.open()
    ended(run)
    arrived(program)
    paused.send(signal.SIGCONT)
    # It learns that nobody waits, removes what it had in hand, and serves on.
    wait_for(lambda: not gate.readers() and not staged(program))
    arrived(program)
    assert paused.process.poll() is None
    other = program.postgres(gate.server, name="again.yaml", tables=["numbers"])
    assert program.report("run", other)["rows"] == CHUNKS * 100
    again = pyarrow.parquet.read_table(program.lake / "numbers_v2")
    assert again.num_rows == CHUNKS * 100


def test_executors_that_are_killed_and_paused_bring_each_row_into_a_sink_once(
    program, cluster, gate, server, database
):
    cluster.grow(3, slots=2)
    run = begun(program, gated_job(program, server, target=database.target()), gate, chunks=4)
    killed, paused, _ = cluster.executors
    killed.kill()
    paused.send(signal.SIGSTOP)
    gate.open()
    ended(run)
    once = (CHUNKS * 100, CHUNKS * 100)
    assert database.rows("SELECT count(*), count(DISTINCT id) FROM numbers") == [once]
    paused.send(signal.SIGCONT)
    # What it had in hand finds no place any more.
    wait_for(lambda: not gate.readers())
    assert database.rows("SELECT count(*), count(DISTINCT id) FROM numbers") == [once]
    assert database.tables() == ["numbers"]


def test_a_scheduler_that_is_killed_and_started_again_is_enough(program, cluster, gate, job):
    cluster.grow(2, slots=1)
    run = begun(program, job, gate)
    cluster.scheduler.kill()
    gate.open()
    silence = f"{cluster.url} does not answer: waiting for it"
    for executor in cluster.executors:
        wait_for(lambda executor=executor: silence in executor.said())
    cluster.start_scheduler()
    ended(run)
    arrived(program)
    for executor in cluster.executors:
        # Once, and not each time that it asks.
        assert executor.said().count(silence) == 1 and "poll work loop" not in executor.said()


def test_a_run_whose_driver_is_killed_resumes(program, cluster, gate, job):
    cluster.grow(2, slots=1)
    run = begun(program, job, gate, "--run-key", "nightly")
    run.kill()
    run.wait()
    gate.open()
    report = program.report("run", "--run-key", "nightly", job)
    assert report["rows"] == CHUNKS * 100
    arrived(program)
    assert [run["state"] for run in runs(program)] == ["succeeded"]


def test_two_runs_share_the_executors(program, cluster, gate, job, server):
    cluster.grow(2, slots=2)
    first = begun(program, job, gate)
    relation = {"query": "SELECT id FROM numbers", "chunk_by": "id", "as": "others"}
    other = program.postgres(server, name="other.yaml", relations=[relation], chunk={"rows": 100})
    second = program.start("run", other)
    gate.open()
    ended(first)
    ended(second)
    assert pyarrow.parquet.read_table(program.lake / "others").num_rows == CHUNKS * 100
    assert pyarrow.parquet.read_table(program.lake / "numbers").num_rows == CHUNKS * 100


def test_a_cancelled_run_leaves_neither_files_nor_queries(program, cluster, gate, job):
    cluster.grow(2, slots=2)
    run = begun(program, job, gate, chunks=4)
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
    wait_for(lambda: gate.waiting() == 0, seconds=20)
    assert [run["state"] for run in runs(program)] == ["cancelled"]
    assert program.published() == []
    # Not even an empty folder, once the executors know.
    wait_for(lambda: not list(program.lake.rglob("*")), seconds=20)


def test_an_executor_that_is_told_to_stop_ends_what_it_has(program, cluster, gate, job):
    cluster.grow(2, slots=2)
    run = begun(program, job, gate, chunks=4)
    cluster.executors[0].send(signal.SIGTERM)
    wait_for(lambda: "no more work is taken" in cluster.executors[0].said())
    gate.open()
    assert cluster.executors[0].ended() == 0
    ended(run)
    arrived(program)


def test_an_executor_that_gives_up_tells_the_driver(program, cluster, gate, job):
    cluster.start_executor("--drain-secs", "0")
    cluster.grow(1, slots=2)
    run = begun(program, job, gate, chunks=4)
    cluster.executors[0].send(signal.SIGTERM)
    assert cluster.executors[0].ended() == 0
    gate.open()
    ended(run)
    arrived(program)
    [shown] = runs(program)
    attempts = json.loads(program.ok("--json", "runs", "show", shown["run"]))["attempts"]
    told = [attempt for attempt in attempts if "was told to stop" in json.dumps(attempt)]
    assert len(told) == 2, attempts


#: Has each part wait for the disk, longer than an executor may be silent.
SLOW_DISK = """
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int slow(int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    if (strstr(path, "/part-")) sleep(17);
    return 0;
}
int fsync(int file) { return slow(file); }
int fdatasync(int file) { return slow(file); }
"""


def test_an_executor_that_waits_for_its_disk_is_not_taken_for_lost(program, cluster):
    source, library = program.folder / "slow.c", program.folder / "slow.so"
    source.write_text(SLOW_DISK)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    cluster.grow(1, env={"LD_PRELOAD": str(library)})
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])
    run = program.report("run", job)["run"]
    attempts = json.loads(program.ok("--json", "runs", "show", run))["attempts"]
    assert attempts == [], "those that failed"


def test_an_error_of_the_source_has_its_class_and_is_not_tried_again(program, cluster, server):
    cluster.grow(1)
    relation = {"query": "SELECT 1 / (id - 5) AS x FROM generate_series(1, 9) AS t (id)", "as": "x"}
    job = program.postgres(server, relations=[relation])
    done = program.call("--json", "run", job)
    error = json.loads(done.stdout)["error"]
    assert (error["class"], error["code"]) == ("data", "22012"), error
    assert done.returncode == 4
    alone = program.call("--json", "run", job, env={"LONGSHORE_CLUSTER": ""})
    assert json.loads(alone.stdout)["error"]["message"] == error["message"]


def test_an_executor_without_room_leaves_its_work_to_others(program, cluster, disk):
    """Rows that executors send to each other lie on their disks meanwhile."""
    cluster.grow(1, slots=1)
    cluster.grow(1, slots=2, env={"LONGSHORE_STATE": str(disk)})
    sort = {"sql": "SELECT * FROM data ORDER BY l_comment, l_orderkey, l_linenumber"}
    source = {"url": "tpch:", "scale": 0.05, "text_mib": 1}
    job = program.job(source, tables=["lineitem"], transform=[sort], chunk={"rows": 20_000})
    report = program.report("run", job)
    program.alone("run", job)
    many, one = (pyarrow.parquet.read_table(program.lake / name) for name in ("lineitem", "lineitem_v2"))
    assert many == one
    failed = program.report("runs", "show", report["run"])["attempts"]
    assert failed and all("no storage space" in attempt["error"] for attempt in failed), failed
    assert "no more work is taken for 30 s" in cluster.executors[1].said()
