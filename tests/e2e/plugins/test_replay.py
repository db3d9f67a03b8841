"""What failed once can be run again: off-line, without the secret, and by another build."""

import json

import pyarrow as pa
import pytest

from support.endpoint import target
from support.hostile import marked
from support.longshore import HOSTILE, PLUGINS
from support.proxy import Proxy

SECRET = "gr33n-p0rridge"

#: Of these rows one cannot be worked out, and one holds the password.
ROWS = f"SELECT n, 'said {SECRET}' AS heard, 10 / (n - 7000) AS fails FROM generate_series(1, 9000) n"


@pytest.fixture(scope="module")
def user(server):
    """One who logs in by SCRAM."""
    with server.connect() as connection:
        connection.execute(f"CREATE ROLE scram_recorded LOGIN PASSWORD '{SECRET}'")
    return "scram_recorded"


def tape_of(program, job, *args, **options):
    """The tapes of a run that fails."""
    done = program.call("--json", *args, "run", job, **options)
    assert done.returncode != 0
    report = json.loads(done.stdout)
    assert all(f"longshore plugin replay {tape}" in done.stderr for tape in report["tapes"])
    return report["tapes"]


def replayed(program, *args, **options):
    done = program.call("--json", "plugin", "replay", *args, **options)
    assert "thread '" not in done.stderr, done.stderr
    return json.loads(done.stdout), done.returncode


def text(tape):
    """All that stands on a tape."""
    return pa.input_stream(str(tape), compression="zstd").read()


def test_a_chunk_that_failed_fails_again_without_its_server_and_its_password(program, server, user):
    with Proxy(server.port) as proxy:
        url = f"postgres://{user}@127.0.0.1:{proxy.port}/postgres?sslmode=disable"
        source = {"url": url, "password": {"env": "RECORDED"}}
        job = program.job(source, query=ROWS, record="on-failure")
        [tape] = tape_of(program, job, env={"RECORDED": SECRET})
    answer, code = replayed(program, tape)
    assert answer["verdict"] == "same" and code == 4, answer
    assert "division by zero" in answer["error"]["message"] and answer["error"]["code"] == "22012"
    assert answer["tape"]["error"]["message"].endswith(answer["error"]["message"])
    shown = program.call("plugin", "replay", tape)
    assert "the same, bit for bit" in shown.stdout and "by the same build" in shown.stdout, shown.stdout


def test_a_password_that_is_a_common_word_leaves_the_tape_whole(program, server):
    # It is `secret`, as is a key of every config that has one.
    job = program.postgres(server, query=ROWS.replace("said", "secret postgres"), record="on-failure")
    [tape] = tape_of(program, job)
    assert replayed(program, tape)[0]["verdict"] == "same"


def test_no_secret_is_on_a_tape(program, server, user):
    source = {"url": server.url(user=user), "password": {"env": "RECORDED"}}
    job = program.job(source, query=ROWS, record="on-failure")
    [tape] = tape_of(program, job, env={"RECORDED": SECRET})
    recorded = text(tape)
    assert SECRET.encode() not in recorded and b"said " + b"*" * len(SECRET) in recorded
    # What the server proves its knowledge of the password with could be used to guess it.
    assert b"v=" + b"A" * 43 + b"=" in recorded
    shown = program.call("plugin", "replay", tape).stdout
    assert "secrets are blacked out in" in shown
    assert oct((program.folder / tape).stat().st_mode & 0o777) == "0o600"


@pytest.fixture
def flaky(program):
    """A connector that fails one time in four, as its random number says."""
    folder = program.folder / "plugins"
    folder.mkdir()
    (folder / "hostile.wasm").symlink_to(HOSTILE / "hostile.wasm")
    program.env |= {"LONGSHORE_PLUGINS": str(folder), "LONGSHORE_RETRIES": "0"}
    settings = program.folder / "longshore.toml"
    settings.write_text("relation_retries = 0\n")
    program.env["LONGSHORE_CONFIG"] = str(settings)
    return program


def flaky_job(program, **keys):
    return program.job({"url": "hostile:", "abuse": "flaky", "server": "nowhere:1"}, tables=["t"], **keys)


def recorded_flake(program):
    for _ in range(20):
        done = program.call("--json", "run", flaky_job(program, record="on-failure"))
        if done.returncode:
            return json.loads(done.stdout)["tapes"][0]
    pytest.fail("it never failed")


def test_chance_and_time_are_on_the_tape(flaky):
    tape = recorded_flake(flaky)
    for _ in range(5):
        answer, code = replayed(flaky, tape)
        assert answer["verdict"] == "same" and code == 3, answer


