-- Every constraint has a name: the program matches violations by name, never by message text.
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- People and rights ---------------------------------------------------------------------------------------------------

CREATE TABLE organizations (
    id uuid NOT NULL,
    slug text NOT NULL,
    display_name text NOT NULL,
    trust_tier text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT organizations_pkey PRIMARY KEY (id),
    CONSTRAINT organizations_slug_key UNIQUE (slug),
    CONSTRAINT organizations_trust_tier_check CHECK (trust_tier IN ('community', 'verified', 'internal'))
);

CREATE TABLE users (
    id uuid NOT NULL,
    email text NOT NULL,
    password_hash text NOT NULL,
    is_superuser boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_pkey PRIMARY KEY (id),
    CONSTRAINT users_email_key UNIQUE (email)
);

CREATE TABLE memberships (
    organization_id uuid NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    is_primary boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT memberships_pkey PRIMARY KEY (organization_id, user_id),
    CONSTRAINT memberships_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT memberships_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT memberships_role_check CHECK (role IN ('viewer', 'developer', 'admin'))
);
CREATE UNIQUE INDEX memberships_one_primary_idx ON memberships (user_id) WHERE is_primary;
CREATE INDEX memberships_user_idx ON memberships (user_id);

-- One row per login; `family` survives the rotation of the refresh token, so that the reuse of an old one ends it.
CREATE TABLE sessions (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    family uuid NOT NULL,
    access_token_hash bytea NOT NULL,
    refresh_token_hash bytea NOT NULL,
    access_expires_at timestamptz NOT NULL,
    refresh_expires_at timestamptz NOT NULL,
    rotated_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sessions_pkey PRIMARY KEY (id),
    CONSTRAINT sessions_access_token_hash_key UNIQUE (access_token_hash),
    CONSTRAINT sessions_refresh_token_hash_key UNIQUE (refresh_token_hash),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_family_idx ON sessions (family);
CREATE INDEX sessions_user_idx ON sessions (user_id);

CREATE TABLE api_keys (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    label text NOT NULL,
    key_hash bytea NOT NULL,
    -- The first characters, to recognise a key in a list; useless for login.
    prefix text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash),
    CONSTRAINT api_keys_membership_fkey FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX api_keys_organization_idx ON api_keys (organization_id, created_at);

-- Append-only: who did what to which thing.
CREATE TABLE audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    organization_id uuid,
    -- `user:<uuid>`, `api_key:<uuid>`, `worker`, `system`.
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT audit_entries_pkey PRIMARY KEY (id)
);
CREATE INDEX audit_entries_organization_idx ON audit_entries (organization_id, id);
CREATE INDEX audit_entries_subject_idx ON audit_entries (subject, id);

-- Idempotency-Key: the stored answer of a finished request. `fingerprint` is a hash of what was asked.
CREATE TABLE idempotency_keys (
    user_id uuid NOT NULL,
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status smallint NOT NULL,
    body jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (user_id, operation, key),
    CONSTRAINT idempotency_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys (created_at);

-- Registry namespaces -------------------------------------------------------------------------------------------------

CREATE TABLE registry_namespaces (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    provider text NOT NULL,
    host text NOT NULL,
    -- The path before `/*`, or the exact repository.
    path text NOT NULL,
    is_wildcard boolean NOT NULL,
    state text NOT NULL,
    signature_policy jsonb NOT NULL DEFAULT '{"mode":"none"}',
    -- Sealed by an AEAD; organization, host and path prefix are its associated data.
    credential_ciphertext bytea,
    credential_nonce bytea,
    credential_key_id text,
    -- Hosts beside `host` that may receive the credential: token hosts that an administrator confirmed.
    confirmed_token_hosts text[] NOT NULL DEFAULT '{}',
    last_test jsonb,
    last_tested_at timestamptz,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT registry_namespaces_pkey PRIMARY KEY (id),
    CONSTRAINT registry_namespaces_pattern_key UNIQUE (organization_id, host, path, is_wildcard),
    CONSTRAINT registry_namespaces_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT registry_namespaces_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id),
    CONSTRAINT registry_namespaces_provider_check CHECK (provider IN ('ghcr', 'dockerhub', 'ecr', 'generic')),
    CONSTRAINT registry_namespaces_state_check CHECK (state IN ('pending', 'verified', 'suspended')),
    CONSTRAINT registry_namespaces_credential_check CHECK (
        (credential_ciphertext IS NULL) = (credential_nonce IS NULL)
        AND (credential_ciphertext IS NULL) = (credential_key_id IS NULL)
    )
);
CREATE INDEX registry_namespaces_host_idx ON registry_namespaces (host, path);
CREATE INDEX registry_namespaces_key_idx ON registry_namespaces (credential_key_id) WHERE credential_key_id IS NOT NULL;

