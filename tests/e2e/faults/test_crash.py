"""What a crash costs: nothing but time. The long form is `make crash`."""

import shutil

from support import crash

ROUNDS = 6


def test_a_daemon_that_is_killed_at_random_loses_doubles_and_half_publishes_nothing(scratch, server, cache):
    crash.prepare(server)
    env = crash.environment(cache)
    kills, kept = 0, 0
    with crash.Transfers(server):
        for number in range(ROUNDS):
            folder = scratch / f"crash{number}"
            # A slow machine is at work in the later rounds only, a fast one in the first.
            killed, report = crash.one_round(server, folder, env, seed=number, longest=0.6 * 2**number)
            kills += killed
            kept += any("are kept" in text for text in report["interruptions"])
            shutil.rmtree(folder)
    assert kills > ROUNDS, "the daemon was hardly ever killed"
    assert kept > 0, "no run was ever taken up with its chunks"
