//! Migrations go up, down and up again, and diesel's picture of the tables is that of the database.

use std::collections::BTreeSet;

use store_tests::postgres::Database;

/// Everything that migrations make, one line each: columns, constraints, indexes, functions, triggers, extensions.
const DESCRIPTION: &str = "
    SELECT format('column %s.%s %s %s default %s', c.table_name, c.column_name, c.udt_name, c.is_nullable, c.column_default)
      FROM information_schema.columns c WHERE c.table_schema = 'public'
    UNION ALL SELECT format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT format('function %s %s', proname, md5(prosrc)) FROM pg_proc p
      WHERE pronamespace = 'public'::regnamespace
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')
    UNION ALL SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'extension ' || extname FROM pg_extension WHERE extname <> 'plpgsql'";

async fn described(database: &Database) -> BTreeSet<String> {
    let rows = database.connect().await.query(DESCRIPTION, &[]).await.unwrap();
    let lines = rows.iter().map(|row| row.get::<_, String>(0));
    // diesel's own list of migrations that were run.
    lines.filter(|line| !line.contains("__diesel_schema_migrations")).collect()
}

#[tokio::test]
async fn every_migration_can_be_taken_back_and_made_again() {
    let database = Database::create().await;
    let migrated = described(&database).await;
    assert!(migrated.len() > 200, "the description sees too little: {} lines", migrated.len());

    registry_db::revert_all(database.url()).await.unwrap();
    assert_eq!(described(&database).await, BTreeSet::new(), "a down.sql leaves something behind");

    registry_db::migrate(database.url()).await.unwrap();
    assert_eq!(described(&database).await, migrated);
}

#[tokio::test]
async fn every_constraint_has_a_name_that_somebody_chose() {
    let database = Database::create().await;
    let rows = database
        .connect()
        .await
        .query(
            "SELECT conrelid::regclass::text, conname::text FROM pg_constraint
             WHERE connamespace = 'public'::regnamespace AND conname ~ '(_check|_key|_fkey)[0-9]+$'",
            &[],
        )
        .await
        .unwrap();
    let numbered: Vec<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(numbered, [], "Postgres numbers constraints that it had to name itself");
}

/// A namespace that somebody decided about before there was a history has one line of it: that a person did, and when.
#[tokio::test]
async fn the_history_of_namespaces_begins_with_what_stood_before_it() {
    const HISTORY: &str = "2026-11-22-000051_namespace_proofs";
    let database = Database::create().await;
    registry_db::revert_all(database.url()).await.unwrap();
    let sql = database.connect().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut migrations: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    migrations.sort();
    let (before, from) = migrations.split_at(migrations.iter().position(|path| path.ends_with(HISTORY)).unwrap());
    for migration in before {
        sql.batch_execute(&std::fs::read_to_string(migration.join("up.sql")).unwrap()).await.unwrap();
    }
    sql.batch_execute(
        "INSERT INTO organizations (id, slug, display_name, trust_tier)
            VALUES ('00000000-0000-0000-0000-000000000001', 'acme', 'Acme', 'verified');
         INSERT INTO users (id, email, password_hash)
            VALUES ('00000000-0000-0000-0000-000000000002', 'admin@acme.example.org', '');
         INSERT INTO registry_namespaces (id, organization_id, provider, host, path, is_wildcard, state, created_by, updated_at)
            SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', 'generic', 'ghcr.io', path, is_wildcard, state,
                '00000000-0000-0000-0000-000000000002', '2026-10-01T12:00:00Z'
            FROM (VALUES ('acme', true, 'verified'), ('acme/app', false, 'suspended'), ('acme/new', true, 'pending'))
                earlier (path, is_wildcard, state);",
    )
    .await
    .unwrap();
    for migration in from {
        sql.batch_execute(&std::fs::read_to_string(migration.join("up.sql")).unwrap()).await.unwrap();
    }
    let history =
        "SELECT format('%s %s %s %s %s %s', h.pattern, h.state, h.how, h.actor, h.at = n.updated_at, h.reason)
                   FROM namespace_history h JOIN registry_namespaces n ON n.id = h.namespace_id ORDER BY h.pattern";
    let rows = sql.query(history, &[]).await.unwrap();
    let history: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(history, ["ghcr.io/acme/* verified person system t ", "ghcr.io/acme/app suspended person system t "]);
}

#[tokio::test]
async fn diesels_tables_are_those_of_the_database() {
    let database = Database::create().await;
    let rows = database
        .connect()
        .await
        .query(
            "SELECT table_name::text, column_name::text, udt_name::text, is_nullable = 'YES'
             FROM information_schema.columns
             WHERE table_schema = 'public' AND udt_name <> 'tsvector' AND table_name <> '__diesel_schema_migrations'",
            &[],
        )
        .await
        .unwrap();
    let of_database = rows.iter().map(|row| {
        let (table, column, kind, nullable): (String, String, String, bool) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let kind = diesel_type(&kind);
        let kind = if nullable { format!("Nullable<{kind}>") } else { kind.to_owned() };
        format!("{table}.{column} -> {kind}")
    });
    let of_diesel = columns_in(include_str!("../../crates/registry-db/src/schema.rs"));
    assert_eq!(of_diesel, of_database.collect::<BTreeSet<_>>());
}

fn diesel_type(udt: &str) -> &'static str {
    match udt {
        "bool" => "Bool",
        "bytea" => "Bytea",
        "int2" => "SmallInt",
        "int4" => "Integer",
        "int8" => "BigInt",
        "json" => "Json",
        "jsonb" => "Jsonb",
        "text" => "Text",
        "timestamptz" => "Timestamptz",
        "uuid" => "Uuid",
        "_text" => "Array<Text>",
        other => panic!("no diesel type is known for {other}"),
    }
}

/// `table.column -> Type` of every `diesel::table!`.
fn columns_in(source: &str) -> BTreeSet<String> {
    let mut table = "";
    let mut columns = BTreeSet::new();
    for line in source.lines().map(str::trim) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            table = name;
        } else if let Some((column, kind)) = line.split_once(" -> ") {
            columns.insert(format!("{table}.{column} -> {}", kind.trim_end_matches(',')));
        }
    }
    columns
}
