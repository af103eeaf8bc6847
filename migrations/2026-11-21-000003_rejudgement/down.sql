CREATE INDEX components_source_idx ON components (ecosystem, source_name);
DROP INDEX components_matched_idx;
DROP FUNCTION matched_name(text, text);
DROP TABLE version_scans;
UPDATE versions SET rejection_code = NULL WHERE state = 'quarantined';
ALTER TABLE versions
    DROP CONSTRAINT versions_rejected_check,
    ADD CONSTRAINT versions_rejected_check CHECK ((state = 'rejected') = (rejection_code IS NOT NULL));
DELETE FROM verdicts WHERE advisory_snapshot IS NOT NULL;
DROP INDEX verdicts_rejudged_intake_idx;
DROP INDEX verdicts_rejudged_idx;
DROP INDEX verdicts_intake_idx;
ALTER TABLE verdicts
    DROP CONSTRAINT verdicts_rejudged_check,
    DROP COLUMN vulnerabilities,
    DROP COLUMN advisory_snapshot,
    ADD CONSTRAINT verdicts_intake_id_key UNIQUE (intake_id);
