"""Of a run that was killed, cancelled or failed nothing is left in its target, whatever moment it was; and its error is the
cause, not the clean-up."""

import collections
import contextlib
import json
import os
import re
import signal
import subprocess

import pytest

from support.daemon import PATIENCE, Daemon, drop, lives, serves, settled, told
from support.longshore import LONGSHORE, only, runs
from support.ports import free_port
from support.proxy import FaultyHttp
from support.stores import S3, Azure, rows, visible
from support.wait import wait_for

ROWS = 1_500

#: Small parts, one after the other.
CHUNKS = {"chunk": {"bytes": 8_192}, "parallel": {"chunks": 1}}


def csv_source(program, count=ROWS):
    path = program.folder / "rows.csv"
    path.write_text("id,name\n" + "".join(f"{n},{'x' * 20}\n" for n in range(count)))
    return {"url": f"file://{path}"}


@pytest.fixture(scope="module")
def azure(scratch):
    lake = Azure()
    lake.start(scratch / "leftovers-azure")
    yield lake
    lake.stop()


def kind(method, path):
    """What a request asks of S3 or Azure."""
    place, _, query = path.partition("?")
    if "comp=block" in query:
        return "complete" if "comp=blocklist" in query else "piece"
    if "uploads" in query:
        return "create" if method == "POST" else "list uploads"
    if "uploadId" in query:
        return {"PUT": "piece", "POST": "complete", "DELETE": "abort", "GET": "list pieces"}[method]
    if "delete" in query or "comp=batch" in query:
        return "remove"
    if method == "PUT" and "/part-" in place and "/.longshore/" not in place:
        return "overwrite"
    return {"PUT": "put", "DELETE": "remove", "HEAD": "look"}.get(method, "get")


class Killer:
    """Kills the program at the so-many-th request of a kind: before the store has it, or before its answer is back."""

    def __init__(self, lake):
        self.counts, self.at, self.victim, self.store = collections.Counter(), None, None, type(lake)
        self.proxy = FaultyHttp(lake.port, self.fault)

    def kill_at(self, what, number, delivered):
        self.counts.clear()
        self.at = (what, number, delivered)

    def fault(self, _, method, path):
        what = kind(method, path)
        self.counts[what] += 1
        if self.at is None or (what, self.counts[what]) != self.at[:2] or self.victim is None:
            return None
        delivered, self.at = self.at[2], None
        process = self.victim()
        process.kill()
        process.wait()
        return None if delivered else "cut"

    def target(self, folder, **options):
        other = self.store()
        other.port = self.proxy.port
        return other.target(folder, **options)


@pytest.fixture
def killer(s3):
    killer = Killer(s3)
    with killer.proxy:
        yield killer


@pytest.fixture
def azure_killer(azure):
    killer = Killer(azure)
    with killer.proxy:
        yield killer


@pytest.fixture
def folder(program):
    return program.folder.name.replace(".", "-")


def store_job(program, killer, folder, name="shop.yaml", mode="version"):
    only(program)
    return program.job(csv_source(program), name, target=killer.target(folder, mode=mode), **CHUNKS)


def uploads(s3, folder):
    return [upload["Key"] for upload in s3.open_uploads() if upload["Key"].startswith(f"{folder}/")]


def hidden(s3, folder):
    files = s3.files(folder)
    return sorted(set(files) - set(visible(files)))


def killed_at(program, killer, what, number, delivered, *args):
    """Runs the program until the killer has it. It may be over before: then there was no such request."""
    killer.kill_at(what, number, delivered)
    process = program.start(*args)
    killer.victim = lambda: process
    code = process.wait(PATIENCE)
    # The store may still be at work on the last request.
    killer.proxy.idle()
    killer.victim, killer.at = None, None
    return code == -signal.SIGKILL


def state(program):
    return runs(program)[0]["state"]


