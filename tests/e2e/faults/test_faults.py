"""Stores that fail in the middle of a run: it ends in success or in a clear error, and never hangs."""

import contextlib
import json
import os
import random
import signal
import subprocess
import time

import pytest

from support.daemon import reports_of
from support.proxy import FaultyHttp
from support.stores import S3, Hdfs, HdfsKerberos, HdfsPair, Sftp, job, rows, visible
from support.wait import wait_for

#: Enough rows to be caught in the middle.
BUSY = {"url": "tpch:", "scale": 1, "text_mib": 1}
BUSY_ROWS = 1_500_000

#: Dropped at once; `make soak` drops a thousand.
JOBS = int(os.environ.get("JOBS", 200))


def through(proxy, lake):
    """The lake, by way of a proxy."""
    other = S3()
    other.port = proxy.port
    other.target = lambda path, **options: S3.target(other, path, **options)
    return other


def test_s3_that_answers_500_and_503_and_cuts_connections_costs_only_time(program, s3):
    dice = random.Random(4)
    faults = [None] * 12 + [(500, b""), (503, b"<Error><Code>SlowDown</Code></Error>"), "cut", "lose"]
    with FaultyHttp(s3.port, lambda *_: dice.choice(faults)) as proxy:
        file = job(program, through(proxy, s3), "faulty", tables=["orders", "nation"], chunk={"rows": 2_000})
        report = program.report("run", file)
        assert proxy.requests > 60
    files = s3.files("faulty")
    assert rows(files, "orders") == 15_000 and rows(files, "nation") == 25
    assert set(files) - set(visible(files)) == {f".longshore/runs/{report['run']}.json"}
    assert s3.open_uploads() == []


def test_expired_credentials_end_a_run_at_once_and_clearly(program, s3):
    expired = (
        400,
        b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
    )
    with FaultyHttp(s3.port, lambda number, *_: expired if number > 12 else None) as proxy:
        file = job(program, through(proxy, s3), "expired", tables=["orders"], chunk={"rows": 2_000})
        line, code = program.refused("run", file)
    assert code == 5 and "ExpiredToken" in line and "credentials" in line


def test_s3_that_is_gone_ends_a_run_in_time(program, s3):
    gone = {"AWS_MAX_ATTEMPTS": "1", "LONGSHORE_RETRIES": "0"}
    with FaultyHttp(s3.port, lambda number, *_: "cut" if number > 12 else None) as proxy:
        file = job(program, through(proxy, s3), "gone", tables=["orders"], chunk={"rows": 2_000})
        started = time.monotonic()
        line, code = program.refused("run", file, env=gone)
    assert code == 3 and time.monotonic() - started < 120, line
    assert visible(s3.files("gone")) == {}


@pytest.fixture(scope="module")
def hdfs(scratch):
    lake = Hdfs(nodes=3, replication=3)
    lake.start(scratch / "faulty-hdfs")
    yield lake
    lake.stop()


QUICK_HDFS = {"settings": {"dfs.client.socket-timeout": "3000", "ipc.client.connect.max.retries": "1"}}
PATIENT = {"LONGSHORE_RETRY_BACKOFF_MILLIS": "1000"}


def is_written(lake, folder):
    """Whether there are parts in staging."""
    try:
        paths = lake.files(folder)
    except FileNotFoundError:
        # What holds a name goes from staging to its place: not yet.
        return False
    return any("staging" in path and ".mark" not in path for path in paths)


def begun(program, lake, folder, env=PATIENT, **options):
    """A run that has begun to write."""
    target = {"hdfs": QUICK_HDFS, **options} if isinstance(lake, Hdfs) else options
    file = job(program, lake, folder, source=BUSY, tables=["orders"], chunk={"rows": 50_000}, target=target)
    run = program.start("--json", "run", file, env=env)
    wait_for(lambda: is_written(lake, folder))
    return run


@contextlib.contextmanager
def frozen(run):
    """The run stands still meanwhile: what takes a JVM's time to arrange still meets it in the middle."""
    run.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        run.send_signal(signal.SIGCONT)


def ended_well(lake, folder, run, program):
    assert run.wait(200) == 0, (program.folder / "daemon.log").read_text()[-3000:]
    files = lake.files(folder)
    assert rows(files, "orders") == BUSY_ROWS
    assert [path for path in files if "staging" in path or "names" in path] == []


