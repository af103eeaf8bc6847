//! Packages put straight into a store's database and object store, for tests of reading: what a pipeline would have left
//! behind, without one.

use std::sync::Arc;

use blob_store::{BlobStore, ObjectKey};
use bytes::Bytes;
use registry_db::{Pool, listing, transaction};
use registry_types::digest::Digest;
use registry_types::ids::{IntakeId, PackageId, VersionId};
use serde_json::{Value, json};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::postgres::Database;

/// Fills one database.
pub struct Shelf {
    pub sql: Client,
    pool: Pool,
    user: Uuid,
}

/// A package of an organization.
#[derive(Debug, Clone, Copy)]
pub struct Shelved {
    pub id: PackageId,
    organization: Uuid,
}

/// An image of one platform with one layer, and a signature that refers to it.
#[derive(Debug, Clone)]
pub struct ShelvedImage {
    pub digest: Digest,
    pub manifest: Bytes,
    pub layer: Bytes,
    pub referrer: Digest,
}

pub const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const SIGNATURE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

impl Shelf {
    /// # Panics
    /// When the database refuses.
    pub async fn of(database: &Database) -> Self {
        let sql = database.connect().await;
        let user = Uuid::now_v7();
        let email = format!("{user}@example.org");
        sql.execute("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, '')", &[&user, &email])
            .await
            .unwrap();
        Self { sql, pool: Pool::new(database.url().clone(), 2).unwrap(), user }
    }

    /// # Panics
    /// When the database refuses.
    pub async fn organization(&self, slug: &str, tier: &str) -> Uuid {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO organizations (id, slug, display_name, trust_tier) VALUES ($1, $2, $2, $3)";
        self.sql.execute(insert, &[&id, &slug, &tier]).await.unwrap();
        id
    }

    /// # Panics
    /// When the database refuses.
    pub async fn package(&self, organization: Uuid, name: &str, format: &str, visibility: &str) -> Shelved {
        let id = PackageId::new();
        let kind = if format == "company.template" { "template" } else { "module" };
        let insert = "INSERT INTO packages (id, organization_id, name, kind, format, visibility) VALUES ($1, $2, $3, $4, $5, $6)";
        self.sql.execute(insert, &[&id.0, &organization, &name, &kind, &format, &visibility]).await.unwrap();
        Shelved { id, organization }
    }

