"""Plugin folders."""

import pytest

from support.hostile import LIMITS
from support.longshore import HOSTILE, PLUGINS


@pytest.fixture
def plugins(program):
    folder = program.folder / "plugins"
    folder.mkdir()
    for source in [HOSTILE / "hostile.wasm", PLUGINS / "tpch.wasm"]:
        (folder / source.name).symlink_to(source)
    settings = program.folder / "longshore.toml"
    settings.write_text(LIMITS)
    program.env |= {"LONGSHORE_CONFIG": str(settings), "LONGSHORE_PLUGINS": str(folder)}
    return folder


@pytest.fixture
def folder(program):
    """A plugin folder with tpch alone."""
    folder = program.folder / "plugins"
    folder.mkdir()
    program.env["LONGSHORE_PLUGINS"] = str(folder)
    program.ok("plugin", "install", PLUGINS / "tpch.wasm")
    return folder
