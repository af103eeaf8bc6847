-- Keys that an organization's authors sign package manifests with.
CREATE TABLE manifest_keys (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    label text NOT NULL,
    -- DER of the SubjectPublicKeyInfo, and its SHA-256.
    public_key bytea NOT NULL,
    fingerprint bytea NOT NULL,
    enrolled_by uuid NOT NULL,
    enrolled_at timestamptz NOT NULL DEFAULT now(),
    -- What was submitted from then on is not signed by this key; may lie before the moment of the revocation.
    revoked_from timestamptz,
    revoked_by uuid,
    revocation_reason text,
    CONSTRAINT manifest_keys_pkey PRIMARY KEY (id),
    CONSTRAINT manifest_keys_fingerprint_key UNIQUE (organization_id, fingerprint),
    CONSTRAINT manifest_keys_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organizations (id) ON DELETE CASCADE,
    CONSTRAINT manifest_keys_enrolled_by_fkey FOREIGN KEY (enrolled_by) REFERENCES users (id),
    CONSTRAINT manifest_keys_revoked_by_fkey FOREIGN KEY (revoked_by) REFERENCES users (id),
    CONSTRAINT manifest_keys_revocation_check CHECK (
        (revoked_from IS NULL) = (revoked_by IS NULL) AND (revoked_from IS NULL) = (revocation_reason IS NULL)
    )
);
CREATE INDEX manifest_keys_organization_idx ON manifest_keys (organization_id, id);

-- How a version's package manifest was signed when it was last submitted; the signature itself stands in the manifest. No
-- row: its format is not signed, or it was submitted to a program that did not look.
CREATE TABLE manifest_signatures (
    version_id uuid NOT NULL,
    -- SHA-256 of the canonical form that is signed.
    manifest_sha256 bytea NOT NULL,
    -- NULL: unsigned.
    key_fingerprint bytea,
    -- NULL: the key was not enrolled.
    manifest_key_id uuid,
    submitted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT manifest_signatures_pkey PRIMARY KEY (version_id),
    CONSTRAINT manifest_signatures_version_id_fkey FOREIGN KEY (version_id) REFERENCES versions (id),
    CONSTRAINT manifest_signatures_manifest_key_id_fkey FOREIGN KEY (manifest_key_id) REFERENCES manifest_keys (id),
    CONSTRAINT manifest_signatures_key_check CHECK (manifest_key_id IS NULL OR key_fingerprint IS NOT NULL)
);
CREATE INDEX manifest_signatures_key_idx ON manifest_signatures (manifest_key_id) WHERE manifest_key_id IS NOT NULL;