def test_a_data_node_that_dies_costs_only_time(program, hdfs):
    run = begun(program, hdfs, "dead-node")
    hdfs.signal("datanode0", signal.SIGKILL)
    ended_well(hdfs, "dead-node", run, program)
    hdfs.start_datanode(0)
    hdfs.wait_usable()


def test_a_data_node_that_does_not_answer_costs_only_time(program, hdfs):
    run = begun(program, hdfs, "mute-node")
    hdfs.signal("datanode1", signal.SIGSTOP)
    try:
        ended_well(hdfs, "mute-node", run, program)
    finally:
        hdfs.signal("datanode1", signal.SIGCONT)
        hdfs.wait_usable()


def test_a_name_node_that_comes_back_costs_only_time(program, hdfs):
    run = begun(program, hdfs, "dead-name")
    hdfs.signal("namenode", signal.SIGKILL)
    time.sleep(1)
    hdfs.start_namenode()
    ended_well(hdfs, "dead-name", run, program)
    hdfs.wait_usable()


def test_safe_mode_is_waited_for(program, hdfs):
    run = begun(program, hdfs, "safe")
    with frozen(run):
        hdfs.safe_mode("enter")
    time.sleep(1)
    hdfs.safe_mode("leave")
    ended_well(hdfs, "safe", run, program)


def test_a_quota_that_is_spent_ends_a_run_clearly(program, hdfs):
    hdfs.shell("-mkdir", "-p", "/quota")
    hdfs.java("org.apache.hadoop.hdfs.tools.DFSAdmin", "-setQuota", "12", "/quota")
    file = job(
        program, hdfs, "quota/shop", tables=["orders"], chunk={"rows": 500}, target={"hdfs": QUICK_HDFS}
    )
    line, code = program.refused("run", file, env={"LONGSHORE_RETRIES": "1"})
    assert code == 6 and "quota" in line and "\tat " not in line, line
    assert visible(hdfs.files("quota/shop")) == {}


def test_a_permission_that_is_taken_away_ends_a_run_clearly(program, hdfs):
    hdfs.shell("-mkdir", "-p", "/mine")
    hdfs.shell("-chown", "alice", "/mine")
    env = {"HADOOP_USER_NAME": "alice"}
    run = begun(program, hdfs, "mine", env)
    with frozen(run):
        hdfs.shell("-chmod", "-R", "000", "/mine")
    assert run.wait(120) == 5
    told = (program.folder / "daemon.log").read_text()
    assert "Permission denied" in told and "grant the permission in HDFS" in told and "\tat " not in told


@pytest.mark.hdfs
def test_a_failover_between_name_nodes_costs_only_time(program, scratch):
    pair = HdfsPair()
    pair.start(scratch / "hdfs-pair")
    try:
        run = begun(program, pair, "pair")
        with frozen(run):
            pair.fail_over("nn1", "nn2")
        ended_well(pair, "pair", run, program)
        # And where the first one is dead.
        pair.signal("nn1", signal.SIGKILL)
        file = job(program, pair, "pair2", tables=["nation"])
        program.ok("run", file)
        assert rows(pair.files("pair2"), "nation") == 25
    finally:
        pair.stop()


@pytest.mark.hdfs
@pytest.mark.kerberos
def test_kerberos_lets_in_who_has_a_ticket_or_a_keytab_and_nobody_else(program, scratch):
    lake = HdfsKerberos()
    lake.start(scratch / "kerberos")
    try:
        nn = ["kinit", "-k", "-t", lake.folder / "nn_localhost.kt", "nn/localhost"]
        env = {**lake.env, "KRB5CCNAME": f"FILE:{program.folder}/tickets"}
        subprocess.run(nn, env={**os.environ, **env}, check=True)
        file = job(program, lake, "by-ticket", tables=["nation"])
        program.ok("run", file, env=env)
        assert "intact" in program.ok(
            "verify",
            json.loads(program.ok("--json", "runs"))[0]["report"]["manifest"],
            "--job",
            file,
            env=env,
        )
        keytab = {"principal": "nn/localhost@EXAMPLE.TEST", "keytab": str(lake.folder / "nn_localhost.kt")}
        file = job(program, lake, "by-keytab", tables=["nation"], target={"hdfs": keytab})
        nobody = {**lake.env, "KRB5CCNAME": f"FILE:{program.folder}/none"}
        program.ok("run", file, env=nobody)
        file = job(program, lake, "by-nobody", tables=["nation"])
        line, code = program.refused("run", file, env=nobody)
        assert code == 5 and "klist" in line, line
    finally:
        lake.stop()


