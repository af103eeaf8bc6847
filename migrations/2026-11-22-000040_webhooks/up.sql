-- What others are told of. Written in the transaction of what it tells of, beside its audit entry.
CREATE TABLE events (
    id uuid NOT NULL,
    -- NULL: the store's own.
    organization_id uuid,
    kind text NOT NULL,
    -- `thing:<id>`.
    subject text NOT NULL,
    data jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT store_now(),
    CONSTRAINT events_pkey PRIMARY KEY (id),
    CONSTRAINT events_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE
);
CREATE INDEX events_at_idx ON events (at);
CREATE INDEX events_organization_idx ON events (organization_id);

-- Where events are sent to.
CREATE TABLE webhooks (
    id uuid NOT NULL,
    -- NULL: the store's, which hears of every organization.
    organization_id uuid,
    url text NOT NULL,
    description text NOT NULL DEFAULT '',
    -- Empty: all.
    event_types text[] NOT NULL DEFAULT '{}',
    disabled_at timestamptz,
    disabled_reason text,
    -- Since its last success; NULL: the last attempt was one, or there was none.
    failing_since timestamptz,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT store_now(),
    CONSTRAINT webhooks_pkey PRIMARY KEY (id),
    CONSTRAINT webhooks_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT webhooks_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id),
    CONSTRAINT webhooks_disabled_check CHECK (
        (disabled_at IS NULL) = (disabled_reason IS NULL) AND disabled_reason IN ('person', 'gone', 'failing')
    )
);
CREATE INDEX webhooks_organization_idx ON webhooks (organization_id, id);

-- What a webhook's deliveries are signed with: the newest, and for a while the one before.
CREATE TABLE webhook_secrets (
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    ciphertext bytea NOT NULL,
    nonce bytea NOT NULL,
    key_id text NOT NULL,
    -- NULL: the newest.
    expires_at timestamptz,
    CONSTRAINT webhook_secrets_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_secrets_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE
);
CREATE INDEX webhook_secrets_webhook_idx ON webhook_secrets (webhook_id);
CREATE UNIQUE INDEX webhook_secrets_newest_idx ON webhook_secrets (webhook_id) WHERE expires_at IS NULL;

-- One event for one webhook.
CREATE TABLE webhook_deliveries (
    id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    event_id uuid NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    -- Attempts since it was planned, or replayed: its place in the schedule.
    tries integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT store_now(),
    ended_at timestamptz,
    CONSTRAINT webhook_deliveries_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_deliveries_event_key UNIQUE (event_id, webhook_id),
    CONSTRAINT webhook_deliveries_webhook_id_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_event_id_fkey FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE,
    CONSTRAINT webhook_deliveries_state_check CHECK (state IN ('pending', 'delivered', 'failed')),
    CONSTRAINT webhook_deliveries_ended_check CHECK ((state = 'pending') = (ended_at IS NULL))
);
-- Ids are time-ordered.
CREATE INDEX webhook_deliveries_webhook_idx ON webhook_deliveries (webhook_id, id DESC);
CREATE INDEX webhook_deliveries_state_idx ON webhook_deliveries (webhook_id, state, id DESC);

-- What came of each attempt. Nothing of what the other side answered but its status.
CREATE TABLE webhook_attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    at timestamptz NOT NULL,
    status integer,
    duration_ms integer NOT NULL,
    -- NULL: it was delivered.
    error text,
    CONSTRAINT webhook_attempts_pkey PRIMARY KEY (delivery_id, number),
    CONSTRAINT webhook_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES webhook_deliveries (id) ON DELETE CASCADE
);

-- Jobs of other kinds than those asked for no longer count against the limits: receivers of events that are slow to answer
-- keep nobody's intakes waiting, nor the other way round.
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
        SELECT organization_id, source_host FROM jobs WHERE locked_until >= now() AND kind = ANY (wanted_kinds)
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
