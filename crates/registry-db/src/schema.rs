//! The tables as diesel sees them; a test compares them with the migrated database. `packages.search` is left out: it is
//! generated and only used in SQL.

diesel::table! {
    advisories (snapshot, ecosystem, package, ecosystem_release, advisory_id, ordinal) {
        snapshot -> BigInt,
        ecosystem -> Text,
        ecosystem_release -> Text,
        package -> Text,
        advisory_id -> Text,
        ordinal -> Integer,
        record -> Jsonb,
    }
}

diesel::table! {
    advisory_snapshots (number) {
        number -> BigInt,
        origin -> Text,
        source -> Text,
        digest -> Text,
        records -> BigInt,
        ecosystems -> Array<Text>,
        data_as_of -> Nullable<Timestamptz>,
        is_complete -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        user_id -> Uuid,
        organization_id -> Uuid,
        label -> Text,
        key_hash -> Bytea,
        prefix -> Text,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    audit_entries (id) {
        id -> BigInt,
        at -> Timestamptz,
        organization_id -> Nullable<Uuid>,
        actor -> Text,
        action -> Text,
        subject -> Text,
        details -> Jsonb,
        credential -> Nullable<Text>,
        address -> Nullable<Text>,
        sequence -> Nullable<BigInt>,
        hash -> Nullable<Text>,
    }
}

diesel::table! {
    audit_checkpoints (sequence) {
        sequence -> BigInt,
        hash -> Text,
        envelope -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    blob_transfers (organization_id, digest) {
        organization_id -> Uuid,
        digest -> Text,
        job_id -> Uuid,
        attempt -> Integer,
    }
}

diesel::table! {
    blobs (digest) {
        digest -> Text,
        size_bytes -> BigInt,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    companies (id) {
        id -> Uuid,
        organization_id -> Uuid,
        name -> Text,
        description -> Text,
        template -> Json,
        template_version_id -> Nullable<Uuid>,
        created_by -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    company_activity (id) {
        id -> BigInt,
        company_id -> Uuid,
        at -> Timestamptz,
        actor -> Text,
        action -> Text,
        subject -> Text,
        details -> Jsonb,
    }
}

diesel::table! {
    company_agents (id) {
        id -> Uuid,
        company_id -> Uuid,
        ordinal -> Integer,
        local_ref -> Text,
        name -> Text,
        role -> Text,
        reports_to -> Nullable<Uuid>,
        budget_cents -> Nullable<BigInt>,
        metadata -> Nullable<Json>,
    }
}

diesel::table! {
    company_goals (id) {
        id -> Uuid,
        company_id -> Uuid,
        ordinal -> Integer,
        local_ref -> Text,
        title -> Text,
        level -> Text,
        parent -> Nullable<Uuid>,
        owner -> Nullable<Uuid>,
    }
}

diesel::table! {
    company_issues (id) {
        id -> Uuid,
        company_id -> Uuid,
        ordinal -> Integer,
        title -> Text,
        status -> Text,
        priority -> Text,
        project -> Nullable<Uuid>,
        assignee -> Nullable<Uuid>,
        goal -> Nullable<Uuid>,
    }
}

diesel::table! {
    company_projects (id) {
        id -> Uuid,
        company_id -> Uuid,
        ordinal -> Integer,
        local_ref -> Text,
        name -> Text,
        description -> Nullable<Text>,
    }
}

diesel::table! {
    components (version_id, ordinal) {
        version_id -> Uuid,
        ordinal -> Integer,
        purl -> Text,
        ecosystem -> Text,
        name -> Text,
        source_name -> Text,
        component -> Jsonb,
    }
}

diesel::table! {
    events (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        kind -> Text,
        subject -> Text,
        data -> Jsonb,
        at -> Timestamptz,
        place -> Nullable<BigInt>,
    }
}

diesel::table! {
    findings (version_id, ordinal) {
        version_id -> Uuid,
        ordinal -> Integer,
        advisory -> Text,
        severity -> Text,
        purl -> Text,
        finding -> Jsonb,
    }
}

diesel::table! {
    idempotency_keys (user_id, operation, key) {
        user_id -> Uuid,
        operation -> Text,
        key -> Text,
        fingerprint -> Bytea,
        status -> SmallInt,
        body -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    identity_providers (issuer) {
        issuer -> Text,
        keys -> Jsonb,
        keys_read_at -> Nullable<Timestamptz>,
        attempts -> BigInt,
        attempted_at -> Nullable<Timestamptz>,
        last_error -> Nullable<Text>,
    }
}

diesel::table! {
    intake_checks (intake_id, name) {
        intake_id -> Uuid,
        name -> Text,
        outcome -> Text,
        reasons -> Jsonb,
        evidence -> Jsonb,
        recorded_at -> Timestamptz,
    }
}

diesel::table! {
    intake_events (id) {
        id -> BigInt,
        intake_id -> Uuid,
        kind -> Text,
        data -> Jsonb,
        at -> Timestamptz,
    }
}

diesel::table! {
    intake_steps (intake_id, step) {
        intake_id -> Uuid,
        step -> Text,
        result -> Jsonb,
        started_at -> Timestamptz,
        finished_at -> Timestamptz,
    }
}

diesel::table! {
    intakes (id) {
        id -> Uuid,
        version_id -> Uuid,
        organization_id -> Uuid,
        registry_namespace_id -> Nullable<Uuid>,
        image_reference -> Nullable<Text>,
        state -> Text,
        step -> Nullable<Text>,
        digest -> Nullable<Text>,
        profile -> Nullable<Text>,
        outcome -> Nullable<Text>,
        failure_code -> Nullable<Text>,
        failure_reason -> Nullable<Text>,
        requested_by -> Uuid,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    jobs (id) {
        id -> Uuid,
        kind -> Text,
        payload -> Jsonb,
        attempt -> Integer,
        max_attempts -> Integer,
        run_after -> Timestamptz,
        locked_until -> Nullable<Timestamptz>,
        locked_by -> Nullable<Text>,
        last_error -> Nullable<Text>,
        dedup_key -> Nullable<Text>,
        created_at -> Timestamptz,
        organization_id -> Nullable<Uuid>,
        source_host -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

diesel::table! {
    layer_catalogs (digest, analyzer_version) {
        digest -> Text,
        analyzer_version -> Integer,
        diff_id -> Text,
        unpacked_bytes -> BigInt,
        entries -> BigInt,
        catalog -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    listing_revision (only_row) {
        only_row -> Bool,
        revision -> BigInt,
    }
}

diesel::table! {
    manifest_keys (id) {
        id -> Uuid,
        organization_id -> Uuid,
        label -> Text,
        public_key -> Bytea,
        fingerprint -> Bytea,
        enrolled_by -> Uuid,
        enrolled_at -> Timestamptz,
        revoked_from -> Nullable<Timestamptz>,
        revoked_by -> Nullable<Uuid>,
        revocation_reason -> Nullable<Text>,
    }
}

diesel::table! {
    manifest_signatures (version_id) {
        version_id -> Uuid,
        manifest_sha256 -> Bytea,
        key_fingerprint -> Nullable<Bytea>,
        manifest_key_id -> Nullable<Uuid>,
        submitted_at -> Timestamptz,
    }
}

diesel::table! {
    manifests (digest) {
        digest -> Text,
        media_type -> Text,
        bytes -> Bytea,
        subject -> Nullable<Text>,
        artifact_type -> Nullable<Text>,
        annotations -> Jsonb,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    memberships (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        is_primary -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    namespace_history (id) {
        id -> BigInt,
        namespace_id -> Uuid,
        organization_id -> Uuid,
        pattern -> Text,
        at -> Timestamptz,
        state -> Text,
        how -> Text,
        actor -> Text,
        evidence -> Nullable<Text>,
        reason -> Nullable<Text>,
    }
}

diesel::table! {
    namespace_proofs (namespace_id) {
        namespace_id -> Uuid,
        nonce -> Text,
        asked_at -> Timestamptz,
        proven_at -> Nullable<Timestamptz>,
        due_at -> Nullable<Timestamptz>,
        misses -> Integer,
        is_lost -> Bool,
        last_result -> Nullable<Text>,
        owner_issuer -> Nullable<Text>,
        owner_id -> Nullable<BigInt>,
        looked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    organization_blobs (organization_id, digest) {
        organization_id -> Uuid,
        digest -> Text,
    }
}

diesel::table! {
    organizations (id) {
        id -> Uuid,
        slug -> Text,
        display_name -> Text,
        trust_tier -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    packages (id) {
        id -> Uuid,
        organization_id -> Uuid,
        name -> Text,
        kind -> Text,
        format -> Text,
        visibility -> Text,
        title -> Text,
        description -> Text,
        tags -> Array<Text>,
        latest_version_id -> Nullable<Uuid>,
        latest_version -> Nullable<Text>,
        listed_at -> Nullable<Timestamptz>,
        search_text -> Text,
        created_at -> Timestamptz,
        withdrawn_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    publish_tokens (id) {
        id -> Uuid,
        trusted_publisher_id -> Uuid,
        token_hash -> Bytea,
        claims -> Jsonb,
        issued_at -> Timestamptz,
        expires_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    queue_turns (organization_id) {
        organization_id -> Uuid,
        claimed_at -> Timestamptz,
    }
}

diesel::table! {
    registry_namespaces (id) {
        id -> Uuid,
        organization_id -> Uuid,
        provider -> Text,
        host -> Text,
        path -> Text,
        is_wildcard -> Bool,
        state -> Text,
        signature_policy -> Jsonb,
        credential_ciphertext -> Nullable<Bytea>,
        credential_nonce -> Nullable<Bytea>,
        credential_key_id -> Nullable<Text>,
        confirmed_token_hosts -> Array<Text>,
        last_test -> Nullable<Jsonb>,
        last_tested_at -> Nullable<Timestamptz>,
        created_by -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        refusal -> Nullable<Text>,
    }
}

diesel::table! {
    rejudgement_requests (version_id) {
        version_id -> Uuid,
        token -> Uuid,
    }
}

diesel::table! {
    reviews (id) {
        id -> Uuid,
        version_id -> Uuid,
        organization_id -> Uuid,
        intake_id -> Uuid,
        verdict_id -> Uuid,
        digest -> Nullable<Text>,
        compared_with -> Nullable<Text>,
        changes -> Jsonb,
        state -> Text,
        created_at -> Timestamptz,
        claimed_by -> Nullable<Uuid>,
        claimed_at -> Nullable<Timestamptz>,
        decided_by -> Nullable<Uuid>,
        decided_at -> Nullable<Timestamptz>,
        reason -> Nullable<Text>,
        settled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        user_id -> Uuid,
        family -> Uuid,
        access_token_hash -> Bytea,
        refresh_token_hash -> Bytea,
        access_expires_at -> Timestamptz,
        refresh_expires_at -> Timestamptz,
        rotated_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    store_settings (key) {
        key -> Text,
        value -> Jsonb,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    trusted_publishers (id) {
        id -> Uuid,
        organization_id -> Uuid,
        package_name -> Text,
        provider -> Text,
        issuer -> Text,
        repository_id -> BigInt,
        owner_id -> BigInt,
        workflow -> Text,
        environment -> Nullable<Text>,
        reference -> Nullable<Text>,
        repository -> Text,
        created_by -> Uuid,
        created_at -> Timestamptz,
        removed_by -> Nullable<Uuid>,
        removed_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    used_identity_tokens (issuer, token_id) {
        issuer -> Text,
        token_id -> Bytea,
        expires_at -> Timestamptz,
        replays -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        email -> Text,
        password_hash -> Text,
        is_superuser -> Bool,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    verdicts (id) {
        id -> Uuid,
        version_id -> Uuid,
        intake_id -> Uuid,
        decision -> Jsonb,
        envelope -> Bytea,
        key_id -> Text,
        created_at -> Timestamptz,
        advisory_snapshot -> Nullable<BigInt>,
        vulnerabilities -> Nullable<Jsonb>,
        review_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    version_blobs (version_id, digest) {
        version_id -> Uuid,
        digest -> Text,
    }
}

diesel::table! {
    version_documents (version_id, kind) {
        version_id -> Uuid,
        kind -> Text,
        digest -> Text,
        media_type -> Text,
        size_bytes -> BigInt,
    }
}

diesel::table! {
    version_manifests (version_id, digest) {
        version_id -> Uuid,
        digest -> Text,
        role -> Text,
        platform -> Nullable<Text>,
        subject -> Nullable<Text>,
    }
}

diesel::table! {
    version_scans (version_id) {
        version_id -> Uuid,
        advisory_snapshot -> BigInt,
    }
}

diesel::table! {
    version_waivers (version_id, waiver_id) {
        version_id -> Uuid,
        waiver_id -> Uuid,
    }
}

diesel::table! {
    versions (id) {
        id -> Uuid,
        package_id -> Uuid,
        version -> Text,
        state -> Text,
        package_manifest -> Json,
        descriptor -> Jsonb,
        image_reference -> Nullable<Text>,
        digest -> Nullable<Text>,
        media_type -> Nullable<Text>,
        size_bytes -> Nullable<BigInt>,
        rejection_code -> Nullable<Text>,
        deprecated -> Nullable<Text>,
        published_by -> Uuid,
        created_at -> Timestamptz,
        activated_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    waivers (id) {
        id -> Uuid,
        organization_id -> Uuid,
        package_name -> Nullable<Text>,
        version_range -> Nullable<Text>,
        advisory -> Text,
        component -> Text,
        component_version -> Nullable<Text>,
        component_from -> Nullable<Text>,
        component_before -> Nullable<Text>,
        reason -> Text,
        statement -> Text,
        state -> Text,
        asked_by -> Uuid,
        asked_at -> Timestamptz,
        decided_by -> Nullable<Uuid>,
        decided_at -> Nullable<Timestamptz>,
        decision_note -> Nullable<Text>,
        withdrawn_by -> Nullable<Uuid>,
        withdrawn_at -> Nullable<Timestamptz>,
        expires_at -> Timestamptz,
        warned_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhook_attempts (delivery_id, number) {
        delivery_id -> Uuid,
        number -> Integer,
        at -> Timestamptz,
        status -> Nullable<Integer>,
        duration_ms -> Integer,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Uuid,
        webhook_id -> Uuid,
        event_id -> Uuid,
        state -> Text,
        tries -> Integer,
        next_attempt_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhook_secrets (id) {
        id -> Uuid,
        webhook_id -> Uuid,
        ciphertext -> Bytea,
        nonce -> Bytea,
        key_id -> Text,
        expires_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Uuid,
        organization_id -> Nullable<Uuid>,
        url -> Text,
        description -> Text,
        event_types -> Array<Text>,
        disabled_at -> Nullable<Timestamptz>,
        disabled_reason -> Nullable<Text>,
        failing_since -> Nullable<Timestamptz>,
        created_by -> Uuid,
        created_at -> Timestamptz,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    advisories,
    advisory_snapshots,
    api_keys,
    audit_checkpoints,
    audit_entries,
    blob_transfers,
    blobs,
    companies,
    company_activity,
    company_agents,
    company_goals,
    company_issues,
    company_projects,
    components,
    events,
    findings,
    idempotency_keys,
    identity_providers,
    intake_checks,
    intake_events,
    intake_steps,
    intakes,
    jobs,
    layer_catalogs,
    listing_revision,
    manifest_keys,
    manifest_signatures,
    manifests,
    memberships,
    namespace_history,
    namespace_proofs,
    organization_blobs,
    organizations,
    packages,
    publish_tokens,
    queue_turns,
    registry_namespaces,
    rejudgement_requests,
    reviews,
    sessions,
    store_settings,
    trusted_publishers,
    used_identity_tokens,
    users,
    verdicts,
    version_blobs,
    version_documents,
    version_manifests,
    version_scans,
    version_waivers,
    versions,
    waivers,
    webhook_attempts,
    webhook_deliveries,
    webhook_secrets,
    webhooks,
);
