DELETE FROM jobs WHERE kind = 'identity_keys';
DROP TABLE used_identity_tokens;
DROP TABLE publish_tokens;
DROP TABLE trusted_publishers;
DROP TABLE identity_providers;
