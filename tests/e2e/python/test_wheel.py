"""The wheel: what is in it, and that it installs everywhere in one step."""

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile

import pytest

from support.longshore import LONGSHORE, PLUGINS, ROOT, rows_job
from support.wheel import SITE, VENV, WHEELS, installed, python


@pytest.fixture(scope="module")
def wheel():
    installed()
    [wheel] = WHEELS.glob("*.whl")
    return wheel


def test_the_same_inputs_make_the_same_bytes(wheel, tmp_path):
    subprocess.run([sys.executable, ROOT / "tools/wheel.py", "--fast", "--out", tmp_path], check=True)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_it_records_all_that_it_holds(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        [record] = [name for name in names if name.endswith(".dist-info/RECORD")]
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
        assert sorted(row[0] for row in rows) == sorted(names) and len(set(names)) == len(names)
        for name, digest, size in rows:
            if name != record:
                data = archive.read(name)
                wanted = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                assert (digest, size) == (f"sha256={wanted}", str(len(data)))
        modes = {
            info.filename.rpartition("/")[2]: info.external_attr >> 16 & 0o777 for info in archive.infolist()
        }
        assert modes["longshore"] == modes["longshore-odbc"] == 0o755 and modes["tpch.wasm"] == 0o644
        assert {path.name for path in PLUGINS.glob("*.wasm")} <= set(modes) and "py.typed" in modes
        metadata = archive.read(record.replace("RECORD", "METADATA")).decode()
    assert "Requires-Python: >=3.9\n" in metadata and "Requires-Dist: pyarrow; extra" in metadata


def test_its_platform_is_no_older_than_what_the_program_needs(wheel):
    needed = subprocess.run(["objdump", "-p", LONGSHORE], capture_output=True, text=True, check=True).stdout
    minor = int(wheel.name.partition("manylinux_2_")[2].partition("_")[0])
    versions = {
        int(word[len("GLIBC_2.") :])
        for word in needed.split()
        if word[:8] == "GLIBC_2." and word[8:].isdigit()
    }
    assert minor >= max(versions)
    if "GLIBC_ABI_DT_RELR" in needed:
        assert minor >= 36


@pytest.mark.parametrize("program_file", [VENV / "bin/longshore", SITE / "bin/longshore"])
def test_the_installed_program_finds_its_plugins_and_its_odbc(wheel, program, program_file):
    """In an environment, and in a folder of `pip install --target`."""
    env = {key: value for key, value in program.env.items() if key != "LONGSHORE_PLUGINS"}
    ask = lambda *args: subprocess.run(
        [program_file, "--json", *args],
        env=env,
        cwd=program.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = json.loads(ask("plugin", "list").stdout)
    assert {path.stem for path in PLUGINS.glob("*.wasm")} <= {plugin.get("name") for plugin in listed}
    assert json.loads(ask("odbc", "drivers").stdout)["drivers"] is not None
    assert json.loads(ask("run", rows_job(program)).stdout)["rows"] == 3


def test_an_environment_has_all_that_the_package_needs(wheel, program):
    check = [sys.executable, "-m", "pip", "--python", VENV / "bin/python", "check"]
    assert subprocess.run(check, capture_output=True).returncode == 0
    script = """
import longshore, sys
from importlib.metadata import version
assert longshore.__version__ == version("longshore")
print(longshore.find_program(), longshore.run(sys.argv[1]).rows)
"""
    out, told = python(program, script, rows_job(program)).communicate()
    assert out == f"{VENV}/bin/longshore 3\n", told


def test_the_package_is_imported_without_the_program(wheel, program):
    script = f"""
import sys
sys.path.insert(0, "{ROOT}/python/src")
import longshore
print(longshore.__file__)
try:
    longshore.validate("x.yaml")
except longshore.ProgramNotFound as error:
    print(error)
"""
    # A Python that has no environment of the wheel's.
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True)
    where, error = done.stdout.splitlines()
    assert where == f"{ROOT}/python/src/longshore/__init__.py" and "`pip install longshore`" in error
