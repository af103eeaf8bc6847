-- When its publisher took the whole package back; NULL again when a new version is submitted.
ALTER TABLE packages ADD COLUMN withdrawn_at timestamptz;