-- Jobs ----------------------------------------------------------------------------------------------------------------

CREATE TABLE jobs (
    id uuid NOT NULL,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5,
    run_after timestamptz NOT NULL DEFAULT now(),
    locked_until timestamptz,
    locked_by text,
    last_error text,
    -- At most one open job per key.
    dedup_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT jobs_pkey PRIMARY KEY (id),
    CONSTRAINT jobs_dedup_key_key UNIQUE (dedup_key),
    CONSTRAINT jobs_attempt_check CHECK (attempt >= 0 AND max_attempts > 0)
);
CREATE INDEX jobs_claim_idx ON jobs (kind, run_after, id);

-- Packages, versions, intakes -----------------------------------------------------------------------------------------

CREATE TABLE packages (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    -- The publisher part is the organization's slug.
    name text NOT NULL,
    kind text NOT NULL,
    format text NOT NULL,
    visibility text NOT NULL,
    -- Shown and searched; those of the newest active version, empty before there is one.
    title text NOT NULL DEFAULT '',
    description text NOT NULL DEFAULT '',
    tags text[] NOT NULL DEFAULT '{}',
    latest_version_id uuid,
    latest_version text,
    -- When the newest active version became active; NULL = nothing to see. List order.
    listed_at timestamptz,
    search_text text NOT NULL DEFAULT '',
    search tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', search_text)) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT packages_pkey PRIMARY KEY (id),
    CONSTRAINT packages_name_key UNIQUE (organization_id, name),
    CONSTRAINT packages_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT packages_kind_check CHECK (kind IN ('module', 'template')),
    CONSTRAINT packages_visibility_check CHECK (visibility IN ('public', 'organization', 'licensed'))
);
CREATE INDEX packages_organization_idx ON packages (organization_id, id DESC);
CREATE INDEX packages_listed_idx ON packages (listed_at DESC, id DESC) WHERE listed_at IS NOT NULL;
-- Names by their beginning, whoever publishes them.
CREATE INDEX packages_name_idx ON packages (name COLLATE "C", id) WHERE listed_at IS NOT NULL;
CREATE INDEX packages_search_idx ON packages USING gin (search);
CREATE INDEX packages_trigram_idx ON packages USING gin (search_text gin_trgm_ops);
CREATE INDEX packages_tags_idx ON packages USING gin (tags);

-- Grows by one in every transaction that changes what a listing shows. One row that each such transaction updates, not a
-- sequence: a reader never sees a number whose changes it cannot see yet.
CREATE TABLE listing_revision (
    only_row boolean NOT NULL DEFAULT true,
    revision bigint NOT NULL,
    CONSTRAINT listing_revision_pkey PRIMARY KEY (only_row),
    CONSTRAINT listing_revision_only_row_check CHECK (only_row)
);
INSERT INTO listing_revision (revision) VALUES (0);