KILLS = [("put", 2), ("create", 1), ("create", 4), ("piece", 1), ("complete", 1), ("remove", 1)]
DELIVERED = pytest.mark.parametrize("delivered", [True, False], ids=["answer-lost", "request-lost"])
KILLS_OF_MODES = [("version", *kill) for kill in KILLS] + [
    ("replace", "create", 2), ("replace", "complete", 4), ("append", "complete", 3),
]  # fmt: skip


# Uploads (36)


@DELIVERED
@pytest.mark.parametrize("mode, what, number", KILLS_OF_MODES)
def test_a_run_that_was_killed_and_goes_on_leaves_no_upload(
    program, s3, killer, folder, what, number, delivered, mode
):
    if mode != "version":
        program.ok("run", store_job(program, killer, folder))
    job = store_job(program, killer, folder, mode=mode)
    if not killed_at(program, killer, what, number, delivered, "run", job):
        pytest.skip("no such request")
    if state(program) != "succeeded":
        program.ok("runs", "retry", runs(program)[0]["run"])
    files = s3.files(folder)
    assert rows(files, "shop") == (2 * ROWS if mode == "append" else ROWS), sorted(files)
    assert uploads(s3, folder) == []
    assert all(path.startswith(".longshore/runs/") for path in hidden(s3, folder)), hidden(s3, folder)
    assert {path.partition("/")[0] for path in visible(files)} == {"shop"}


@DELIVERED
@pytest.mark.parametrize("what, number", KILLS[:4], ids=[f"{what}-{number}" for what, number in KILLS[:4]])
def test_a_run_that_was_killed_and_is_given_up_leaves_nothing(
    program, s3, killer, folder, what, number, delivered
):
    if not killed_at(program, killer, what, number, delivered, "run", store_job(program, killer, folder)):
        pytest.skip("no such request")
    if runs(program):
        program.ok("runs", "cancel", runs(program)[0]["run"])
    assert s3.files(folder) == {} and uploads(s3, folder) == []


@DELIVERED
@pytest.mark.parametrize("what", ["abort", "remove"])
def test_a_clean_up_that_is_killed_is_done_the_next_time(program, s3, killer, folder, what, delivered):
    assert killed_at(program, killer, "create", 4, True, "run", store_job(program, killer, folder))
    run = runs(program)[0]["run"]
    for number in range(1, 4):
        if not killed_at(program, killer, what, number, delivered, "runs", "cancel", run):
            break
    program.call("runs", "cancel", run)
    assert state(program) == "cancelled"
    assert s3.files(folder) == {} and uploads(s3, folder) == []


def test_a_run_that_was_killed_nine_times_leaves_no_upload(program, s3, killer, folder):
    job = store_job(program, killer, folder)
    args = ["run", job]
    for number in range(9):
        if not killed_at(program, killer, ["create", "piece"][number % 2], 2, True, *args):
            break
        args = ["runs", "retry", runs(program)[0]["run"]]
    if state(program) != "succeeded":
        program.ok(*args)
    assert rows(s3.files(folder), "shop") == ROWS and uploads(s3, folder) == []


def test_a_run_that_fails_after_a_kill_leaves_nothing(program, s3, killer, folder):
    """The rows were changed meanwhile, and now one is bad."""
    job = store_job(program, killer, folder)
    assert killed_at(program, killer, "create", 3, True, "run", job)
    with (program.folder / "rows.csv").open("a") as rows_file:
        rows_file.write('7,"x"y\n1,2,3,4\n')
    line, code = program.refused("runs", "retry", runs(program)[0]["run"])
    assert code == 4, line
    assert s3.files(folder) == {} and uploads(s3, folder) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_no_upload(program, s3, killer, folder, how):
    run = program.start("run", store_job(program, killer, folder))
    wait_for(lambda: killer.counts["create"] >= 2 or run.poll() is not None, PATIENCE)
    run.send_signal(how)
    if run.wait(PATIENCE) == 0:
        pytest.skip("it was over before")
    assert s3.files(folder) == {} and uploads(s3, folder) == []


