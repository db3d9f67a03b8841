"""The plugin folder, live: what is dropped into it serves, what is broken does not, and no run mixes versions."""

import json
import os
import random
import threading
import time

import pyarrow.parquet as pq
import pytest

from support.daemon import Daemon
from support.hostile import marked
from support.wait import wait_for

VERSIONS = ["1.0.1000", "1.0.1001", "1.1.1002", "2.0.1003"]


@pytest.fixture
def plugins(program):
    folder = program.folder / "plugins"
    folder.mkdir()
    program.env["LONGSHORE_PLUGINS"] = str(folder)
    return folder


@pytest.fixture
def daemon(program, plugins):
    put(plugins, marked(VERSIONS[0]))
    daemon = Daemon(program, "--jobs", "4")
    yield daemon
    daemon.stop()


def put(folder, component, name="hostile.wasm"):
    """As whoever is careful does it: written aside, then renamed."""
    aside = folder / f".{name}.{random.random()}"
    aside.write_bytes(component)
    aside.rename(folder / name)


def job(program, name="job.json", abuse="none", source=None, **keys):
    source = {"url": "hostile:", "abuse": abuse, "password": "x", **(source or {})}
    keys = {"tables": ["t"], "target": {"url": f"file://{program.lake}/{name.split('.')[0]}"}, **keys}
    return program.job(source, name, **keys)


def log(program):
    return (program.folder / "daemon.log").read_text()


def version_of(program, daemon, name, **keys):
    """The version that the rows of a new run say."""
    job(program, name, **keys).rename(daemon.inbox / name)
    stem = name.split(".")[0]
    wait_for(lambda: list((daemon.inbox).glob(f"[df]*/{stem}.*.report.json")))
    [report] = [json.loads(path.read_text()) for path in daemon.inbox.glob(f"[df]*/{stem}.*.report.json")]
    assert report["status"] == "succeeded", report
    [version] = set(pq.read_table(program.lake / stem / "t")["text"].to_pylist())
    return version, report


def served(program, version):
    """How often the log says that this version begins to serve."""
    told = [line.split(" serves, from ") for line in log(program).splitlines()]
    return sum(f"hostile {version} " in f"{parts[0]} " for parts in told if len(parts) > 1)


def serves(program, version):
    wait_for(lambda: served(program, version) > 0)


def test_a_new_version_is_used_however_it_gets_there(program, plugins, daemon):
    assert version_of(program, daemon, "first.json")[0] == VERSIONS[0]
    put(plugins, marked(VERSIONS[1]))
    serves(program, VERSIONS[1])
    assert version_of(program, daemon, "renamed.json")[0] == VERSIONS[1]

    with (plugins / "hostile.wasm").open("wb") as slow:
        component = marked(VERSIONS[2])
        for start in range(0, len(component), 100_000):
            slow.write(component[start : start + 100_000])
            slow.flush()
            time.sleep(0.15)
    serves(program, VERSIONS[2])
    assert version_of(program, daemon, "copied.json")[0] == VERSIONS[2]
    assert "stays" not in log(program), "a copy under way was told as a fault"

    elsewhere = program.folder / "elsewhere.wasm"
    elsewhere.write_bytes(marked(VERSIONS[3]))
    (program.folder / "link").symlink_to(elsewhere)
    os.replace(program.folder / "link", plugins / "hostile.wasm")
    serves(program, VERSIONS[3])
    assert version_of(program, daemon, "linked.json")[0] == VERSIONS[3]

    # And back.
    put(plugins, marked(VERSIONS[0]))
    wait_for(lambda: served(program, VERSIONS[0]) == 2)
    assert version_of(program, daemon, "back.json")[0] == VERSIONS[0]