CREATE TABLE versions (
    id uuid NOT NULL,
    package_id uuid NOT NULL,
    version text NOT NULL,
    state text NOT NULL,
    -- The submitted package manifest, or the template document, as it was sent: json, not jsonb, which would rewrite numbers.
    package_manifest json NOT NULL,
    -- What the store shows of it: the format's own descriptor (package-formats), for pages and search.
    descriptor jsonb NOT NULL DEFAULT '{}',
    -- What the author wrote; NULL for packages without an image (templates).
    image_reference text,
    -- What the store pinned: digest and media type of the top manifest.
    digest text,
    media_type text,
    size_bytes bigint,
    rejection_code text,
    deprecated text,
    published_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    activated_at timestamptz,
    CONSTRAINT versions_pkey PRIMARY KEY (id),
    CONSTRAINT versions_version_key UNIQUE (package_id, version),
    CONSTRAINT versions_package_id_fkey FOREIGN KEY (package_id) REFERENCES packages (id),
    CONSTRAINT versions_published_by_fkey FOREIGN KEY (published_by) REFERENCES users (id),
    CONSTRAINT versions_state_check CHECK (state IN ('pending', 'active', 'rejected', 'in_review', 'quarantined', 'yanked')),
    CONSTRAINT versions_active_check CHECK (state <> 'active' OR activated_at IS NOT NULL),
    CONSTRAINT versions_rejected_check CHECK ((state = 'rejected') = (rejection_code IS NOT NULL))
);
CREATE INDEX versions_digest_idx ON versions (digest) WHERE digest IS NOT NULL;
CREATE INDEX versions_package_idx ON versions (package_id, created_at DESC, id DESC);
ALTER TABLE packages ADD CONSTRAINT packages_latest_version_id_fkey FOREIGN KEY (latest_version_id) REFERENCES versions (id);

CREATE TABLE intakes (
    id uuid NOT NULL,
    version_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    registry_namespace_id uuid,
    -- NULL for packages without an image (templates).
    image_reference text,
    state text NOT NULL,
    -- The step that is being carried out, or that failed.
    step text,
    digest text,
    profile text,
    -- Short and for people, on `decided` and `failed`.
    outcome text,
    failure_code text,
    failure_reason text,
    requested_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT intakes_pkey PRIMARY KEY (id),
    CONSTRAINT intakes_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT intakes_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT intakes_registry_namespace_id_fkey FOREIGN KEY (registry_namespace_id) REFERENCES registry_namespaces (id) ON DELETE SET NULL,
    CONSTRAINT intakes_requested_by_fkey FOREIGN KEY (requested_by) REFERENCES users (id),
    CONSTRAINT intakes_state_check CHECK (state IN ('queued', 'running', 'decided', 'failed')),
    CONSTRAINT intakes_finished_check CHECK ((state IN ('decided', 'failed')) = (finished_at IS NOT NULL))
);
CREATE UNIQUE INDEX intakes_one_open_idx ON intakes (version_id) WHERE state IN ('queued', 'running');
CREATE INDEX intakes_open_idx ON intakes (organization_id) WHERE state IN ('queued', 'running');
CREATE INDEX intakes_organization_idx ON intakes (organization_id, created_at DESC, id DESC);
CREATE INDEX intakes_version_idx ON intakes (version_id, created_at DESC, id DESC);

-- One row per check and intake; a restarted step replaces its row.
CREATE TABLE intake_checks (
    intake_id uuid NOT NULL,
    name text NOT NULL,
    outcome text NOT NULL,
    reasons jsonb NOT NULL,
    evidence jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intake_checks_pkey PRIMARY KEY (intake_id, name),
    CONSTRAINT intake_checks_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes (id),
    CONSTRAINT intake_checks_outcome_check CHECK (outcome IN ('pass', 'warn', 'fail', 'error', 'unknown', 'not_applicable'))
);

-- What a step learned, so that a restarted intake goes on behind it.
CREATE TABLE intake_steps (
    intake_id uuid NOT NULL,
    step text NOT NULL,
    result jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intake_steps_pkey PRIMARY KEY (intake_id, step),
    CONSTRAINT intake_steps_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes (id)
);

-- Append-only; the source of server-sent events.
CREATE TABLE intake_events (
    id bigint GENERATED ALWAYS AS IDENTITY,
    intake_id uuid NOT NULL,
    kind text NOT NULL,
    data jsonb NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT intake_events_pkey PRIMARY KEY (id),
    CONSTRAINT intake_events_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes (id)
);
CREATE INDEX intake_events_intake_idx ON intake_events (intake_id, id);

