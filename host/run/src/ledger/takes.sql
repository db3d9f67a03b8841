-- Version 2: what the daemon is working on, and how often it died at that since the run last got on.

CREATE TABLE takes (
    run       TEXT PRIMARY KEY,
    deaths    INTEGER NOT NULL DEFAULT 0,
    under_way INTEGER NOT NULL DEFAULT 1
) WITHOUT ROWID;
