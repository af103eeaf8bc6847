//! The public keys that verdicts are signed with.

use actix_web::{get, web};
use registry_db::store_settings;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{Problem, Problems};
use crate::state::AppState;

#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictKeys {
    items: Vec<VerdictKeyItem>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictKeyItem {
    /// As the signatures of verdicts name it.
    key_id: String,
    /// PEM, SubjectPublicKeyInfo.
    public_key: String,
}

/// The keys that verdicts are signed with
///
/// Also those of the past, because earlier verdicts stay. Who verifies should have got the key on another way.
#[utoipa::path(
    tag = "packages",
    operation_id = "listVerdictKeys",
    responses((status = 200, description = "All keys that were ever used", body = VerdictKeys), Problems)
)]
#[get("/v1/verdict-keys")]
pub(crate) async fn list_verdict_keys(state: web::Data<AppState>) -> Result<web::Json<VerdictKeys>, Problem> {
    let keys = store_settings::verdict_keys(&mut *state.pool.get().await?).await?;
    let items = keys.into_iter().map(|(key_id, public_key)| VerdictKeyItem { key_id, public_key });
    Ok(web::Json(VerdictKeys { items: items.collect() }))
}
