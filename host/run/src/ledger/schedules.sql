-- What is known of the schedules of standing jobs, beside their job files.

CREATE TABLE schedules (
    name         TEXT PRIMARY KEY,      -- the standing job's
    recurrence   TEXT,                  -- what the cursor belongs to; absent: the job has no schedule now
    cursor       TEXT NOT NULL,         -- times up to this one were considered
    paused       TEXT,                  -- when it was paused; absent: it is not
    pause_reason TEXT,
    resumed      INTEGER NOT NULL DEFAULT 0,    -- the last trigger when it was resumed: failures count after it
    backfills    INTEGER NOT NULL DEFAULT 0,
    link_key     TEXT,                  -- a chain's next trigger, which is not submitted yet
    link_time    TEXT
) WITHOUT ROWID;

-- The runs of other jobs that a chain has followed, or found when it began.
CREATE TABLE chain_runs (
    name TEXT NOT NULL,
    run  TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    PRIMARY KEY (name, run)
) WITHOUT ROWID;
CREATE INDEX chain_runs_by_run ON chain_runs (run);

CREATE TABLE schedule_events (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    at   TEXT NOT NULL,
    kind TEXT NOT NULL,                 -- skipped, paused, resumed
    text TEXT NOT NULL
);
CREATE INDEX schedule_events_by_name ON schedule_events (name, id);

CREATE INDEX triggers_by_job ON triggers (job);
