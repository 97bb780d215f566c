//! The command `bulkhead`: the command line, the environment and the configuration are read,
//! everything is opened and checked, secrets go into sealed memory, and this process becomes
//! another one that knows none of that. See `docs/architecture.md`.

pub mod audit;
pub mod auth;
pub mod auth_test;
pub mod bind;
pub mod certificate;
pub mod claim;
pub mod config;
pub mod encryption;
pub mod ended;
pub mod error;
pub mod exposure;
pub mod find;
pub mod generate;
pub mod hidden;
pub mod listen;
pub mod names;
pub mod offer;
pub mod oneshot;
pub mod options;
pub mod otp_key;
pub mod passwd;
pub mod places;
pub mod proc;
pub mod process;
pub mod prompt;
pub mod register;
pub mod reload;
pub mod resolver;
pub mod secrets;
pub mod session;
pub mod setup_ssl;
pub mod start;
pub mod syntax;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trusted;
pub mod undo;
pub mod uri;
pub mod users;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use error::{Error, Result, one_line};
use exposure::Typed;
use ipc::command::Command as Ask;
use ipc::spec::Fido;
use options::{Cli, Command};
use places::Places;
use std::io::Write;
use std::process::ExitCode;

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    match run(std::env::args_os().collect()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bulkhead: {error}");
            ExitCode::from(error.code())
        }
    }
}

fn run(args: Vec<std::ffi::OsString>) -> Result<ExitCode> {
    let args: Vec<String> = args
        .into_iter()
        .map(|arg| {
            arg.into_string().map_err(|arg| {
                Error::usage(format!(
                    "the argument `{}` is not UTF-8",
                    arg.to_string_lossy()
                ))
            })
        })
        .collect::<Result<_>>()?;
    if args.get(1).is_some_and(|command| command == "generate") {
        return generate::run(args).map(|()| ExitCode::SUCCESS);
    }
    let typed = Typed(args.clone());
    let cli = match parse(args)? {
        Parsed::Command(cli) => cli,
        Parsed::Text(text) => {
            return print(&text).map(|()| ExitCode::SUCCESS);
        }
    };
    let asked = oneshot::run;
    let success = |()| ExitCode::SUCCESS;
    match &cli.command {
        Command::Seamless(args) => {
            let home = std::env::var_os("HOME").map(std::path::PathBuf::from);
            let files = config::files(home.as_deref());
            let (args, origins) = config::complete(*args.clone(), &files)?;
            start::run(&args, &typed)
                .map_err(|error| origins.explain(error))
                .map(success)
        }
        Command::List(args) => {
            let mut sessions = find::sessions(&Places::find(&args.places)?);
            find::remove_dead(&mut sessions);
            print(&find::listing(&sessions)).map(success)
        }
        Command::Info(args) => asked(Ask::Info, args, None),
        Command::Version(args) => asked(Ask::Version, args, None),
        Command::Id(args) => asked(Ask::Id, args, None),
        Command::Screenshot(args) => {
            asked(Ask::Screenshot, &args.target, Some(args.file.as_path()))
        }
        Command::Detach(args) => asked(Ask::Detach, args, None),
        Command::Stop(args) => asked(Ask::Stop, args, None),
        Command::Exit(args) => asked(Ask::Exit, args, None),
        Command::Reload(args) => reload::run(args).map(success),
        Command::SetupSsl(args) => setup_ssl::run(args).map(success),
        Command::Audit(args) => audit::run(args),
        Command::Policy(args) => match policy::Role::from_name(&args.role) {
            Some(role) => print(&policy::explain(role)).map(success),
            None => Err(Error::usage(format!("there is no role `{}`", args.role))),
        },
        Command::OtpKey(args) => otp_key::run(args).map(success),
        Command::AuthTest(args) => auth_test::run(args),
        Command::Passwd(args) => passwd::run(args).map(success),
        Command::U2f(args) => register::run(args, Fido::U2f).map(success),
        Command::Fido2(args) => register::run(args, Fido::Fido2).map(success),
    }
}

/// Prints to a reader that may go away.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::new(format!(
            "standard output: {}",
            error::reason(&error)
        ))),
        _ => Ok(()),
    }
}

/// A command line that was understood.
#[derive(Debug)]
pub enum Parsed {
    /// A command.
    Command(Box<Cli>),
    /// A help text or version to print.
    Text(String),
}

/// Reads a command line.
///
/// # Errors
/// What is wrong, by name, in one line.
pub fn parse(args: Vec<String>) -> Result<Parsed> {
    let args = names::translate(args)?;
    match Cli::try_parse_from(&args) {
        Ok(cli) => Ok(Parsed::Command(Box::new(cli))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Ok(Parsed::Text(error.render().to_string()))
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                Err(Error::usage("no command: try `bulkhead --help`"))
            }
            _ => Err(usage_error(&error, args.get(1).map(String::as_str))),
        },
    }
}

/// Reads a command line that is not a question for help.
///
/// # Errors
/// As [`parse`].
pub fn parse_only(args: &[String]) -> Result<Cli> {
    Cli::try_parse_from(args).map_err(|error| usage_error(&error, args.get(1).map(String::as_str)))
}

/// `--OPTION=VALUE: WHY` for a value that an option does not take.
fn invalid_value(error: &clap::Error) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg)?;
    let option = argument.split([' ', '=', '[']).next()?;
    let why = std::error::Error::source(error).map(ToString::to_string);
    match (option.starts_with("--"), why) {
        (true, why) => {
            let value = text(ContextKind::InvalidValue)?;
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            Some(format!("{option}={value}{why}"))
        }
        (false, why) => why,
    }
}

/// One line of what clap says in several.
pub(crate) fn usage_error(error: &clap::Error, command: Option<&str>) -> Error {
    let text = error.render().to_string();
    let mut message = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned();
    if message.ends_with(':') {
        let rest: Vec<_> = text
            .lines()
            .skip(1)
            .take_while(|line| !line.trim().is_empty())
            .map(str::trim)
            .collect();
        message = format!("{message} {}", rest.join(" "));
    }
    if let Some(said) = invalid_value(error) {
        message = said;
    }
    if let Some(ContextValue::Strings(names)) =
        error
            .get(ContextKind::SuggestedArg)
            .cloned()
            .map(|v| match v {
                ContextValue::String(name) => ContextValue::Strings(vec![name]),
                other => other,
            })
    {
        message = format!("{message}; did you mean {}?", names.join(" or "));
    }
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        message = format!("{message}; write {}", values.join(" or "));
    }
    let help = match command {
        Some(command)
            if !command.starts_with('-') && error.kind() != ErrorKind::InvalidSubcommand =>
        {
            format!("bulkhead {command} --help")
        }
        _ => "bulkhead --help".to_owned(),
    };
    Error::usage(one_line(&format!("{message}; try `{help}`")))
}
