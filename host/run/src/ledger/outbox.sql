-- Messages to others, such as notifications. They are written in the transaction of what they tell, and delivered
-- afterwards, at least once, and in order for each destination.

CREATE TABLE outbox (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,          -- webhook, traces
    destination TEXT NOT NULL,          -- JSON: where to, with references to secrets
    body        TEXT NOT NULL,
    created     TEXT NOT NULL,
    due         TEXT NOT NULL,          -- not before; while one is being delivered, when another may try
    attempts    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT
);
CREATE INDEX outbox_by_destination ON outbox (destination, id);
