//! A webhook's secret, in the form of the Standard Webhooks specification.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_db::key_ring::KeyRing;
use registry_db::webhooks::NewSecret;
use registry_types::ids::WebhookId;
use secrecy::SecretString;

use crate::problem::Problem;

/// Random bytes of a secret; the specification asks for 24 to 64.
const SECRET_BYTES: usize = 32;

/// A new secret: to be shown once, and sealed.
pub(super) fn generate(ring: &KeyRing, webhook: WebhookId) -> Result<(SecretString, NewSecret), Problem> {
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(|e| Problem::internal(e.to_string()))?;
    let secret = SecretString::from(format!("whsec_{}", STANDARD.encode(random)));
    let sealed = ring.seal_webhook_secret(webhook, &secret).map_err(Problem::internal)?;
    Ok((secret, NewSecret(sealed)))
}
