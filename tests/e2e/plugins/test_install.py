"""What comes into the plugin folder: by `plugin install`, within its lock file, signed by who is trusted."""

import json

from support.daemon import Daemon
from support.hostile import marked
from support.longshore import PLUGINS
from support.plugins import minisign, names
from support.wait import wait_for

JOB = {"source": {"url": "tpch:", "scale": 0.01, "text_mib": 1}, "tables": ["nation"]}


def hostile(program, version="1.0.1000", name="hostile.wasm"):
    path = program.folder / name
    path.write_bytes(marked(version))
    return path


def test_what_is_installed_serves_without_a_restart(program, folder):
    daemon = Daemon(program)
    answer = program.report("plugin", "install", hostile(program, "1.0.1001"))
    assert [(plugin["name"], plugin["version"]) for plugin in answer] == [("hostile", "1.0.1001")]
    log = program.folder / "daemon.log"
    wait_for(lambda: "hostile 1.0.1001 " in log.read_text())
    # Another version takes its place, and an older one too: that is the way back.
    for version in ["1.0.1002", "1.0.1000"]:
        shown = program.ok("plugin", "install", hostile(program, version))
        assert f"hostile {version} " in shown and shown.strip().endswith(f"{folder}/hostile.wasm")
        wait_for(lambda version=version: f"hostile {version} " in log.read_text())
    assert daemon.stop() == 0
    program.ok("plugin", "install", PLUGINS)
    assert {"http-sink", "mask", "postgres", "postgres-sink", "tpch"} < set(names(program))


def test_a_lock_file_lets_nothing_else_serve(program, folder):
    program.ok("plugin", "install", hostile(program, "1.0.1001"))
    locked = program.report("plugin", "lock")
    assert [plugin["name"] for plugin in locked] == ["hostile", "tpch"]
    daemon = Daemon(program)
    log = program.folder / "daemon.log"
    # Somebody drops another one: the last good one serves on.
    (folder / "partial").write_bytes(marked("1.0.1002"))
    (folder / "partial").rename(folder / "hostile.wasm")
    wait_for(lambda: "is not in plugins.lock: hostile 1.0.1001 " in log.read_text())
    assert "is not in plugins.lock" in program.ok("plugin", "list")
    program.ok("plugin", "install", hostile(program, "1.0.1003"))
    wait_for(lambda: "hostile 1.0.1003 " in log.read_text())
    assert log.read_text().count("is not in plugins.lock") == 1
    assert daemon.stop() == 0
    assert names(program) == ["hostile", "tpch"]
    assert "1.0.1003" in (folder / "plugins.lock").read_text()


def test_only_what_is_signed_by_who_is_trusted_serves(program, folder):
    for who in ["trusted", "other"]:
        minisign(program, "-G", "-W", "-p", f"{who}.pub", "-s", f"{who}.key")
    key = (program.folder / "trusted.pub").read_text().splitlines()[1]
    policy = program.folder / "policy.toml"
    policy.write_text(f"signers = ['{key}']\n")
    program.env["LONGSHORE_POLICY"] = str(policy)
    shown = program.ok("plugin", "list")
    assert "not usable" in shown and "its signature" in shown
    line, code = program.refused("validate", program.job(**JOB))
    assert "no connector for `tpch:`" in line and code == 2

    line, code = program.refused("plugin", "install", PLUGINS / "tpch.wasm")
    assert "its signature" in line and code == 2
    signed = program.folder / "tpch.wasm"
    signed.write_bytes((PLUGINS / "tpch.wasm").read_bytes())
    minisign(program, "-S", "-W", "-s", "other.key", "-m", signed)
    line, code = program.refused("plugin", "install", signed)
    assert "signed by nobody whom the policy trusts" in line and code == 2
    minisign(program, "-S", "-W", "-s", "trusted.key", "-m", signed)
    program.ok("plugin", "install", signed)
    program.ok("run", program.job(**JOB))
    assert program.report("plugin", "inspect", "tpch")["signer"] == key

    # One byte of it is another.
    (folder / "tpch.wasm").write_bytes((PLUGINS / "tpch.wasm").read_bytes() + b"\0\1\0")
    assert "not usable" in program.ok("plugin", "list")


def test_what_cannot_be_used_is_not_installed(program, folder):
    before = sorted(path.name for path in folder.iterdir())
    broken = program.folder / "broken.wasm"
    broken.write_bytes(b"\0asm")
    line, code = program.refused("plugin", "install", hostile(program), broken)
    assert "broken.wasm: not WebAssembly, or cut off" in line and code == 2
    line, code = program.refused("plugin", "install", program.folder / "nothing.wasm")
    assert "nothing.wasm" in line
    (program.folder / "empty").mkdir()
    line, code = program.refused("plugin", "install", program.folder / "empty")
    assert "there is no component in it" in line and code == 2
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_bad_lock_and_a_bad_key_are_told(program, folder):
    (folder / "plugins.lock").write_text("[[plugin\n")
    line, code = program.refused("plugin", "list")
    assert "plugins.lock" in line and "`longshore plugin lock` writes it again" in line and code == 2
    program.ok("plugin", "lock")
    assert names(program) == ["tpch"]
    policy = program.folder / "policy.toml"
    policy.write_text("signers = ['xyz']\n")
    line, code = program.refused("plugin", "list", env={"LONGSHORE_POLICY": str(policy)})
    assert "`signers`: `xyz`" in line and "minisign.pub" in line and code == 2
    assert json.dumps(program.report("plugin", "list"))