-- Append-only: a new verdict is added, an old one never changed.
CREATE TABLE verdicts (
    id uuid NOT NULL,
    version_id uuid NOT NULL,
    intake_id uuid NOT NULL,
    decision jsonb NOT NULL,
    -- DSSE envelope of the in-toto statement, exactly as it was signed.
    envelope bytea NOT NULL,
    key_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT verdicts_pkey PRIMARY KEY (id),
    CONSTRAINT verdicts_intake_id_key UNIQUE (intake_id),
    CONSTRAINT verdicts_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT verdicts_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes (id)
);
CREATE INDEX verdicts_version_idx ON verdicts (version_id, created_at DESC);

-- Mirrored content ----------------------------------------------------------------------------------------------------

-- A blob (layer, config) whose bytes lie in the object store under its digest.
CREATE TABLE blobs (
    digest text NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT blobs_pkey PRIMARY KEY (digest),
    CONSTRAINT blobs_size_check CHECK (size_bytes >= 0)
);

-- What one layer holds, by blob digest and analyzer version.
CREATE TABLE layer_catalogs (
    digest text NOT NULL,
    analyzer_version integer NOT NULL,
    diff_id text NOT NULL,
    unpacked_bytes bigint NOT NULL,
    entries bigint NOT NULL,
    catalog jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT layer_catalogs_pkey PRIMARY KEY (digest, analyzer_version),
    CONSTRAINT layer_catalogs_digest_fkey FOREIGN KEY (digest) REFERENCES blobs (digest) ON DELETE CASCADE
);

-- Image manifests and indexes, kept byte for byte.
CREATE TABLE manifests (
    digest text NOT NULL,
    media_type text NOT NULL,
    bytes bytea NOT NULL,
    -- Digest of the manifest that this one refers to (OCI 1.1 referrers), and its artifact type.
    subject text,
    artifact_type text,
    annotations jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT manifests_pkey PRIMARY KEY (digest)
);
CREATE INDEX manifests_subject_idx ON manifests (subject) WHERE subject IS NOT NULL;

-- Which manifests and blobs belong to a version: what `/v2` may serve for it.
CREATE TABLE version_manifests (
    version_id uuid NOT NULL,
    digest text NOT NULL,
    -- `image` (index or image manifest of the version), `referrer` (signatures, verdict).
    role text NOT NULL,
    platform text,
    -- The manifest that this one belongs to by its tag only (signatures in cosign's older form); others name it themselves.
    subject text,
    CONSTRAINT version_manifests_pkey PRIMARY KEY (version_id, digest),
    CONSTRAINT version_manifests_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT version_manifests_digest_fkey FOREIGN KEY (digest) REFERENCES manifests (digest),
    CONSTRAINT version_manifests_role_check CHECK (role IN ('image', 'referrer'))
);
CREATE INDEX version_manifests_digest_idx ON version_manifests (digest);
CREATE INDEX version_manifests_subject_idx ON version_manifests (subject) WHERE subject IS NOT NULL;

CREATE TABLE version_blobs (
    version_id uuid NOT NULL,
    digest text NOT NULL,
    CONSTRAINT version_blobs_pkey PRIMARY KEY (version_id, digest),
    CONSTRAINT version_blobs_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT version_blobs_digest_fkey FOREIGN KEY (digest) REFERENCES blobs (digest)
);
CREATE INDEX version_blobs_digest_idx ON version_blobs (digest);

-- Scan results --------------------------------------------------------------------------------------------------------

CREATE TABLE components (
    version_id uuid NOT NULL,
    -- Position in the merged image: stable for one version.
    ordinal integer NOT NULL,
    purl text NOT NULL,
    ecosystem text NOT NULL,
    name text NOT NULL,
    -- Ecosystem and source name: what a changed advisory is matched by.
    source_name text NOT NULL,
    component jsonb NOT NULL,
    CONSTRAINT components_pkey PRIMARY KEY (version_id, ordinal),
    CONSTRAINT components_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id)
);
CREATE INDEX components_source_idx ON components (ecosystem, source_name);

