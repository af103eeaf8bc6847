//! `publish`: a module by image reference.

use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Method;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::ci_identity;
use crate::cli::Global;
use crate::client::Client;
use crate::commands::intake;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, text};
use crate::signing_key::SigningKey;

#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Image in your own registry: `ghcr.io/my-org/app:1.2.0`, or with `@sha256:…`.
    pub image: String,
    /// The package manifest (`manifest.json`, `paperclip.module.json`).
    #[arg(long, default_value = "manifest.json", value_name = "FILE")]
    pub manifest: PathBuf,
    /// Who may see it: `org` or `public`.
    #[arg(long, default_value = "org")]
    pub scope: String,
    /// Makes a repetition of this call harmless; a new one for each call otherwise.
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
    /// Sign the manifest with this RSA private key (PEM), of `company-store key new` or `hla-compass keys init`.
    #[arg(long, env = "COMPANY_STORE_SIGNING_KEY", value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// In a job of GitHub Actions or GitLab CI: show who the job is instead of a stored credential. Needs --org.
    #[arg(long)]
    pub trusted: bool,
    /// Variable that holds the job's identity token, as GitLab's `id_tokens` gives it.
    #[arg(long, value_name = "NAME", requires = "trusted", default_value = "COMPANY_STORE_ID_TOKEN")]
    pub oidc_token_env: String,
    /// Only ask whether the store would accept it; nothing is stored.
    #[arg(long, conflicts_with = "watch")]
    pub dry_run: bool,
    /// Stay until the verdict, showing each step.
    #[arg(long)]
    pub watch: bool,
}

/// A publish's body; the manifest goes out as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    image_ref: &'a str,
    manifest: &'a RawValue,
    scope: &'a str,
    org_id: &'a str,
    dry_run: bool,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, args: PublishArgs) -> Result<Exit, CommandError> {
    let manifest = manifest(&args)?;
    let mut client = Client::new(global)?;
    let organization = match args.trusted {
        true => act_as_job(&mut client, global, &manifest, &args.oidc_token_env).await?,
        false => client.organization().await?,
    };
    let (image_ref, scope, dry_run) = (args.image.as_str(), args.scope.as_str(), args.dry_run);
    let body = Body { image_ref, manifest: &manifest, scope, org_id: &organization, dry_run };
    let key = args.idempotency_key.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let accepted = client
        .send(Method::POST, "/v1/modules/publish", Some(&body), &[("Idempotency-Key", &key)])
        .await?
        .json::<Value>()
        .await
        .map_err(|e| CommandError::Answer(e.to_string()))?;
    if args.dry_run {
        let (package, version) = (text(&accepted, "/package"), text(&accepted, "/version"));
        output.show(&accepted, |_| outln!("{package} {version} would be accepted. Nothing was stored."))?;
        return Ok(Exit::Success);
    }
    let id = text(&accepted, "/publishId").to_owned();
    if args.watch {
        output.note(&format!("Accepted as intake {id}."));
        return intake::watch(&mut client, output, &id).await;
    }
    output.show(&accepted, |_| {
        outln!("Accepted as intake {id}.");
        outln!("Watch it with `company-store intake watch {id}`.");
    })?;
    Ok(Exit::Success)
}

/// Exchanges the job's identity for the right to publish the manifest's package; gives the organization.
async fn act_as_job(
    client: &mut Client,
    global: &Global,
    manifest: &RawValue,
    variable: &str,
) -> Result<String, CommandError> {
    let organization = global.org.clone();
    let organization = organization.ok_or_else(|| CommandError::Usage("--trusted needs --org".to_owned()))?;
    let package = package_name(manifest)?;
    let audience = client.audience().await?;
    let identity = ci_identity::token(variable, &audience).await?;
    client.exchange_identity(&identity, &organization, &package).await?;
    Ok(organization)
}

/// The name that the manifest gives to its package.
fn package_name(manifest: &RawValue) -> Result<String, CommandError> {
    let unreadable = |why: &str| CommandError::Usage(format!("the manifest does not name its package: {why}"));
    let value: Value = serde_json::from_str(manifest.get()).map_err(|e| unreadable(&e.to_string()))?;
    let format = package_formats::detect_format(&value).ok_or_else(|| unreadable("it is of no known format"))?;
    let descriptor = package_formats::parse_submitted(format, &value).map_err(|errors| {
        unreadable(&errors.first().map_or_else(String::new, |error| format!("{}: {}", error.pointer, error.message)))
    })?;
    Ok(descriptor.name.to_string())
}

/// The manifest's text, signed if a key is given.
fn manifest(args: &PublishArgs) -> Result<Box<RawValue>, CommandError> {
    let text = std::fs::read_to_string(&args.manifest).map_err(CommandError::file("read", &args.manifest))?;
    let named = |path: &Path, why: &dyn std::fmt::Display| CommandError::Usage(format!("{}: {why}", path.display()));
    let manifest: Box<RawValue> = serde_json::from_str(&text)
        .map_err(|e| CommandError::Usage(format!("{} is not JSON: {e}", args.manifest.display())))?;
    let Some(file) = &args.signing_key else { return Ok(manifest) };
    let pem = SecretString::from(std::fs::read_to_string(file).map_err(CommandError::file("read", file))?);
    let key = SigningKey::from_pem(&pem).map_err(|e| named(file, &e))?;
    key.sign(&manifest).map_err(|e| named(&args.manifest, &e))
}
