"""How long programs take that do next to nothing, with their files in memory and read from the disk, beside `duckdb` and
dlt."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from measuring import Line
from sections.loads import DLT, DLT_PEER
from sections.small import environment, job
from setting import LONGSHORE

DUCKDB = Path(sys.executable).parent / "duckdb"

#: The kernel forgets the files that it has read.
DROP_CACHES = Path("/proc/sys/vm/drop_caches")

WARM_CALLS, COLD_CALLS = 10, 3


def lines(setting):
    run = [LONGSHORE, "run", job(setting, "tiny")]
    rows, out = setting.scratch / "rows.csv", setting.scratch / "out.parquet"
    copy = f"COPY (FROM '{rows}') TO '{out}' (FORMAT parquet)"
    programs = {
        "`longshore --version`": (
            [LONGSHORE, "--version"],
            [DUCKDB, "-c", "SELECT 1"],
            [DLT.parent / "dlt", "--version"],
        ),
        "`longshore plan`, three rows": ([LONGSHORE, "plan", run[-1]], None, None),
        "`longshore run`, three rows": (
            run,
            [DUCKDB, "-c", copy],
            [DLT, DLT_PEER, "file", "0", setting.scratch / "dlt", rows],
        ),
    }
    for what, (ours, duckdb, dlt) in programs.items():
        for state, millis in {"warm": warm_ms, "cold": cold_ms}.items():
            if state == "cold" and not can_be_cold():
                continue
            took = millis(ours, setting)
            if duckdb is None:
                yield Line("starts", f"{what}, {state}", "ms", took)
                continue
            yield Line("starts", f"{what}, {state}", "ms", took, "`duckdb -c`", millis(duckdb, setting))
            yield Line("starts", f"{what}, {state}", "ms", took, "dlt", millis(dlt, setting))


def can_be_cold():
    try:
        DROP_CACHES.write_text("1\n")
    except OSError:
        return False
    return True


def warm_ms(command, setting):
    call_ms(command, setting)
    return statistics.median(call_ms(command, setting) for _ in range(WARM_CALLS))


def cold_ms(command, setting):
    times = []
    for _ in range(COLD_CALLS):
        subprocess.run(["sync"], check=True)
        can_be_cold()
        times.append(call_ms(command, setting))
    return statistics.median(times)


def call_ms(command, setting):
    started = time.monotonic()
    done = subprocess.run(list(map(str, command)), env=environment(setting), capture_output=True)
    if done.returncode:
        raise SystemExit(f"{command} failed: {done.stderr[-2_000:].decode(errors='replace')}")
    return (time.monotonic() - started) * 1e3