CREATE TABLE findings (
    version_id uuid NOT NULL,
    ordinal integer NOT NULL,
    advisory text NOT NULL,
    severity text NOT NULL,
    purl text NOT NULL,
    finding jsonb NOT NULL,
    CONSTRAINT findings_pkey PRIMARY KEY (version_id, ordinal),
    CONSTRAINT findings_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT findings_severity_check CHECK (severity IN ('NONE', 'LOW', 'MEDIUM', 'HIGH', 'CRITICAL', 'UNKNOWN'))
);
CREATE INDEX findings_advisory_idx ON findings (advisory);

-- SBOM and other documents of a version, stored as objects under `documents/<digest>`.
CREATE TABLE version_documents (
    version_id uuid NOT NULL,
    -- `cyclonedx`, `spdx`.
    kind text NOT NULL,
    digest text NOT NULL,
    media_type text NOT NULL,
    size_bytes bigint NOT NULL,
    CONSTRAINT version_documents_pkey PRIMARY KEY (version_id, kind),
    CONSTRAINT version_documents_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT version_documents_kind_check CHECK (kind IN ('cyclonedx', 'spdx'))
);

-- Advisories ----------------------------------------------------------------------------------------------------------

-- One load of advisory data. `complete` snapshots are used, the newest first.
CREATE TABLE advisory_snapshots (
    number bigint GENERATED ALWAYS AS IDENTITY,
    -- `starter` (bundled) or `synced`.
    origin text NOT NULL,
    source text NOT NULL,
    digest text NOT NULL,
    records bigint NOT NULL,
    -- Ecosystems that this snapshot can speak about; components of others are not "clean" but "not looked at".
    ecosystems text[] NOT NULL,
    -- The newest `modified` of its records, which tells the data's age better than the time of the load.
    data_as_of timestamptz,
    is_complete boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT advisory_snapshots_pkey PRIMARY KEY (number),
    CONSTRAINT advisory_snapshots_origin_check CHECK (origin IN ('starter', 'synced'))
);

-- One row per affected package of an OSV record.
CREATE TABLE advisories (
    snapshot bigint NOT NULL,
    -- OSV ecosystem without its release, lower-cased as the store names it; the release apart (`12`, `v3.20`, empty).
    ecosystem text NOT NULL,
    ecosystem_release text NOT NULL,
    package text NOT NULL,
    advisory_id text NOT NULL,
    -- Position inside the record: one record may affect the same package in several ways.
    ordinal integer NOT NULL,
    -- image-scan's parsed form of the record for this package.
    record jsonb NOT NULL,
    CONSTRAINT advisories_pkey PRIMARY KEY (snapshot, ecosystem, package, ecosystem_release, advisory_id, ordinal),
    CONSTRAINT advisories_snapshot_fkey FOREIGN KEY (snapshot) REFERENCES advisory_snapshots (number) ON DELETE CASCADE
);

-- Companies -----------------------------------------------------------------------------------------------------------

CREATE TABLE companies (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL DEFAULT '',
    -- Identity of the template it came from, kept so that an export equals the import (json: numbers stay as written).
    template json NOT NULL,
    template_version_id uuid,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT companies_pkey PRIMARY KEY (id),
    CONSTRAINT companies_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT companies_template_version_id_fkey FOREIGN KEY (template_version_id) REFERENCES versions (id),
    CONSTRAINT companies_created_by_fkey FOREIGN KEY (created_by) REFERENCES users (id)
);
CREATE INDEX companies_organization_idx ON companies (organization_id, created_at DESC, id DESC);

CREATE TABLE company_agents (
    id uuid NOT NULL,
    company_id uuid NOT NULL,
    ordinal integer NOT NULL,
    local_ref text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    reports_to uuid,
    budget_cents bigint,
    metadata json,
    CONSTRAINT company_agents_pkey PRIMARY KEY (id),
    CONSTRAINT company_agents_ref_key UNIQUE (company_id, local_ref),
    CONSTRAINT company_agents_company_key UNIQUE (company_id, id),
    CONSTRAINT company_agents_company_id_fkey FOREIGN KEY (company_id) REFERENCES companies (id) ON DELETE CASCADE,
    CONSTRAINT company_agents_reports_to_fkey FOREIGN KEY (company_id, reports_to) REFERENCES company_agents (company_id, id),
    CONSTRAINT company_agents_budget_check CHECK (budget_cents >= 0)
);

