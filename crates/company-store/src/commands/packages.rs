//! `list`, `search`, `show`.

use clap::Args;
use serde_json::Value;

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Args)]
pub struct ListArgs {
    /// `module` or `template`.
    #[arg(long)]
    pub kind: Option<String>,
    #[arg(long)]
    pub format: Option<String>,
    #[arg(long)]
    pub tag: Option<String>,
    #[arg(long)]
    pub publisher: Option<String>,
    #[arg(long, default_value_t = 50)]
    pub limit: u32,
    /// Where the page before ended, as it was printed.
    #[arg(long)]
    pub cursor: Option<String>,
}

#[derive(Debug, Args)]
pub struct SearchArgs {
    /// Words, or the beginning of one.
    pub query: String,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    /// `publisher/name`, or `publisher/name@version`.
    pub package: String,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn list(global: &Global, output: Output, args: ListArgs) -> Result<Exit, CommandError> {
    page(global, output, None, &args).await
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn search(global: &Global, output: Output, args: SearchArgs) -> Result<Exit, CommandError> {
    page(global, output, Some(&args.query), &args.list).await
}

async fn page(global: &Global, output: Output, query: Option<&str>, args: &ListArgs) -> Result<Exit, CommandError> {
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    let limit = args.limit.to_string();
    let pairs = [
        ("q", query),
        ("kind", args.kind.as_deref()),
        ("format", args.format.as_deref()),
        ("tag", args.tag.as_deref()),
        ("publisher", args.publisher.as_deref()),
        ("cursor", args.cursor.as_deref()),
        ("limit", Some(limit.as_str())),
    ];
    for (name, value) in pairs {
        if let Some(value) = value {
            parameters.append_pair(name, value);
        }
    }
    let mut client = Client::new(global)?;
    let packages = client.get(&format!("/v1/packages?{}", parameters.finish())).await?;
    output.show(&packages, |packages| {
        let row = |p: &Value| {
            let fields = ["/name", "/latest_version", "/kind", "/format", "/description"];
            fields.iter().map(|field| text(p, field).chars().take(60).collect::<String>()).collect::<Vec<_>>()
        };
        let rows: Vec<_> = packages["items"].as_array().into_iter().flatten().map(row).collect();
        if rows.is_empty() {
            outln!("Nothing found.");
            return;
        }
        table(&["PACKAGE", "VERSION", "KIND", "FORMAT", "DESCRIPTION"], &rows);
        if let Some(cursor) = packages["next_cursor"].as_str() {
            outln!("More with --cursor {cursor}");
        }
    })?;
    Ok(Exit::Success)
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn show(global: &Global, output: Output, args: ShowArgs) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let (name, version) = split_package(&args.package)?;
    if let Some(version) = version {
        let shown = client.get(&format!("/v1/packages/{name}/versions/{version}")).await?;
        output.show(&shown, print_version)?;
    } else {
        let mut shown = client.get(&format!("/v1/packages/{name}")).await?;
        shown["versions"] = client.get(&format!("/v1/packages/{name}/versions")).await?["items"].take();
        output.show(&shown, print_package)?;
    }
    Ok(Exit::Success)
}

fn print_package(package: &Value) {
    print_fields(package);
    let fields = ["/version", "/state", "/digest"];
    let row = |v: &Value| fields.iter().map(|field| text(v, field).to_owned()).collect();
    let versions: Vec<Vec<String>> = package["versions"].as_array().into_iter().flatten().map(row).collect();
    outln!("");
    table(&["VERSION", "STATE", "DIGEST"], &versions);
}

fn print_version(version: &Value) {
    outln!("{:<18} {}", "package", text(version, "/package/name"));
    print_fields(version);
    outln!("");
    let row = |c: &Value| vec![text(c, "/name").to_owned(), text(c, "/outcome").to_owned()];
    let checks: Vec<_> = version["checks"].as_array().into_iter().flatten().map(row).collect();
    table(&["CHECK", "OUTCOME"], &checks);
    for reason in version["reasons"].as_array().into_iter().flatten() {
        outln!("\n{}: {}", text(reason, "/code"), text(reason, "/message"));
        if let Some(fix) = reason["fix"].as_str() {
            outln!("  {fix}");
        }
    }
}

/// Prints an object's plain fields one a line.
fn print_fields(object: &Value) {
    for (name, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::String(value) if !value.is_empty() => outln!("{name:<18} {value}"),
            Value::Number(value) => outln!("{name:<18} {value}"),
            Value::Bool(value) => outln!("{name:<18} {value}"),
            Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }
}

/// `publisher/name[@version]`, with everything that could change the path of a request refused.
///
/// # Errors
/// When the text has another form.
pub fn split_package(package: &str) -> Result<(String, Option<String>), CommandError> {
    let (name, version) = match package.split_once('@') {
        Some((name, version)) => (name, Some(version)),
        None => (package, None),
    };
    let name: registry_types::names::PackageName =
        name.parse().map_err(|e| CommandError::Usage(format!("{name:?} is not a package: {e}")))?;
    let version = version
        .map(|version| {
            semver::Version::parse(version)
                .map(|version| version.to_string())
                .map_err(|e| CommandError::Usage(format!("{version:?} is not a version: {e}")))
        })
        .transpose()?;
    Ok((name.to_string(), version))
}