@pytest.mark.parametrize("fault", [(500, b""), (503, b""), "cut"], ids=["500", "503", "cut"])
def test_an_upload_whose_id_was_lost_is_ended_though_the_listing_fails_at_first(program, s3, folder, fault):
    counts = collections.Counter()

    def answer(_, method, path):
        what = kind(method, path)
        counts[what] += 1
        if what == "create":
            return "lose" if counts[what] == 1 else None
        return fault if what == "list uploads" and counts[what] <= 2 else None

    with FaultyHttp(s3.port, answer) as proxy:
        killer = Killer(s3)
        killer.proxy = proxy
        program.ok("run", store_job(program, killer, folder))
    assert counts["create"] > 1 and counts["list uploads"] == 3
    assert uploads(s3, folder) == []


def file_job(program, killer, folder, letter):
    """A file that has as many bytes with any letter."""
    path = program.folder / "rows.csv"
    path.write_text("id,name\n" + "".join(f"{n},{letter}\n" for n in range(100, 200)))
    target = killer.target(f"{folder}/out.csv", mode="replace")
    return program.job({"url": f"file://{path}"}, "file.yaml", target=target), path.read_bytes()


def test_a_single_file_whose_completion_lost_its_answer_is_published(program, s3, folder):
    """What is there has as many bytes as before, and another mark of the store."""
    only(program)
    counts = collections.Counter()

    def answer(_, method, path):
        counts[kind(method, path)] += 1
        return "lose" if counts["complete"] in (1, 3) and kind(method, path) == "complete" else None

    with FaultyHttp(s3.port, answer) as proxy:
        killer = Killer(s3)
        killer.proxy = proxy
        for letter in "ab":
            job, rows = file_job(program, killer, folder, letter)
            program.ok("run", job)
            assert s3.files(folder)["out.csv"] == rows
    assert counts["complete"] == 4, "each was asked again"


def test_a_single_file_whose_upload_was_ended_by_somebody_is_not_taken_for_published(program, s3, folder):
    only(program)
    client = s3.client()
    armed, ended = [], []

    def answer(_, method, path):
        if kind(method, path) == "complete" and armed and not ended:
            [upload] = [upload for upload in s3.open_uploads() if upload["Key"].startswith(f"{folder}/")]
            client.abort_multipart_upload(Bucket="lake", Key=upload["Key"], UploadId=upload["UploadId"])
            ended.append(upload)

    with FaultyHttp(s3.port, answer) as proxy:
        killer = Killer(s3)
        killer.proxy = proxy
        job, before = file_job(program, killer, folder, "a")
        program.ok("run", job)
        armed.append(True)
        job, rows = file_job(program, killer, folder, "b")
        done = program.call("run", job)
    there = s3.files(folder)["out.csv"]
    assert ended and there == (rows if done.returncode == 0 else before), (done.returncode, done.stderr)


def test_what_is_somebody_elses_stays(program, s3, killer, folder):
    client = s3.client()
    for key in [
        f"{folder}/shop/part-theirs.parquet",
        f"{folder}/shop_v2/x",
        f"{folder}/other/x",
        f"{folder}/.longshore/x",
    ]:
        client.create_multipart_upload(Bucket="lake", Key=key)
    s3.put(f"{folder}/other/mine.txt", b"mine")
    before = sorted(uploads(s3, folder))
    assert killed_at(program, killer, "create", 3, True, "run", store_job(program, killer, folder))
    program.ok("runs", "retry", runs(program)[0]["run"])
    assert sorted(uploads(s3, folder)) == before and s3.files(folder)["other/mine.txt"] == b"mine"
    for upload in s3.open_uploads():
        client.abort_multipart_upload(Bucket="lake", Key=upload["Key"], UploadId=upload["UploadId"])