CREATE TABLE company_goals (
    id uuid NOT NULL,
    company_id uuid NOT NULL,
    ordinal integer NOT NULL,
    local_ref text NOT NULL,
    title text NOT NULL,
    level text NOT NULL,
    parent uuid,
    owner uuid,
    CONSTRAINT company_goals_pkey PRIMARY KEY (id),
    CONSTRAINT company_goals_ref_key UNIQUE (company_id, local_ref),
    CONSTRAINT company_goals_company_key UNIQUE (company_id, id),
    CONSTRAINT company_goals_company_id_fkey FOREIGN KEY (company_id) REFERENCES companies (id) ON DELETE CASCADE,
    CONSTRAINT company_goals_parent_fkey FOREIGN KEY (company_id, parent) REFERENCES company_goals (company_id, id),
    CONSTRAINT company_goals_owner_fkey FOREIGN KEY (company_id, owner) REFERENCES company_agents (company_id, id)
);

CREATE TABLE company_projects (
    id uuid NOT NULL,
    company_id uuid NOT NULL,
    ordinal integer NOT NULL,
    local_ref text NOT NULL,
    name text NOT NULL,
    description text,
    CONSTRAINT company_projects_pkey PRIMARY KEY (id),
    CONSTRAINT company_projects_ref_key UNIQUE (company_id, local_ref),
    CONSTRAINT company_projects_company_key UNIQUE (company_id, id),
    CONSTRAINT company_projects_company_id_fkey FOREIGN KEY (company_id) REFERENCES companies (id) ON DELETE CASCADE
);

CREATE TABLE company_issues (
    id uuid NOT NULL,
    company_id uuid NOT NULL,
    ordinal integer NOT NULL,
    title text NOT NULL,
    status text NOT NULL,
    priority text NOT NULL,
    project uuid,
    assignee uuid,
    goal uuid,
    CONSTRAINT company_issues_pkey PRIMARY KEY (id),
    CONSTRAINT company_issues_company_id_fkey FOREIGN KEY (company_id) REFERENCES companies (id) ON DELETE CASCADE,
    CONSTRAINT company_issues_project_fkey FOREIGN KEY (company_id, project) REFERENCES company_projects (company_id, id),
    CONSTRAINT company_issues_assignee_fkey FOREIGN KEY (company_id, assignee) REFERENCES company_agents (company_id, id),
    CONSTRAINT company_issues_goal_fkey FOREIGN KEY (company_id, goal) REFERENCES company_goals (company_id, id)
);
CREATE INDEX company_issues_company_idx ON company_issues (company_id, ordinal);

CREATE TABLE company_activity (
    id bigint GENERATED ALWAYS AS IDENTITY,
    company_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT company_activity_pkey PRIMARY KEY (id),
    CONSTRAINT company_activity_company_id_fkey FOREIGN KEY (company_id) REFERENCES companies (id) ON DELETE CASCADE
);
CREATE INDEX company_activity_company_idx ON company_activity (company_id, id);

-- The store itself ----------------------------------------------------------------------------------------------------

-- Key-value facts of the installation: the store's id, its verdict public keys, the policy document.
CREATE TABLE store_settings (
    key text NOT NULL,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT store_settings_pkey PRIMARY KEY (key)
);

-- Wakes workers at commit; polling is the fallback.
CREATE FUNCTION notify_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('jobs', NEW.kind);
    RETURN NULL;
END
$$;
CREATE TRIGGER jobs_notify AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION notify_job();

CREATE FUNCTION notify_intake_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('intake_events', NEW.intake_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER intake_events_notify AFTER INSERT ON intake_events FOR EACH ROW EXECUTE FUNCTION notify_intake_event();
