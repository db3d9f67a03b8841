"""Load modes whose process is killed at random moments: what is there is what was, or what the load makes of it."""

import random
import subprocess
import time

import pyarrow as pa
import pytest

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


@pytest.mark.parametrize(
    "mode",
    [{"mode": "merge", "merge": {"key": ["id"]}}, {"mode": "replace"}, {"mode": "append"}],
    ids=lambda mode: mode["mode"],
)
def test_a_run_that_was_killed_while_it_held_a_name_holds_up_no_other(program, mode):
    lake = Local()
    lake.start(program.folder / "lake")
    load = Load(program, lake, "shop", ROWS, **mode)
    dice = random.Random(7)
    rows = some_rows(dice, SIZE, 0)
    program.ok("run", load.job(rows, chunks=2))
    names = program.folder / "lake/.longshore/names/shop"
    loads = 1
    for number in range(1, 4):
        rows = some_rows(dice, SIZE, number)
        job = load.job(rows, chunks=2)
        running = program.start("run", job)
        while not names.exists() and running.poll() is None:
            time.sleep(0.001)
        running.kill()
        running.wait()
        # It completes what the other one had begun to publish, or takes the name over.
        program.ok("run", job, seconds=60)
        if mode["mode"] == "replace":
            assert load.rows() == ordered(rows)
        elif mode["mode"] == "append":
            loads = len(load.rows()) // SIZE
            assert len(load.rows()) == loads * SIZE and loads >= number + 1
    if mode["mode"] == "merge":
        assert len({row["id"] for row in load.rows()}) == len(load.rows())
        assert {row["id"] for row in rows} <= {row["id"] for row in load.rows() if row["amount"] == 3}
    assert not names.exists()
