DELETE FROM namespace_history WHERE state IN ('pending', 'refused');
ALTER TABLE namespace_history
    DROP CONSTRAINT namespace_history_state_check,
    ADD CONSTRAINT namespace_history_state_check CHECK (state IN ('verified', 'suspended')),
    DROP COLUMN reason;
ALTER TABLE registry_namespaces DROP COLUMN refusal;
