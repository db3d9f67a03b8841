"""A plugin that means harm: each abuse ends in an error of its run, within limits."""

import pytest

from conftest import HOSTILE, PLUGINS

ABUSES = {
    "loop": "computed for 120 s without an answer",
    "memory": "of memory, the limit is 1024 MiB",
    "recursion": "overflowed its stack",
    "panic": "the plugin's own words",
    "schema": "not those that it described",
    "utf8": "sent bad data",
    "rows": "sent bad data",
    "elsewhere": "does not name",
    "secret": "the job gives no `other`",
    "many-chunks": "more than 10000 chunks",
    "big-descriptor": "a descriptor over 65536 bytes",
    "connections": "does not name",
}


@pytest.fixture
def plugins(program):
    folder = program.folder / "plugins"
    folder.mkdir()
    for source in [HOSTILE / "hostile.wasm", PLUGINS / "tpch.wasm"]:
        (folder / source.name).symlink_to(source)
    return folder


@pytest.mark.parametrize("abuse", [abuse for abuse in ABUSES if abuse != "loop"])
def test_an_abuse_is_an_error_of_its_run(program, plugins, abuse):
    job = program.job({"url": "hostile:", "abuse": abuse, "password": "t0p-s3cret"}, tables=["t"])
    line, code = program.refused("--plugins", plugins, "run", job)
    assert ABUSES[abuse] in line and code in (1, 2, 5), line
    assert "t0p-s3cret" not in line
    assert program.published() == []


def test_a_secret_in_an_error_or_a_log_is_blacked_out(program, plugins):
    job = program.job({"url": "hostile:", "abuse": "tell", "password": "t0p-s3cret"}, tables=["t"])
    done = program.call("--log", "longshore=trace", "--plugins", plugins, "run", job)
    assert "the password is ***" in done.stderr and "t0p-s3cret" not in done.stderr


def test_a_flood_of_log_is_cut(program, plugins):
    job = program.job({"url": "hostile:", "abuse": "flood", "password": "x"}, tables=["t"])
    done = program.call("--log", "longshore=trace", "--plugins", plugins, "run", job)
    assert done.returncode == 0 and len(done.stderr) < 4 << 20
    assert "the rest is dropped" in done.stderr


def test_endless_computing_does_not_stop_others(program, plugins):
    spinning = program.job({"url": "hostile:", "abuse": "loop", "password": "x"}, "spin.yaml", tables=["t"])
    inbox = program.folder / "inbox"
    daemon = program.start("--plugins", plugins, "serve", "--inbox", inbox, "--drain-secs", "2")
    try:
        from test_flights import wait_for

        wait_for(lambda: (inbox / "failed").exists())
        spinning.rename(inbox / "spin.yaml")
        wait_for(lambda: list((inbox / "running").iterdir()))
        good = program.job({"url": "tpch:", "scale": 0.01}, "good.yaml", tables=["orders"])
        good.rename(inbox / "good.yaml")
        wait_for(lambda: list((inbox / "done").glob("*.report.json")), 30)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    assert [path.name.split(".")[0] for path in (inbox / "running").iterdir()] == ["spin"]
