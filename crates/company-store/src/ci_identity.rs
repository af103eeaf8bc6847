//! Who the job is in which this program runs: the identity token of GitHub Actions or GitLab CI.

use std::env;
use std::time::Duration;

use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::exit::CommandError;

/// GitHub Actions sets both where a workflow has the permission `id-token: write`.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const TIMEOUT: Duration = Duration::from_secs(30);

/// The job's identity token for `audience`: what the variable `name` holds, else what GitHub Actions gives.
///
/// # Errors
/// When this is no such job, or its provider gives no token.
pub(crate) async fn token(name: &str, audience: &str) -> Result<SecretString, CommandError> {
    if let Some(token) = secret(name) {
        return Ok(token);
    }
    match (variable(REQUEST_URL), secret(REQUEST_TOKEN)) {
        (Some(url), Some(token)) => from_github(&url, &token, audience).await,
        _ => Err(CommandError::Usage(format!(
            "this job has no identity token: with GitHub Actions, give it the permission `id-token: write`; with GitLab CI, \
             an entry {name} with `aud: {audience}` below `id_tokens`"
        ))),
    }
}

#[expect(clippy::disallowed_methods, reason = "a runner's variable, of a name that the pipeline chooses")]
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn secret(name: &str) -> Option<SecretString> {
    variable(name).map(SecretString::from)
}

async fn from_github(url: &str, token: &SecretString, audience: &str) -> Result<SecretString, CommandError> {
    #[derive(Deserialize)]
    struct Answer {
        value: SecretString,
    }
    let mut url: url::Url = url.parse().map_err(anyhow::Error::from)?;
    url.query_pairs_mut().append_pair("audience", audience);
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIMEOUT).build();
    let request = http.map_err(anyhow::Error::from)?.get(url).bearer_auth(token.expose_secret());
    let response = request.send().await.map_err(anyhow::Error::from)?;
    if response.status() != StatusCode::OK {
        return Err(CommandError::Answer(format!(
            "GitHub gives no identity token (HTTP {})",
            response.status().as_u16()
        )));
    }
    Ok(response.json::<Answer>().await.map_err(anyhow::Error::from)?.value)
}
