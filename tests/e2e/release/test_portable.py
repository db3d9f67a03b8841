"""Plugins that a package compiled ahead, for any processor."""

import json
import shutil

import pytest

from support.longshore import LONGSHORE, PLUGINS
from support.packages import run


class Packaged:
    """A program as a package has it, with one plugin."""

    def __init__(self, folder):
        self.folder = folder
        self.program = folder / "bin/longshore"
        self.compiled = folder / "lib/longshore/compiled"
        self.program.parent.mkdir()
        (folder / "lib/longshore/plugins").mkdir(parents=True)
        shutil.copy(LONGSHORE, self.program)
        shutil.copy(PLUGINS / "tpch.wasm", folder / "lib/longshore/plugins")
        self("plugin", "compile", "--portable", self.compiled)

    def __call__(self, *args):
        cache = self.folder / "cache"
        shutil.rmtree(cache, ignore_errors=True)
        env = {
            "HOME": str(self.folder),
            "LONGSHORE_CACHE": str(cache),
            "LONGSHORE_STATE": str(self.folder / "state"),
        }
        return run(self.program, *args, env=env)

    def compiles(self):
        """Whether a run has to compile the plugin; it publishes in any case."""
        job = self.folder / "job.json"
        target = {"url": f"file://{self.folder}/lake", "mode": "replace"}
        job.write_text(json.dumps({"source": {"url": "tpch:"}, "tables": ["nation"], "target": target}))
        done = self("--log", "info", "--json", "run", job)
        assert json.loads(done.stdout)["rows"] == 25
        return "compiling" in done.stderr


@pytest.fixture(scope="module")
def packaged(scratch):
    folder = scratch / "portable"
    folder.mkdir()
    return Packaged(folder)


def test_a_machine_with_an_empty_cache_need_not_compile(packaged):
    assert not packaged.compiles()


def test_what_is_damaged_or_others_could_write_is_compiled_instead(packaged):
    packaged.compiled.chmod(0o775)
    assert packaged.compiles()
    packaged.compiled.chmod(0o755)
    assert not packaged.compiles()
    [code] = packaged.compiled.glob("*.cwasm.zst")
    whole = code.read_bytes()
    code.write_bytes(whole[:-1000])
    assert packaged.compiles()
    code.write_bytes(whole)
    assert not packaged.compiles()


def test_the_same_plugin_gives_the_same_code(packaged):
    [first] = packaged.compiled.glob("*.cwasm.zst")
    again = packaged.folder / "again"
    packaged("plugin", "compile", "--portable", again)
    assert (again / first.name).read_bytes() == first.read_bytes()
