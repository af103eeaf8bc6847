DELETE FROM namespace_history WHERE how = 'claims';
ALTER TABLE namespace_history
    DROP CONSTRAINT namespace_history_how_check,
    ADD CONSTRAINT namespace_history_how_check CHECK (how IN ('person', 'challenge', 'proof_lost'));
ALTER TABLE namespace_proofs
    DROP CONSTRAINT namespace_proofs_owner_check,
    DROP COLUMN looked_at,
    DROP COLUMN owner_id,
    DROP COLUMN owner_issuer;
