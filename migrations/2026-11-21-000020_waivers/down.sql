DELETE FROM verdicts later USING verdicts earlier
WHERE later.advisory_snapshot IS NOT NULL AND earlier.version_id = later.version_id
    AND earlier.advisory_snapshot = later.advisory_snapshot
    AND (earlier.created_at, earlier.id) > (later.created_at, later.id);
CREATE UNIQUE INDEX verdicts_rejudged_idx ON verdicts (version_id, advisory_snapshot) WHERE advisory_snapshot IS NOT NULL;
DROP TABLE rejudgement_requests;
DROP TABLE version_waivers;
DROP TABLE waivers;
DROP FUNCTION store_now();
