-- What waits for a person, and what persons decided. Each is about one verdict, and so about one digest.
CREATE TABLE reviews (
    id uuid NOT NULL,
    version_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    intake_id uuid NOT NULL,
    -- The verdict that left the decision to a person.
    verdict_id uuid NOT NULL,
    -- NULL for packages without an image.
    digest text,
    -- The active version that this one was compared with; NULL for a first one.
    compared_with text,
    changes jsonb NOT NULL DEFAULT '[]',
    state text NOT NULL DEFAULT 'open',
    created_at timestamptz NOT NULL DEFAULT store_now(),
    claimed_by uuid,
    claimed_at timestamptz,
    decided_by uuid,
    decided_at timestamptz,
    reason text,
    -- When the verdict was written that the decision led to.
    settled_at timestamptz,
    CONSTRAINT reviews_pkey PRIMARY KEY (id),
    CONSTRAINT reviews_verdict_id_key UNIQUE (verdict_id),
    CONSTRAINT reviews_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT reviews_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT reviews_intake_id_fkey FOREIGN KEY (intake_id) REFERENCES intakes (id),
    CONSTRAINT reviews_verdict_id_fkey FOREIGN KEY (verdict_id) REFERENCES verdicts (id),
    CONSTRAINT reviews_claimed_by_fkey FOREIGN KEY (claimed_by) REFERENCES users (id),
    CONSTRAINT reviews_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES users (id),
    CONSTRAINT reviews_state_check CHECK (state IN ('open', 'claimed', 'approved', 'rejected', 'superseded')),
    CONSTRAINT reviews_claimed_check CHECK (
        (claimed_by IS NULL) = (claimed_at IS NULL) AND (state <> 'claimed' OR claimed_by IS NOT NULL)
    ),
    CONSTRAINT reviews_decided_check CHECK (
        (decided_by IS NULL) = (decided_at IS NULL)
        AND (state NOT IN ('approved', 'rejected') OR decided_by IS NOT NULL)
        AND (state <> 'rejected' OR reason IS NOT NULL)
    ),
    CONSTRAINT reviews_settled_check CHECK (settled_at IS NULL OR state IN ('approved', 'rejected'))
);
-- A version waits for one decision at a time.
CREATE UNIQUE INDEX reviews_one_open_idx ON reviews (version_id) WHERE settled_at IS NULL AND state <> 'superseded';
CREATE INDEX reviews_version_idx ON reviews (version_id);
CREATE INDEX reviews_intake_idx ON reviews (intake_id);
-- Ids are time-ordered.
CREATE INDEX reviews_state_idx ON reviews (state, id);
CREATE INDEX reviews_organization_idx ON reviews (organization_id, state, id);

-- The review that a verdict rests on. Such a verdict belongs to the intake, too, but is not that intake's own.
ALTER TABLE verdicts
    ADD COLUMN review_id uuid,
    ADD CONSTRAINT verdicts_review_id_fkey FOREIGN KEY (review_id) REFERENCES reviews (id);
CREATE UNIQUE INDEX verdicts_own_idx ON verdicts (intake_id) WHERE advisory_snapshot IS NULL AND review_id IS NULL;
DROP INDEX verdicts_intake_idx;
