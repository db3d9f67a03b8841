#!/usr/bin/env python3
"""Whether the modules of each crate form no circle: prints those that do, and fails.

An edge leads from a module to one whose items it names, by `use` or by a path. A module's own children are its tree
and no edges; tests are left out. Needs nothing but Python.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

#: Where the crates lie, beneath the root.
CRATES = ["host/*", "odbc", "odbc/wire", "plugins/*", "plugins/examples/*", "sdk", "sdk/sql", "values"]

#: Modules that hold nothing but tests.
TESTS = {"tests", "fuzz"}

Module = tuple[str, ...]


def modules(source: Path) -> dict[Module, Path]:
    """Each module's path within the crate, and its file; `()` is the crate's root."""
    found = {}
    for file in source.rglob("*.rs"):
        parts = file.relative_to(source).with_suffix("").parts
        if TESTS.isdisjoint(parts) and parts != ("main",):
            found[parts[:-1] if parts[-1] in ("lib", "mod") else parts] = file
    return found


def code(file: Path) -> str:
    """A file without comments and without what stands behind its tests."""
    text = re.split(r"(?m)^#\[cfg\(test\)\]\n(?:pub )?mod \w+ \{", file.read_text())[0]
    return re.sub(r"(?m)//.*$", "", text)


def paths(text: str) -> set[Module]:
    """What a text names: its `use` statements, each item apart, and paths elsewhere."""
    found = set()
    for statement in re.findall(r"\buse ([^;]+);", text):
        found |= spelled_out(statement)
    elsewhere = re.sub(r"\buse [^;]+;", "", text)
    return found | {
        tuple(path.split("::")) for path in re.findall(r"\b(?:crate|super|self)(?:::\w+)+", elsewhere)
    }


def spelled_out(tree: str) -> set[Module]:
    """`a::{b, c::d}` is `a::b` and `a::c::d`."""
    tree = tree.strip()
    group = re.match(r"((?:\w+::)*)\{(.*)\}$", tree, re.S)
    if not group:
        return {tuple(re.split(r"\s+as\s+", tree)[0].split("::"))}
    start = tuple(part for part in group[1].split("::") if part)
    depth, items = 0, [""]
    for letter in group[2]:
        depth += (letter == "{") - (letter == "}")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return {start + path for item in items if item.strip() for path in spelled_out(item)}


def target(known: dict[Module, Path], here: Module, path: Module) -> Module | None:
    """The module that a path leads into, if it is one of this crate."""
    first, rest = path[0], list(path[1:])
    if first == "crate":
        base: Module = ()
    elif first == "self":
        base = here
    elif first == "super":
        base = here[:-1]
        while rest and rest[0] == "super":
            base, rest = base[:-1], rest[1:]
    elif (*here, first) in known:
        base, rest = here, list(path)
    else:
        return None
    while rest and (*base, rest[0]) in known:
        base = (*base, rest.pop(0))
    return base


def edges(source: Path) -> dict[Module, set[Module]]:
    known = modules(source)
    graph: dict[Module, set[Module]] = {module: set() for module in known}
    for module, file in known.items():
        for path in paths(code(file)):
            to = target(known, module, path)
            if to is not None and to[: len(module)] != module:
                graph[module].add(to)
    return graph


def circles(graph: dict[Module, set[Module]]) -> list[list[Module]]:
    """Modules that reach each other, together."""
    reached = {module: reach(graph, module) for module in graph}
    found = []
    for module in sorted(graph):
        together = sorted(other for other in reached[module] if module in reached[other])
        if len(together) > 1 and together not in found:
            found.append(together)
    return found


def reach(graph: dict[Module, set[Module]], start: Module) -> set[Module]:
    seen, waiting = {start}, [start]
    while waiting:
        for to in graph.get(waiting.pop(), ()):
            if to not in seen:
                seen.add(to)
                waiting.append(to)
    return seen


def main() -> int:
    failed = False
    for crate in sorted(
        {path for pattern in CRATES for path in ROOT.glob(pattern) if (path / "src").is_dir()}
    ):
        for circle in circles(edges(crate / "src")):
            names = ", ".join("::".join(module) or "the root" for module in circle)
            print(f"{crate.relative_to(ROOT)}: a circle of modules: {names}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
