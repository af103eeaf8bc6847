//! The key that a token names: what a worker has read, or reads now while the job waits a moment.

use std::time::Duration;

use registry_db::identity_providers::{self, KeyAnswer};
use registry_db::transaction;
use registry_types::identity_provider::{Issuer, SigningKey};

use super::identity_token::Invalid;
use crate::problem::{Problem, ProblemCode};
use crate::request::RequestId;
use crate::state::AppState;

/// How long a request waits for a worker, and how often it looks.
const WAIT: Duration = Duration::from_secs(5);
const GLANCE: Duration = Duration::from_millis(100);

/// The issuer's key of that id; `UnknownKey` when the issuer itself says that there is none.
///
/// # Errors
/// 503 while the issuer does not answer, or no worker asks it: nothing is known about the token then.
pub(super) async fn signing_key(
    state: &AppState,
    issuer: &Issuer,
    id: &str,
    request_id: RequestId,
) -> Result<Result<SigningKey, Invalid>, Problem> {
    let attempts = match stored_key(state, issuer, id).await? {
        KeyAnswer::Found(key) => return Ok(Ok(key)),
        KeyAnswer::Unknown => return Ok(Err(Invalid::UnknownKey)),
        KeyAnswer::Unavailable => return Err(unavailable(issuer)),
        KeyAnswer::NotRead { attempts } => attempts,
    };
    let mut conn = state.pool.get().await?;
    transaction(&mut conn, async |conn| identity_providers::request(conn, issuer, Some(request_id.0)).await).await?;
    drop(conn);
    wait_for_attempt(state, issuer, attempts).await?;
    match stored_key(state, issuer, id).await? {
        KeyAnswer::Found(key) => Ok(Ok(key)),
        KeyAnswer::Unknown => Ok(Err(Invalid::UnknownKey)),
        KeyAnswer::Unavailable | KeyAnswer::NotRead { .. } => Err(unavailable(issuer)),
    }
}

async fn stored_key(state: &AppState, issuer: &Issuer, id: &str) -> Result<KeyAnswer, Problem> {
    Ok(identity_providers::key(&mut *state.pool.get().await?, issuer, id).await?)
}

/// Waits until more than `attempts` have ended. Holds no connection meanwhile.
async fn wait_for_attempt(state: &AppState, issuer: &Issuer, attempts: i64) -> Result<(), Problem> {
    let ended = async {
        loop {
            let ended = identity_providers::attempts(&mut *state.pool.get().await?, issuer).await?;
            if ended > attempts {
                return Ok(());
            }
            tokio::time::sleep(GLANCE).await;
        }
    };
    tokio::time::timeout(WAIT, ended).await.unwrap_or_else(|_| Err(unavailable(issuer)))
}

fn unavailable(issuer: &Issuer) -> Problem {
    let detail = format!("the keys of {issuer} cannot be read for the moment, try again");
    Problem::new(ProblemCode::Unavailable, detail)
}
