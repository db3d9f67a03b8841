"""The host's crates stand upon each other, and the modules within each form no circle."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: From the ground up: each may use those before it.
LAYERS = [
    "model",
    "sandbox",
    "plugins",
    "engine",
    "run",
    "telemetry",
    "longshore",
    "daemon",
    "cli",
    "cluster",
]


def test_modules_form_no_circle():
    done = subprocess.run([sys.executable, ROOT / "tools/layers.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_crate_uses_only_those_beneath_it():
    assert {path.parent.name for path in ROOT.glob("host/*/Cargo.toml")} == set(LAYERS)
    for height, layer in enumerate(LAYERS):
        manifest = tomllib.loads((ROOT / f"host/{layer}/Cargo.toml").read_text())
        used = {
            name.removeprefix("longshore-")
            for name in manifest["dependencies"]
            if name.startswith("longshore")
        }
        assert not used & set(LAYERS[height:]), layer


def test_the_model_knows_neither_datafusion_nor_wasmtime():
    manifest = tomllib.loads((ROOT / "host/model/Cargo.toml").read_text())
    assert not {"datafusion", "wasmtime", "parquet", "arrow"} & manifest["dependencies"].keys()


def test_only_the_sandbox_knows_wasmtime():
    for layer in set(LAYERS) - {"sandbox"}:
        manifest = tomllib.loads((ROOT / f"host/{layer}/Cargo.toml").read_text())
        assert "wasmtime" not in manifest["dependencies"], layer
