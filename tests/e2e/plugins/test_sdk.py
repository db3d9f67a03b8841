"""From nothing to a tested plugin, as the guide says; and what does not keep to the contract is found."""

import json
import os
import re
import shutil
import subprocess

import pytest

from support.hostile import LIMITS
from support.longshore import HOSTILE, LONGSHORE, PASSWORD, ROOT

pytestmark = pytest.mark.cargo


@pytest.fixture(scope="module")
def env(scratch, cache):
    """Crates that are made here share what they build with each other, and with the bundled plugins."""
    return {
        **os.environ,
        "PATH": f"{LONGSHORE.parent}:{os.environ['PATH']}",
        "LONGSHORE_CACHE": str(cache),
        "LONGSHORE_STATE": str(scratch / "sdk-state"),
        "CARGO_TARGET_DIR": str(ROOT / "target"),
    }


def shell(command, env, folder):
    done = subprocess.run(command, shell=True, env=env, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def share(folder):
    """With the workspace's versions, what the bundled plugins are built of need not be built again."""
    shutil.copy(ROOT / "Cargo.lock", folder)


def test_the_guide_leads_to_a_tested_connector(program, env):
    guide = (ROOT / "docs/how-to/write-a-plugin.md").read_text()
    guide = guide[guide.index("## Ten minutes") : guide.index("## What a plugin is made of")]
    folder, shown = program.folder, ""
    job = re.search(r"^```yaml\n(.*?)^```", guide, re.M | re.S).group(1)
    commands = [line[2:] for line in guide.splitlines() if line.startswith("$ ")]
    assert len(commands) == 8
    for command in commands:
        if command.startswith("cd "):
            folder = folder / command[3:]
            share(folder)
            (folder / "numbers.yaml").write_text(job.replace("/lake/numbers", str(program.lake)))
            continue
        shown += shell(command.replace("/lake/numbers", str(program.lake)), env, folder)
    assert "promises kept" in shown and "number 0" in shown and "rows/s" in shown


@pytest.mark.parametrize(
    "kind, config", [("transform", {"columns": ["text"]}), ("sink", {"url": "my-sink:"})]
)
def test_the_other_kinds_build_test_and_are_checked_at_once(program, env, kind, config):
    shell(f"longshore plugin new {kind} my-{kind}", env, program.folder)
    folder = program.folder / f"my-{kind}"
    share(folder)
    shell("cargo test", env, folder)
    shell("longshore plugin build --out plugins .", env, folder)
    answer = json.loads(
        shell(
            f"longshore --json plugin check plugins/my-{kind}.wasm --with '{json.dumps(config)}'", env, folder
        )
    )
    assert answer["kept"] and answer["whole"] and len(answer["promises"]) > 15


def test_a_crate_is_not_made_over_another_nor_under_a_wrong_name(program):
    program.ok("plugin", "new", "sink", "twice")
    line, code = program.refused("plugin", "new", "sink", "twice")
    assert "twice is already there" in line and code == 2
    line, code = program.refused("plugin", "new", "sink", "../Twice")
    assert "cannot be a plugin's name" in line and code == 2


def test_the_bundled_plugins_keep_their_promises(program, flights):
    job = program.postgres(
        flights, tables=["weather", "airports"], query="SELECT carrier, count(*) FROM flights GROUP BY 1"
    )
    shown = program.report("plugin", "check", "postgres", "--job", job)
    assert shown["kept"], [promise for promise in shown["promises"] if promise["fault"]]
    promises = [promise["promise"] for promise in shown["promises"]]
    assert "weather: a filter gives the rows for which it is true" in promises
    assert program.report(
        "plugin", "check", "tpch", "--with", '{"url": "tpch:", "scale": 0.01}', "--table", "orders"
    )["kept"]
    assert program.report(
        "plugin", "check", "mask", "--with", '{"columns": ["text"], "mode": "hash", "salt": "x"}'
    )["kept"]
    url = json.dumps({"url": flights.url(), "password": PASSWORD})
    try:
        shown = program.report("plugin", "check", "postgres-sink", "--with", url)
        assert shown["kept"], [promise for promise in shown["promises"] if promise["fault"]]
        assert flights.rows("SELECT count(*) FROM longshore_check") == [(200,)]
    finally:
        with flights.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS longshore_check")


@pytest.mark.parametrize("abuse, promise", [
    ("trap-open", "it opens a session"),
    ("relation-garbage", "column by column"),
    ("stream-schema", "it is read whole, as one chunk"),
    ("stream-endless", "it is read whole, as one chunk"),
    ("empty-calls", "it is read whole, as one chunk"),
    ("descriptor-huge", "it is read whole, as one chunk"),
    ("chunks-more-than-asked", "it is read whole, as one chunk"),
    ("loop-drop-reader", "it is read whole, as one chunk"),
])  # fmt: skip
def test_a_component_that_breaks_its_promises_is_found(program, abuse, promise):
    (program.folder / "longshore.toml").write_text(LIMITS)
    config = json.dumps({"url": "hostile:", "abuse": abuse, "server": "nowhere:1"})
    done = program.call(
        "--json", "plugin", "check", HOSTILE / "hostile.wasm", "--with", config, "--table", "t"
    )
    answer = json.loads(done.stdout)
    broken = [outcome for outcome in answer["promises"] if outcome["fault"]]
    assert done.returncode == 4 and not answer["kept"], answer
    assert any(promise in outcome["promise"] for outcome in broken), broken


@pytest.mark.parametrize("plugin, config", [
    ("tpch", {"url": "tpch:", "scale": 0.1}),
    ("mask", {"columns": ["text"]}),
    ("postgres-sink", None),
])  # fmt: skip
def test_a_component_is_measured(program, server, plugin, config):
    config = config or {"url": server.url(), "password": PASSWORD}
    args = ["--with", json.dumps(config), "--rows", "50000", "--instances", "1,8"]
    args += ["--table", "orders"] if plugin == "tpch" else []
    answer = program.report("plugin", "bench", plugin, *args)
    assert [figures["instances"] for figures in answer["measured"]] == [1, 8]
    for figures in answer["measured"]:
        assert figures["rows"] >= 49_152 and figures["bytes"] > 10 * figures["rows"]
        assert 1 << 20 <= figures["memory_bytes"] < 1 << 30 and figures["cpu_secs"] > 0
    assert answer["start_micros"] > 0
    assert "instances       rows/s" in program.ok("plugin", "bench", plugin, *args)
    assert server.rows("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'longshore%'") == [(0,)]


def test_a_wrong_question_is_refused(program):
    line, code = program.refused("plugin", "check", "nowhere")
    assert "no plugin `nowhere`" in line and code == 2
    line, code = program.refused("plugin", "check", "mask", "--with", "{")
    assert "`--with`: not a JSON object" in line and code == 2
    line, code = program.refused("plugin", "check", "mask", "--with", '{"colums": []}')
    assert "did you mean `columns`?" in line and code == 2
    job = program.job({"url": "tpch:"}, tables=["nation"])
    line, code = program.refused("plugin", "check", "mask", "--job", job)
    assert "the job does not use mask" in line and code == 2
