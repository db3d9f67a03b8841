-- The executors of a cluster that have begun a part of an attempt. A run of one machine has none.
CREATE TABLE executors (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    restart  INTEGER NOT NULL,
    relation INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    executor TEXT NOT NULL,
    PRIMARY KEY (run, restart, relation, chunk, attempt, executor)
) WITHOUT ROWID;
