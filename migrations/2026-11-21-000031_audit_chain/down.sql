DROP TRIGGER audit_entries_no_truncate ON audit_entries;
DROP TRIGGER audit_entries_append_only ON audit_entries;
DROP FUNCTION audit_append_only();
DROP TABLE audit_checkpoints;
DROP INDEX audit_entries_action_idx;
DROP INDEX audit_entries_actor_idx;
DROP INDEX audit_entries_organization_sequence_idx;
DROP INDEX audit_entries_unsealed_idx;
ALTER TABLE audit_entries
    DROP CONSTRAINT audit_entries_sealed_whole,
    DROP CONSTRAINT audit_entries_sequence_positive,
    DROP CONSTRAINT audit_entries_sequence_key,
    DROP COLUMN hash,
    DROP COLUMN sequence,
    DROP COLUMN address,
    DROP COLUMN credential;
