ALTER TABLE packages DROP COLUMN withdrawn_at;
