-- What a run expects its target to hold of a relation, JSON: rows that are read later are aligned with the same.
ALTER TABLE relations ADD COLUMN expected TEXT;

-- What an event tells of, where somebody looks for such events: schema-change.
ALTER TABLE events ADD COLUMN kind TEXT;

-- The columns of relations that somebody has accepted, whatever the job's policy says.
CREATE TABLE accepted_schemas (
    job      TEXT NOT NULL,             -- its name
    relation TEXT NOT NULL,
    digest   TEXT NOT NULL,             -- of the columns
    columns  TEXT NOT NULL,             -- JSON
    at       TEXT NOT NULL,
    PRIMARY KEY (job, relation)
) WITHOUT ROWID;
