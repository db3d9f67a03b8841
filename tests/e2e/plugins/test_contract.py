"""Components of the previous contract: they serve as those of the current one do."""

import gzip

import pytest

from support.compare import read
from support.endpoint import target
from support.longshore import PLUGINS, ROOT

STORED = ROOT / "tests/data/contract-0.5"

PREVIOUS = ["postgres", "mask", "http-sink"]

ROWS = 20_000


@pytest.fixture
def previous(program):
    """A folder with components that were built for the previous contract, and the generator."""
    folder = program.folder / "previous"
    folder.mkdir()
    for name in PREVIOUS:
        (folder / f"{name}.wasm").write_bytes(gzip.decompress((STORED / f"{name}.wasm.gz").read_bytes()))
    (folder / "tpch.wasm").symlink_to(PLUGINS / "tpch.wasm")
    return folder


def test_what_a_component_was_built_for_is_shown(program, previous):
    shown = program.report("plugin", "list", env={"LONGSHORE_PLUGINS": str(previous)})
    contracts = {plugin["name"]: plugin["contract"] for plugin in shown}
    assert contracts == {**dict.fromkeys(PREVIOUS, "0.5"), "tpch": "0.6"}


def test_both_contracts_read_and_change_the_same_rows(server, program, previous):
    """Chunks that share a snapshot, a password, a transform: all that the previous contract names otherwise."""
    with server.connect() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS contract; DROP TABLE IF EXISTS contract.cargo")
        connection.execute(
            "CREATE TABLE contract.cargo AS SELECT g AS id, 'n' || g AS note, g * 1.25 AS weight "
            f"FROM generate_series(1, {ROWS}) g"
        )
    keys = {
        "tables": ["contract.cargo"],
        "chunk": {"rows": 4_000},
        "consistency": "snapshot",
        "transform": [{"plugin": "mask", "columns": ["note"], "mode": "hash", "salt": "pepper"}],
    }
    read_by = {}
    for name, folder in {"current": PLUGINS, "previous": previous}.items():
        lake = program.folder / name
        job = program.postgres(server, f"{name}.yaml", target={"url": f"file://{lake}"}, **keys)
        report = program.report("run", job, env={"LONGSHORE_PLUGINS": str(folder)})
        assert report["consistency"] == "snapshot" and report["rows"] == ROWS
        read_by[name] = sorted(read(lake / "cargo"))
    assert read_by["previous"] == read_by["current"]


def test_a_sink_of_the_previous_contract_takes_every_row(program, previous, endpoint):
    job = program.job(
        {"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["customer"], target=target(endpoint), chunk={"rows": 500}
    )  # fmt: skip
    program.ok("run", job, env={"LONGSHORE_PLUGINS": str(previous)})
    customers = endpoint.rows("/rows/customer")
    assert len({row["c_custkey"] for row in customers}) == len(customers) == 1500


def test_the_conformance_suite_holds_for_the_previous_contract(program, previous):
    config = '{"columns": ["text"], "mode": "hash", "salt": "x"}'
    answer = program.report("plugin", "check", previous / "mask.wasm", "--with", config)
    assert answer["kept"] and answer["whole"], answer
