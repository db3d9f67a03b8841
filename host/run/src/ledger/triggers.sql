-- Version 6: what asked for runs, other than a file that was dropped or a command in the foreground. It is written
-- down before its run begins, so that no crash loses or doubles it. A key asks once.

CREATE TABLE triggers (
    run          TEXT PRIMARY KEY,      -- the id that its run has, or will have
    key          TEXT NOT NULL UNIQUE,
    job          TEXT NOT NULL,         -- the name of the job file
    folder       TEXT NOT NULL,         -- where the files that the job names lie
    digest       TEXT NOT NULL,         -- SHA-256 of the job file
    kind         TEXT NOT NULL,         -- schedule, backfill, run-now, chain, api, retry
    scheduled    TEXT,                  -- the time that the run is for
    requested    TEXT NOT NULL,
    requested_by TEXT,
    arguments    TEXT NOT NULL,         -- JSON: values for the job's parameters
    is_exclusive INTEGER NOT NULL,      -- it waits until no earlier trigger of its job is open
    is_cancelled INTEGER NOT NULL DEFAULT 0,
    state        TEXT NOT NULL          -- waiting, placed, over
);
CREATE INDEX triggers_open ON triggers (job, state) WHERE state <> 'over';
