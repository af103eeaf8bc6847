DROP INDEX users_superusers_idx;
