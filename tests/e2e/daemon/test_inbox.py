"""Whatever is dropped into an inbox, and whatever becomes of its folders: the daemon lives, says it once, and goes on."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pyarrow.parquet as pq
import pytest

from support.daemon import (
    PARTS,
    PATIENCE,
    STAMP,
    Daemon,
    drop,
    endings,
    left,
    lives,
    log,
    report_of,
    serves,
    settled,
    told,
)
from support.endpoint import held
from support.longshore import LONGSHORE, NOBODY, QUICK, only, rows_job, runs
from support.wait import wait_for


def published(program, relation):
    found = list((program.lake / relation).glob("*.parquet"))
    return sum(pq.read_metadata(path).num_rows for path in found)


@pytest.fixture
def daemon(program):
    daemon = Daemon(only(program))
    yield daemon
    daemon.stop(signal.SIGKILL)


@pytest.fixture
def gated(program, gate):
    """A daemon, whose jobs end when the gate is opened."""
    daemon = Daemon(only(program, "http-sink"), "--drain-secs", "0")
    yield daemon
    gate.open.set()
    daemon.stop(signal.SIGKILL)


# Names (25, 35)

NAMES = {
    "latin 1": b"caf\xe9.yaml",
    "half a character": "shop-é".encode()[:-1] + b".yaml",
    "a byte order mark of UTF-16": b"\xff\xfeshop.yaml",
    "an overlong slash": b"a\xc0\xafb.yaml",
    "a surrogate": b"\xed\xa0\x80.yaml",
    "201 bytes": b"n" * 201 + b".yaml",
    "225 bytes": b"n" * 220 + b".yaml",
    "245 bytes": b"n" * 240 + b".yaml",
    "255 bytes": b"n" * 250 + b".yaml",
    "snowmen that no cut at 200 bytes leaves whole": ("☃" * 83).encode() + b".yaml",
    "invalid bytes, of which each becomes three": b"\xff" * 250 + b".yaml",
    "a line end": b"two\nlines.yaml",
    "a carriage return": b"a\rb.yaml",
    "an escape sequence": b"\x1b[2Ja\x1b]0;b\x07.yaml",
    "a tab": b"a\tb.yaml",
    "delete": b"a\x7fb.yaml",
    "a control character of two bytes": "a\x85b.yaml".encode(),
    "dots": b"a..b...yaml",
    "blanks at its ends": b" a .yaml",
    "a dash in front": b"--help.yaml",
    "braces and per cents": b"{}%s%n{0}.yaml",
    "a capital ending": b"A.YAML",
    "a hash and a question mark": b"a#b?c.yaml",
    "a run's id in it": b"a.20260101T000000Z-00000000.yaml",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_job_of_any_name_is_taken_or_refused_once(daemon, program, name):
    drop(daemon, rows_job(program), name)
    settled(daemon)
    serves(daemon, "one")
    serves(daemon, "two")
    reports = [file for file in endings(daemon) if not file.startswith(("one.", "two."))]
    assert len(reports) == 1, reports
    assert left(daemon) == []
    for part in PARTS:
        for file in map(os.fsencode, os.listdir(daemon.inbox / part)):
            assert file.decode().isprintable() or "\ufffd" in file.decode(), file
            assert not re.search(r"[\x00-\x1f\x7f-\x9f]", file.decode()), file
    assert all(STAMP.match(line) for line in log(program).split("\n")[:-1])
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", (program.folder / "daemon.log").read_text())
    assert len(runs(program)) <= 3


@pytest.mark.parametrize(
    "name", [b"caf\xe9.yaml", b"n" * 240 + b".yaml", b"two\nlines.yaml"], ids=["bytes", "long", "control"]
)
def test_a_cleaned_name_still_runs_its_job(daemon, program, name):
    drop(daemon, rows_job(program, name="good.yaml"), name)
    [report] = settled(daemon)
    assert report["status"] == "succeeded" and report["rows"] == 3, report


def test_names_that_become_the_same_are_two_jobs(daemon, program):
    for name in [b"caf\xe9.yaml", b"caf\xe8.yaml", b"n" * 230 + b"a.yaml", b"n" * 230 + b"b.yaml"]:
        drop(daemon, rows_job(program), name)
    assert len(settled(daemon, 4)) == 4
    serves(daemon)
    assert left(daemon) == [] and len(endings(daemon)) == 5


def test_a_name_cannot_write_into_the_log(daemon, program):
    """Not when it is taken, not when its job is bad, and not where runs are shown."""
    lie = "2026-01-01T00:00:00.000000Z ERROR all is lost"
    for number, text in enumerate(["tabels: [x]\n", None]):
        job = rows_job(program) if text is None else program.folder / "bad.yaml"
        if text:
            job.write_text(text)
        drop(daemon, job, f"a{number}\n{lie}\r{lie}.yaml")
    settled(daemon, 2)
    shown = (
        log(program)
        + program.ok("runs")
        + "".join(program.ok("runs", "show", run["run"]) for run in runs(program))
    )
    assert not [line for line in re.split(r"[\r\n]", shown) if line.startswith("2026-01-01T")], shown


# Files that may not be touched


class NobodysDaemon(Daemon):
    """A daemon of a user who may do nothing."""

    def start(self):
        program = self.program
        for folder in [program.folder / "state", program.folder / "cache", program.lake]:
            folder.mkdir(exist_ok=True)
            os.chown(folder, NOBODY, NOBODY)
        # A checkout may lie where nobody may look.
        binary = shutil.copy(LONGSHORE, program.folder / "longshore")
        env = {**program.env, "LONGSHORE_CACHE": str(program.folder / "cache"), "HOME": "/nowhere"}
        command = [binary, "serve", "--inbox", self.inbox, "--state", program.folder / "state"]
        out = (program.folder / "daemon.log").open("a")
        self.process = subprocess.Popen(
            list(map(str, command)),
            env=env,
            cwd="/",
            stdout=out,
            stderr=out,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
        )
        wait_for(lambda: "taking jobs" in log(program) or self.process.poll() is not None, PATIENCE)


@pytest.fixture
def nobodys(program):
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    inbox = only(program).folder / "inbox"
    for folder in [inbox, *(inbox / part for part in PARTS)]:
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    started = []

    def start():
        started.append(NobodysDaemon(program))
        return started[0]

    yield inbox, start
    for daemon in started:
        daemon.stop(signal.SIGKILL)


def give(daemon, job, mode=0o600):
    """Drops a job that is nobody's own."""
    os.chown(job, NOBODY, NOBODY)
    job.chmod(mode)
    drop(daemon, job)