def test_a_run_beside_it_keeps_its_uploads(program, s3, killer, folder):
    """Two runs of one relation: the clean-up of the one that was killed leaves the other's parts alone."""
    job = store_job(program, killer, folder)
    assert killed_at(program, killer, "create", 3, True, "run", job)
    first = runs(program)[0]["run"]
    other = program.start("run", job)
    wait_for(lambda: killer.counts["create"] >= 5 or other.poll() is not None, PATIENCE)
    program.ok("runs", "cancel", first)
    assert other.wait(PATIENCE) == 0
    assert (
        sum(rows(s3.files(folder), name) for name in ["shop", "shop_v2"]) == ROWS
        and uploads(s3, folder) == []
    )


def test_a_job_that_the_daemon_sets_aside_leaves_nothing(program, s3, killer, folder):
    job = store_job(program, killer, folder)
    daemon = Daemon(program)
    try:
        # Whichever of its lives it is in.
        killer.victim = lambda: daemon.process
        killer.kill_at("create", 1, True)
        drop(daemon, job)
        for _ in range(3):
            daemon.process.wait(PATIENCE)
            killer.kill_at("create", 1, True)
            daemon.start()
        [report] = settled(daemon)
        assert report["in"] == "failed", report
        assert s3.files(folder) == {} and uploads(s3, folder) == []
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_run_whose_manifest_is_in_s3_is_published(program, s3, killer, folder):
    """The ledger is gone, and the job is still in `running`."""
    daemon = Daemon(only(program))
    try:
        drop(daemon, store_job(program, killer, folder, mode="append"))
        settled(daemon)
        daemon.stop()
        before = s3.files(folder)
        for report in (daemon.inbox / "done").glob("*.report.json"):
            report.unlink()
        [file] = (daemon.inbox / "done").iterdir()
        os.rename(file, daemon.inbox / "running" / file.name)
        os.rename(program.folder / "state", program.folder / "broken")
        daemon.start()
        [report] = settled(daemon)
        assert report["in"] == "done" and visible(s3.files(folder)) == visible(before), report
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_local_run_that_the_daemon_sets_aside_leaves_nothing(program):
    """Its parts are there, and it never gets further: every life that takes it is killed."""
    only(program, "tpch")
    daemon = Daemon(program)
    try:
        drop(
            daemon,
            program.job(
                {"url": "tpch:", "scale": 20, "text_mib": 1},
                "long.yaml",
                tables=["lineitem"],
                chunk={"rows": 100_000_000},
            ),
        )
        for life in range(1, 4):
            # The parts of the life before are there, too: only the log tells that this one took the run.
            wait_for(lambda life=life: lives(daemon) and len(told(program, "taken, run")) == life, PATIENCE)
            wait_for(lambda: lives(daemon) and list(program.lake.rglob("part-*")), PATIENCE)
            daemon.stop(signal.SIGKILL)
            daemon.start()
        [report] = settled(daemon)
        assert report["in"] == "failed" and program.published() == [], report
        serves(daemon)
    finally:
        daemon.stop(signal.SIGKILL)


# Azure has no uploads: blocks of files that are not there yet


def blocks(azure, folder):
    """The files that are not there but for their blocks."""
    there = set(azure.names())
    names = azure.names("&include=uncommittedblobs")
    return [name for name in names if name.startswith(f"{folder}/") and name not in there]


@DELIVERED
@pytest.mark.parametrize("what, number", [("piece", 1), ("piece", 3), ("complete", 2)])
def test_a_run_that_was_killed_and_goes_on_leaves_no_block(
    program, azure, azure_killer, folder, what, number, delivered
):
    assert killed_at(
        program, azure_killer, what, number, delivered, "run", store_job(program, azure_killer, folder)
    )
    assert what == "complete" or not delivered or blocks(azure, folder) != []
    program.ok("runs", "retry", runs(program)[0]["run"])
    files = azure.files(folder)
    assert rows(files, "shop") == ROWS and blocks(azure, folder) == []
    assert all(path.startswith((".longshore/runs/", "shop/")) for path in files), sorted(files)


