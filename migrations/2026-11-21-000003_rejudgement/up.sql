-- A stored version is judged anew when advisories change. Such a verdict belongs to the intake whose other checks it rests
-- on, and is added beside that intake's own.
ALTER TABLE verdicts
    -- NULL: the intake's own verdict. Else the advisory snapshot that the version was judged anew by.
    ADD COLUMN advisory_snapshot bigint,
    -- The check `vulnerabilities` as this verdict has it; the intake's own check stays that intake's evidence.
    ADD COLUMN vulnerabilities jsonb,
    ADD CONSTRAINT verdicts_rejudged_check CHECK ((advisory_snapshot IS NULL) = (vulnerabilities IS NULL)),
    DROP CONSTRAINT verdicts_intake_id_key;
CREATE UNIQUE INDEX verdicts_intake_idx ON verdicts (intake_id) WHERE advisory_snapshot IS NULL;
CREATE UNIQUE INDEX verdicts_rejudged_idx ON verdicts (version_id, advisory_snapshot) WHERE advisory_snapshot IS NOT NULL;
CREATE INDEX verdicts_rejudged_intake_idx ON verdicts (intake_id, created_at DESC) WHERE advisory_snapshot IS NOT NULL;

-- A quarantined version may say by its code why.
ALTER TABLE versions
    DROP CONSTRAINT versions_rejected_check,
    ADD CONSTRAINT versions_rejected_check CHECK (
        CASE state WHEN 'rejected' THEN rejection_code IS NOT NULL WHEN 'quarantined' THEN true ELSE rejection_code IS NULL END
    );

-- Which advisory snapshot a version's findings rest on. No row: not known, which an older program also leaves behind.
-- Snapshots are removed when they are old, so the number refers to nothing.
CREATE TABLE version_scans (
    version_id uuid NOT NULL,
    advisory_snapshot bigint NOT NULL,
    CONSTRAINT version_scans_pkey PRIMARY KEY (version_id),
    CONSTRAINT version_scans_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id)
);

-- image-scan's `matched_name`: the name under which advisories speak about a package. Letters of ASCII only, as there.
CREATE FUNCTION matched_name(ecosystem text, source_name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE ecosystem
        WHEN 'pypi' THEN regexp_replace(
            translate(btrim(source_name, E' \t\n\r\f\v'), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ', 'abcdefghijklmnopqrstuvwxyz'),
            '[-_.]+', '-', 'g')
        ELSE source_name
    END
$$;
-- By the name that advisories use, instead of the one that was cataloged; true for the rows that are there already.
CREATE INDEX components_matched_idx ON components (ecosystem, matched_name(ecosystem, source_name));
DROP INDEX components_source_idx;