def serves_nobody(daemon, name):
    target = {"url": f"file://{daemon.program.lake}/{name}"}
    give(daemon, rows_job(daemon.program, f"{name}.yaml", target=target))
    report_of(daemon, name)


@pytest.mark.parametrize(
    "inbox_mode, inbox_owner, job_mode",
    [(0o1777, 0, 0o644), (0o1777, 0, 0o600), (0o755, NOBODY, 0o600)],
    ids=["sticky", "sticky-unreadable", "unreadable"],
)
def test_a_file_that_may_not_be_moved_or_read_is_told_once(
    nobodys, program, inbox_mode, inbox_owner, job_mode
):
    inbox, start = nobodys
    os.chown(inbox, inbox_owner, inbox_owner)
    inbox.chmod(inbox_mode)
    daemon = start()
    job = rows_job(program, "theirs.yaml")
    job.chmod(job_mode)
    drop(daemon, job)
    wait_for(lambda: lives(daemon) and told(program, "theirs.yaml"), PATIENCE)
    for name in ["one", "two"]:
        serves_nobody(daemon, name)
    refusals = [line for line in told(program, "theirs.yaml") if " ERROR " in line]
    assert len(refusals) == 1 and len(told(program, "theirs.yaml")) <= 3, told(program, "theirs.yaml")
    assert len([file for file in endings(daemon) if file.startswith("theirs")]) <= 1
    assert len(list(program.lake.rglob("theirs*/part-*"))) == 0


# Folders that vanish (26)


def spoil(path, how):
    """Puts something in a folder's place, before the daemon makes it anew."""
    other = path.with_name(".other")
    if how == "a file":
        other.write_text("a file")
    if how == "a link to nowhere":
        other.symlink_to("nowhere")
    while how != "gone" and os.path.lexists(other):
        shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rename(other, path)
    if how == "gone":
        shutil.rmtree(path)


@pytest.mark.parametrize("part", PARTS)
def test_a_folder_of_the_inbox_that_is_removed_comes_back(daemon, program, part):
    spoil(daemon.inbox / part, "gone")
    serves(daemon)
    (program.folder / "bad.yaml").write_text("tabels: [x]\n")
    drop(daemon, program.folder / "bad.yaml")
    assert {report["in"] for report in settled(daemon, 2)} == {"done", "failed"}


@pytest.mark.parametrize(
    "part, how", [("running", "a file"), ("done", "a link to nowhere"), ("failed", "a file")]
)
def test_a_folder_of_the_inbox_that_something_else_took_is_told_and_used_when_it_is_back(
    daemon, program, part, how
):
    spoil(daemon.inbox / part, how)
    good, bad = rows_job(program), program.folder / "bad.yaml"
    bad.write_text("tabels: [x]\n")
    drop(daemon, good)
    drop(daemon, bad)
    wait_for(
        lambda: (
            lives(daemon) and [line for line in log(program).splitlines() if re.search("ERROR|WARN", line)]
        ),
        PATIENCE,
    )
    lines = len(log(program).splitlines())
    (daemon.inbox / part).unlink()
    # The daemon may be faster.
    (daemon.inbox / part).mkdir(exist_ok=True)
    serves(daemon)
    assert lines < 40, log(program)
    # What could not be put away is, after a start at the latest.
    if len(endings(daemon)) < 3:
        assert daemon.stop() == 0
        daemon.start()
    reports = settled(daemon, 3)
    assert sorted(report["in"] for report in reports) == ["done", "done", "failed"]
    assert published(program, "good") == 3 and not (program.lake / "good_v2").exists()


