-- The keys of `longshore run --run-key`: the last run of each, and what was asked for under it.

CREATE TABLE run_keys (
    key        TEXT PRIMARY KEY,
    job        TEXT NOT NULL,           -- its name
    digest     TEXT NOT NULL,           -- SHA-256 of the job file
    arguments  TEXT NOT NULL,           -- JSON: the values of parameters that were given
    parameters TEXT NOT NULL,           -- JSON: the values of all parameters, computed ones too
    run        TEXT NOT NULL
) WITHOUT ROWID;

-- A key is known for as long as its run is.
CREATE TRIGGER run_keys_of_forgotten_runs AFTER DELETE ON runs BEGIN
    DELETE FROM run_keys WHERE run = OLD.id;
END;
