//! `login`, `logout`, `password`, `whoami`.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::client::Client;
use crate::exit::{CommandError, Exit};
use crate::output::{Output, outln, table, text};

#[derive(Debug, Args)]
pub struct LoginArgs {
    /// E-mail address of the user.
    #[arg(long)]
    pub email: String,
    /// File that holds the password; otherwise it is read from standard input.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// # Errors
/// When the store refuses the login.
pub async fn login(global: &Global, output: Output, args: LoginArgs) -> Result<Exit, CommandError> {
    let password = match &args.password_file {
        Some(file) => std::fs::read_to_string(file).map_err(CommandError::file("read", file))?,
        None => read_password()?,
    };
    let mut client = Client::new(global)?;
    client.login(&args.email, password.trim_end_matches(['\r', '\n'])).await?;
    let answer = json!({ "server": client.server(), "email": args.email });
    output.show(&answer, |_| outln!("Logged in to {} as {}.", client.server(), args.email))?;
    Ok(Exit::Success)
}

fn read_password() -> Result<String, CommandError> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(CommandError::Usage(
            "give the password with --password-file, or pipe it in, so that it does not show on the screen".to_owned(),
        ));
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line).map_err(anyhow::Error::from)?;
    Ok(line)
}

#[derive(Debug, Args)]
pub struct PasswordArgs {
    /// File that holds the password that you have now.
    #[arg(long, value_name = "FILE")]
    pub current_file: PathBuf,
    /// File that holds the new one; otherwise it is read from standard input.
    #[arg(long, value_name = "FILE")]
    pub new_file: Option<PathBuf>,
}

/// # Errors
/// When the store refuses the change.
pub async fn change_password(global: &Global, output: Output, args: PasswordArgs) -> Result<Exit, CommandError> {
    let read = |file: &PathBuf| std::fs::read_to_string(file).map_err(CommandError::file("read", file));
    let current = read(&args.current_file)?;
    let new = args.new_file.as_ref().map_or_else(read_password, read)?;
    let line = |text: &str| text.trim_end_matches(['\r', '\n']).to_owned();
    Client::new(global)?.change_password(&line(&current), &line(&new)).await?;
    output.show(&json!({ "changed": true }), |_| outln!("Changed. All other sessions have ended."))?;
    Ok(Exit::Success)
}

/// # Errors
/// When the remembered session cannot be removed.
pub async fn logout(global: &Global, output: Output) -> Result<Exit, CommandError> {
    Client::new(global)?.logout().await?;
    output.show(&json!({ "logged_out": true }), |_| outln!("Logged out."))?;
    Ok(Exit::Success)
}

/// # Errors
/// When nobody is logged in.
pub async fn whoami(global: &Global, output: Output) -> Result<Exit, CommandError> {
    let mut client = Client::new(global)?;
    let me = client.get("/v1/auth/me").await?;
    output.show(&me, |me| {
        outln!("{} at {}", text(me, "/email"), client.server());
        let organizations = me["organizations"].as_array().cloned().unwrap_or_default();
        let row = |o: &Value| {
            let primary = if o["is_primary"] == true { "primary" } else { "" };
            vec![text(o, "/slug").to_owned(), text(o, "/role").to_owned(), primary.to_owned()]
        };
        table(&["ORGANIZATION", "ROLE", ""], &organizations.iter().map(row).collect::<Vec<_>>());
    })?;
    Ok(Exit::Success)
}