@pytest.mark.parametrize("part", PARTS)
def test_a_link_in_the_place_of_a_folder_of_the_inbox_is_never_followed(daemon, program, part):
    """Whoever may rename in the inbox must not make the daemon write elsewhere."""
    elsewhere = program.folder / "elsewhere"
    elsewhere.mkdir()
    other = daemon.inbox / ".other"
    other.symlink_to(elsewhere)
    while not (daemon.inbox / part).is_symlink():
        shutil.rmtree(daemon.inbox / part, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rename(other, daemon.inbox / part)
    bad = program.folder / "bad.yaml"
    bad.write_text("tabels: [x]\n")
    drop(daemon, rows_job(program))
    drop(daemon, bad)
    wait_for(lambda: lives(daemon) and told(program, "it is a link"), PATIENCE)
    assert list(elsewhere.iterdir()) == []
    (daemon.inbox / part).unlink()
    settled(daemon, 2)
    serves(daemon)
    assert list(elsewhere.iterdir()) == [] and len(told(program, "it is a link")) < 4


def test_a_link_in_the_place_of_the_lock_is_never_followed(program):
    inbox = program.folder / "inbox"
    inbox.mkdir()
    (inbox / ".longshore.lock").symlink_to(program.folder / "elsewhere")
    done = only(program).call("serve", "--inbox", inbox, "--state", program.folder / "state", seconds=60)
    assert done.returncode != 0 and not (program.folder / "elsewhere").exists(), done.stderr


def moved(inbox, aside):
    os.rename(inbox, aside)
    inbox.mkdir()


def removed(inbox, aside):
    """While the daemon makes its folders in it anew."""
    while inbox.exists():
        shutil.rmtree(inbox, ignore_errors=True)
    inbox.mkdir()


def linked(inbox, aside):
    os.rename(inbox, aside)
    other = aside.with_name("elsewhere")
    other.mkdir()
    inbox.symlink_to(other)


def mounted(inbox, aside):
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inbox], capture_output=True).returncode:
        pytest.skip("needs the right to mount")


WAYS = {"moved": moved, "removed": removed, "replaced by a link": linked, "mounted over": mounted}


@pytest.fixture
def unmounted(program):
    yield
    subprocess.run(["umount", "-l", program.folder / "inbox"], capture_output=True)


def said_so(program, before):
    lines = [line for line in log(program)[before:].splitlines() if str(program.folder / "inbox") in line]
    return [line for line in lines if "/inbox/" not in line]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_jobs_are_taken_again_when_the_inbox_is_another_folder(daemon, program, unmounted, way):
    serves(daemon, "before")
    before = len(log(program))
    way(daemon.inbox, program.folder / "aside")
    serves(daemon, "one")
    serves(daemon, "two")
    assert 1 <= len(said_so(program, before)) <= 5, log(program)[before:]


@pytest.mark.parametrize("way", [moved, mounted])
def test_a_run_ends_well_though_its_inbox_is_another_folder(gated, gate, program, unmounted, way):
    held(gated, gate)
    way(gated.inbox, program.folder / "aside")
    serves(gated, "meanwhile")
    gate.open.set()
    wait_for(
        lambda: lives(gated) and {run["job"]: run["state"] for run in runs(program)}["held"] == "succeeded",
        PATIENCE,
    )
    serves(gated)
    assert len(gate.rows("/rows")) == 3
    assert gated.stop() == 0


def test_a_run_ends_well_though_running_is_gone(gated, gate, program):
    held(gated, gate)
    shutil.rmtree(gated.inbox / "running")
    gate.open.set()
    wait_for(lambda: lives(gated) and runs(program)[0]["state"] == "succeeded", PATIENCE)
    serves(gated)
    assert len(gate.rows("/rows")) == 3


def test_jobs_are_taken_when_the_inbox_is_back(daemon, program):
    """As after an unmount: what was dropped elsewhere meanwhile is taken too."""
    before = len(log(program))
    os.rename(daemon.inbox, program.folder / "aside")
    # That it went need not be told; that it is back must be.
    with contextlib.suppress(AssertionError):
        wait_for(lambda: said_so(program, before), 1)
    os.rename(rows_job(program, "meanwhile.yaml"), program.folder / "aside/meanwhile.yaml")
    os.rename(program.folder / "aside", daemon.inbox)
    settled(daemon)
    serves(daemon)
    assert 1 <= len(said_so(program, before)) <= 3, log(program)[before:]


# What ends the process, or a run's thread (27, 28)

