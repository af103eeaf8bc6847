-- The store's clock for what ends on a date: one for all machines, and one that a test can set in its own database.
CREATE FUNCTION store_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';

-- An organization's findings that a person accepts for a while.
CREATE TABLE waivers (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    -- NULL: all packages of the organization, all versions.
    package_name text,
    version_range text,
    advisory text NOT NULL,
    -- Package URL without a version, and the component's versions: one, from and before, or all.
    component text NOT NULL,
    component_version text,
    component_from text,
    component_before text,
    reason text NOT NULL,
    statement text NOT NULL,
    state text NOT NULL DEFAULT 'asked',
    asked_by uuid NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT store_now(),
    -- Who approved or refused it, another person than the one who asked.
    decided_by uuid,
    decided_at timestamptz,
    decision_note text,
    withdrawn_by uuid,
    withdrawn_at timestamptz,
    -- In force before this moment, not at it.
    expires_at timestamptz NOT NULL,
    warned_at timestamptz,
    CONSTRAINT waivers_pkey PRIMARY KEY (id),
    CONSTRAINT waivers_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT waivers_asked_by_fkey FOREIGN KEY (asked_by) REFERENCES users (id),
    CONSTRAINT waivers_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES users (id),
    CONSTRAINT waivers_withdrawn_by_fkey FOREIGN KEY (withdrawn_by) REFERENCES users (id),
    CONSTRAINT waivers_state_check CHECK (state IN ('asked', 'approved', 'refused', 'withdrawn', 'expired')),
    CONSTRAINT waivers_decided_check CHECK (
        (decided_by IS NULL) = (decided_at IS NULL) AND (state NOT IN ('approved', 'refused') OR decided_by IS NOT NULL)
    ),
    CONSTRAINT waivers_withdrawn_check CHECK (
        (state = 'withdrawn') = (withdrawn_at IS NOT NULL) AND (withdrawn_by IS NULL) = (withdrawn_at IS NULL)
    ),
    CONSTRAINT waivers_another_person_check CHECK (decided_by <> asked_by),
    CONSTRAINT waivers_expiry_check CHECK (expires_at > asked_at AND expires_at <= asked_at + interval '720 hours'),
    CONSTRAINT waivers_component_check CHECK (
        component_version IS NULL OR (component_from IS NULL AND component_before IS NULL)
    )
);
-- Ids are time-ordered.
CREATE INDEX waivers_organization_idx ON waivers (organization_id, id DESC);
CREATE INDEX waivers_open_idx ON waivers (expires_at) WHERE state IN ('asked', 'approved');
CREATE INDEX waivers_approved_idx ON waivers (organization_id) WHERE state = 'approved';

-- Which waivers the newest verdict on a version rests on.
CREATE TABLE version_waivers (
    version_id uuid NOT NULL,
    waiver_id uuid NOT NULL,
    CONSTRAINT version_waivers_pkey PRIMARY KEY (version_id, waiver_id),
    CONSTRAINT version_waivers_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id) ON DELETE CASCADE,
    CONSTRAINT version_waivers_waiver_id_fkey FOREIGN KEY (waiver_id) REFERENCES waivers (id) ON DELETE CASCADE
);
CREATE INDEX version_waivers_waiver_idx ON version_waivers (waiver_id);

-- Versions that are owed a judgement although the advisories are those that they were judged by. The token changes with
-- every request, so that one that comes while the version is being judged is not taken for answered.
CREATE TABLE rejudgement_requests (
    version_id uuid NOT NULL,
    token uuid NOT NULL,
    CONSTRAINT rejudgement_requests_pkey PRIMARY KEY (version_id),
    CONSTRAINT rejudgement_requests_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id) ON DELETE CASCADE
);

-- The same advisories can judge a version more than once: a waiver may have come or gone. What keeps a version from being
-- decided twice is that its newest verdict is compared.
DROP INDEX verdicts_rejudged_idx;
