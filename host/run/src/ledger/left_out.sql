-- The rows of a task that could not be read and were left out. JSON; absent: none.

ALTER TABLE tasks ADD COLUMN left_out TEXT;