DEEP = {
    "a sum of 3,000": "SELECT " + "+".join(["id"] * 3_000) + " AS n FROM data",
    "3,000 conditions": "SELECT * FROM data WHERE " + " OR ".join(f"id = {n}" for n in range(3_000)),
    "3,000 parentheses": "SELECT " + "(" * 3_000 + "id" + ")" * 3_000 + " AS n FROM data",
    "3,000 NOTs": "SELECT * FROM data WHERE " + "NOT " * 3_000 + "id = 1",
    "1,000 CASEs": "SELECT "
    + "CASE WHEN id = 0 THEN 0 ELSE " * 1_000
    + "1"
    + " END" * 1_000
    + " AS n FROM data",
    "500 subqueries": "SELECT * FROM " + "(SELECT * FROM " * 500 + "data" + ")" * 500,
    "1,000 unions": " UNION ALL ".join(["SELECT id FROM data"] * 1_000),
    "2,000 calls": "SELECT " + "abs(" * 2_000 + "id" + ")" * 2_000 + " AS n FROM data",
}


@pytest.mark.parametrize("sql", DEEP.values(), ids=DEEP)
def test_a_deep_query_is_run_or_refused_and_ends_no_process(program, sql):
    job = rows_job(only(program), transform=[{"sql": sql}])
    done = program.call("run", job, seconds=60)
    assert done.returncode in (0, 2, 4, 6), (done.returncode, done.stderr[-1000:])
    assert runs(program)[0]["state"] in ("succeeded", "failed")


ALIASES = "".join(
    f"{c}: &{c} [{', '.join([f'*{p}'] * 9)}]\n" for p, c in zip("abcdefghi", "bcdefghij", strict=True)
)

NESTED = {
    "yaml": ("deep.yaml", "source: " + "[" * 100_000),
    "yaml maps": ("deep.yaml", "source: " + "{a: " * 50_000),
    "yaml aliases": ("deep.yaml", "a: &a [x]\n" + ALIASES),
    "json": ("deep.json", '{"source": ' + "[" * 100_000),
    "toml": ("deep.toml", "source = " + "[" * 100_000),
    "toml keys": ("deep.toml", ".".join(["a"] * 50_000) + " = 1"),
}  # fmt: skip


@pytest.mark.parametrize("name, text", NESTED.values(), ids=NESTED)
def test_a_deep_job_file_is_refused_and_ends_no_daemon(daemon, program, name, text):
    (program.folder / name).write_text(text)
    drop(daemon, program.folder / name)
    [report] = settled(daemon)
    assert report["in"] == "failed" and report["error"]["class"] == "config", report
    serves(daemon)


def test_a_daemon_survives_a_deep_query(daemon, program):
    drop(daemon, rows_job(program, "deep.yaml", transform=[{"sql": DEEP["a sum of 3,000"]}]))
    settled(daemon)
    serves(daemon)


def test_a_job_under_way_when_the_process_died_three_times_is_set_aside(gated, gate, program):
    held(gated, gate)
    for life in range(3):
        gate.holds(gated, life + 1)
        gated.stop(signal.SIGKILL)
        gated.start()
    [report] = settled(gated)
    assert report["in"] == "failed" and report["status"] == "failed", report
    assert re.search(r"three times|3 times", report["error"]["message"]), report
    assert report["error"]["next_step"]
    assert runs(program)[0]["state"] == "failed" and list((gated.inbox / "running").iterdir()) == []
    serves(gated)


def test_a_job_that_gets_on_between_deaths_is_never_set_aside(gated, gate, program):
    (program.folder / "many.csv").write_text("id,name\n" + "".join(f"{n},{'x' * 80}\n" for n in range(700)))
    gate.allowed = 1
    target = {"url": f"{gate.url}/rows", "timeout_secs": 120, "batch_rows": 1000}
    job = program.job({"url": f"file://{program.folder}/many.csv"}, "slow.yaml", target=target,
                      chunk={"bytes": 8_192}, parallel={"chunks": 1})  # fmt: skip
    drop(gated, job)
    for _ in range(4):
        gate.holds(gated, gate.allowed + 1)
        gated.stop(signal.SIGKILL)
        gate.allowed = len(gate.requests) + 1
        gated.start()
    gate.open.set()
    gate.allowed = 10_000
    [report] = settled(gated)
    assert report["status"] == "succeeded" and report["rows"] == 700, report
    ids = [row["id"] for row in gate.rows("/rows")]
    assert set(ids) == set(range(700))


def test_being_told_to_stop_is_no_death(gated, gate):
    held(gated, gate)
    for life in range(4):
        gate.holds(gated, life + 1)
        assert gated.stop() == 0
        gated.start()
    gate.open.set()
    assert settled(gated)[0]["status"] == "succeeded"


