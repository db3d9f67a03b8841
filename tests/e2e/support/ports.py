"""Ports for servers: below those that the system lends to whoever calls out, and each worker's own."""

import itertools
import os
import socket

FIRST, EACH = 16_000, 2_000

worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
# Two runs on one machine rarely begin at the same one.
numbers = itertools.count(os.getpid())


def free_port():
    for number in itertools.islice(numbers, EACH):
        port = FIRST + worker * EACH + number % EACH
        try:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
            return port
        except OSError:
            continue
    raise AssertionError("no port is free")
