"""Executors on machines of their own, as far as the network is concerned: each is in a namespace."""

import os
import signal
import time

import pyarrow.parquet
import pytest

from support.cluster import Cluster
from support.gate import CHUNKS, arrived, begun, gated_job, staged
from support.proxy import Proxy
from support.wait import wait_for

#: `make cluster-faults` pauses for a minute.
PAUSE_SECS = int(os.environ.get("PAUSE_SECS", "17"))


@pytest.fixture
def cluster(program, cache, switch):
    """An executor on each machine of the switch; scheduler and driver are where the switch is."""
    machines = switch.machines
    others = [machine.address for machine in machines]
    cluster = Cluster(program.folder / "cluster", cache, switch.address, others)
    program.use(cluster)
    for machine in machines:
        cluster.start_executor(before=machine.prefix)
    cluster.grow(0)
    yield cluster
    cluster.end()


@pytest.fixture
def job(program, server, switch):
    """A job whose source both machines reach."""
    with Proxy(server.port, address=switch.address) as proxy:
        url = f"postgres://postgres@{switch.address}:{proxy.port}/postgres"
        yield gated_job(program, server, source={"url": url})


def test_executors_on_other_machines_send_rows_to_each_other(program, cluster):
    sql = "SELECT l_shipmode, count(*) AS n FROM data GROUP BY 1 ORDER BY 1"
    source = {"url": "tpch:", "scale": 0.02, "text_mib": 1}
    job = program.job(source, tables=["lineitem"], transform=[{"sql": sql}], chunk={"rows": 10_000})
    assert program.report("run", job)["rows"] == 7
    table, alone = program.lake / "lineitem", program.alone("run", job)
    assert alone["rows"] == 7
    assert pyarrow.parquet.read_table(table) == pyarrow.parquet.read_table(program.lake / "lineitem_v2")


def test_a_machine_that_is_cut_off_costs_no_row_and_may_come_back(program, cluster, gate, job, switch):
    run = begun(program, job, gate, chunks=4)
    switch.machines[0].cut()
    gate.open()
    assert run.wait(120) == 0
    arrived(program)
    details = program.report("runs", "show", program.report("runs")[0]["run"])
    lost, other = details["executors"]
    assert lost["failed"] > 0 and other["done"] >= CHUNKS - lost["done"], details["executors"]
    switch.machines[0].mend()
    # It is alone now, and works for the next run.
    cluster.executors[1].kill()
    assert program.report("run", job)["rows"] == CHUNKS * 100


def test_a_machine_that_is_paused_for_long_harms_nothing(program, cluster, gate, job):
    run = begun(program, job, gate, chunks=4)
    cluster.executors[0].send(signal.SIGSTOP)
    gate.open()
    began = time.monotonic()
    assert run.wait(120) == 0
    arrived(program)
    time.sleep(max(0, PAUSE_SECS - (time.monotonic() - began)))
    cluster.executors[0].send(signal.SIGCONT)
    # What it had in hand is nobody's: it removes that when it learns so, and leaves the source.
    wait_for(lambda: not gate.readers() and not staged(program))
    arrived(program)
    assert cluster.executors[0].process.poll() is None
