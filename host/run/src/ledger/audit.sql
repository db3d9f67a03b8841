-- What was changed or refused over the HTTP API, and by commands that change who may use it.

CREATE TABLE audit (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL,
    who     TEXT NOT NULL,              -- a token's name; empty for who has none
    origin  TEXT NOT NULL,              -- an address; `socket`; `command`
    method  TEXT NOT NULL,
    path    TEXT NOT NULL,
    outcome INTEGER NOT NULL            -- the status of the answer
);
