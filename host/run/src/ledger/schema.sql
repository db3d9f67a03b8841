-- The ledger, version 1. Moments are RFC 3339 in UTC. JSON where nothing asks for what is inside.

CREATE TABLE jobs (
    id      INTEGER PRIMARY KEY,
    name    TEXT NOT NULL,
    digest  TEXT NOT NULL,              -- SHA-256 of the job file: its text may hold secrets
    UNIQUE (name, digest)
);

CREATE TABLE runs (
    id          TEXT PRIMARY KEY,
    job         INTEGER NOT NULL REFERENCES jobs (id),
    file        TEXT NOT NULL,          -- where the job file lies
    owner       TEXT NOT NULL,          -- 'daemon' or 'command'
    state       TEXT NOT NULL,          -- running, committing, succeeded, failed, cancelled
    created     TEXT NOT NULL,
    finished    TEXT,
    built_by    TEXT,                   -- JSON: what a plan is only good for
    hold        TEXT,                   -- JSON: the snapshot that the plan reads
    consistency TEXT,
    restarts    INTEGER NOT NULL DEFAULT 0,
    cancel      INTEGER NOT NULL DEFAULT 0,
    manifest    TEXT,                   -- JSON: what a commit under way publishes
    report      TEXT                    -- JSON: when it is over
);
CREATE INDEX runs_by_time ON runs (created);

CREATE TABLE relations (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    spot     TEXT NOT NULL,             -- JSON: its place in the target
    scans    TEXT,                      -- JSON: how it is read, without the chunks
    PRIMARY KEY (run, position)
) WITHOUT ROWID;

CREATE TABLE chunks (
    run        TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    relation   INTEGER NOT NULL,
    scan       INTEGER NOT NULL,
    chunk      INTEGER NOT NULL,
    label      TEXT NOT NULL,
    descriptor BLOB NOT NULL,
    rows       INTEGER,
    bytes      INTEGER,
    PRIMARY KEY (run, relation, scan, chunk)
) WITHOUT ROWID;

-- A task is a chunk, or a relation that is made as a whole (then chunk is 0).
CREATE TABLE tasks (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    relation INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    done     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, relation, chunk)
) WITHOUT ROWID;

CREATE TABLE attempts (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    restart  INTEGER NOT NULL,
    relation INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    started  TEXT NOT NULL,
    finished TEXT,                      -- absent: under way, or cut off by a crash
    class    TEXT,                      -- of its error
    owner    TEXT,                      -- who must act
    error    TEXT,
    PRIMARY KEY (run, restart, relation, chunk, attempt)
) WITHOUT ROWID;

CREATE TABLE parts (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    relation INTEGER NOT NULL,
    task     INTEGER NOT NULL,
    file     TEXT NOT NULL,
    chunk    INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    sha256   TEXT NOT NULL,
    token    TEXT NOT NULL,
    PRIMARY KEY (run, relation, file)
) WITHOUT ROWID;

CREATE TABLE events (
    run  TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    at   TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX events_by_run ON events (run);