@pytest.mark.parametrize(
    "broken, reason",
    [
        (lambda good: good[: len(good) // 2], "not WebAssembly, or cut off"),
        (lambda good: b"", "not WebAssembly, or cut off"),
        (lambda good: good.replace(b"@0.6.0", b"@0.7.0"), "built for 0.7, this host speaks 0.6 and 0.5"),
        (lambda good: marked(VERSIONS[1], "trap"), "trapped"),
        (lambda good: marked(VERSIONS[1], "name"), "its name is not"),
    ],
    ids=["cut", "empty", "other-contract", "traps", "lies"],
)
def test_a_broken_file_leaves_the_last_good_one_serving_and_says_so(program, plugins, daemon, broken, reason):
    put(plugins, broken(marked()))
    wait_for(lambda: f"hostile {VERSIONS[0]} " in log(program) and "stays" in log(program))
    version, report = version_of(program, daemon, "after.json")
    assert version == VERSIONS[0]
    assert any(reason in text and "the last good one is used" in text for text in report["interruptions"]), (
        report
    )
    assert reason in log(program) and reason in program.ok("plugin", "list")
    [serving] = [
        file for file in program.report("plugin", "list", "--serving", env={"LONGSHORE_STATE": str(program.folder / "state")})
        if file["path"].endswith("hostile.wasm")
    ]  # fmt: skip
    assert serving["plugin"]["version"] == VERSIONS[0] and reason in serving["fault"]
    assert daemon.stop() == 0
    line, code = program.refused("plugin", "list", "--serving")
    assert "no daemon runs on" in line and code == 2


def test_a_plugin_that_is_removed_serves_no_more(program, plugins, daemon):
    (plugins / "hostile.wasm").unlink()
    wait_for(lambda: "is gone" in log(program))
    job(program, "gone.json").rename(daemon.inbox / "gone.json")
    [report] = daemon.reports("failed")
    assert (
        report["error"]["class"] == "config" and "no connector for `hostile:`" in report["error"]["message"]
    )


def test_versions_serve_side_by_side_and_a_job_pins_one(program, plugins):
    for version in VERSIONS:
        put(plugins, marked(version), f"hostile-{version}.wasm")
    digests = {
        plugin["version"]: plugin["digest"] for plugin in json.loads(program.ok("--json", "plugin", "list"))
    }
    assert set(digests) == set(VERSIONS)
    pins = {
        None: VERSIONS[3],
        "hostile": VERSIONS[3],
        "hostile@1": VERSIONS[2],
        "hostile@1.0": VERSIONS[1],
        "hostile@1.0.1000": VERSIONS[0],
        f"hostile@sha256:{digests[VERSIONS[2]][:12]}": VERSIONS[2],
    }
    for number, (pin, version) in enumerate(pins.items()):
        name = f"pin{number}"
        program.ok("run", job(program, f"{name}.json", source={"plugin": pin} if pin else {}))
        assert set(pq.read_table(program.lake / name / "t")["text"].to_pylist()) == {version}, pin
    line, code = program.refused("run", job(program, source={"plugin": "hostile@3"}))
    assert "`hostile@3`" in line and f"hostile {VERSIONS[3]}" in line and code == 2
    line, code = program.refused("run", job(program, source={"plugin": "hostile@new"}))
    assert "`source.plugin`" in line and "NAME@1.2" in line and code == 2
    assert f"hostile {VERSIONS[1]} " in program.ok("plugin", "inspect", "hostile@1.0")


def test_versions_that_change_twenty_times_a_second_lose_no_row_and_mix_in_no_run(program, plugins, daemon):
    components = [marked(version) for version in VERSIONS]
    over = threading.Event()

    def swap():
        number = 0
        while not over.wait(0.05):
            number += 1
            put(plugins, components[number % len(components)])
            if number % 7 == 0:
                (plugins / "hostile.wasm").write_bytes(components[0][:1_000])

    swapping = threading.Thread(target=swap)
    swapping.start()
    runs = 30
    try:
        for number in range(runs):
            file = job(program, f"job{number}.json", abuse="flaky", parallel={"chunks": 4})
            file.rename(daemon.inbox / file.name)
            time.sleep(0.05)
        daemon.reports("done", runs)
    finally:
        over.set()
        swapping.join()
    seen = {}
    for number in range(runs):
        rows = pq.read_table(program.lake / f"job{number}/t")["text"].to_pylist()
        assert len(rows) == 8_000 and len(set(rows)) == 1, f"run {number}: {len(rows)} rows of {set(rows)}"
        [manifest] = (program.lake / f"job{number}/.longshore/runs").iterdir()
        [plugin] = json.loads(manifest.read_text())["plugins"]
        assert plugin["version"] == rows[0]
        seen[rows[0]] = seen.get(rows[0], 0) + 1
    assert len(seen) > 1, "no version but one was ever used"


POLICIES = {
    "forbidden": ("[[rule]]\nplugin = 'postgres'\nforbid = true\n", "postgres 0.6.0 may not be used"),
    "unlisted": ("unlisted = 'forbid'\n[[rule]]\nplugin = 'tpch'\n", "postgres 0.6.0 may not be used"),
    "endpoint": ("[[rule]]\nplugin = 'postgres'\nonly = ['*.internal:5432']\n", "may not be reached"),
    "secret": ("[[rule]]\nplugin = '*'\nsecrets = ['secret']\n", "`password` may not come from there"),
}


@pytest.mark.parametrize("rules, reason", POLICIES.values(), ids=POLICIES)
def test_a_policy_goes_before_the_job(program, flights, rules, reason):
    policy = program.folder / "policy.toml"
    policy.write_text(rules)
    file = program.postgres(flights, tables=["airlines"])
    line, code = program.refused("--policy", policy, "run", file)
    assert reason in line and "policy.toml" in line and code == 5, line
    assert program.published() == []


def test_what_a_policy_allows_is_granted_and_shown(program, flights):
    policy = program.folder / "policy.toml"
    policy.write_text(
        "[[rule]]\nplugin = 'postgres@0.6'\nonly = ['127.0.0.1:*']\nalso = ['kdc.internal:88']\nsecrets = ['env:PGPASSWORD']\n"
    )
    settings = program.folder / "longshore.toml"
    settings.write_text(f"policy = '{policy}'\n")
    file = program.postgres(flights, tables=["airlines"])
    assert "kdc.internal:88" in program.ok("--config", settings, "plan", file)
    program.ok("--config", settings, "run", file)
    policy.write_text("[[rule]]\nplugin = 'postgres'\nonly = ['nonsense']\n")
    line, code = program.refused("--config", settings, "run", file)
    assert "`rule[0]`" in line and "`nonsense`" in line and code == 2, line
