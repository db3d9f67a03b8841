-- Version 3: a run's phase (planning, reading, committing, succeeded, failed, cancelled) in place of
-- its state, and the terms of the field.

UPDATE runs SET state = CASE
    WHEN state <> 'running' THEN state
    WHEN built_by IS NULL OR hold IS NULL OR consistency IS NULL THEN 'planning'
    WHEN EXISTS (SELECT 1 FROM relations WHERE run = runs.id AND scans IS NULL) THEN 'planning'
    ELSE 'reading'
END;
ALTER TABLE runs RENAME COLUMN state TO phase;
ALTER TABLE runs DROP COLUMN consistency;

-- JSON: the snapshot, or why there is none; and whether a holder keeps it.
ALTER TABLE runs ADD COLUMN has_holder INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET has_holder = coalesce(json_extract(hold, '$.held.holder'), 0) WHERE hold IS NOT NULL;
ALTER TABLE runs RENAME COLUMN hold TO snapshot;
UPDATE runs SET snapshot = CASE json_type(snapshot, '$.held')
    WHEN 'object' THEN json_object('Opened', json_object(
        'token', json_extract(snapshot, '$.held.token'),
        'label', json_extract(snapshot, '$.held.label')))
    ELSE json_object('Unavailable', json_extract(snapshot, '$.unavailable'))
END
WHERE snapshot IS NOT NULL;

-- The target of each relation.
ALTER TABLE relations RENAME COLUMN spot TO target;

-- The runs that the daemon works on, and how often it crashed at each since it last made progress.
ALTER TABLE takes RENAME TO claims;
ALTER TABLE claims RENAME COLUMN deaths TO crashes;
ALTER TABLE claims RENAME COLUMN under_way TO is_active;
