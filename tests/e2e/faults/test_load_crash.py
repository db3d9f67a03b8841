"""Load modes whose process is killed at random moments: what is there is what was, or what the load makes of it."""

import random
import subprocess
import time

import pyarrow as pa

from support.load_modes import Load, ordered
from support.stores import Local

ROWS = pa.schema({"id": pa.int64(), "amount": pa.int64(), "note": pa.string()})

#: Rows of the target, of which a part comes in each load.
SIZE = 40_000


def some_rows(dice, size, load):
    return [
        {"id": id, "amount": load, "note": f"{id}-{load}" * 4} for id in dice.sample(range(SIZE * 2), size)
    ]


def test_a_merge_that_is_killed_and_run_again_leaves_each_key_once(program):
    lake = Local()
    lake.start(program.folder / "lake")
    load = Load(program, lake, "shop", ROWS, mode="merge", merge={"key": ["id"]})
    dice = random.Random(41)
    held = {}
    longest = 0
    for number in range(5):
        rows = some_rows(dice, SIZE, number)
        job = load.job(rows, chunks=4)
        key = f"load-{number}"
        before = load.rows()
        kills = 0
        while True:
            began = time.monotonic()
            running = program.start("run", "--run-key", key, job)
            if kills < 3 and number:
                try:
                    running.wait(timeout=dice.uniform(0.02, longest))
                except subprocess.TimeoutExpired:
                    running.kill()
                    kills += 1
                    running.wait()
                    now = {row["id"] for row in load.rows()}
                    # Rows can be seen twice between the two steps of a commit, and never missed.
                    assert now >= {row["id"] for row in before}
                    continue
            assert running.wait(timeout=120) == 0
            longest = max(longest, time.monotonic() - began)
            break
        held |= {row["id"]: row for row in rows}
        assert load.rows() == ordered(held.values()), number
    hidden = [path for path in lake.files("shop") if path.startswith(".longshore/") and "/runs/" not in path]
    assert hidden == []
    assert not list((program.folder / "state").glob("scratch/*"))
