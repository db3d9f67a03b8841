"""What is compiled, and when: no command compiles a plugin that it does not use."""

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
    return program.job({"url": "tpch:", "scale": 0.01}, tables=["nation"])


def test_looking_at_the_bundled_plugins_compiles_none(cold):
    assert compiled(cold, "plugin", "list") == []
    assert compiled(cold, "plugin", "inspect", "postgres") == []


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


def test_a_stamp_that_lies_is_refused_when_the_component_is_used(cold):
    honest = (PLUGINS / "tpch.wasm").read_bytes()
    start = honest.index(SECTION)
    lying = honest[:start] + honest[start:].replace(b'"version":"0.', b'"version":"7.', 1)
    assert lying != honest
    folder = cold.folder / "plugins"
    folder.mkdir()
    (folder / "tpch.wasm").write_bytes(lying)
    cold.env["LONGSHORE_PLUGINS"] = str(folder)
    line, code = cold.refused("run", tpch(cold))
    assert "its stamp says that it is tpch 7." in line and "longshore plugin build" in line and code == 2
    assert cold.published() == []
