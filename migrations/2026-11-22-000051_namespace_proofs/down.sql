DELETE FROM jobs WHERE kind = 'namespace_proof';
DROP TABLE namespace_history;
DROP TABLE namespace_proofs;
