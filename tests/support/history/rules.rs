//! What must hold between the rows, each as the query that finds what breaks it.
//!
//! `now()` is a transaction's own time, so rows of one transaction carry the same.

/// Name of the rule, and the query for its offenders.
pub(super) const RULES: &[(&str, &str)] = &[
    // Every intake ends, once.
    ("an intake has not ended", "SELECT id || ' ' || state FROM intakes WHERE state NOT IN ('decided', 'failed')"),
    ("a version still waits", "SELECT id || ' ' || version FROM versions WHERE state = 'pending'"),
    ("a job is left over", "SELECT id || ' ' || payload FROM jobs WHERE kind = 'intake'"),
    (
        "an intake without exactly one last event",
        "SELECT i.id || ' has ' || count(e.id) FROM intakes i LEFT JOIN intake_events e ON e.intake_id = i.id \
           AND (e.kind = 'decided' OR (e.kind = 'state' AND e.data->>'state' = 'failed')) \
         GROUP BY i.id HAVING count(e.id) <> 1",
    ),
    (
        "an event behind the last one",
        "SELECT e.intake_id || ' ' || e.kind || ' ' || e.data FROM intake_events e JOIN intake_events last \
           ON last.intake_id = e.intake_id AND e.id > last.id \
           AND (last.kind = 'decided' OR (last.kind = 'state' AND last.data->>'state' = 'failed'))",
    ),
    (
        "a history that does not begin with its submission",
        "SELECT id || ' ' || intake_id || ' ' || kind || ' ' || data FROM \
           (SELECT DISTINCT ON (intake_id) * FROM intake_events ORDER BY intake_id, id) first \
         WHERE kind <> 'state' OR data->>'state' <> 'queued'",
    ),
    (
        "an event told twice",
        "SELECT intake_id || ' ' || kind || ' ' || coalesce(data->>'state', data->>'step', data->>'name') || ': ' \
           || count(*) FROM intake_events WHERE kind <> 'progress' \
         GROUP BY intake_id, kind, coalesce(data->>'state', data->>'step', data->>'name') HAVING count(*) > 1",
    ),
    (
        "a submission, or an intake's end, of which others are not told once",
        "SELECT v.id || ' has ' || count(DISTINCT i.id) || ' intakes, ' || count(DISTINCT s.id) || ' and ' \
           || count(DISTINCT e.id) || ' events' FROM versions v JOIN intakes i ON i.version_id = v.id \
         LEFT JOIN events s ON s.subject = 'version:' || v.id AND s.kind = 'version.submitted' \
         LEFT JOIN events e ON e.subject = 'version:' || v.id \
           AND (e.data->>'from' = 'pending' OR e.kind IN ('intake.failed', 'intake.cancelled')) \
         GROUP BY v.id HAVING count(DISTINCT s.id) <> count(DISTINCT i.id) OR count(DISTINCT e.id) <> count(DISTINCT i.id)",
    ),
    (
        "progress that goes back, or beyond the whole",
        "SELECT intake_id || ' ' || data FROM (SELECT *, lag((data->>'done_bytes')::bigint) OVER \
           (PARTITION BY intake_id ORDER BY id) AS before FROM intake_events WHERE kind = 'progress') told \
         WHERE (data->>'done_bytes')::bigint > (data->>'total_bytes')::bigint",
    ),
    // Checks: told, stored and signed are the same.
    (
        "a check that was told and not stored, or stored and not told",
        "SELECT coalesce(e.intake_id, c.intake_id) || ' ' || coalesce(e.data->>'name', c.name) \
         FROM (SELECT * FROM intake_events WHERE kind = 'check') e FULL JOIN intake_checks c \
           ON c.intake_id = e.intake_id AND c.name = e.data->>'name' AND c.outcome = e.data->>'outcome' \
           AND c.reasons = e.data->'reasons' \
         WHERE e.id IS NULL OR c.intake_id IS NULL",
    ),
    (
        "a check that was signed and not stored, or stored and not signed",
        "WITH signed AS (SELECT v.intake_id, jsonb_array_elements(convert_from(decode(convert_from(v.envelope, 'UTF8') \
             ::jsonb->>'payload', 'base64'), 'UTF8')::jsonb #> '{predicate,companyStore,checks}') AS said \
           FROM verdicts v), \
         stored AS (SELECT c.* FROM intake_checks c JOIN verdicts v ON v.intake_id = c.intake_id) \
         SELECT coalesce(s.intake_id, c.intake_id) || ' ' || coalesce(s.said->>'name', c.name) \
         FROM signed s FULL JOIN stored c ON c.intake_id = s.intake_id AND c.name = s.said->>'name' \
           AND c.outcome = s.said->>'outcome' AND c.reasons = s.said->'reasons' AND c.evidence = s.said->'evidence' \
         WHERE s.intake_id IS NULL OR c.intake_id IS NULL",
    ),
    (
        "an active version without all its checks and steps",
        "SELECT i.id || ' has ' || (SELECT count(*) FROM intake_checks c WHERE c.intake_id = i.id) || ' checks, ' \
           || (SELECT count(*) FROM intake_steps s WHERE s.intake_id = i.id) || ' steps' FROM intakes i \
         WHERE i.outcome = 'active' AND i.image_reference IS NOT NULL \
           AND ((SELECT count(*) FROM intake_checks c WHERE c.intake_id = i.id) <> 8 \
             OR (SELECT count(*) FROM intake_steps s WHERE s.intake_id = i.id) <> 9)",
    ),
    (
        "a step that ended before it began, or after the decision",
        "SELECT s.intake_id || ' ' || s.step FROM intake_steps s JOIN verdicts v ON v.intake_id = s.intake_id \
         WHERE s.finished_at < s.started_at OR s.finished_at > v.created_at + interval '1 min'",
    ),
    // Verdicts: one per decided intake, in one transaction with all that follows from it.
    (
        "an intake without exactly its verdicts",
        "SELECT i.id || ' ' || i.state || ' has ' || count(v.id) FROM intakes i LEFT JOIN verdicts v \
           ON v.intake_id = i.id GROUP BY i.id HAVING count(v.id) <> CASE i.state WHEN 'decided' THEN 1 ELSE 0 END",
    ),
    (
        "a decision that was not written in one piece",
        "SELECT i.id || ' ' || i.outcome FROM intakes i JOIN verdicts v ON v.intake_id = i.id \
         WHERE i.finished_at <> v.created_at OR i.outcome <> v.decision->>'decision' \
           OR NOT EXISTS (SELECT FROM intake_events e WHERE e.intake_id = i.id AND e.kind = 'decided' \
                AND e.at = v.created_at AND e.data->>'decision' = i.outcome) \
           OR NOT EXISTS (SELECT FROM audit_entries a WHERE a.subject = 'version:' || v.version_id \
                AND a.action = 'version.decided' AND a.at = v.created_at AND a.details->>'to' = i.outcome)",
    ),
    (
        "a version in another state than its last intake left it in",
        "SELECT v.id || ' ' || v.state || ', ' || i.state || ' ' || coalesce(i.outcome, '') FROM versions v \
         JOIN LATERAL (SELECT * FROM intakes WHERE version_id = v.id ORDER BY created_at DESC, id DESC LIMIT 1) i ON true \
         WHERE v.state <> CASE i.state WHEN 'decided' THEN i.outcome ELSE 'rejected' END \
           OR (v.state = 'active' AND (v.digest IS DISTINCT FROM i.digest OR v.activated_at < i.created_at))",
    ),
    (
        "an active version without a verdict that says so",
        "SELECT v.id || ' ' || v.version FROM versions v WHERE v.state = 'active' AND NOT EXISTS \
           (SELECT FROM verdicts d WHERE d.version_id = v.id AND d.decision->>'decision' = 'active')",
    ),
    // Audit: one entry for each submission and each end.
    (
        "a submission without exactly one audit entry",
        "SELECT i.id || ' has ' || count(a.id) FROM intakes i LEFT JOIN audit_entries a \
           ON a.action = 'version.submitted' AND a.details->>'intake' = i.id::text AND a.at = i.created_at \
         GROUP BY i.id HAVING count(a.id) <> 1",
    ),
    (
        "a version with more or fewer ends in the audit than intakes",
        "SELECT v.id || ' ' || v.version FROM versions v WHERE \
           (SELECT count(*) FROM audit_entries a WHERE a.subject = 'version:' || v.id AND a.action = 'version.decided') \
             <> (SELECT count(*) FROM intakes i WHERE i.version_id = v.id AND i.state = 'decided') \
           OR (SELECT count(*) FROM audit_entries a WHERE a.subject = 'version:' || v.id AND a.action = 'intake.failed') \
             <> (SELECT count(*) FROM intakes i WHERE i.version_id = v.id AND i.state = 'failed')",
    ),
    (
        "a job that was given up and its intake was not",
        "SELECT a.subject FROM audit_entries a WHERE a.action = 'job.failed' AND a.details->>'kind' = 'intake' \
           AND NOT EXISTS (SELECT FROM intakes i WHERE i.id::text = a.details#>>'{payload,intake}' AND i.state = 'failed')",
    ),
    // Evidence is there once.
    (
        "components with gaps",
        "SELECT version_id || ' has ' || count(*) || ' up to ' || max(ordinal) FROM components \
         GROUP BY version_id HAVING count(*) <> max(ordinal) + 1",
    ),
    (
        "a component listed twice",
        "SELECT version_id || ' ' || purl FROM components GROUP BY version_id, purl, component HAVING count(*) > 1",
    ),
    (
        "a finding listed twice",
        "SELECT version_id || ' ' || advisory FROM findings GROUP BY version_id, advisory, finding HAVING count(*) > 1",
    ),
    (
        "an active image without both bills of materials",
        "SELECT v.id || ' ' || v.version FROM versions v WHERE v.state = 'active' AND v.image_reference IS NOT NULL \
           AND (SELECT count(*) FROM version_documents d WHERE d.version_id = v.id) <> 2",
    ),
    (
        "an active image that is not linked to its manifest",
        "SELECT v.id || ' ' || v.version FROM versions v WHERE v.state = 'active' AND v.image_reference IS NOT NULL \
           AND NOT EXISTS (SELECT FROM version_manifests m WHERE m.version_id = v.id AND m.digest = v.digest)",
    ),
    (
        "an active image without exactly one verdict beside it",
        "SELECT v.id || ' ' || v.version FROM versions v WHERE v.state = 'active' AND v.image_reference IS NOT NULL \
           AND (SELECT count(*) FROM version_manifests l JOIN manifests m ON m.digest = l.digest \
             WHERE l.version_id = v.id AND l.role = 'referrer' \
               AND m.artifact_type = 'application/vnd.dev.sigstore.bundle.v0.3+json' AND m.subject = v.digest) <> 1",
    ),
    (
        "content of a version that serves nothing",
        "SELECT v.id || ' ' || v.state FROM versions v WHERE v.state = 'rejected' \
           AND EXISTS (SELECT FROM version_blobs b WHERE b.version_id = v.id)",
    ),
    // Lists show what is active, and nothing else.
    (
        "a package that shows another version than an active one, or none",
        "SELECT p.id || ' ' || p.name FROM packages p LEFT JOIN versions v ON v.id = p.latest_version_id \
         WHERE (p.latest_version_id IS NOT NULL) <> EXISTS \
             (SELECT FROM versions a WHERE a.package_id = p.id AND a.state = 'active') \
           OR v.state <> 'active' OR v.package_id <> p.id",
    ),
];
