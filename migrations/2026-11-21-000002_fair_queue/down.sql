DROP TABLE organization_blobs;
DROP TABLE blob_transfers;
DROP FUNCTION claim_job(text[], text, double precision, bigint, bigint);
DROP TABLE queue_turns;
DROP INDEX jobs_locked_idx;
DROP INDEX jobs_organization_idx;
ALTER TABLE jobs DROP COLUMN request_id, DROP COLUMN source_host, DROP COLUMN organization_id;
