-- Version 4: a part's checksum names its algorithm, which was SHA-256 for all. A sink's part has none.

ALTER TABLE parts ADD COLUMN checksum TEXT;
UPDATE parts SET checksum = 'sha256:' || sha256 WHERE sha256 <> '';
ALTER TABLE parts DROP COLUMN sha256;