    /// A version in this state, with a descriptor of title, description and tags; the listing follows.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn version(&self, package: Shelved, number: &str, state: &str, descriptor: &Value) -> VersionId {
        let id = VersionId::new();
        let code = (state == "rejected").then_some("SECURITY_SCAN_FAILED");
        self.sql
            .execute(
                "INSERT INTO versions (id, package_id, version, state, package_manifest, descriptor, rejection_code, \
                   published_by, activated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE WHEN $4 IN ('active', 'yanked', 'quarantined') THEN now() END)",
                &[&id.0, &package.id.0, &number, &state, &descriptor, &descriptor, &code, &self.user],
            )
            .await
            .unwrap();
        self.refresh(package.id).await;
        id
    }

    /// # Panics
    /// When the database refuses.
    pub async fn refresh(&self, package: PackageId) {
        let conn = &mut *self.pool.get().await.unwrap();
        transaction(conn, async |conn| listing::refresh_listing(conn, package).await).await.unwrap();
    }

    /// A decided intake of the version with these results of checks: `(name, outcome, reasons, evidence)`.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn intake(
        &self,
        package: Shelved,
        version: VersionId,
        decision: &Value,
        checks: &[(&str, &str, Value, Value)],
    ) -> IntakeId {
        let id = IntakeId::new();
        let outcome = decision["decision"].as_str().unwrap();
        self.sql
            .execute(
                "INSERT INTO intakes (id, version_id, organization_id, image_reference, state, profile, outcome, \
                   failure_code, requested_by, started_at, finished_at) \
                 VALUES ($1, $2, $3, 'registry.example.org/acme/x:1', 'decided', 'development', $4, $5, $6, now(), now())",
                &[&id.0, &version.0, &package.organization, &outcome, &decision["code"].as_str(), &self.user],
            )
            .await
            .unwrap();
        for (name, outcome, reasons, evidence) in checks {
            let insert =
                "INSERT INTO intake_checks (intake_id, name, outcome, reasons, evidence) VALUES ($1, $2, $3, $4, $5)";
            self.sql.execute(insert, &[&id.0, name, outcome, reasons, evidence]).await.unwrap();
        }
        let envelope = json!({"payloadType": "application/vnd.in-toto+json", "payload": "e30=", "signatures": []});
        self.sql
            .execute(
                "INSERT INTO verdicts (id, version_id, intake_id, decision, envelope, key_id) VALUES ($1, $2, $3, $4, $5, 'k')",
                &[&Uuid::now_v7(), &version.0, &id.0, decision, &envelope.to_string().into_bytes()],
            )
            .await
            .unwrap();
        id
    }

    /// # Panics
    /// When the database or the object store refuses.
    pub async fn image(&self, objects: &Arc<dyn BlobStore>, version: VersionId, layer: &[u8]) -> ShelvedImage {
        let layer = Bytes::copy_from_slice(layer);
        let layer_digest = self.blob(objects, version, &layer).await;
        let config = Bytes::from(
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer_digest]}})
                .to_string(),
        );
        let config_digest = self.blob(objects, version, &config).await;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer.len()}],
        });
        let (digest, manifest) = self.manifest(version, &manifest, "image", None, None).await;
        let update = "UPDATE versions SET digest = $2, media_type = $3, size_bytes = $4 WHERE id = $1";
        let size = i64::try_from(layer.len() + config.len()).unwrap();
        self.sql.execute(update, &[&version.0, &digest.to_string(), &IMAGE_MANIFEST, &size]).await.unwrap();

        let empty = Bytes::from_static(b"{}");
        let empty_digest = self.blob(objects, version, &empty).await;
        let signature = json!({
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": SIGNATURE,
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty_digest, "size": 2},
            "layers": [{"mediaType": SIGNATURE, "digest": empty_digest, "size": 2}],
            "subject": {"mediaType": IMAGE_MANIFEST, "digest": digest, "size": manifest.len()},
        });
        let (referrer, _) = self.manifest(version, &signature, "referrer", Some(&digest), Some(SIGNATURE)).await;
        ShelvedImage { digest, manifest, layer, referrer }
    }

    /// A manifest of the version. `subject` may differ from the document's own: signatures of the older form name none.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn manifest(
        &self,
        version: VersionId,
        document: &Value,
        role: &str,
        subject: Option<&Digest>,
        artifact_type: Option<&str>,
    ) -> (Digest, Bytes) {
        let bytes = Bytes::from(document.to_string());
        let digest = Digest::sha256_of(&bytes);
        let insert =
            "INSERT INTO manifests (digest, media_type, bytes, subject, artifact_type) VALUES ($1, $2, $3, $4, $5)";
        let subject = subject.map(Digest::to_string);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&digest.to_string(), &IMAGE_MANIFEST, &bytes.as_ref(), &subject, &artifact_type];
        self.sql.execute(insert, &parameters).await.unwrap();
        let link = "INSERT INTO version_manifests (version_id, digest, role) VALUES ($1, $2, $3)";
        self.sql.execute(link, &[&version.0, &digest.to_string(), &role]).await.unwrap();
        (digest, bytes)
    }

    async fn blob(&self, objects: &Arc<dyn BlobStore>, version: VersionId, bytes: &Bytes) -> Digest {
        let digest = Digest::sha256_of(bytes);
        objects.put(&ObjectKey::Blob(digest.clone()), bytes.clone()).await.unwrap();
        let size = i64::try_from(bytes.len()).unwrap();
        let insert = "INSERT INTO blobs (digest, size_bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.sql.execute(insert, &[&digest.to_string(), &size]).await.unwrap();
        let link = "INSERT INTO version_blobs (version_id, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        self.sql.execute(link, &[&version.0, &digest.to_string()]).await.unwrap();
        digest
    }
}

/// What a descriptor tells lists.
#[must_use]
pub fn described(title: &str, description: &str, tags: &[&str]) -> Value {
    json!({"title": title, "description": description, "tags": tags})
}
