"""What is compiled, and when: no command compiles a plugin that it does not use."""

import json
import os
import re

import pytest

from support.longshore import PLUGINS

SECTION = b"longshore:plugin-info"


@pytest.fixture
def cold(program):
    """A machine that has compiled nothing yet."""
    program.env["LONGSHORE_CACHE"] = str(program.folder / "cache")
    return program


def compiled(program, *args):
    """The components that a call compiled."""
    done = program.call(*args)
    assert done.returncode == 0, done.stderr
    return re.findall(r"compiling \S*?([\w-]+)\.wasm", done.stderr)


def unstamped(component):
    """As other tools than ours make it."""
    assert component.count(SECTION) == 1
    return component.replace(SECTION, b"some-other-compiler-x")


def tpch(program):
    return program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])


def test_a_list_of_the_plugins_compiles_none_and_a_closer_look_one(cold):
    assert compiled(cold, "plugin", "list") == []
    assert compiled(cold, "plugin", "inspect", "postgres") == ["postgres"]


def test_a_run_compiles_what_it_uses_once_for_the_machine(cold):
    assert compiled(cold, "run", tpch(cold)) == ["tpch"]
    assert compiled(cold, "plan", tpch(cold)) == []


def test_a_job_of_files_alone_compiles_nothing(cold):
    source = cold.folder / "in"
    source.mkdir()
    (source / "a.csv").write_text("x\n1\n")
    job = cold.job({"url": f"file://{source}"}, tables=["a.csv"])
    assert compiled(cold, "run", job) == []


def test_plugins_are_compiled_ahead_of_time(cold):
    answers = cold.report("plugin", "compile")
    assert {answer["name"] for answer in answers} == {path.stem for path in PLUGINS.glob("*.wasm")}
    assert compiled(cold, "run", tpch(cold)) == []


def test_a_component_without_a_stamp_is_asked_once(cold):
    folder = cold.folder / "plugins"
    folder.mkdir()
    (folder / "tpch.wasm").write_bytes(unstamped((PLUGINS / "tpch.wasm").read_bytes()))
    cold.env["LONGSHORE_PLUGINS"] = str(folder)
    assert compiled(cold, "plugin", "list") == ["tpch"]
    assert compiled(cold, "plugin", "list") == []
    assert compiled(cold, "run", tpch(cold)) == []


@pytest.fixture
def liar(cold):
    """A folder with a component whose section says that it is of another version."""
    honest = (PLUGINS / "tpch.wasm").read_bytes()
    start = honest.index(SECTION)
    lying = honest[:start] + honest[start:].replace(b'"version":"0.', b'"version":"7.', 1)
    assert lying != honest
    folder = cold.folder / "plugins"
    folder.mkdir()
    (folder / "liar.wasm").write_bytes(lying)
    cold.env["LONGSHORE_PLUGINS"] = str(folder)
    return folder


def test_a_stamp_that_lies_is_refused_when_the_component_is_used(cold, liar):
    line, code = cold.refused("run", tpch(cold))
    assert "says that it is tpch 7." in line and "remove the file" in line and code == 2
    assert cold.published() == []
    line, code = cold.refused("plugin", "inspect", liar / "liar.wasm")
    assert "says that it is tpch 7." in line and code == 2


def test_a_stamp_that_was_caught_lying_stands_in_no_others_way(cold, liar):
    cold.refused("run", tpch(cold))
    (liar / "tpch.wasm").symlink_to(PLUGINS / "tpch.wasm")
    cold.ok("run", tpch(cold))
    assert "not usable" in cold.ok("plugin", "list")


def cached(program, ending):
    [path] = (program.folder / "cache").glob(f"*{ending}")
    return path


@pytest.mark.parametrize("ending", [".cwasm", ".json"])
@pytest.mark.parametrize("damage", ["flipped", "another's", "cut", "empty", "pipe"])
def test_a_damaged_cache_costs_time_and_nothing_else(cold, ending, damage):
    cold.ok("run", tpch(cold))
    path = cached(cold, ending)
    good = path.read_bytes()
    half = len(good) // 2
    path.unlink()
    if damage == "flipped":
        path.write_bytes(good[:half] + bytes(byte ^ 0xFF for byte in good[half:]))
    elif damage == "another's":
        cold.ok("plugin", "inspect", "mask")
        [other] = [file for file in (cold.folder / "cache").glob(f"*{ending}") if file != path]
        path.write_bytes(other.read_bytes())
    elif damage == "cut":
        path.write_bytes(good[:half])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        os.mkfifo(path)
    cold.ok("run", tpch(cold), seconds=60)
    assert path.read_bytes() == good


def test_what_cannot_be_compiled_ahead_is_told_for_each(cold):
    folder = cold.folder / "plugins"
    folder.mkdir()
    (folder / "junk.wasm").write_bytes(b"junk")
    (folder / "tpch.wasm").symlink_to(PLUGINS / "tpch.wasm")
    done = cold.call("--json", "plugin", "compile", env={"LONGSHORE_PLUGINS": str(folder)})
    junk, good = json.loads(done.stdout)
    assert "not WebAssembly" in junk["error"]["message"] and good["name"] == "tpch" and done.returncode == 2