@DELIVERED
@pytest.mark.parametrize("how", ["retry", "cancel"])
def test_a_clean_up_of_blocks_that_is_killed_is_done_the_next_time(
    program, azure, azure_killer, folder, how, delivered
):
    assert killed_at(program, azure_killer, "piece", 3, True, "run", store_job(program, azure_killer, folder))
    run = runs(program)[0]["run"]
    assert killed_at(program, azure_killer, "overwrite", 1, delivered, "runs", how, run)
    program.call("runs", how, run)
    assert state(program) == ("cancelled" if how == "cancel" else "succeeded")
    files = azure.files(folder)
    assert rows(files, "shop") == (0 if how == "cancel" else ROWS) and blocks(azure, folder) == []
    assert all(path.startswith((".longshore/runs/", "shop/")) for path in files), sorted(files)


# A full disk (48)

NO_WAIT = {"LONGSHORE_RETRY_BACKOFF_MILLIS": "10"}


@pytest.fixture
def disk(program):
    """A disk of a few MiB."""
    folder = program.folder / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def noise(program, count=120_000):
    """Rows that no compression makes small."""
    path = program.folder / "noise.csv"
    state = 1
    with path.open("w") as out:
        out.write("id,noise\n")
        for number in range(count):
            state = state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
            out.write(f"{number},{state:016x}{state * 31 & (1 << 64) - 1:016x}\n")
    return {"url": f"file://{path}"}


def full(program, job, *args):
    line, code = program.refused(*args, "run", job, env=NO_WAIT)
    details = json.loads(program.ok("--json", "runs", "show", runs(program)[0]["run"]))
    return line, code, details


@pytest.mark.parametrize("format", ["parquet", "csv", "json", "arrow"])
@pytest.mark.parametrize("chunk", [{"rows": 10_000_000}, {"bytes": 400_000}], ids=["one-chunk", "chunks"])
def test_a_full_disk_is_told_once_with_its_place_and_nothing_is_left(program, disk, format, chunk):
    job = program.job(
        noise(only(program)), target={"url": f"file://{disk}/lake", "format": format}, chunk=chunk
    )
    line, code, details = full(program, job)
    assert code == 6 and "No space left" in line and str(disk) in line and "next: " in line, line
    tried = collections.Counter((attempt["relation"], attempt["chunk"]) for attempt in details["attempts"])
    assert max(tried.values(), default=1) == 1, details["attempts"]
    assert {attempt["class"] for attempt in details["attempts"] if attempt["class"]} == {"full"}, details[
        "attempts"
    ]
    assert details["report"]["error"]["class"] == "full"
    assert [path for path in disk.rglob("*") if path.is_file()] == []


def test_progress_never_tells_of_more_rows_than_there_are(program, disk):
    job = program.job(noise(only(program)), target={"url": f"file://{disk}/lake"}, chunk={"bytes": 400_000})
    done = program.call("run", job, env=NO_WAIT)
    for number in re.findall(r"([\d,]+) rows", done.stderr):
        assert int(number.replace(",", "")) <= 120_000, done.stderr


def test_what_a_full_disk_advises_works(program, disk):
    """Make room, then go on: by a run anew, and by `runs retry`."""
    (disk / "filler").write_bytes(b"x" * (1900 << 10))
    job = program.job(csv_source(only(program), 40_000), target={"url": f"file://{disk}/lake"})
    line, code, details = full(program, job)
    assert code == 6 and "make room" in line, line
    (disk / "filler").unlink()
    assert program.report("runs", "retry", details["run"])["rows"] == 40_000


