#!/usr/bin/env python3
"""A bill of materials in CycloneDX: all crates that the program, `longshore-odbc` and the bundled plugins are made of.

What only compiles them (macros, build scripts) has the scope `excluded`. Reads `cargo metadata` and Cargo.lock.
"""

import argparse
import json
import os
import re
import subprocess
import tomllib
import uuid
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]

#: What is built, and for which targets.
PROGRAMS = ["longshore-cli", "longshore-odbc"]
PROGRAMS_TARGET = "x86_64-unknown-linux-gnu"
PLUGINS_TARGET = "wasm32-unknown-unknown"

#: The same bill has the same number.
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "longshore.dev")


class Graph:
    """The crates of a target, and which of them need which."""

    def __init__(self, target: str):
        command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
        answer = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
        self.packages = {package["id"]: package for package in answer["packages"]}
        self.nodes = {node["id"]: node for node in answer["resolve"]["nodes"]}
        self.by_name = {self.packages[one]["name"]: one for one in answer["workspace_members"]}

    def needs(self, crate: str) -> dict[str, bool]:
        """The crates that a crate needs, and whether they become part of it."""
        found: dict[str, bool] = {}
        for need in self.nodes[crate]["deps"]:
            kinds = {kind["kind"] for kind in need["dep_kinds"]} - {"dev"}
            if kinds:
                part = None in kinds and not self.is_macro(need["pkg"])
                found[need["pkg"]] = found.get(need["pkg"], False) or part
        return found

    def is_macro(self, crate: str) -> bool:
        return any("proc-macro" in target["kind"] for target in self.packages[crate]["targets"])


class Bill:
    """What was found so far."""

    def __init__(self):
        self.packages: dict[str, dict] = {}
        self.part: dict[str, bool] = {}
        self.needs: dict[str, set[str]] = {}

    def add(self, graph: Graph, name: str) -> None:
        """A crate of the workspace, and all that it needs."""
        waiting = [(graph.by_name[name], True)]
        while waiting:
            crate, part = waiting.pop()
            # What was seen as a tool may be a part elsewhere.
            if crate in self.part and (self.part[crate] or not part):
                continue
            self.packages[crate] = graph.packages[crate]
            self.part[crate] = part
            needs = graph.needs(crate)
            self.needs.setdefault(crate, set()).update(needs)
            waiting += [(need, part and is_part) for need, is_part in needs.items()]

    def document(self, version: str) -> dict:
        checksums = read_checksums()
        references = {crate: purl(package) for crate, package in self.packages.items()}
        main = {
            "type": "application",
            "bom-ref": f"longshore@{version}",
            "name": "longshore",
            "version": version,
            "licenses": [{"expression": "Apache-2.0"}],
        }
        roots = [
            references[crate] for crate, package in self.packages.items() if package["name"] in roots_of()
        ]
        bill = {
            "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"timestamp": moment(), "component": main},
            "components": sorted(
                (component(self.packages[crate], self.part[crate], checksums) for crate in self.packages),
                key=lambda one: one["bom-ref"],
            ),
            "dependencies": [
                {"ref": main["bom-ref"], "dependsOn": sorted(roots)},
                *(
                    {
                        "ref": references[crate],
                        "dependsOn": sorted(references[need] for need in self.needs[crate]),
                    }
                    for crate in sorted(self.packages, key=references.get)
                ),
            ],
        }
        bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(NAMESPACE, json.dumps(bill, sort_keys=True))}"
        return bill


def plugins() -> list[str]:
    """The crates of the bundled plugins: those that the Makefile names."""
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("PLUGINS := ")]
    folders = line.removeprefix("PLUGINS := ").split()
    return [
        tomllib.loads((ROOT / folder / "Cargo.toml").read_text())["package"]["name"] for folder in folders
    ]


def roots_of() -> list[str]:
    return [*PROGRAMS, *plugins()]


def read_checksums() -> dict[tuple[str, str], str]:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(one["name"], one["version"]): one["checksum"] for one in lock["package"] if "checksum" in one}


def purl(package: dict) -> str:
    return f"pkg:cargo/{package['name']}@{quote(package['version'])}"


def component(package: dict, is_part: bool, checksums: dict[tuple[str, str], str]) -> dict:
    found = {
        "type": "library",
        "bom-ref": purl(package),
        "purl": purl(package),
        "name": package["name"],
        "version": package["version"],
        "scope": "required" if is_part else "excluded",
    }
    if package["license"]:
        # Cargo's older form of OR.
        found["licenses"] = [{"expression": re.sub(r" */ *", " OR ", package["license"])}]
    if checksum := checksums.get((package["name"], package["version"])):
        found["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        found["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return found


def moment() -> str:
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC).strftime(
        "%Y-%m-%dT%H:%M:%SZ"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="the file for the bill")
    out = parser.parse_args().out
    bill = Bill()
    native = Graph(PROGRAMS_TARGET)
    for name in PROGRAMS:
        bill.add(native, name)
    wasm = Graph(PLUGINS_TARGET)
    for name in plugins():
        bill.add(wasm, name)
    version = native.packages[native.by_name["longshore-cli"]]["version"]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(bill.document(version), indent=1) + "\n")
    print(out)


if __name__ == "__main__":
    main()
