"""Components that mean harm, and what everybody says of them."""

import contextlib

from support.longshore import HOSTILE
from support.wait import wait_for

LIMITS = """
[limits]
memory_mib = 256
call_secs = 1
describe_secs = 1
host_calls = 1000000
empty_calls = 100
chunk_rows = 100000
"""

SECRET = "t0p-s3cret"

BAD_DATA = "the plugin sent bad data"

TOO_LONG = "computed for 1 s without an answer"

#: Longer than any abuse may last: computing is limited to 1 s a call, and what is waited for is short.
SECONDS = 15

#: Above what a daemon held that had run one job: what its threads and the compiler keep.
COMES_BACK_WITHIN_BYTES = 128 << 20

#: What a run says of streams that lie, whoever sends them.
STREAMS = {
    "stream-utf8": BAD_DATA,
    "stream-rows": BAD_DATA,
    "stream-offsets": BAD_DATA,
    "stream-offsets-back": BAD_DATA,
    "stream-offsets-negative": BAD_DATA,
    "stream-validity": BAD_DATA,
    "stream-dictionary": BAD_DATA,
    "stream-decimal": "not those that it described",
    "stream-schema-twice": BAD_DATA,
    "stream-garbage": BAD_DATA,
    "stream-cut": BAD_DATA,
    "stream-length": BAD_DATA,
    "stream-length-negative": BAD_DATA,
    "stream-compressed": "compressed",
    "stream-name-escapes": "not those that it described",
    "rows-null": " rows ",
    "rows-runs": " rows ",
    "rows-dictionary": "bytes to one batch",
    "rows-views": BAD_DATA,
}


def marked(version="1.0.1000", describe="honest", name="hostile"):
    """A hostile component with another version, or another way to describe itself."""
    component = (HOSTILE / f"{name}.wasm").read_bytes()
    old = b"version=1.0.1000 describe=honest...."
    assert component.count(old) == 1
    # Its stamp told of what it was: without it, the component itself is asked.
    component = component.replace(b"longshore:plugin-info", b"longshore:plugin-gone")
    return component.replace(old, f"version={version} describe={describe:.<10}".encode())


def hostile(program, abuse, name="job.yaml", **source):
    source = {"url": "hostile:", "abuse": abuse, "password": SECRET, **source}
    return program.job(source, name, tables=["t"], parallel={"chunks": 2})


def check_words(shown):
    """No panic of the host, nothing of the secret, nothing that steers a terminal."""
    assert "thread '" not in shown
    assert SECRET[:6] not in shown
    assert "\x1b" not in shown and "\x07" not in shown


def check_memory_comes_back(daemon, before):
    with contextlib.suppress(AssertionError):
        wait_for(lambda: memory(daemon) < before + COMES_BACK_WITHIN_BYTES)
    assert memory(daemon) < before + COMES_BACK_WITHIN_BYTES


def memory(daemon):
    """What a process holds, in bytes."""
    status = open(f"/proc/{daemon.process.pid}/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) << 10
