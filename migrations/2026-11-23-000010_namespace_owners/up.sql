-- Whose jobs have proven a namespace: the provider's number, which it gives to nobody else, unlike the name.
ALTER TABLE namespace_proofs
    ADD COLUMN owner_issuer text,
    ADD COLUMN owner_id bigint,
    -- When a look for the proof, or a job's claims, last ended.
    ADD COLUMN looked_at timestamptz,
    ADD CONSTRAINT namespace_proofs_owner_check CHECK ((owner_issuer IS NULL) = (owner_id IS NULL));

ALTER TABLE namespace_history
    DROP CONSTRAINT namespace_history_how_check,
    ADD CONSTRAINT namespace_history_how_check CHECK (how IN ('person', 'challenge', 'claims', 'proof_lost'));