@pytest.fixture(scope="module")
def sftp(scratch):
    lake = Sftp()
    lake.start(scratch / "faulty-sftp")
    yield lake
    lake.stop()


def test_an_sftp_server_that_restarts_costs_only_time(program, sftp):
    run = begun(program, sftp, "restart")
    subprocess.run(["pkill", "-P", str(sftp.server.pid)])
    sftp.stop()
    time.sleep(1)
    sftp.serve()
    ended_well(sftp, "restart", run, program)


def test_an_sftp_server_with_another_key_is_refused(program, sftp):
    target = sftp.target("other")
    other = program.folder / "known_hosts"
    other.write_text(
        (sftp.folder / "known_hosts").read_text().replace("AAAAC3", "AAAAC3")[:-30] + "A" * 29 + "\n"
    )
    other.write_text("")
    target["sftp"]["known_hosts"] = str(other)
    line, code = program.refused(
        "run", program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], target=target)
    )
    assert code == 5 and "not in" in line and "ssh-keyscan" in line


def test_an_sftp_key_that_is_not_let_in_is_refused(program, sftp):
    key = program.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "words", "-f", key], check=True)
    target = sftp.target("refused")
    target["sftp"] |= {"key_file": str(key), "key_passphrase": "words"}
    file = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], target=target)
    line, code = program.refused("run", file)
    assert code == 5 and "refused to let us in" in line
    target["sftp"]["key_passphrase"] = "wrong"
    file = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], target=target)
    line, code = program.refused("run", file)
    assert code == 2 and "key_file" in line and "words" not in line


def test_an_sftp_agent_lets_us_in(program, sftp):
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    agent = dict(part.split("=") for part in started.replace("\n", "").split(";") if "=" in part)
    try:
        subprocess.run(["ssh-add", "-q", sftp.folder / "user"], check=True, env={**os.environ, **agent})
        target = sftp.target("agent")
        del target["sftp"]["key_file"]
        file = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"], target=target)
        program.ok("run", file, env=agent)
    finally:
        os.kill(int(agent["SSH_AGENT_PID"]), signal.SIGTERM)
    assert rows(sftp.files("agent"), "nation") == 25


@pytest.fixture
def small_disk(program):
    """A disk of a few MiB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small disk")
    folder = program.folder / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_ends_a_run_clearly_wherever_it_is(program, small_disk):
    quick = {"LONGSHORE_RETRIES": "1", "LONGSHORE_RETRY_BACKOFF_MILLIS": "10"}
    file = program.job(BUSY, tables=["orders"], target={"url": f"file://{small_disk}/lake"})
    line, code = program.refused("run", file, env=quick)
    assert code == 6 and "No space left" in line and "make room" in line
    assert not list(small_disk.rglob("*.parquet"))
    # The ledger's own disk.
    (small_disk / "filler").write_bytes(b"x" * ((8 << 20) - (700 << 10)))
    file = program.job({"url": "tpch:", "scale": 0.1, "text_mib": 1}, tables=["orders"], chunk={"rows": 50})
    line, code = program.refused("--state", small_disk / "state", "run", file, env=quick)
    assert code == 6 and "the ledger" in line and "make room where the state folder is" in line, line
    assert program.published() == []


def test_hundreds_of_jobs_at_once_are_each_run_once(program, flights):
    inbox = program.folder / "inbox"
    # Without holders, which would be most of the time.
    daemon = program.start("--hold-secs", "0", "serve", "--inbox", inbox, "--jobs", "4")
    try:
        wait_for(lambda: (inbox / "failed").exists())
        text = program.postgres(flights, tables=["airlines"]).read_text()
        for number in range(JOBS):
            (program.folder / "next").write_text(text.replace("lake", f"lake/{number}"))
            (program.folder / "next").rename(inbox / f"job{number}.yaml")
        wait_for(lambda: len(reports_of(inbox, "done")) >= JOBS, 1.0 * JOBS)
    finally:
        daemon.terminate()
        assert daemon.wait(120) == 0
    assert len(list((inbox / "done").glob("*.yaml"))) == JOBS
    assert not list((inbox / "failed").iterdir()) and not list((inbox / "running").iterdir())
    for number in range(JOBS):
        assert [path.name for path in sorted((program.lake / str(number)).iterdir())] == [
            ".longshore",
            "airlines",
        ]
    assert len(json.loads(program.ok("--json", "runs", "--limit", str(2 * JOBS)))) == JOBS
