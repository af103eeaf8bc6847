-- 20,000 active versions with 100 components each, as intakes leave them, judged by a snapshot of 200,000 advisories; and
-- the next snapshot, not complete yet, in which 1 % of the advisories differ:
--   `common` is held by every version: what is said about it changes, what it means for them does not;
--   200 packages are held by some: the same;
--   `rare-0` to `rare-9` are held by 50 versions each: those get a finding, HIGH for half of them, MEDIUM for the others.
BEGIN;
SET LOCAL synchronous_commit = off;

INSERT INTO organizations (id, slug, display_name, trust_tier)
SELECT gen_random_uuid(), 'publisher-' || n, 'Publisher ' || n, 'verified' FROM generate_series(0, 99) n;

CREATE TEMP TABLE generated ON COMMIT DROP AS
SELECT n, gen_random_uuid() AS package, gen_random_uuid() AS version, gen_random_uuid() AS intake,
    'sha256:' || encode(sha256(convert_to('version ' || n, 'UTF8')), 'hex') AS digest
FROM generate_series(1, 20000) n;

INSERT INTO packages (id, organization_id, name, kind, format, visibility, title, listed_at, latest_version, search_text)
SELECT g.package, o.id, 'pack' || n, 'module', 'hla-compass.module', 'public', 'Pack ' || n, now(), '1.0.0', 'pack' || n
FROM generated g JOIN organizations o ON o.slug = 'publisher-' || n % 100;

INSERT INTO versions (id, package_id, version, state, package_manifest, published_by, activated_at, digest, media_type, size_bytes)
SELECT g.version, g.package, '1.0.0', 'active', '{}', (SELECT id FROM users LIMIT 1), now(), g.digest,
    'application/vnd.oci.image.manifest.v1+json', 1000
FROM generated g;
UPDATE packages p SET latest_version_id = g.version FROM generated g WHERE p.id = g.package;
INSERT INTO manifests (digest, media_type, bytes)
SELECT g.digest, 'application/vnd.oci.image.manifest.v1+json', '{}' FROM generated g;

INSERT INTO intakes (id, version_id, organization_id, image_reference, state, profile, outcome, requested_by, started_at, finished_at)
SELECT g.intake, g.version, p.organization_id, 'registry.example.org/bench/' || p.name || ':1.0.0', 'decided', 'development',
    'active', (SELECT id FROM users LIMIT 1), now(), now()
FROM generated g JOIN packages p ON p.id = g.package;
INSERT INTO intake_checks (intake_id, name, outcome, reasons, evidence)
SELECT g.intake, name, 'pass', '[]', CASE name WHEN 'vulnerabilities' THEN '{"incomplete": 0}'::jsonb ELSE '{}' END
FROM generated g,
    unnest(ARRAY['image', 'signature', 'archive', 'vulnerabilities', 'secrets', 'package_manifest', 'ui', 'permissions']) name;
INSERT INTO verdicts (id, version_id, intake_id, decision, envelope, key_id)
SELECT gen_random_uuid(), g.version, g.intake, '{"decision": "active", "warnings": []}',
    convert_to(format('{"payloadType": "application/vnd.in-toto+json", "payload": "%s", "signatures": []}',
        encode('{"predicate": {"inputAttestations": []}}', 'base64')), 'UTF8'), 'generated'
FROM generated g;

-- 5,000 packages are held, each by about 400 versions, in four versions of their own.
INSERT INTO components (version_id, ordinal, purl, ecosystem, name, source_name, component)
SELECT g.version, k, purl, 'pypi', name, name, jsonb_build_object(
    'purl', purl, 'ecosystem', 'pypi', 'ecosystem_release', '', 'name', name, 'version', number, 'source_name', name,
    'source_version', number, 'license', 'MIT', 'layer', 'sha256:' || encode(sha256(convert_to('layer ' || n % 500, 'UTF8')), 'hex'),
    'path', 'usr/local/lib/python3.11/site-packages/' || name || '-' || number || '.dist-info/METADATA')
FROM generated g, generate_series(0, 99) k,
LATERAL (SELECT
    CASE WHEN k = 0 THEN 'common' WHEN k = 1 AND n % 40 = 0 THEN 'rare-' || n / 40 % 10
         ELSE 'package-' || (n * 37 + k * 53) % 5000 END AS name,
    format('1.%s.0', n % 4) AS number) named,
LATERAL (SELECT 'pkg:pypi/' || name || '@' || number AS purl) spelled;

INSERT INTO advisory_snapshots (origin, source, digest, records, ecosystems, data_as_of, is_complete)
SELECT 'synced', 'generated', 'sha256:' || repeat(s::text, 64), 200000, ARRAY['pypi'], now(), s = 1 FROM generate_series(1, 2) s;
INSERT INTO advisories (snapshot, ecosystem, ecosystem_release, package, advisory_id, ordinal, record)
SELECT s.number, 'pypi', '', name, id, 0, jsonb_build_object(
    'ecosystem', 'pypi', 'package', name, 'advisory', id, 'aliases', jsonb_build_array('CVE-2026-' || n), 'summary',
    'A problem of the package ' || name || CASE WHEN is_changed THEN ', in other words' ELSE '' END,
    'severity', CASE n % 2 WHEN 0 THEN 'HIGH' ELSE 'MEDIUM' END,
    'ranges', jsonb_build_array(jsonb_build_object('events', jsonb_build_array(
        jsonb_build_object('introduced', '0'),
        jsonb_build_object('fixed', CASE WHEN is_changed AND name LIKE 'rare-%' THEN '99.0' WHEN is_changed THEN '0.6' ELSE '0.5' END)))))
FROM advisory_snapshots s, generate_series(1, 200000) n,
LATERAL (SELECT
    CASE WHEN n <= 10 THEN 'common' WHEN n <= 20 THEN 'rare-' || n - 11 ELSE 'package-' || n / 10 END AS name,
    'GHSA-' || n AS id, s.source = 'generated' AND NOT s.is_complete AND n <= 2000 AS is_changed) named
WHERE s.source = 'generated';

INSERT INTO version_scans (version_id, advisory_snapshot)
SELECT g.version, s.number FROM generated g, advisory_snapshots s WHERE s.source = 'generated' AND s.is_complete;
UPDATE listing_revision SET revision = revision + 1;
COMMIT;
VACUUM ANALYZE;
