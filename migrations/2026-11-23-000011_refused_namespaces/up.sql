-- Why a person refused the claim of a namespace. The state of a refused one stays 'suspended' beside it, so that a program that
-- does not know of refusals reads the row, and lets nobody publish from it or prove it; in another state the text counts for nothing.
ALTER TABLE registry_namespaces ADD COLUMN refusal text;

ALTER TABLE namespace_history
    ADD COLUMN reason text,
    DROP CONSTRAINT namespace_history_state_check,
    ADD CONSTRAINT namespace_history_state_check CHECK (state IN ('pending', 'verified', 'suspended', 'refused'));
