-- 20,000 packages of 100 publishers, each with one active version, as listings and the index see them.
INSERT INTO organizations (id, slug, display_name, trust_tier)
SELECT gen_random_uuid(), 'publisher-' || n, 'Publisher ' || n, 'verified' FROM generate_series(0, 99) n;

INSERT INTO packages (id, organization_id, name, kind, format, visibility, title, description, tags, listed_at, latest_version, search_text)
SELECT gen_random_uuid(), o.id, 'pack' || n, 'module', 'hla-compass.module', 'public', 'Pack ' || n, words,
    ARRAY['tag' || n % 40], now() - n * interval '1 second', '1.0.0', 'pack' || n || ' ' || o.slug || ' ' || words
FROM generate_series(1, 20000) n
JOIN organizations o ON o.slug = 'publisher-' || n % 100,
LATERAL (
    SELECT CASE WHEN n % 500 = 0 THEN 'invoice ' ELSE '' END || string_agg(substr(md5(n || '.' || w), 1, 7), ' ') AS words
    FROM generate_series(1, 20) w
) text;

INSERT INTO versions (id, package_id, version, state, package_manifest, published_by, activated_at, digest)
SELECT gen_random_uuid(), p.id, '1.0.0', 'active', '{}', (SELECT id FROM users LIMIT 1), now(),
    'sha256:' || encode(sha256(convert_to(p.name, 'UTF8')), 'hex')
FROM packages p WHERE p.latest_version_id IS NULL AND p.name LIKE 'pack%';

UPDATE packages p SET latest_version_id = v.id FROM versions v WHERE v.package_id = p.id AND p.latest_version_id IS NULL;
UPDATE listing_revision SET revision = revision + 1;
ANALYZE;
