"""Bad input: one line that names the thing, the cause and the next step; the right exit code; and
nothing published."""

import os
import shutil
import subprocess

import pytest

from support.longshore import PLUGINS
from support.ports import free_port


def write(program, text, name="job.yaml"):
    path = program.folder / name
    path.write_text(text.replace("LAKE", f"file://{program.lake}"))
    return path


CASES = [
    (
        "source: {url: 'tpch:'}\ntabels: [orders]\ntarget: {url: LAKE}\n",
        2,
        ["`tabels`", "did you mean `tables`?"],
    ),
    (
        "source: {url: 'tpch:', scal: 1}\ntables: [orders]\ntarget: {url: LAKE}\n",
        2,
        ["`scal`", "did you mean `scale`?"],
    ),
    (
        "source: {url: 'tpch:', scale: x}\ntables: [orders]\ntarget: {url: LAKE}\n",
        2,
        ["`scale` is a text, and a number is wanted"],
    ),
    ("source: {url: 'tpch:', scale: -1}\ntables: [orders]\ntarget: {url: LAKE}\n", 2, ["`scale` is -1"]),
    ("source: {url: 'tpch:'}\ntables: [order]\ntarget: {url: LAKE}\n", 4, ["no table `order`", "orders"]),
    (
        "source: {url: 'db2://h'}\ntables: [x]\ntarget: {url: LAKE}\n",
        2,
        ["no connector for `db2:`", "postgres"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [orders]\ntarget: {url: LAKE, compression: lzma}\n",
        2,
        ["`lzma`", "zstd"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [orders]\ntarget: {url: LAKE, mode: merge}\n",
        2,
        ["target.mode", "merge"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [orders]\ntarget: {url: 'ftp://x/y'}\n",
        2,
        ["no sink for `ftp:`", "write to file, s3"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: 5\ntarget: {url: LAKE}\n",
        2,
        ["`tables` is a whole number, and a list is wanted"],
    ),
    ("source: {url: 'tpch:'}\n  tables: [orders]\n", 2, ["not valid yaml", "line"]),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{sql: SELEC 1}]\n",
        4,
        ["transform[0]", "SELEC"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{sql: SELECT n_nam FROM data}]\n",
        4,
        ["transform[0]", "n_nam"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{sql: DROP TABLE data}]\n",
        4,
        ["transform[0]", "no query"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{plugin: mask, columns: [x]}]\n",
        2,
        ["transform[0]", "no column `x`", "n_name"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{plugin: mask, colums: [x]}]\n",
        2,
        ["`colums`", "did you mean `columns`?"],
    ),
    (
        "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\ntransform: [{plugin: masc}]\n",
        2,
        ["no transform `masc`", "mask"],
    ),
]


@pytest.mark.parametrize("text, code, parts", CASES)
def test_a_bad_job_is_one_clear_line(program, text, code, parts):
    line, status = program.refused("run", write(program, text))
    assert status == code, line
    for part in parts:
        assert part in line, line
    assert program.published() == []


def test_a_missing_job_file_is_named(program):
    line, code = program.refused("run", "nowhere.yaml")
    assert "nowhere.yaml" in line and "check the file's path" in line and code == 2


@pytest.mark.parametrize(
    "password, parts",
    [
        ({"env": "NO_SUCH_VARIABLE"}, ["NO_SUCH_VARIABLE", "set `NO_SUCH_VARIABLE`"]),
        ({"file": "/no/such/file"}, ["/no/such/file"]),
        ({"secret": "reader"}, ["`reader`", "--secrets DIR"]),
        ({"scret": "reader"}, ["password"]),
    ],
)
def test_a_missing_secret_is_named(program, password, parts):
    job = program.job({"url": "postgres://u@127.0.0.1/x", "password": password}, tables=["t"])
    line, code = program.refused("run", job)
    assert code == 2
    for part in ["`password", *parts]:
        assert part in line, line


def test_a_secret_is_found_in_the_operators_folder(flights, program):
    secrets = program.folder / "secrets"
    secrets.mkdir()
    (secrets / "reader").write_text("secret\n")
    job = program.job({"url": flights.url(), "password": {"secret": "reader"}}, tables=["airlines"])
    program.ok("--secrets", secrets, "run", job)
    line, _ = program.refused(
        "--secrets",
        secrets,
        "run",
        program.job({"url": flights.url(), "password": {"secret": "other"}}, tables=["airlines"]),
    )
    assert "no secret `other`" in line


def test_an_unknown_table_is_named(flights, program):
    line, code = program.refused("run", program.postgres(flights, tables=["flihgts"]))
    assert "no table `flihgts`" in line and "test-connection" in line and code == 4
    with flights.connect() as connection:
        connection.execute('CREATE TABLE IF NOT EXISTS "Mixed" (id int4)')
    line, _ = program.refused("run", program.postgres(flights, tables=["Mixed"]))
    assert 'there is `public."Mixed"`' in line


def test_a_server_that_is_down_is_named(program):
    port = free_port()
    line, code = program.refused(
        "run", program.job({"url": f"postgres://u@127.0.0.1:{port}/x"}, tables=["t"])
    )
    assert (
        f"127.0.0.1:{port}" in line
        and "refused" in line
        and "check that the server is up" in line
        and code == 3
    )
    line, code = program.refused(
        "run", program.job({"url": "postgres://u@no.such.host.invalid/x"}, tables=["t"])
    )
    assert "no.such.host.invalid" in line and code == 3


@pytest.mark.parametrize(
    "query, part, code",
    [
        ("SELEC 1", 'syntax error at or near "SELEC" [42601]', 4),
        ("SELECT * FROM nowhere", 'relation "nowhere" does not exist [42P01]', 4),
        ("SELECT 1 / (g - 50000) FROM generate_series(1, 100000) g", "division by zero [22012]", 4),
        ("SELECT 1); DROP TABLE airlines; --", "syntax error", 4),
    ],
)
def test_a_bad_query_is_the_servers_own_words(flights, program, query, part, code):
    line, status = program.refused("run", program.postgres(flights, "q.yaml", query=query))
    assert part in line and status == code, line
    assert program.published() == []


def test_a_query_cannot_write(flights, program):
    line, _ = program.refused(
        "run", program.postgres(flights, "q.yaml", query="SELECT nextval('pg_catalog.x')")
    )
    with flights.connect() as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS counter")
    line, code = program.refused(
        "run", program.postgres(flights, "q.yaml", query="SELECT nextval('counter')")
    )
    assert "read-only transaction" in line and code == 4


def test_a_table_without_permission_is_told(flights, program):
    with flights.connect() as connection:
        connection.execute("CREATE ROLE nobody_reads LOGIN PASSWORD 'x'")
    job = program.job({"url": flights.url(user="nobody_reads"), "password": "x"}, tables=["flights"])
    line, code = program.refused("run", job)
    assert "permission denied for table flights" in line and code == 5


def test_a_target_that_cannot_be_written_is_told_before_anything_is_read(program):
    program.lake.write_text("a file, where the folder should be")
    line, code = program.refused(
        "run", write(program, "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\n")
    )
    assert str(program.lake) in line and code == 2
    if os.getuid() == 0:
        pytest.skip("root can write everywhere: the read-only case needs another user")
    program.lake.unlink()
    program.lake.mkdir(mode=0o500)
    line, code = program.refused(
        "run", write(program, "source: {url: 'tpch:'}\ntables: [nation]\ntarget: {url: LAKE}\n")
    )
    assert "Permission denied" in line and code == 5


@pytest.fixture
def small_disk(program):
    program.lake.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(program.lake)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount")
    yield program.lake
    subprocess.run(["umount", str(program.lake)], check=True)


def test_a_full_disk_ends_the_run_and_leaves_nothing(flights, program, small_disk):
    quick = {"LONGSHORE_RETRY_BACKOFF_MILLIS": "10"}
    line, code = program.refused("run", program.postgres(flights, tables=["flights"]), env=quick)
    assert "No space left on device" in line and "make room" in line and code == 6
    assert program.published() == []


def test_a_file_that_is_no_component_is_told_apart(program):
    plugins = program.folder / "plugins"
    shutil.copytree(PLUGINS, plugins)
    (plugins / "script.wasm").write_bytes(b"#!/bin/sh\n")
    (plugins / "module.wasm").write_bytes(b"\0asm\x01\0\0\0")
    (plugins / "cut.wasm").write_bytes((PLUGINS / "mask.wasm").read_bytes()[:1000])
    foreign = (PLUGINS / "mask.wasm").read_bytes()
    (plugins / "future.wasm").write_bytes(foreign.replace(b"@0.6.0", b"@0.7.0"))
    listed = program.ok("--plugins", plugins, "plugin", "list")
    for part in [
        "script.wasm: not WebAssembly",
        "module.wasm: a core module",
        "cut.wasm: not WebAssembly",
        "future.wasm: built for 0.7, this host speaks 0.6 and 0.5",
        "tpch",
    ]:
        assert part in listed, listed
    line, code = program.refused("plugin", "inspect", plugins / "future.wasm")
    assert "rebuild it with sdk 0.6" in line and code == 2
    job = write(program, "source: {url: 'tpch:', scale: 0.01}\ntables: [nation]\ntarget: {url: LAKE}\n")
    program.ok("--plugins", plugins, "run", job)


def test_a_bad_setting_is_named(program):
    (program.folder / "longshore.toml").write_text("plugin = '/x'\n")
    line, code = program.refused("plugin", "list")
    assert "`plugin`" in line and "did you mean `plugins`?" in line and code == 2