def test_a_job_that_waits_its_turn_is_not_to_blame(gated, gate, program):
    """Three jobs, two places: one never was under way."""
    for name in ["a.yaml", "b.yaml"]:
        held(gated, gate, name)
    drop(gated, rows_job(program, "c.yaml"))
    for _ in range(3):
        seen = len(gate.requests)
        gated.stop(signal.SIGKILL)
        gated.start()
        if _ < 2:
            gate.holds(gated, seen + 2)
    gate.open.set()
    settled(gated, 3)
    assert [file.split(".")[0] for file, report in endings(gated).items() if report["in"] == "done"] == ["c"]


#: Where something of a job comes into an HTTP request's head, and what no head can hold.
HEADERS = ["access_key_id", "session_token"]
EVIL = {
    "CR LF": "AK\r\nX-Evil: 1",
    "a line end": "A\nK",
    "NUL": "A\0K",
    "a letter": "schlüssel",
    "1 MiB": "A" * (1 << 20),
}


def s3_target(program, **keys):
    s3 = {"endpoint": "http://127.0.0.1:1", "access_key_id": "id", "secret_access_key": "key", **keys}
    return {"url": "s3://lake/shop", "s3": s3}


@pytest.mark.parametrize("evil", EVIL.values(), ids=EVIL)
@pytest.mark.parametrize("key", HEADERS)
def test_a_key_that_no_request_can_hold_is_an_error_of_its_run(program, key, evil):
    (program.folder / "key").write_text(evil)
    target = s3_target(program, **{key: {"file": str(program.folder / "key")}})
    line, code = program.refused("run", rows_job(only(program), target=target), env=QUICK, seconds=60)
    assert code in (1, 2, 3, 5), line
    assert "panic" not in line and evil[:20] not in line, line
    assert all(run["state"] == "failed" for run in runs(program))


PLACES = {
    "region": {"region": "eu\r\nX-Evil: 1"},
    "endpoint": {"endpoint": "http://127.0.0.1:1/\r\nX-Evil: 1"},
    "no endpoint": {"endpoint": "nowhere"},
    "a port that is none": {"endpoint": "http://127.0.0.1:99999"},
}


@pytest.mark.parametrize("keys", PLACES.values(), ids=PLACES)
def test_an_s3_that_cannot_be_is_an_error_of_its_run(program, keys):
    line, code = program.refused(
        "run", rows_job(only(program), target=s3_target(program, **keys)), env=QUICK, seconds=60
    )
    assert code in (1, 2, 3, 5) and "panic" not in line, line
    assert all(run["state"] == "failed" for run in runs(program))


def test_a_run_that_panics_has_an_end_and_a_report(program):
    daemon = Daemon(only(program))
    try:
        target = s3_target(program, access_key_id="AK\r\nX-Evil: 1")
        drop(daemon, rows_job(program, "evil.yaml", target=target))
        [report] = settled(daemon)
        assert report["in"] == "failed" and report["error"]["class"] in ("config", "auth", "internal"), report
        serves(daemon)
        assert {run["state"] for run in runs(program)} <= {"failed", "succeeded"}
    finally:
        daemon.stop(signal.SIGKILL)


# Two daemons (29)


def spelled(folder):
    link = folder / "link"
    link.symlink_to(folder / "inbox")
    return {
        "as it is": folder / "inbox",
        "a slash behind it": f"{folder}/inbox/",
        "relative": "inbox",
        "by a link": link,
        "by way of a folder in it": folder / "inbox/done/..",
    }


@pytest.mark.parametrize(
    "spelling", ["as it is", "a slash behind it", "relative", "by a link", "by way of a folder in it"]
)
def test_a_second_daemon_on_one_inbox_refuses(daemon, program, spelling):
    inbox = spelled(program.folder)[spelling]
    line, code = program.refused("serve", "--inbox", inbox, "--state", program.folder / "other", seconds=20)
    assert code == 2 and "inbox" in line and str(inbox).rstrip("/") in line, line
    serves(daemon)


def test_an_inbox_is_free_when_its_daemon_is_gone(program):
    for name, end in [("first", signal.SIGKILL), ("second", signal.SIGTERM), ("third", signal.SIGTERM)]:
        daemon = Daemon(only(program))
        try:
            serves(daemon, name)
        finally:
            daemon.stop(end)


def test_the_second_daemon_takes_nothing_up(gated, gate, program):
    """Not of a run that the first one has under way, however both are started."""
    held(gated, gate)
    line, code = program.refused(
        "serve", "--inbox", gated.inbox, "--state", program.folder / "other", seconds=20
    )
    assert code == 2, line
    gate.open.set()
    settled(gated)
    assert len(gate.requests) == 1


# Targets in the daemon's own folders (30)

INSIDE = {
    "the inbox": ("inbox", None),
    "running": ("inbox/running", None),
    "a new folder in it": ("inbox/lake", None),
    "by another way": ("inbox/done/../lake", None),
    "by a link": ("link/lake", None),
    "the folder above, and a relation of its name": ("", "inbox"),
    "the state folder": ("state", None),
    "a new folder in the state folder": ("state/lake", None),
    "the folder above, and a relation of the state's name": ("", "state"),
}


