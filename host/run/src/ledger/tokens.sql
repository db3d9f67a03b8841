-- Who may use the HTTP API. The ledger has only hashes. A session is a browser's; a login becomes a session,
-- once.

CREATE TABLE tokens (
    id      TEXT PRIMARY KEY,           -- the part of a token that is no secret
    hash    BLOB NOT NULL,              -- SHA-256 of the whole token
    kind    TEXT NOT NULL,              -- token, session, login
    name    TEXT NOT NULL,
    role    TEXT NOT NULL,              -- viewer, operator, admin
    created TEXT NOT NULL,
    expires TEXT
) WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE kind = 'token';
