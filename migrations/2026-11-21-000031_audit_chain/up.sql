-- Who acted with what and from where; and the chain that shows when an entry was altered or removed.
ALTER TABLE audit_entries
    -- `session:<uuid>` or `api_key:<uuid>`.
    ADD COLUMN credential text,
    ADD COLUMN address text,
    -- Place in the chain, without gaps from 1; given shortly after the entry is committed.
    ADD COLUMN sequence bigint,
    -- Digest of the hash before and of everything in the entry.
    ADD COLUMN hash text,
    ADD CONSTRAINT audit_entries_sequence_key UNIQUE (sequence),
    ADD CONSTRAINT audit_entries_sequence_positive CHECK (sequence > 0),
    ADD CONSTRAINT audit_entries_sealed_whole CHECK ((sequence IS NULL) = (hash IS NULL));
CREATE INDEX audit_entries_unsealed_idx ON audit_entries (id) WHERE sequence IS NULL;
CREATE INDEX audit_entries_organization_sequence_idx ON audit_entries (organization_id, sequence);
CREATE INDEX audit_entries_actor_idx ON audit_entries (actor, id);
CREATE INDEX audit_entries_action_idx ON audit_entries (action, id);

-- The chain's end at a time, signed with the key that verdicts are signed with.
CREATE TABLE audit_checkpoints (
    sequence bigint NOT NULL,
    hash text NOT NULL,
    -- DSSE envelope.
    envelope jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT audit_checkpoints_pkey PRIMARY KEY (sequence)
);

-- Mistakes and lesser rights end here. Who may drop the trigger is told by the chain.
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.sequence IS NULL AND NEW.sequence IS NOT NULL
        AND (OLD.id, OLD.at, OLD.actor, OLD.action, OLD.subject, OLD.details)
            = (NEW.id, NEW.at, NEW.actor, NEW.action, NEW.subject, NEW.details)
        AND (OLD.organization_id, OLD.credential, OLD.address)
            IS NOT DISTINCT FROM (NEW.organization_id, NEW.credential, NEW.address)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
CREATE TRIGGER audit_entries_no_truncate BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only();