@pytest.mark.parametrize("place, relation", INSIDE.values(), ids=INSIDE)
def test_a_target_in_the_daemons_own_folders_is_refused(daemon, program, place, relation):
    (program.folder / "link").symlink_to(program.folder / "inbox")
    for mode in ["version", "replace", "append"]:
        job = rows_job(
            program, f"{mode}.yaml", target={"url": f"file://{program.folder}/{place}", "mode": mode}
        )
        job.write_text(job.read_text() + (f"name: {relation}\n" if relation else ""))
        drop(daemon, job)
    for report in settled(daemon, 3):
        assert report["in"] == "failed" and report["error"]["class"] == "config", report
        assert report["error"]["exit_code"] == 2 and "target" in report["error"]["message"], report
    assert not list(program.folder.rglob("*.parquet"))
    serves(daemon)


@pytest.mark.parametrize("place", ["state", "state/lake", "state/manifests"])
def test_a_command_refuses_a_target_in_the_state_folder(program, place):
    line, code = program.refused(
        "run", rows_job(only(program), target={"url": f"file://{program.folder}/{place}"})
    )
    assert code == 2 and "state" in line, line


def test_a_folder_beside_them_is_none_of_them(daemon, program):
    for number, place in enumerate(["inbox-lake", "state2", "in"]):
        drop(daemon, rows_job(program, f"j{number}.yaml", target={"url": f"file://{program.folder}/{place}"}))
    assert {report["status"] for report in settled(daemon, 3)} == {"succeeded"}


# Files that a job names (31, 57)


