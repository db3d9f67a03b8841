-- What the checks of a relation found in each task that is done. JSON.

CREATE TABLE measures (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    relation INTEGER NOT NULL,
    task     INTEGER NOT NULL,
    found    TEXT NOT NULL,
    PRIMARY KEY (run, relation, task)
) WITHOUT ROWID;

-- What the source said of each check that compares with it, before anything was read.
CREATE TABLE source_sums (
    run      TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    relation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    sum      TEXT NOT NULL,
    PRIMARY KEY (run, relation, position)
) WITHOUT ROWID;
