//! `superuser`: the platform's people.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Subcommand)]
pub enum SuperuserCommand {
    /// List them.
    List,
    /// Make an existing user one of them.
    Add(AddArgs),
    /// Make one of them a user like others; the last one stays.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// E-mail address of the user.
    pub email: String,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// As `superuser list` shows it.
    pub id: String,
}

/// # Errors
/// What the store refuses, or why it cannot be asked.
pub async fn run(global: &Global, output: Output, command: SuperuserCommand) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    match command {
        SuperuserCommand::List => {
            let people = client.get("/v1/superusers?limit=200").await?;
            output.show(&people, |people| {
                let row = |one: &Value| ["/id", "/email"].map(|field| text(one, field).to_owned()).into();
                let rows: Vec<_> = people["items"].as_array().into_iter().flatten().map(row).collect();
                table(&["ID", "E-MAIL"], &rows);
            })?;
        }
        SuperuserCommand::Add(args) => {
            client.post("/v1/superusers", &json!({ "email": args.email })).await?;
            output.show(&json!({ "email": args.email }), |_| outln!("{} is a superuser", args.email))?;
        }
        SuperuserCommand::Remove(args) => {
            client.call(Method::DELETE, &format!("/v1/superusers/{}", args.id), None).await?;
            output.show(&json!({ "id": args.id }), |_| outln!("{} is a user like others", args.id))?;
        }
    }
    Ok(Exit::Success)
}
