-- The span that asks for a run, as W3C's `traceparent` has it, if the caller told one.
ALTER TABLE triggers ADD COLUMN trace_parent TEXT;