def make_socket(path):
    """By way of its folder: a socket's whole path may have 107 bytes."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


def odd(folder, kind):
    """A thing that is no text file."""
    path = folder / "odd"
    if kind.startswith("/"):
        return kind
    if kind == "a FIFO":
        os.mkfifo(path)
    if kind == "a link to a FIFO":
        os.mkfifo(folder / "fifo")
        path.symlink_to(folder / "fifo")
    if kind == "a folder":
        path.mkdir()
    if kind == "a socket":
        make_socket(path)
    if kind == "a link to itself":
        path.symlink_to("odd")
    if kind == "a link to /dev/zero":
        path.symlink_to("/dev/zero")
    if kind == "too large":
        path.write_text("SELECT 1 AS a -- " + "x" * (4 << 20))
    if kind == "not UTF-8":
        path.write_bytes(b"SELECT '\xff' AS a")
    return str(path)


ODD = [
    "/dev/zero", "/dev/random", "/dev/full", "/dev/stdin", "/proc/self/mem", "/proc/kmsg", "a FIFO", "a link to a FIFO",
    "a folder", "a socket", "a link to itself", "a link to /dev/zero", "too large", "not UTF-8",
]  # fmt: skip

NAMING = {
    "query_file": lambda program, file: program.job(
        {"url": "postgres://nobody@127.0.0.1:1/x"}, query_file=file
    ),
    "sql_file": lambda program, file: rows_job(program, sql_file=file),
    "relations[0].query_file": lambda program, file: program.job(
        {"url": "postgres://nobody@127.0.0.1:1/x"}, relations=[{"query_file": file, "as": "q"}]
    ),
    "transform[0].sql_file": lambda program, file: rows_job(program, transform=[{"sql_file": file}]),
}


@pytest.mark.parametrize("key", NAMING)
@pytest.mark.parametrize("kind", ODD)
def test_a_query_file_that_is_no_text_file_is_refused_at_once(program, kind, key):
    file = odd(program.folder, kind)
    line, code = program.refused("run", NAMING[key](only(program), file), seconds=20)
    assert code == 2 and key.split(".")[-1] in line and file in line and "next: " in line, line


def test_a_query_file_may_hold_a_mib(program):
    sql = "SELECT id FROM data -- "
    (program.folder / "q.sql").write_text(sql + "x" * ((1 << 20) - len(sql)))
    assert program.report("run", rows_job(only(program), transform=[{"sql_file": "q.sql"}]))["rows"] == 3


SECRETS = {
    "s3.access_key_id": lambda secret: {
        "url": "s3://lake/x",
        "s3": {"endpoint": "http://127.0.0.1:1", "access_key_id": secret},
    },
    "azure.access_key": lambda secret: {
        "url": "azure://lake/x",
        "azure": {"account": "a", "access_key": secret},
    },
    "sftp.password": lambda secret: {"url": "sftp://u@127.0.0.1:1/x", "sftp": {"password": secret}},
}
ODD_SECRETS = [
    "/dev/zero", "/proc/self/mem", "a FIFO", "a link to a FIFO", "a folder", "a socket", "a link to /dev/zero", "too large",
]  # fmt: skip


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("kind", ODD_SECRETS)
def test_a_secret_that_is_no_text_file_is_refused_at_once(program, kind, key):
    file = odd(program.folder, kind)
    line, code = program.refused(
        "run", rows_job(only(program), target=SECRETS[key]({"file": file})), env=QUICK, seconds=20
    )
    assert code == 2 and key.split(".")[-1] in line and file in line, line


def test_a_fifo_in_the_folder_of_secrets_is_refused_at_once(program):
    secrets = program.folder / "secrets"
    secrets.mkdir()
    os.mkfifo(secrets / "key")
    job = rows_job(only(program), target=SECRETS["s3.access_key_id"]({"secret": "key"}))
    line, code = program.refused("--secrets", secrets, "run", job, seconds=20)
    assert code == 2 and "access_key_id" in line, line


@pytest.mark.parametrize("key", ["sql_file", "secret"])
def test_jobs_that_name_fifos_do_not_take_all_places(daemon, program, key):
    os.mkfifo(program.folder / "fifo")
    fifo = str(program.folder / "fifo")
    for number in range(3):
        keys = (
            {"sql_file": fifo}
            if key == "sql_file"
            else {"target": SECRETS["s3.access_key_id"]({"file": fifo})}
        )
        drop(daemon, rows_job(program, f"fifo{number}.yaml", **keys))
    assert {report["error"]["class"] for report in settled(daemon, 3)} == {"config"}
    serves(daemon)


# What is no job file, or a link to one (32)


def test_links_as_kubernetes_mounts_them_are_taken_as_their_content(daemon, program):
    data = daemon.inbox / "..2026_11_28"
    data.mkdir()
    os.rename(rows_job(program, "shop.yaml"), data / "shop.yaml")
    (daemon.inbox / "..data").symlink_to("..2026_11_28")
    (daemon.inbox / "shop.yaml").symlink_to("..data/shop.yaml")
    [report] = settled(daemon)
    assert report["status"] == "succeeded" and report["rows"] == 3
    assert (data / "shop.yaml").read_text().startswith("source:")
    serves(daemon)
    assert len(endings(daemon)) == 2 and not os.path.lexists(daemon.inbox / "shop.yaml")


@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
def test_a_link_is_run_once_and_its_file_stays(daemon, program, relative):
    job = rows_job(program, "real.yaml")
    before = job.read_bytes()
    (daemon.inbox / "link.yaml").symlink_to("../real.yaml" if relative else job)
    [report] = settled(daemon)
    assert report["status"] == "succeeded"
    serves(daemon)
    assert job.read_bytes() == before and published(program, "link") == 3
    [away] = (daemon.inbox / "done").glob("link.*.yaml")
    job.unlink()
    assert away.read_bytes() == before


def test_a_link_goes_on_after_a_kill_though_its_file_is_gone(gated, gate, program):
    job = rows_job(program, "real.yaml", target={"url": f"{gate.url}/rows", "timeout_secs": 120})
    (gated.inbox / "link.yaml").symlink_to(job)
    gate.holds(gated)
    job.unlink()
    gated.stop(signal.SIGKILL)
    gated.start()
    gate.open.set()
    assert settled(gated)[0]["status"] == "succeeded"


def dropped_link(to):
    return lambda path: path.symlink_to(to)


OTHERS = {
    "notes.txt": lambda path: path.write_text("notes"),
    "job.yaml~": lambda path: path.write_text("source:"),
    "job.yaml.bak": lambda path: path.write_text("source:"),
    "noending": lambda path: path.write_text("x"),
    "rows.csv": lambda path: path.write_text("a\n1\n"),
    "subfolder": lambda path: path.mkdir(),
    "folder.yaml": lambda path: path.mkdir(),
    "fifo.yaml": os.mkfifo,
    "socket.yaml": make_socket,
    "dangling.yaml": dropped_link("nowhere.yaml"),
    "loop.yaml": dropped_link("loop.yaml"),
    "zero.yaml": dropped_link("/dev/zero"),
    "folderlink.yaml": dropped_link("/tmp"),
    "line\nend.txt": lambda path: path.write_text("x"),
}


def test_what_is_no_job_is_told_once_and_left_alone(daemon, program):
    for name, make in OTHERS.items():
        make(daemon.inbox / name)
    (daemon.inbox / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    serves(daemon, "one")
    names = ["line" if "\n" in name else name for name in OTHERS]
    wait_for(lambda: lives(daemon) and all(told(program, name) for name in names), PATIENCE)
    serves(daemon, "two")
    serves(daemon, "three")
    counts = {name: len(told(program, name)) for name in names}
    assert counts == dict.fromkeys(names, 1) | {"rows.csv": counts["rows.csv"]}, counts
    assert {file.split(".")[0] for file in endings(daemon)} <= {
        "one",
        "two",
        "three",
        *(name.split(".")[0] for name in names),
    }
    assert all(
        os.path.lexists(daemon.inbox / name) for name in ["notes.txt", "subfolder", "job.yaml~", "noending"]
    )


def test_what_is_hidden_is_nobodys_business(daemon, program):
    for name in [".shop.yaml", ".shop.yaml.swp", "..data"]:
        (daemon.inbox / name).write_text("half of a jo")
    serves(daemon, "one")
    serves(daemon, "two")
    assert not told(program, ".shop") and not told(program, "..data") and len(endings(daemon)) == 2


def test_a_link_to_nothing_is_refused_and_can_be_dropped_again(daemon, program):
    (daemon.inbox / "later.yaml").symlink_to("../real.yaml")
    [report] = settled(daemon)
    assert report["in"] == "failed" and "later.yaml" in report["error"]["message"], report
    rows_job(program, "real.yaml")
    with contextlib.suppress(FileExistsError):
        (daemon.inbox / "later.yaml").symlink_to("../real.yaml")
    settled(daemon, 2)
    assert published(program, "later") == 3


def test_a_file_is_taken_when_it_becomes_a_job(daemon, program):
    """What was told of once under another name is not forgotten."""
    job = rows_job(program)
    os.rename(job, daemon.inbox / "good.yaml.part")
    serves(daemon)
    os.rename(daemon.inbox / "good.yaml.part", daemon.inbox / "good.yaml")
    settled(daemon, 2)
    assert published(program, "good") == 3


@pytest.mark.parametrize("text", ["", "\n", "---\n", "# a comment\n", "\ufeff", "null\n", "[]\n", "just words\n"],
                         ids=["empty", "line-end", "dashes", "comment", "mark", "null", "list", "words"])  # fmt: skip
def test_a_job_file_with_nothing_in_it_is_refused_once(daemon, program, text):
    (program.folder / "empty.yaml").write_text(text)
    drop(daemon, program.folder / "empty.yaml")
    [report] = settled(daemon)
    assert (
        report["in"] == "failed"
        and report["error"]["class"] == "config"
        and "empty.yaml" in report["error"]["message"]
    )


# What was published, and of which the ledger knows nothing (56)


@pytest.mark.parametrize("mode", ["append", "version", "replace", "error"])
def test_a_run_whose_manifest_is_there_is_published(program, mode):
    daemon = Daemon(only(program))
    drop(daemon, rows_job(program, target={"url": f"file://{program.lake}", "mode": mode}))
    settled(daemon)
    daemon.stop()
    before = program.published()
    [file] = (daemon.inbox / "done").glob("good.*.yaml")
    [report] = (daemon.inbox / "done").glob("*.report.json")
    report.unlink()
    os.rename(file, daemon.inbox / "running" / file.name)
    os.rename(program.folder / "state", program.folder / "broken")
    daemon.start()
    try:
        [report] = settled(daemon)
        assert report["in"] == "done" and report["status"] == "succeeded", report
        assert [path for path in program.published() if ".longshore" not in path] == [
            path for path in before if ".longshore" not in path
        ]
        assert "intact" in program.ok("verify", next((program.lake / ".longshore/runs").iterdir()))
        serves(daemon)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_clean_up_removes_nothing_that_a_manifest_names(program):
    """A run is cancelled whose rows were published: the ledger was put back from a copy of before."""
    job = rows_job(only(program), target={"url": f"file://{program.lake}", "mode": "append"})
    report = program.report("run", job)
    before = program.published()
    program.call("runs", "cancel", report["run"])
    assert program.published() == before
    shutil.rmtree(program.folder / "state")
    program.ok("run", job)
    assert set(before) <= set(program.published()) and published(program, "good") == 6


# Snapshot holders (58)


def test_no_snapshot_outlives_its_run_whenever_the_daemon_is_told_to_stop(program, server):
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS told AS SELECT n, repeat('x', 200) AS t FROM generate_series(1, 60000) n"
        )
        connection.execute("ANALYZE told")
    daemon = Daemon(only(program, "postgres"), "--drain-secs", "0")
    jobs = 0
    try:
        for delay in [0, 0.03, 0.1, 0.3, 0.6]:
            before = log(program).count(": taken, run")
            for _ in range(2):
                jobs += 1
                relation = {"table": "told", "as": f"told{jobs}"}
                drop(daemon, program.postgres(server, f"told{jobs}.yaml", relations=[relation], chunk={"rows": 5_000},
                                              consistency="snapshot"))  # fmt: skip
            wait_for(
                lambda before=before: lives(daemon) and log(program).count(": taken, run") > before, PATIENCE
            )
            time.sleep(delay)
            assert daemon.stop() == 0
            daemon.start()
        settled(daemon, jobs)
        assert all(
            report["status"] == "succeeded" and report["rows"] == 60_000
            for report in endings(daemon).values()
        )
        with server.connect() as connection:
            idle = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            wait_for(lambda: connection.execute(idle).fetchone() == (0,), PATIENCE)
        wait_for(lambda: not list((program.folder / "state/holders").iterdir()), PATIENCE)
        found = subprocess.run(
            ["pgrep", "-f", f"hold .*{program.folder}"], capture_output=True, text=True
        ).stdout
        assert found == "", found
    finally:
        daemon.stop(signal.SIGKILL)
