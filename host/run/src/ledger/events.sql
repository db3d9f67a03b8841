-- Events have ids, which are never given twice: a reader that was away knows where to go on. A run that
-- enters a phase has an event of it. Events of a run may come before the run's own entry.

CREATE TABLE events_with_ids (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    run   TEXT NOT NULL,
    at    TEXT NOT NULL,
    phase TEXT,                         -- the phase that the run entered
    text  TEXT NOT NULL
);
INSERT INTO events_with_ids (run, at, text) SELECT run, at, text FROM events ORDER BY rowid;
DROP TABLE events;
ALTER TABLE events_with_ids RENAME TO events;
CREATE INDEX events_by_run ON events (run);

-- Lists of runs are cut, filtered and counted by these alone.
DROP INDEX runs_by_time;
CREATE INDEX runs_by_time ON runs (created, id, job, phase, finished);
CREATE INDEX runs_by_end ON runs (finished, phase);
