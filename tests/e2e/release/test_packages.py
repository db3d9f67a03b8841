"""What `make release` makes: what is in it, and that the same commit makes the same."""

import json
import subprocess
import tarfile
import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from support.box import DEB
from support.longshore import PLUGINS, ROOT
from support.packages import PACKAGING, run

#: What the .deb and the tarball must have, below /usr.
FILES = [
    "bin/longshore",
    "lib/longshore/longshore-odbc",
    *(f"lib/longshore/plugins/{path.name}" for path in sorted(PLUGINS.glob("*.wasm"))),
    "share/man/man1/longshore.1.gz",
    "share/man/man1/longshore-run.1.gz",
    "share/bash-completion/completions/longshore",
    "share/fish/vendor_completions.d/longshore.fish",
    "share/zsh/vendor-completions/_longshore",
    "share/doc/longshore/copyright",
]

#: No package may be larger, also with the program of the tests.
PACKAGE_LIMIT_BYTES = 120_000_000


def entries(archive):
    with tarfile.open(archive) as tar:
        return {entry.name: entry for entry in tar}


@pytest.fixture(scope="session")
def whole():
    """The package of all plugins, as the tests of CI have it."""
    if not DEB.exists():
        pytest.skip("no package: make deb")
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", DEB], check=True, capture_output=True).stdout
    done = subprocess.run(["tar", "-tv", "--numeric-owner"], input=listed, check=True, capture_output=True)
    lines = [line.split(maxsplit=5) for line in done.stdout.decode().splitlines()]
    return {path.removeprefix("./"): (mode, owner) for mode, owner, *_, path in lines}


def test_the_deb_has_all_files_owned_by_root_and_writable_by_nobody_else(whole):
    assert not [path for path in FILES if f"usr/{path}" not in whole]
    assert {owner for _, owner in whole.values()} == {"0/0"}
    assert not [
        path for path, (mode, _) in whole.items() if mode[0] != "l" and (mode[5] == "w" or mode[8] == "w")
    ]
    assert whole["usr/bin/longshore"][0] == "-rwxr-xr-x"


def test_the_tarball_has_the_same_and_runs_where_it_is(packages, tmp_path):
    [tarball] = packages.glob("*.tar.gz")
    name = tarball.name.removesuffix(".tar.gz")
    there = entries(tarball)
    wanted = [path for path in FILES if not path.endswith(".wasm")]
    assert not [path for path in [*wanted, "install.sh", "LICENSE"] if f"{name}/{path}" not in there]
    assert any(path.endswith("systemd/system/longshore.service") for path in there)
    assert {(entry.uid, entry.gid, entry.mtime) for entry in there.values()} == {(0, 0, 1700000000)}
    assert not [path for path, entry in there.items() if entry.mode & 0o022]
    run("tar", "-xzf", tarball, "-C", tmp_path)
    program = tmp_path / name / "bin/longshore"
    listed = run(program, "--cache", tmp_path / "cache", "plugin", "list", env={"HOME": str(tmp_path)}).stdout
    assert "tpch" in listed and "odbc" in listed


def test_the_same_commit_makes_the_same_packages(packages, deb, keys, tmp_path):
    again = tmp_path / "again"
    run(PACKAGING / "release.sh", deb, again, keys["own"][1], cwd=tmp_path)
    names = sorted(path.name for path in packages.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    assert not [name for name in names if (packages / name).read_bytes() != (again / name).read_bytes()]
    assert len(names) >= 7
    # The .deb is not compressed here.
    sizes = {path.name: path.stat().st_size for path in packages.iterdir() if path.suffix != ".deb"}
    assert max(sizes.values()) < PACKAGE_LIMIT_BYTES, sizes


def test_the_archive_for_air_gaps_has_all_of_them(packages, keys, tmp_path):
    run(PACKAGING / "airgap/build.sh", packages, tmp_path, keys["own"][1])
    [archive] = tmp_path.glob("*.tar")
    run("minisign", "-Vm", archive, "-p", keys["own"][0])
    there = {path.removeprefix(f"{archive.stem}/") for path in entries(archive)}
    assert {path.name for path in packages.iterdir()} < there and "install.sh" in there
    assert any(path.startswith("debian/libodbc2_") for path in there)


def test_checksums_and_their_signature_hold(packages, keys):
    (own, _), (strange, _) = keys["own"], keys["strange"]
    listed = (packages / "SHA256SUMS").read_text()
    assert {path.name for path in packages.iterdir()} == {
        *(line.split("  ")[1] for line in listed.splitlines()),
        "SHA256SUMS",
        "SHA256SUMS.minisig",
    }
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=packages)
    run("minisign", "-Vm", packages / "SHA256SUMS", "-p", own)
    assert run("minisign", "-Vm", packages / "SHA256SUMS", "-p", strange, check=False).returncode != 0


def test_without_a_key_they_are_not_signed_and_that_is_said(deb, tmp_path):
    (tmp_path / "some.txt").write_text("text")
    run(PACKAGING / "sign.sh", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["SHA256SUMS", "some.txt"]
    done = run(PACKAGING / "sign.sh", tmp_path, tmp_path / "nowhere.key", check=False)
    assert done.returncode != 0 and "nowhere.key" in done.stderr


def test_what_is_no_package_is_refused_by_name(tmp_path):
    (tmp_path / "some.deb").write_text("text")
    done = run(PACKAGING / "tarball/build.sh", tmp_path / "some.deb", tmp_path, check=False)
    assert done.returncode != 0 and "some.deb: not a Debian package" in done.stderr
    assert not list(tmp_path.glob("*.tar.gz"))


def test_the_bill_of_materials_is_valid_and_names_every_crate(packages):
    [path] = packages.glob("*.cdx.json")
    bill = json.loads(path.read_text())
    # Piece by piece: the validator compares each crate with each other.
    validator = JsonStrictValidator(SchemaVersion.V1_5)
    for start in range(0, len(bill["dependencies"]), 50):
        piece = {key: bill[key][start : start + 50] for key in ["components", "dependencies"]}
        assert validator.validate_str(json.dumps({**bill, **piece})) is None
    assert len(bill["dependencies"]) == len(bill["components"]) + 1
    crates = {(one["name"], one["version"]): one for one in bill["components"]}
    assert len(crates) == len(bill["components"])
    # Cargo's own answer for the program and its plugins.
    tree = ["cargo", "tree", "--locked", "--prefix=none", "--edges=normal,build", "--format={p}"]
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    native = run(
        *tree, "--target=x86_64-unknown-linux-gnu", "-plongshore-cli", "-plongshore-odbc", cwd=ROOT
    ).stdout
    wasm = run(*tree, "--target=wasm32-unknown-unknown", "-plongshore-plugin-tpch", cwd=ROOT).stdout
    listed = {tuple(line.split()[:2]) for line in (native + wasm).splitlines() if line.strip()}
    assert len(listed) > 300 and ("longshore-cli", f"v{workspace}") in listed
    assert not [name for name, version in listed if (name, version.removeprefix("v")) not in crates]
    # None that only tests have.
    assert "proptest" not in {name for name, _ in crates}
    tools = {name for (name, _), one in crates.items() if one["scope"] == "excluded"}
    assert {"syn", "cc"} <= tools and "wasmtime" not in tools
    assert all(one.get("hashes") for (name, _), one in crates.items() if not name.startswith("longshore"))
