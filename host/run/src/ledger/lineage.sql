-- What the events of lineage of a run say, from when it begins until it ends.

CREATE TABLE lineage (
    run    TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    events TEXT NOT NULL                -- JSON
) WITHOUT ROWID;