def test_a_daemon_survives_a_full_disk(program, disk):
    daemon = Daemon(only(program))
    try:
        drop(daemon, program.job(noise(program), "full.yaml", target={"url": f"file://{disk}/lake"}))
        [report] = settled(daemon)
        assert report["error"]["class"] == "full" and report["error"]["exit_code"] == 6, report
        assert report["error"]["who_must_act"] == "the platform"
        serves(daemon)
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_daemon_whose_inbox_is_full_goes_on_when_there_is_room(program, disk):
    (program.folder / "inbox").symlink_to(disk)
    daemon = Daemon(only(program))
    try:
        text = program.job(csv_source(program), "one.yaml").read_text()
        (disk / ".one.yaml").write_text(text)
        os.rename(disk / ".one.yaml", disk / "one.yaml")
        settled(daemon)
        (disk / ".two.yaml").write_text(text)
        with contextlib.suppress(OSError), (disk / "filler.bin").open("wb", buffering=0) as filler:
            while filler.write(b"x" * 4096):
                pass
        os.rename(disk / ".two.yaml", disk / "two.yaml")
        wait_for(
            lambda: lives(daemon) and (program.folder / "daemon.log").read_text().count("two.yaml"), PATIENCE
        )
        (disk / "filler.bin").unlink()
        (disk / ".three.yaml").write_text(text)
        os.rename(disk / ".three.yaml", disk / "three.yaml")
        wait_for(lambda: lives(daemon) and list((disk / "done").glob("three.*.report.json")), PATIENCE)
    finally:
        daemon.stop(signal.SIGKILL)


@pytest.mark.parametrize("what", ["--state", "--cache"])
def test_a_full_disk_of_the_programs_own_names_its_folder(program, disk, what):
    (disk / "filler").write_bytes(b"x" * ((2 << 20) - (700 << 10)))
    only(program, "mask")
    mask = {"plugin": "mask", "columns": ["name"]}
    job = program.job(csv_source(program, 100_000), transform=[mask], chunk={"bytes": 2_000})
    done = program.call(what, disk / "own", "run", job, env=NO_WAIT)
    if what == "--cache":
        # What is not kept is only compiled again.
        assert done.returncode == 0 and str(disk) in done.stderr, done.stderr
    else:
        assert done.returncode == 6 and "state" in done.stderr and program.published() == [], done.stderr


