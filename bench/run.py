"""`make bench`: Longshore and its peers, in turn, on one machine, in one run. `make bench S=postgres` runs one section.

Prints a line for each figure, with a peer's figure, their ratio, the goal and a verdict, and stores the lines in
`bench/results`. Each command is run in turn with the others, so that all see the same machine; the figures are medians.
After each run of Longshore, its rows are compared with those of the source.

    run.py [--runs N] [--scale SF] [--size S] [SECTION ...]
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The servers are those of the tests.
sys.path.append(str(ROOT / "tests/e2e"))

import results  # noqa: E402
from measuring import HEAD  # noqa: E402
from setting import Setting  # noqa: E402

#: Those with goals, and then those that only inform.
SECTIONS = """
    postgres shapes loads tax hive odbc files stores tpch small scaling memory
    cluster ledger startup starts instances
""".split()


def run(section, setting):
    lines = []
    for line in importlib.import_module(f"sections.{section}").lines(setting):
        print(line.as_row(), flush=True)
        lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=3, help="after a warm-up")
    parser.add_argument("--scale", type=float, default=1, help="of lineitem")
    parser.add_argument("--size", type=float, default=1, help="of the shapes")
    parser.add_argument("sections", nargs="*", default=SECTIONS, choices=[*SECTIONS, []], metavar="SECTION")
    arguments = parser.parse_args()
    if "BENCH_BUILT" not in os.environ:
        build = ["cargo", "build", "--release", "--locked", "--workspace", "--examples"]
        subprocess.run(build, cwd=ROOT, check=True)
    print(
        f"Processor: {results.processor()}, {os.cpu_count()} cores. Commit: {results.commit()}.\n\n{HEAD}",
        flush=True,
    )
    for section in arguments.sections:
        setting = Setting(arguments.runs, arguments.scale, arguments.size)
        try:
            lines = run(section, setting)
        finally:
            setting.close()
        path = results.store(section, lines, arguments.runs)
    print(f"\nA ratio is Longshore's figure by the peer's: below 1, Longshore needs less. Stored in {path}.")


if __name__ == "__main__":
    main()
