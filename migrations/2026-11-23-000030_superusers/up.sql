-- The list of the platform's people, among all users.
CREATE INDEX users_superusers_idx ON users (email) WHERE is_superuser;
