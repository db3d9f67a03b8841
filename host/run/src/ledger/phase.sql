-- Version 3: a run's phase (planning, reading, committing, succeeded, failed, cancelled) in place of
-- its state, and the terms of the field.

UPDATE runs SET state = CASE
    WHEN state <> 'running' THEN state
    WHEN built_by IS NULL OR hold IS NULL OR consistency IS NULL THEN 'planning'
    WHEN EXISTS (SELECT 1 FROM relations WHERE run = runs.id AND scans IS NULL) THEN 'planning'
    ELSE 'reading'
END;
ALTER TABLE runs RENAME COLUMN state TO phase;

-- The runs that the daemon works on, and how often it crashed at each since it last made progress.
ALTER TABLE takes RENAME TO claims;
ALTER TABLE claims RENAME COLUMN deaths TO crashes;
ALTER TABLE claims RENAME COLUMN under_way TO is_active;
