//! Export of an import equals the template, through a real database.

use proptest::test_runner::{Config, TestRunner};
use registry_db::audit::Actor;
use registry_db::companies::{self, Imported, NewCompany};
use registry_db::organizations::{self, NewOrganization};
use registry_db::packages::Viewer;
use registry_db::users::{self, NewUser};
use registry_db::{Connection, DbError, Pool, transaction};
use registry_types::ids::{CompanyId, OrganizationId, UserId};
use registry_types::people::TrustTier;
use registry_types::template::Template;
use registry_types::template::generate::templates;
use store_tests::postgres::Database;

/// An organization with one user.
#[derive(Clone, Copy)]
struct Owner {
    organization: OrganizationId,
    user: UserId,
}

async fn owner(conn: &mut Connection, slug: &str) -> Owner {
    let organization = NewOrganization {
        slug: slug.parse().unwrap(),
        display_name: slug.to_owned(),
        trust_tier: TrustTier::Community,
    };
    let user = NewUser {
        email: format!("{slug}@example.org").parse().unwrap(),
        password_hash: "none".to_owned(),
        is_superuser: false,
    };
    Owner {
        organization: organizations::create(conn, &organization).await.unwrap().id,
        user: users::create(conn, &user).await.unwrap().id,
    }
}

async fn import(conn: &mut Connection, owner: Owner, template: &Template) -> Result<Imported, DbError> {
    let new = NewCompany {
        organization: owner.organization,
        name: &template.name,
        template,
        template_version: None,
        created_by: owner.user,
        actor: Actor::User(owner.user),
    };
    transaction(conn, async |conn| companies::import(conn, &new).await).await
}

async fn export(conn: &mut Connection, owner: Owner, id: CompanyId) -> Result<Template, DbError> {
    let viewer = Viewer::Member { organizations: vec![owner.organization] };
    transaction(conn, async |conn| companies::export(conn, &viewer, id).await).await
}

#[test]
fn an_export_equals_the_imported_template() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = runtime.block_on(Database::create());
    let pool = Pool::new(database.url().clone(), 2).unwrap();
    let owner = runtime.block_on(async { owner(&mut pool.get().await.unwrap(), "acme").await });
    let mut runner = TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&templates(), |template| {
        runtime.block_on(async {
            let mut conn = pool.get().await.unwrap();
            let imported = import(&mut conn, owner, &template).await.unwrap();
            let exported = export(&mut conn, owner, imported.company).await.unwrap();
            proptest::prop_assert_eq!(&exported, &template);
            // Equal as bytes too: a template that travels on is the same document.
            proptest::prop_assert_eq!(
                exported.to_value().unwrap().to_string(),
                template.to_value().unwrap().to_string()
            );
            proptest::prop_assert_eq!(imported.agents.len(), template.agents.len());
            proptest::prop_assert_eq!(imported.issues.len(), template.issues.len());
            Ok(())
        })
    });
    outcome.unwrap();
}

#[tokio::test]
async fn a_failing_import_leaves_nothing() {
    let database = Database::create().await;
    let pool = Pool::new(database.url().clone(), 2).unwrap();
    let mut conn = pool.get().await.unwrap();
    let owner = owner(&mut conn, "acme").await;
    // The database itself refuses the last kind of row, when all others are already written.
    let client = database.connect().await;
    client
        .batch_execute("ALTER TABLE company_issues ADD CONSTRAINT no_such_title CHECK (title <> 'Find a name')")
        .await
        .unwrap();
    let document = serde_json::from_str(include_str!("../../fixtures/templates/startup.json")).unwrap();
    let template = Template::parse(&document).unwrap();
    let error = import(&mut conn, owner, &template).await.unwrap_err();
    assert!(error.is_constraint("no_such_title"), "{error:?}");
    for table in
        ["companies", "company_agents", "company_goals", "company_projects", "company_issues", "company_activity"]
    {
        let rows: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
        assert_eq!(rows, 0, "{table}");
    }
}

#[tokio::test]
async fn every_part_leaves_an_event_and_strangers_see_nothing() {
    let database = Database::create().await;
    let pool = Pool::new(database.url().clone(), 2).unwrap();
    let mut conn = pool.get().await.unwrap();
    let (acme, other) = (owner(&mut conn, "acme").await, owner(&mut conn, "other-org").await);
    let document = serde_json::from_str(include_str!("../../fixtures/templates/startup.json")).unwrap();
    let template = Template::parse(&document).unwrap();
    let imported = import(&mut conn, acme, &template).await.unwrap();
    let company = imported.company;

    let events = companies::activity(&mut conn, company, None, 100).await.unwrap().items;
    let mut actions: Vec<_> = events.iter().rev().map(|event| event.action.as_str()).collect();
    assert_eq!(actions.remove(0), "company.created");
    let count = |action: &str| actions.iter().filter(|found| **found == action).count();
    assert_eq!(
        [count("agent.created"), count("goal.created"), count("project.created"), count("issue.created")],
        [3, 2, 2, 3]
    );
    // The owner comes before those who report to it, though the document has it later.
    assert_eq!(events[events.len() - 2].details["ref"], "owner");

    let first = companies::issues(&mut conn, company, None, 2).await.unwrap();
    let second = companies::issues(&mut conn, company, first.next, 2).await.unwrap();
    let titles: Vec<_> = first.items.iter().chain(&second.items).map(|issue| issue.title.as_str()).collect();
    assert_eq!(titles, ["Take pictures of the bread", "Write down the sourdough recipe", "Find a name"]);
    assert_eq!(second.next, None);

    let stranger = Viewer::Member { organizations: vec![other.organization] };
    assert!(matches!(companies::find(&mut conn, &stranger, company).await, Err(DbError::NotFound)));
    assert!(matches!(export(&mut conn, other, company).await, Err(DbError::NotFound)));
    assert!(companies::list(&mut conn, other.organization, None, 10).await.unwrap().items.is_empty());
    assert_eq!(companies::list(&mut conn, acme.organization, None, 10).await.unwrap().items.len(), 1);
}
