"""Waiting for a condition, never for a time."""

import socket
import time


def wait_for(found, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError("nothing came")


def wait_port(port, patience=120):
    until = time.monotonic() + patience
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < until, f"port {port} did not open"
            time.sleep(0.05)
