-- Version 5: the values of the parameters that a run has begun with. JSON; absent for a job without any.

ALTER TABLE runs ADD COLUMN parameters TEXT;
