"""Chunks of a PostgreSQL table that nobody gets until a gate is opened: a run that stands still in its middle."""

import pyarrow.parquet

from support.wait import wait_for

CHUNKS = 8

#: Whoever holds this lock at the server holds up whoever reads.
GATE = 4_242

HELD = f"""
CREATE OR REPLACE FUNCTION held(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM pg_advisory_lock_shared({GATE});
  PERFORM pg_advisory_unlock_shared({GATE});
  RETURN id;
END $$;
CREATE TABLE IF NOT EXISTS numbers (id int PRIMARY KEY);
INSERT INTO numbers SELECT generate_series(1, {CHUNKS * 100}) ON CONFLICT DO NOTHING;
ANALYZE numbers;
"""


class Gate:
    """Rows that nobody gets until it is opened."""

    def __init__(self, server):
        self.server = server
        self.connection = server.connect()
        self.connection.execute(HELD)
        self.connection.execute(f"SELECT pg_advisory_lock({GATE})")

    def waiting(self):
        """The chunks that are held up."""
        with self.server.connect() as connection:
            sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return connection.execute(sql).fetchone()[0]

    def readers(self):
        """The sessions of runs."""
        with self.server.connect() as connection:
            sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'longshore'"
            return connection.execute(sql).fetchone()[0]

    def open(self):
        self.connection.execute("SELECT pg_advisory_unlock_all()")


def gated_job(program, server, name="job.yaml", free=0, **keys):
    """A job of `CHUNKS` chunks, of which the gate holds up all but the first `free`."""
    same = f"CASE WHEN id <= {free * 100} THEN id ELSE held(id) END"
    relation = {"query": f"SELECT id, {same} AS same FROM numbers", "chunk_by": "id", "as": "numbers"}
    keys = {"chunk": {"rows": 100}, "parallel": {"chunks": 4}, **keys}
    return program.postgres(server, name, relations=[relation], **keys)


def begun(program, job, gate, *flags, chunks=2):
    """A run that stands still in its middle."""
    process = program.start("run", *flags, job)
    wait_for(lambda: process.poll() is not None or gate.waiting() >= chunks)
    assert process.poll() is None, (program.folder / "daemon.log").read_text()
    return process


def arrived(program):
    table = pyarrow.parquet.read_table(program.lake / "numbers")
    assert sorted(table["id"].to_pylist()) == list(range(1, CHUNKS * 100 + 1))
    assert table["id"] == table["same"]
    # Nothing of what was given up is left.
    assert all(name.endswith((".parquet", ".json")) for name in program.published()), program.published()
    assert not staged(program), staged(program)


def staged(program):
    """What lies in the target and is not published."""
    return [name for name in program.published() if "staging" in name]
