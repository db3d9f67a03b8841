-- Watermarks: how far each incremental relation of each job has been loaded.

CREATE TABLE watermarks (
    job       TEXT NOT NULL,            -- its name
    relation  TEXT NOT NULL,            -- the table or query, by its name in the job
    watermark TEXT,                     -- JSON; NULL: somebody took it away, and the next run begins anew
    run       TEXT,                     -- the run that moved it last; NULL: somebody set it
    updated   TEXT NOT NULL,
    PRIMARY KEY (job, relation)
) WITHOUT ROWID;

-- The runs that publish, and move a watermark when they have.
CREATE TABLE watermark_claims (
    job      TEXT NOT NULL,
    relation TEXT NOT NULL,
    run      TEXT NOT NULL,
    PRIMARY KEY (job, relation)
) WITHOUT ROWID;

-- The runs that load a window once more: from the first value to before the last.
CREATE TABLE backfills (
    run        TEXT PRIMARY KEY,
    from_value TEXT NOT NULL,
    to_value   TEXT NOT NULL
) WITHOUT ROWID;

CREATE TRIGGER backfills_of_forgotten_runs AFTER DELETE ON runs BEGIN
    DELETE FROM backfills WHERE run = OLD.id;
END;
