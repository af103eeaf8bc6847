-- How an organization proves that a namespace is its own: it pushes what only the store could have told it.
CREATE TABLE namespace_proofs (
    namespace_id uuid NOT NULL,
    -- What has to stand in the registry. Not secret: who can put it there has the right that is to be proven.
    nonce text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT store_now(),
    proven_at timestamptz,
    -- When it is looked for again; NULL until it was found once.
    due_at timestamptz,
    -- Times in a row that it was looked for and was not there. An outage is none.
    misses integer NOT NULL DEFAULT 0,
    -- The namespace is suspended because of them, and by nobody's decision.
    is_lost boolean NOT NULL DEFAULT false,
    last_result text,
    CONSTRAINT namespace_proofs_pkey PRIMARY KEY (namespace_id),
    CONSTRAINT namespace_proofs_namespace_id_fkey FOREIGN KEY (namespace_id) REFERENCES registry_namespaces (id) ON DELETE CASCADE,
    CONSTRAINT namespace_proofs_misses_check CHECK (misses >= 0)
);
CREATE INDEX namespace_proofs_due_idx ON namespace_proofs (due_at) WHERE due_at IS NOT NULL;

-- Who held which namespace, since when and by what; it stays when the namespace goes.
CREATE TABLE namespace_history (
    id bigint GENERATED ALWAYS AS IDENTITY,
    namespace_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    pattern text NOT NULL,
    at timestamptz NOT NULL DEFAULT store_now(),
    state text NOT NULL,
    how text NOT NULL,
    -- As in the audit log.
    actor text NOT NULL,
    -- Of what was found in the registry.
    evidence text,
    CONSTRAINT namespace_history_pkey PRIMARY KEY (id),
    CONSTRAINT namespace_history_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT namespace_history_state_check CHECK (state IN ('verified', 'suspended')),
    CONSTRAINT namespace_history_how_check CHECK (how IN ('person', 'challenge', 'proof_lost'))
);
CREATE INDEX namespace_history_namespace_idx ON namespace_history (organization_id, namespace_id, id DESC);

-- What stands was approved by hand.
INSERT INTO namespace_history (namespace_id, organization_id, pattern, at, state, how, actor)
SELECT id, organization_id, host || '/' || path || CASE WHEN is_wildcard THEN '/*' ELSE '' END, updated_at, state, 'person', 'system'
FROM registry_namespaces WHERE state IN ('verified', 'suspended');