def test_a_file_larger_than_the_system_lets_it_be_is_told(program):
    job = program.job(noise(only(program)), target={"url": f"file://{program.lake}", "compression": "none"})
    limited = ["bash", "-c", f"ulimit -f 800; exec {LONGSHORE} run {job}"]
    done = subprocess.run(
        limited,
        env={**program.env, **NO_WAIT},
        cwd=program.folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 6 and str(program.lake) in done.stderr, (done.returncode, done.stderr)
    assert program.published() == []


# The cause first (50)

NO_RETRY = {"AWS_MAX_ATTEMPTS": "1", "LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0", **NO_WAIT}

#: What a clean-up says of itself, where it had nothing to clean.
CLEANING = re.compile(r"discard|clean|remov|left|abort", re.I)


def cause(program, target, seconds=90):
    line, code = program.refused(
        "run", program.job(csv_source(only(program), 10), target=target), env=NO_RETRY, seconds=seconds
    )
    assert not CLEANING.search(line.split("; next: ")[0]), line
    report = runs(program)
    assert not report or not CLEANING.search(report[0]["report"]["error"]["message"]), report
    return line, code


def endpoint(url):
    return {"url": "s3://lake/x", "s3": {"endpoint": url, "access_key_id": "id", "secret_access_key": "key"}}


def test_a_closed_endpoint_is_a_lost_connection(program):
    port = free_port()
    line, code = cause(program, endpoint(f"http://127.0.0.1:{port}"))
    assert code == 3 and f"127.0.0.1:{port}" in line, line


def test_an_endpoint_without_a_name_is_a_lost_connection(program):
    line, code = cause(program, endpoint("http://no.such.host.invalid"))
    assert code == 3 and "no.such.host.invalid" in line, line


def test_tls_to_a_port_without_it_is_a_lost_connection(program, s3):
    line, code = cause(program, endpoint(f"https://127.0.0.1:{s3.port}"))
    assert code == 3 and f"127.0.0.1:{s3.port}" in line, line


def test_a_bucket_that_is_not_there_is_named(program, s3):
    target = s3.target("x")
    line, code = cause(program, {**target, "url": "s3://nowhere/x"})
    assert code == 4 and "nowhere" in line, line


ANSWERS = {
    "403": ((403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"), 5, "AccessDenied"),
    "wrong signature": (
        (403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"),
        5,
        "SignatureDoesNotMatch",
    ),
    "a page of HTML": ((200, b"<html><body>welcome</body></html>"), None, "endpoint"),
    "503": ((503, b"<Error><Code>SlowDown</Code></Error>"), 3, "SlowDown"),
}


@pytest.mark.parametrize("answer, code, part", ANSWERS.values(), ids=ANSWERS)
def test_what_a_store_answers_is_the_cause(program, s3, answer, code, part):
    with FaultyHttp(s3.port, lambda *_: answer) as proxy:
        line, given = cause(program, endpoint(f"http://127.0.0.1:{proxy.port}"))
    assert part in line and given in ((code,) if code else (2, 3, 4, 6)), (given, line)


def file_in_the_way(folder):
    (folder / "file").write_text("a file")
    return folder / "file"


LOCAL = {
    "a file": (file_in_the_way, 2),
    "beneath a file": (lambda folder: file_in_the_way(folder) / "lake", 2),
    "/proc": (lambda folder: "/proc/lake", (2, 5)),
    "/proc/self": (lambda folder: "/proc/self/fd/lake", (2, 5)),
    "/sys": (lambda folder: "/sys/lake", (2, 5)),
    "a device": (lambda folder: "/dev/null", 2),
    "beneath a device": (lambda folder: "/dev/null/lake", 2),
    "a link to nowhere": (
        lambda folder: (folder / "link").symlink_to("nowhere/at/all") or folder / "link",
        2,
    ),
    "a link to itself": (lambda folder: (folder / "link").symlink_to("link") or folder / "link", 2),
    "a name that is too long": (lambda folder: folder / ("n" * 300), 2),
    "a path that is too long": (lambda folder: folder / "/".join(["n" * 200] * 30), 2),
}


@pytest.mark.parametrize("place, code", LOCAL.values(), ids=LOCAL)
def test_a_folder_that_cannot_be_is_the_cause(program, place, code):
    path = place(program.folder)
    line, given = cause(program, {"url": f"file://{path}"})
    assert str(path)[:200] in line and "next: " in line, line
    assert given == code or given in (code if isinstance(code, tuple) else ()), (given, line)


def test_a_disk_that_may_not_be_written_is_the_cause(program, disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    line, code = cause(program, {"url": f"file://{disk}/lake"})
    assert code == 5 and str(disk) in line, line


def test_a_clean_up_that_could_not_be_done_is_told_beside_the_cause(program, s3, killer, folder):
    """Uploads are open, and the store is gone: the cause comes first, and what is left is named."""
    gone = {"yes": False}

    def fault(number, method, path):
        if kind(method, path) == "create" and killer.counts["create"] >= 2:
            gone["yes"] = True
        killer.counts[kind(method, path)] += 1
        return "cut" if gone["yes"] else None

    with FaultyHttp(s3.port, fault) as proxy:
        other = S3()
        other.port = proxy.port
        job = program.job(csv_source(only(program)), target=S3.target(other, folder), **CHUNKS)
        done = program.call("run", job, env=NO_RETRY, seconds=200)
    assert done.returncode == 3, done.stderr
    line = next((line for line in done.stderr.splitlines() if line.startswith("longshore:")), "")
    assert f"127.0.0.1:{proxy.port}" in line and not CLEANING.search(line.split("; next: ")[0][:120]), (
        done.stderr
    )
    assert visible(s3.files(folder)) == {}
    for upload in s3.open_uploads():
        s3.client().abort_multipart_upload(Bucket="lake", Key=upload["Key"], UploadId=upload["UploadId"])