def test_a_newer_build_is_held_against_the_tape(flaky):
    tape = recorded_flake(flaky)
    folder = flaky.folder / "builds"
    folder.mkdir()
    (folder / "newer.wasm").write_bytes(marked(version="1.0.2000"))
    answer, code = replayed(flaky, tape, "--plugin", folder / "newer.wasm")
    assert (answer["verdict"], answer["plugin"]["version"], code) == ("same", "1.0.2000", 3)
    mended = marked(version="1.0.3000", describe="mended")
    (folder / "mended.wasm").write_bytes(mended)
    answer, code = replayed(flaky, tape, "--plugin", folder / "mended.wasm")
    assert (answer["verdict"], answer["rows"], code) == ("passed", 1_000, 0), answer
    broken = marked(version="1.0.4000").replace(
        b"broke, as it does now and then", b"broke, as it never did before!"
    )
    (folder / "broken.wasm").write_bytes(broken)
    answer, code = replayed(flaky, tape, "--plugin", folder / "broken.wasm")
    assert (answer["verdict"], code) == ("failed-otherwise", 3), answer
    # Without the build that was recorded, the one that serves is taken.
    (flaky.folder / "plugins/hostile.wasm").unlink()
    (flaky.folder / "plugins/hostile.wasm").write_bytes(mended)
    assert replayed(flaky, tape)[0]["verdict"] == "passed"


def test_what_a_retry_mends_is_told_and_kept(flaky):
    for _ in range(20):
        report = flaky.report(
            "--retries", "9", "--retry-backoff-millis", "1", "run", flaky_job(flaky, record="on-failure")
        )
        if report.get("tapes"):
            break
    assert report["status"] == "succeeded" and report["rows"] == 8_000
    assert replayed(flaky, report["tapes"][0])[0]["verdict"] == "same"
    [run] = [run for run in flaky.report("runs") if run["run"] == report["run"]]
    assert run["report"]["tapes"] == report["tapes"]


def test_a_sink_that_was_refused_fails_again_without_its_server(program, endpoint):
    endpoint.refuse = lambda request, number: (422, {}, b"no such field") if number == 3 else None
    source = {"url": "tpch:", "scale": 0.01, "text_mib": 1}
    to = target(endpoint, batch_rows=1_000)
    [tape] = tape_of(program, program.job(source, tables=["orders"], record="on-failure", target=to))
    endpoint.server.shutdown()
    endpoint.server.server_close()
    answer, code = replayed(program, tape)
    assert answer["verdict"] == "same" and code == 4 and "422" in answer["error"]["message"], answer


def test_nothing_is_recorded_unless_the_job_says_so(program, server):
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    assert "tapes" not in json.loads(program.call("--json", "run", program.job(source, query=ROWS)).stdout)
    assert not (program.folder / "state/tapes").exists()
    good = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["orders"], record="on-failure")
    assert "tapes" not in program.report("run", good)
    assert list((program.folder / "state/tapes").iterdir()) == []


def test_the_limits_of_a_tape_cost_the_tape_and_not_the_run(program, server):
    settings = program.folder / "longshore.toml"
    settings.write_text("[limits]\ntape_mib = 0\n")
    program.env["LONGSHORE_CONFIG"] = str(settings)
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    done = program.call("--json", "run", program.job(source, query=ROWS, record="on-failure"))
    assert "a tape is given up: it is longer than `tape_mib`" in done.stderr
    report = json.loads(done.stdout)
    assert "division by zero" in report["error"]["message"] and "tapes" not in report


def test_tapes_are_kept_as_long_as_their_runs(program, server):
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    tapes = [
        tape_of(program, program.job(source, query=ROWS, record="on-failure"), "--history-runs", "1")
        for _ in range(2)
    ]
    assert not (program.folder / tapes[0][0]).exists() and (program.folder / tapes[1][0]).exists()


def test_what_is_no_tape_is_refused(program, flaky):
    def says(*args):
        line, code = program.refused("plugin", "replay", *args)
        assert code == 2, line
        return line

    good = recorded_flake(flaky)
    whole = open(good, "rb").read()
    bad = program.folder / "bad.tape"
    for content in (b"", b"hello", whole[: len(whole) // 2], whole[:-9], b"\x28\xb5\x2f\xfd" + bytes(99)):
        bad.write_bytes(content)
        assert "not a tape, or cut off" in says(bad)
    line, code = program.refused("plugin", "replay", "nowhere.tape")
    assert "nowhere.tape" in line and code == 4
    assert "of another kind" in says(good, "--plugin", PLUGINS / "mask.wasm")
    (flaky.folder / "plugins/hostile.wasm").unlink()
    assert "no hostile 1.0.1000 in" in says(good)


def test_an_unknown_way_to_record_is_refused(program):
    line, code = program.refused(
        "validate", program.job({"url": "tpch:"}, tables=["orders"], record="always")
    )
    assert "record" in line and "on-failure" in line and code == 2
