#!/usr/bin/env python3
"""Makes the Python wheel: the package in `python/`, the program and the bundled plugins.

The same inputs make the same bytes. Needs nothing but Python and binutils (`strip`, `objdump`).

A wheel is a zip file, and this one has nothing to compile: what a build backend would add is less than its settings.
"""

import argparse
import base64
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / "python"

#: What every manylinux has, by its specification.
ALLOWED = re.compile(r"(libc|libm|libdl|librt|libpthread|libgcc_s|ld-linux-x86-64)\.so\.\d+")

#: The drivers' own manager. A driver is registered with that of the system: one in the wheel would know none.
#: Only the process in which drivers run links it.
OF_THE_SYSTEM = {"longshore-odbc": {"libodbc.so.2"}}

#: The earliest moment that a zip file can hold.
MOMENT = (1980, 1, 1, 0, 0, 0)

#: The first glibc that reads packed relocations.
RELR = (2, 36)

#: The level of deflate: of a release, and of `--fast`.
LEVEL, FAST_LEVEL = 9, 1

FILE, PROGRAM = 0o100644, 0o100755


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--programs", type=Path, default=ROOT / "target/release", help="the folder of the programs"
    )
    parser.add_argument(
        "--plugins", type=Path, default=ROOT / "target/release/plugins", help="the folder of plugins"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "target/wheels", help="the folder of the wheel")
    parser.add_argument("--fast", action="store_true", help="a larger wheel, sooner")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = build(
            args.programs, args.plugins, args.out, Path(scratch), FAST_LEVEL if args.fast else LEVEL
        )
    print(f"{wheel} ({wheel.stat().st_size / 1e6:.1f} MB)")


def build(programs: Path, plugins: Path, out: Path, scratch: Path, level: int) -> Path:
    project = tomllib.loads((PYTHON / "pyproject.toml").read_text())["project"]
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    stripped = {name: strip(programs / name, scratch / name) for name in ("longshore", "longshore-odbc")}
    tag = f"py3-none-{platform(stripped)}"
    name = f"{project['name']}-{version}"
    files = dict(contents(name, stripped, plugins))
    info = f"{name}.dist-info"
    files[f"{info}/METADATA"] = (metadata(project, version), FILE)
    files[f"{info}/WHEEL"] = (wheel_file(tag), FILE)
    files[f"{info}/licenses/LICENSE"] = ((ROOT / "LICENSE").read_bytes(), FILE)
    files[f"{info}/RECORD"] = (record(files, info), FILE)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{name}-{tag}.whl"
    write(path, files, level)
    return path


def contents(name: str, programs: dict[str, Path], plugins: Path) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """The package, and the program where installers put scripts: it finds the rest in `../libexec/longshore`.

    Not in `lib`: `pip install --target` leaves that out."""
    for path in sorted((PYTHON / "src").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(PYTHON / "src").as_posix(), (path.read_bytes(), FILE)
    packaged = f"{name}.data/data/libexec/longshore"
    yield f"{name}.data/scripts/longshore", (programs["longshore"].read_bytes(), PROGRAM)
    yield f"{packaged}/longshore-odbc", (programs["longshore-odbc"].read_bytes(), PROGRAM)
    found = sorted(plugins.glob("*.wasm"))
    if not found:
        sys.exit(f"{plugins} holds no plugin: `make build` makes them")
    for plugin in found:
        yield f"{packaged}/plugins/{plugin.name}", (plugin.read_bytes(), FILE)


def strip(program: Path, stripped: Path) -> Path:
    """Symbols are of no use to whoever installs it."""
    if not program.exists():
        sys.exit(f"{program} is not there: `make build` makes it")
    subprocess.run(["strip", "--strip-all", "-o", stripped, program], check=True)
    return stripped


def platform(programs: dict[str, Path]) -> str:
    """The platform that the programs run on: the newest symbol of glibc that any of them needs says which."""
    needed = (2, 17)
    for name, program in programs.items():
        told = subprocess.run(["objdump", "-p", program], check=True, capture_output=True, text=True).stdout
        if "file format elf64-x86-64" not in told:
            sys.exit(f"{name} is no program for Linux on x86-64")
        libraries = set(re.findall(r"NEEDED +(\S+)", told)) - OF_THE_SYSTEM.get(name, set())
        if others := {library for library in libraries if not ALLOWED.fullmatch(library)}:
            sys.exit(f"{name} links {', '.join(sorted(others))}, which a manylinux does not have")
        needed = max([needed, *((2, int(minor)) for minor in re.findall(r"GLIBC_2\.(\d+)", told))])
        # Relocations are packed: no symbol says so.
        if "GLIBC_ABI_DT_RELR" in told:
            needed = max(needed, RELR)
    return f"manylinux_{needed[0]}_{needed[1]}_x86_64"


def metadata(project: dict, version: str) -> bytes:
    message = Message()
    message["Metadata-Version"] = "2.4"
    message["Name"], message["Version"] = project["name"], version
    message["Summary"] = project["description"]
    message["Keywords"] = ",".join(project["keywords"])
    message["License-Expression"] = project["license"]
    message["License-File"] = "LICENSE"
    for classifier in project["classifiers"]:
        message["Classifier"] = classifier
    message["Requires-Python"] = project["requires-python"]
    for extra, requirements in project["optional-dependencies"].items():
        message["Provides-Extra"] = extra
        for requirement in requirements:
            message["Requires-Dist"] = f'{requirement}; extra == "{extra}"'
    message["Description-Content-Type"] = "text/markdown"
    head = "".join(f"{key}: {value}\n" for key, value in message.items())
    return f"{head}\n{(PYTHON / 'README.md').read_text()}".encode()


def wheel_file(tag: str) -> bytes:
    return f"Wheel-Version: 1.0\nGenerator: longshore\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()


def record(files: dict[str, tuple[bytes, int]], info: str) -> bytes:
    lines = []
    for path, (data, _) in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},sha256={digest},{len(data)}\n")
    return "".join([*lines, f"{info}/RECORD,,\n"]).encode()


def write(path: Path, files: dict[str, tuple[bytes, int]], level: int) -> None:
    """What installers look at first comes last, as the specification recommends."""
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, (data, mode) in sorted(files.items(), key=lambda file: (".dist-info/" in file[0], file[0])):
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.external_attr, entry.compress_type, entry.create_system = (
                mode << 16,
                zipfile.ZIP_DEFLATED,
                3,
            )
            archive.writestr(entry, data, compresslevel=level)
    unfinished.replace(path)


if __name__ == "__main__":
    main()
