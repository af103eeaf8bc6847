//! The command line: what can be said, and which module carries it out.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    advisories, audit, completions, config, credentials, event, intake, key, login, migrate, packages, policy, publish,
    pull, registry, review, superuser, template, trusted_publisher, verify, waiver, webhook,
};
use crate::exit::{CommandError, Exit};
use crate::output::Output;
use crate::up;

/// A self-hosted store and registry of modules and company templates.
#[derive(Debug, Parser)]
#[command(name = "company-store", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Address of the store; otherwise that of the last login.
    #[arg(long, global = true, env = "COMPANY_STORE_SERVER", value_name = "URL")]
    pub server: Option<url::Url>,
    /// Organization (slug or id); otherwise your primary one.
    #[arg(long, global = true, env = "COMPANY_STORE_ORG", value_name = "ORG")]
    pub org: Option<String>,
    /// API key to use instead of a login; better given in the environment, where no process list shows it.
    #[arg(long, global = true, env = "COMPANY_STORE_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Print the answer as JSON, and progress as nothing.
    #[arg(long, global = true)]
    pub json: bool,
    /// Data folder of a store on this machine, for `up` and the operator's commands.
    #[arg(long, global = true, env = "COMPANY_STORE_DATA", value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole store on this machine: API, worker, database and objects in one data folder.
    Up(up::UpArgs),
    /// Log in and remember the session.
    Login(login::LoginArgs),
    /// End the session and forget it.
    Logout,
    /// Change your password; all other sessions end.
    Password(login::PasswordArgs),
    /// Say who you are and in which organizations.
    Whoami,
    /// List packages.
    List(packages::ListArgs),
    /// Search packages.
    Search(packages::SearchArgs),
    /// Show one package, or one version of it.
    Show(packages::ShowArgs),
    /// Publish a module by image reference.
    Publish(publish::PublishArgs),
    /// Look at intakes.
    #[command(subcommand)]
    Intake(intake::IntakeCommand),
    /// Onboard and manage registry namespaces.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Decide what waits for a person.
    #[command(subcommand)]
    Review(review::ReviewCommand),
    /// Accept known vulnerabilities for a while, by two persons.
    #[command(subcommand)]
    Waiver(waiver::WaiverCommand),
    /// Read what has happened in the organization.
    #[command(subcommand)]
    Event(event::EventCommand),
    /// Send events to addresses of your own, and see what came of it.
    Webhook(webhook::WebhookArgs),
    /// Keys that package manifests are signed with.
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Jobs of continuous integration that may publish without a stored secret.
    #[command(subcommand)]
    TrustedPublisher(trusted_publisher::TrustedPublisherCommand),
    /// Publish, import and export company templates.
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Pull an active version by digest into an OCI layout folder, checking every digest.
    Pull(pull::PullArgs),
    /// Verify the store's signed verdict on a version.
    Verify(verify::VerifyArgs),
    /// The audit log: read it, take it away, verify that it is whole.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The policy document: what is demanded, and how much anybody may ask for (superuser).
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// The people who run this store.
    #[command(subcommand)]
    Superuser(superuser::SuperuserCommand),
    /// Operator: load advisories, say how old they are.
    #[command(subcommand)]
    Advisories(advisories::AdvisoriesCommand),
    /// Operator: the keys that seal registry credentials.
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// Operator: bring the database's schema up to date.
    Migrate,
    /// Say each setting of `up` and where it came from.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// Carries the command out.
    ///
    /// # Errors
    /// Whatever stops the command, with the exit status that tells scripts why.
    pub async fn run(self) -> Result<Exit, CommandError> {
        let Self { global, command } = self;
        let output = Output::new(global.json);
        match command {
            Command::Up(args) => up::run(&global, args).await,
            Command::Login(args) => login::login(&global, output, args).await,
            Command::Logout => login::logout(&global, output).await,
            Command::Password(args) => login::change_password(&global, output, args).await,
            Command::Whoami => login::whoami(&global, output).await,
            Command::List(args) => packages::list(&global, output, args).await,
            Command::Search(args) => packages::search(&global, output, args).await,
            Command::Show(args) => packages::show(&global, output, args).await,
            Command::Publish(args) => publish::run(&global, output, args).await,
            Command::Intake(command) => intake::run(&global, output, command).await,
            Command::Registry(command) => registry::run(&global, output, command).await,
            Command::Review(command) => review::run(&global, output, command).await,
            Command::Waiver(command) => waiver::run(&global, output, command).await,
            Command::Event(command) => event::run(&global, output, command).await,
            Command::Webhook(args) => webhook::run(&global, output, args).await,
            Command::Key(command) => key::run(&global, output, command).await,
            Command::TrustedPublisher(command) => trusted_publisher::run(&global, output, command).await,
            Command::Template(command) => template::run(&global, output, command).await,
            Command::Pull(args) => pull::run(&global, output, args).await,
            Command::Verify(args) => verify::run(&global, output, args).await,
            Command::Audit(command) => audit::run(&global, output, command).await,
            Command::Policy(command) => policy::run(&global, output, command).await,
            Command::Superuser(command) => superuser::run(&global, output, command).await,
            Command::Advisories(command) => advisories::run(&global, output, command).await,
            Command::Credentials(command) => credentials::run(&global, output, command).await,
            Command::Migrate => migrate::run(&global, output).await,
            Command::Config(command) => config::run(&global, output, command),
            Command::Completions(args) => completions::run(&args),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn no_two_arguments_of_a_command_have_the_same_name() {
        Cli::command().debug_assert();
    }
}
