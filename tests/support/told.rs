//! What the audit log last told of each thing, against how it stands.

use registry_db::audit::{self, Actor, Entry, Subject};
use registry_db::{Connection, DbError, Pool, transaction};
use registry_types::audit::AuditAction;
use serde_json::json;

use crate::postgres::Database;

/// That nothing of which the log tells was changed without an entry.
///
/// # Panics
/// When something was, or the database does not answer.
pub async fn assert_all_is_told(database: &Database) {
    assert_eq!(untold(database).await, [] as [String; 0], "changed without an entry");
}

/// The subjects that do not stand as the log last told.
///
/// # Panics
/// When the database does not answer.
pub async fn untold(database: &Database) -> Vec<String> {
    let distinct = "SELECT DISTINCT subject FROM audit_entries ORDER BY subject";
    let told = database.connect().await.query(distinct, &[]).await.unwrap();
    assert!(!told.is_empty(), "the log tells of something");
    let pool = Pool::new(database.url().clone(), 1).unwrap();
    let mut conn = pool.get().await.unwrap();
    let mut untold = Vec::new();
    for row in told {
        let text: String = row.get(0);
        if let Some((before, after)) = states(&mut conn, subject(&text)).await
            && before != after
        {
            untold.push(text);
        }
    }
    untold
}

/// As one more entry would say it.
async fn states(conn: &mut Connection, subject: Subject) -> Option<(Option<String>, Option<String>)> {
    let (actor, action, details) = (Actor::System, AuditAction::StoreBootstrapped, json!({}));
    let mut found = None;
    let undone = transaction(conn, async |conn| -> Result<(), DbError> {
        audit::append(conn, Entry { organization: None, actor, action, subject, details }).await?;
        let filter = audit::Filter { action: Some(action.to_string()), ..audit::Filter::default() };
        let newest = audit::list(conn, &filter, None, 1).await?.items.remove(0);
        found = newest.details.get("state").map(|state| {
            let digest = |name: &str| state[name].as_str().map(str::to_owned);
            (digest("before"), digest("after"))
        });
        Err(DbError::Stale)
    });
    assert!(matches!(undone.await, Err(DbError::Stale)));
    found
}

fn subject(text: &str) -> Subject {
    let (thing, id) = text.split_once(':').unwrap();
    match thing {
        "api_key" => Subject::ApiKey(id.parse().unwrap()),
        "company" => Subject::Company(id.parse().unwrap()),
        "job" => Subject::Job(id.parse().unwrap()),
        "manifest_key" => Subject::ManifestKey(id.parse().unwrap()),
        "member" => {
            let (organization, user) = id.split_once('/').unwrap();
            Subject::Member(organization.parse().unwrap(), user.parse().unwrap())
        }
        "organization" => Subject::Organization(id.parse().unwrap()),
        "package" => Subject::Package(id.parse().unwrap()),
        "package_name" => Subject::PackageName(id.parse().unwrap()),
        "publish_token" => Subject::PublishToken(id.parse().unwrap()),
        "registry" => Subject::Registry(id.parse().unwrap()),
        "review" => Subject::Review(id.parse().unwrap()),
        "store" => Subject::Policy,
        "trusted_publisher" => Subject::TrustedPublisher(id.parse().unwrap()),
        "user" => Subject::User(id.parse().unwrap()),
        "version" => Subject::Version(id.parse().unwrap()),
        "vex" => Subject::Vex(id.parse().unwrap()),
        "waiver" => Subject::Waiver(id.parse().unwrap()),
        "webhook" => Subject::Webhook(id.parse().unwrap()),
        _ => panic!("a subject of a new kind: {text}"),
    }
}
