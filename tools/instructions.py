#!/usr/bin/env python3
"""Counts the instructions that a row takes to be decoded and encoded, and compares them with what is written down.

Counts do not depend on what else the machine does. `cargo test --no-run --message-format json | instructions.py` needs
valgrind; `--write` writes down what is counted.
"""

import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

KNOWN = Path(__file__).resolve().parents[1] / "tests/data/instructions.json"

#: What is counted: the crate, and its test that does the work.
COUNTED = {
    "decode": ("longshore_plugin_postgres", "copy::tests::counted_rows_are_decoded"),
    "encode": ("longshore_engine", "write::parquet::tests::counted_rows_are_encoded"),
}

#: The difference between two numbers of rows leaves out what does not depend on them.
FEW_ROWS, MANY_ROWS = 40_960, 122_880

#: Compilers differ a little.
MARGIN = 1.1


def main():
    programs = test_programs(sys.stdin)
    counted = {what: round(per_row(programs[crate], test), 1) for what, (crate, test) in COUNTED.items()}
    machine, known = platform.machine(), json.loads(KNOWN.read_text())
    if "--write" in sys.argv:
        KNOWN.write_text(json.dumps(known | {machine: counted}, indent=1) + "\n")
        return
    if machine not in known:
        print(f"{KNOWN.name} has nothing of {machine}: `make instructions INSTRUCTIONS=--write`")
        return
    known = known[machine]
    for what, count in counted.items():
        print(f"{what}: {count:.1f} instructions a row, {count / known[what]:.3f} of {known[what]}")
    slower = [what for what, count in counted.items() if count > known[what] * MARGIN]
    if slower:
        sys.exit(
            f"{' and '.join(slower)}: more instructions than {KNOWN.name} and a margin of {MARGIN} allow"
        )


def test_programs(messages):
    """The programs of unit tests, by their crates."""
    programs = {}
    for line in messages:
        message = json.loads(line)
        if message.get("executable") and message["profile"]["test"]:
            programs[message["target"]["name"]] = message["executable"]
    return programs


def per_row(program, test):
    few, many = (count(program, test, rows) for rows in (FEW_ROWS, MANY_ROWS))
    return (many - few) / (MANY_ROWS - FEW_ROWS)


def count(program, test, rows):
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*tool, program, "--exact", "--ignored", "--test-threads=1", test]
    env = {**os.environ, "ROWS": str(rows)}
    ran = subprocess.run(command, env=env, capture_output=True, text=True)
    if ran.returncode or "1 passed" not in ran.stdout:
        sys.exit(f"{test}: {ran.stdout[-2_000:]}{ran.stderr[-2_000:]}")
    return int(re.search(r"Collected : (\d+)", ran.stderr)[1])


if __name__ == "__main__":
    main()
