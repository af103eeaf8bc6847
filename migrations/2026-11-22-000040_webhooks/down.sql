DELETE FROM jobs WHERE kind IN ('event', 'webhook_delivery');
DROP TABLE webhook_attempts;
DROP TABLE webhook_deliveries;
DROP TABLE webhook_secrets;
DROP TABLE webhooks;
DROP TABLE events;

CREATE OR REPLACE FUNCTION claim_job(
    wanted_kinds text[],
    worker text,
    lease_seconds double precision,
    per_organization bigint,
    per_source_host bigint
) RETURNS SETOF jobs LANGUAGE plpgsql AS $$
BEGIN
    -- Claims one after the other, or two could pass the same limit together.
    PERFORM pg_advisory_xact_lock(hashtextextended('jobs.claim', 0));
    RETURN QUERY
    WITH running AS MATERIALIZED (
        SELECT organization_id, source_host FROM jobs WHERE locked_until >= now()
    ), busy_organizations AS (
        SELECT organization_id FROM running WHERE organization_id IS NOT NULL
        GROUP BY organization_id HAVING count(*) >= per_organization
    ), busy_hosts AS (
        SELECT source_host FROM running WHERE source_host IS NOT NULL
        GROUP BY source_host HAVING count(*) >= per_source_host
    ), due AS (
        -- The oldest of each organization; what belongs to none is the store's own.
        SELECT DISTINCT ON (organization_id) id FROM jobs
        WHERE kind = ANY (wanted_kinds) AND run_after <= now() AND (locked_until IS NULL OR locked_until < now())
            AND (organization_id IS NULL OR organization_id NOT IN (SELECT organization_id FROM busy_organizations))
            AND (source_host IS NULL OR source_host NOT IN (SELECT source_host FROM busy_hosts))
        ORDER BY organization_id, run_after, id
    ), claimed AS (
        UPDATE jobs SET attempt = attempt + 1, locked_by = worker,
            locked_until = now() + make_interval(secs => lease_seconds)
        WHERE id = (
            SELECT job.id FROM jobs AS job JOIN due USING (id) LEFT JOIN queue_turns USING (organization_id)
            ORDER BY queue_turns.claimed_at NULLS FIRST, job.run_after, job.id
            LIMIT 1 FOR UPDATE OF job SKIP LOCKED
        )
        RETURNING *
    ), turn AS (
        INSERT INTO queue_turns SELECT organization_id, clock_timestamp() FROM claimed
        WHERE EXISTS (SELECT FROM organizations WHERE organizations.id = claimed.organization_id)
        ON CONFLICT (organization_id) DO UPDATE SET claimed_at = excluded.claimed_at
    )
    SELECT * FROM claimed;
END
$$;
