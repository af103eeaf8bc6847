//! What the rows promise, looked for where clients find it: the objects, the index and `/v2`.

use std::collections::{BTreeMap, BTreeSet};

use blob_store::ObjectKey;
use futures_util::{StreamExt as _, TryStreamExt as _};
use registry_types::digest::Digest;
use serde_json::Value;
use tokio_postgres::Client;

use crate::store::Store;
use crate::wait;

pub(super) async fn faults(store: &Store, sql: &Client) -> Vec<String> {
    let mut faults = damaged_objects(store, sql).await;
    faults.extend(index(store, sql).await);
    faults.extend(pulls(store, sql).await);
    faults
}

/// Every blob and document that a row names lies in the object store and is what its digest says.
async fn damaged_objects(store: &Store, sql: &Client) -> Vec<String> {
    let objects = store.objects();
    let rows = "SELECT 'blob', digest, size_bytes FROM blobs \
                UNION ALL SELECT 'document', digest, size_bytes FROM version_documents";
    let mut faults = Vec::new();
    for row in sql.query(rows, &[]).await.unwrap() {
        let (kind, text, size): (&str, &str, i64) = (row.get(0), row.get(1), row.get(2));
        let digest: Digest = text.parse().unwrap();
        let key = match kind {
            "blob" => ObjectKey::Blob(digest.clone()),
            _ => ObjectKey::Document(digest.clone()),
        };
        let Ok(object) = objects.get(&key, None).await else {
            faults.push(format!("a {kind} without its object: {text}"));
            continue;
        };
        let chunks: Vec<_> = object.stream.try_collect().await.unwrap();
        let bytes = chunks.concat();
        if bytes.len() as i64 != size || Digest::sha256_of(&bytes) != digest {
            faults.push(format!("the {kind} {text} has {} bytes of something else", bytes.len()));
        }
    }
    faults
}

/// The index lists each public package once, with the version that the rows say.
async fn index(store: &Store, sql: &Client) -> Vec<String> {
    let rows = "SELECT o.slug || '/' || p.name, v.version FROM packages p JOIN organizations o ON o.id = p.organization_id \
                JOIN versions v ON v.id = p.latest_version_id WHERE p.visibility = 'public'";
    let expected: BTreeMap<String, String> =
        sql.query(rows, &[]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect();
    let client = store.root.logged_out();
    // The index is looked at anew after a moment.
    let mut listed = Vec::new();
    for _ in 0..100 {
        let index = client.get("/index.json").await.expect(200);
        listed = entries(&index);
        if listed.iter().cloned().collect::<BTreeMap<_, _>>() == expected {
            break;
        }
        tokio::time::sleep(wait::INTERVAL).await;
    }
    let mut faults = Vec::new();
    let names: BTreeSet<_> = listed.iter().map(|(name, _)| name).collect();
    if names.len() != listed.len() {
        faults.push(format!("the index lists a package twice: {listed:?}"));
    }
    let listed: BTreeMap<_, _> = listed.into_iter().collect();
    if listed != expected {
        faults.push(format!("the index lists {listed:?} instead of {expected:?}"));
    }
    faults
}

/// Package and version of every entry.
pub(super) fn entries(index: &Value) -> Vec<(String, String)> {
    let parts = ["modules", "templates"].into_iter().flat_map(|part| index[part].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    parts.map(|entry| (text(&entry["id"]), text(&entry["version"]))).collect()
}

/// `/v2` serves active versions, by the pinned digest, and no others.
async fn pulls(store: &Store, sql: &Client) -> Vec<String> {
    let rows = "SELECT o.slug || '/' || p.name, v.version, v.state, v.digest FROM versions v \
                JOIN packages p ON p.id = v.package_id JOIN organizations o ON o.id = p.organization_id \
                WHERE v.image_reference IS NOT NULL AND p.visibility = 'public'";
    let client = store.root.logged_out();
    let versions = sql.query(rows, &[]).await.unwrap();
    let asked = versions.iter().map(|row| {
        let (package, version, state): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let digest: Option<String> = row.get(3);
        let client = client.clone();
        async move {
            let answer = client.get(&format!("/v2/{package}/manifests/{version}")).await;
            let served = (answer.status == 200).then(|| Digest::sha256_of(&answer.body).to_string());
            let expected = digest.filter(|_| state == "active");
            (served != expected).then(|| format!("/v2 serves {package}:{version}, {state}, as {served:?}"))
        }
    });
    let found: Vec<_> = futures_util::stream::iter(asked).buffer_unordered(8).collect().await;
    found.into_iter().flatten().collect()
}
