DELETE FROM reviews WHERE verdict_id IN (SELECT id FROM verdicts WHERE review_id IS NOT NULL);
UPDATE verdicts SET review_id = NULL WHERE review_id IS NOT NULL AND advisory_snapshot IS NOT NULL;
DELETE FROM verdicts WHERE review_id IS NOT NULL;
DROP INDEX verdicts_own_idx;
ALTER TABLE verdicts DROP CONSTRAINT verdicts_review_id_fkey, DROP COLUMN review_id;
DROP TABLE reviews;
CREATE UNIQUE INDEX verdicts_intake_idx ON verdicts (intake_id) WHERE advisory_snapshot IS NULL;
