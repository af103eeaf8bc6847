-- The keys that identity providers sign tokens with, as a worker read them last.
CREATE TABLE identity_providers (
    issuer text NOT NULL,
    keys jsonb NOT NULL DEFAULT '[]',
    -- When `keys` was read; NULL: never.
    keys_read_at timestamptz,
    -- Attempts to read them that have ended, when the last one did, and why it failed; NULL: it did not.
    attempts bigint NOT NULL DEFAULT 0,
    attempted_at timestamptz,
    last_error text,
    CONSTRAINT identity_providers_pkey PRIMARY KEY (issuer)
);

-- Jobs of continuous integration that may publish a package.
CREATE TABLE trusted_publishers (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    -- The package need not exist yet.
    package_name text NOT NULL,
    provider text NOT NULL,
    issuer text NOT NULL,
    repository_id bigint NOT NULL,
    owner_id bigint NOT NULL,
    workflow text NOT NULL,
    environment text,
    reference text,
    -- Shown, and compared with nothing.
    repository text NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT store_now(),
    removed_by uuid,
    removed_at timestamptz,
    last_used_at timestamptz,
    CONSTRAINT trusted_publishers_pkey PRIMARY KEY (id),
    CONSTRAINT trusted_publishers_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT trusted_publishers_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id),
    CONSTRAINT trusted_publishers_removed_by_fkey FOREIGN KEY (removed_by) REFERENCES users (id),
    CONSTRAINT trusted_publishers_provider_check CHECK (provider IN ('github', 'gitlab')),
    CONSTRAINT trusted_publishers_ids_check CHECK (repository_id > 0 AND owner_id > 0),
    CONSTRAINT trusted_publishers_removed_check CHECK ((removed_by IS NULL) = (removed_at IS NULL))
);
-- Ids are time-ordered.
CREATE INDEX trusted_publishers_organization_idx ON trusted_publishers (organization_id, id);
CREATE UNIQUE INDEX trusted_publishers_binding_key ON trusted_publishers
    (organization_id, package_name, issuer, repository_id, owner_id, workflow, coalesce(environment, ''), coalesce(reference, ''))
    WHERE removed_at IS NULL;

-- What a trusted publisher was given for one of its jobs.
CREATE TABLE publish_tokens (
    id uuid NOT NULL,
    trusted_publisher_id uuid NOT NULL,
    -- SHA-256.
    token_hash bytea NOT NULL,
    -- What the job said it is, in parts.
    claims jsonb NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT store_now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT publish_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT publish_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT publish_tokens_trusted_publisher_id_fkey FOREIGN KEY (trusted_publisher_id) REFERENCES trusted_publishers (id) ON DELETE CASCADE
);
CREATE INDEX publish_tokens_publisher_idx ON publish_tokens (trusted_publisher_id, id DESC);
CREATE INDEX publish_tokens_expiry_idx ON publish_tokens (expires_at);

-- Identity tokens that were exchanged, or tried to be, until they expire by themselves: each counts once.
CREATE TABLE used_identity_tokens (
    issuer text NOT NULL,
    -- SHA-256 of the claim `jti`.
    token_id bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    -- How often it was shown again.
    replays bigint NOT NULL DEFAULT 0,
    CONSTRAINT used_identity_tokens_pkey PRIMARY KEY (issuer, token_id)
);
CREATE INDEX used_identity_tokens_expiry_idx ON used_identity_tokens (expires_at);
