-- Whose work a job is and where it reads, so that neither an organization nor a registry can take all workers.
ALTER TABLE jobs
    ADD COLUMN organization_id uuid,
    ADD COLUMN source_host text,
    -- Of the call that caused it.
    ADD COLUMN request_id text;
UPDATE jobs SET organization_id = intakes.organization_id
FROM intakes WHERE jobs.kind = 'intake' AND jobs.payload ->> 'intake' = intakes.id::text;
CREATE INDEX jobs_organization_idx ON jobs (organization_id, run_after, id);
CREATE INDEX jobs_locked_idx ON jobs (locked_until) WHERE locked_until IS NOT NULL;

-- When an organization was served last: the one that has waited longest is next.
CREATE TABLE queue_turns (
    organization_id uuid NOT NULL,
    claimed_at timestamptz NOT NULL,
    CONSTRAINT queue_turns_pkey PRIMARY KEY (organization_id),
    CONSTRAINT queue_turns_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);

-- One statement of the caller's: a worker that freezes in the middle of a claim holds nothing.
CREATE FUNCTION claim_job(
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

-- The one transfer of a layer that goes on for an organization: whoever needs the same layer waits for it. It holds as
-- long as the job's lease.
CREATE TABLE blob_transfers (
    organization_id uuid NOT NULL,
    digest text NOT NULL,
    job_id uuid NOT NULL,
    attempt integer NOT NULL,
    CONSTRAINT blob_transfers_pkey PRIMARY KEY (organization_id, digest),
    CONSTRAINT blob_transfers_job_id_fkey FOREIGN KEY (job_id) REFERENCES jobs (id) ON DELETE CASCADE
);
CREATE INDEX blob_transfers_job_idx ON blob_transfers (job_id);

-- Blobs whose bytes an organization has shown to the store. Others it must show first, even when the store holds them:
-- neither the time nor the bytes of an intake tell what other organizations keep private.
CREATE TABLE organization_blobs (
    organization_id uuid NOT NULL,
    digest text NOT NULL,
    CONSTRAINT organization_blobs_pkey PRIMARY KEY (organization_id, digest),
    CONSTRAINT organization_blobs_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT organization_blobs_digest_fkey FOREIGN KEY (digest) REFERENCES blobs (digest) ON DELETE CASCADE
);
CREATE INDEX organization_blobs_digest_idx ON organization_blobs (digest);
INSERT INTO organization_blobs (organization_id, digest)
SELECT DISTINCT packages.organization_id, version_blobs.digest
FROM version_blobs JOIN versions ON versions.id = version_blobs.version_id JOIN packages ON packages.id = versions.package_id;
