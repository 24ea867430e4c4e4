//! Errors of clap, rewritten for operators, who may have set variables instead of flags.

use std::{error::Error, ffi::OsStr};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{ConfigError, cut, shown};
use crate::words::escaped;

/// Where to find the valid names.
const HELP: &str = "exp-rkt-grpc --help lists all of them";

/// Converts an error of clap; adds the flag's variable to its name.
pub(super) fn refusal(command: &clap::Command, error: &clap::Error) -> ConfigError {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            ConfigError::Asked(error.render().to_string())
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let argument = context(error, ContextKind::InvalidArg);
            let flag = argument.split(' ').next().unwrap_or_default();
            ConfigError::Invalid {
                variable: match variable(command, flag) {
                    Some(variable) => format!("{flag} ({})", variable.display()),
                    None => flag.to_owned(),
                },
                value: context(error, ContextKind::InvalidValue),
                expected: expected(error, &argument),
            }
        }
        ErrorKind::TooManyValues => ConfigError::Usage(unexpected_value(command, error)),
        ErrorKind::UnknownArgument => ConfigError::Usage(unknown_argument(command, error)),
        ErrorKind::InvalidSubcommand => {
            let given = context(error, ContextKind::InvalidSubcommand);
            let nearest = context(error, ContextKind::SuggestedSubcommand);
            ConfigError::Usage(unknown("command", &given, &nearest))
        }
        _ => ConfigError::Usage(first_line(error)),
    }
}

/// The valid values: as the flag's own parser reports them, or as clap does.
fn expected(error: &clap::Error, argument: &str) -> String {
    if let Some(reported) = Error::source(error) {
        return reported.to_string();
    }
    match context(error, ContextKind::ValidValue).as_str() {
        "" => format!("expected {}", cut(argument)),
        values => format!("expected {values}"),
    }
}

/// The error of a flag of the service that is given to `query`.
pub(super) fn not_of_query(flag: &str) -> String {
    format!("{flag} is a flag of the service, not of query: leave it out")
}

/// The variable of a flag.
fn variable<'a>(command: &'a clap::Command, flag: &str) -> Option<&'a OsStr> {
    let mut flags = command.get_arguments();
    let arg = flags.find(|arg| flag.strip_prefix("--") == arg.get_long())?;
    arg.get_env()
}

fn unexpected_value(command: &clap::Command, error: &clap::Error) -> String {
    let flag = context(error, ContextKind::InvalidArg);
    let value = shown(&context(error, ContextKind::InvalidValue));
    let or_set = variable(command, &flag).map_or_else(String::new, |variable| {
        format!(", or set {} to true or false", variable.display())
    });
    format!("{flag} takes no value, but was given {value}: remove the value{or_set}")
}

fn unknown_argument(command: &clap::Command, error: &clap::Error) -> String {
    let given = context(error, ContextKind::InvalidArg);
    let name = given.trim_start_matches('-');
    let has_flag = |command: &clap::Command| {
        let mut flags = command.get_arguments();
        flags.any(|arg| arg.get_long() == Some(name))
    };
    if has_flag(command) {
        return not_of_query(&given);
    }
    if let Some(other) = command.get_subcommands().find(|command| has_flag(command)) {
        let other = other.get_name();
        return format!("{given} is a flag of {other}: put it after \"{other}\"");
    }
    let nearest = context(error, ContextKind::SuggestedArg);
    let what = if given.starts_with('-') {
        "flag"
    } else {
        "command"
    };
    unknown(what, &given, &nearest)
}

fn unknown(what: &str, given: &str, nearest: &str) -> String {
    let given = escaped(&cut(given));
    match nearest {
        "" => format!("unknown {what} {given}: {HELP}"),
        nearest => format!("unknown {what} {given}: did you mean {nearest}? {HELP}"),
    }
}

/// clap's message without its usage and hints.
fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let sentence = text.lines().next().unwrap_or_default();
    let sentence = sentence.trim_start_matches("error: ");
    format!("{}; see exp-rkt-grpc --help", escaped(&cut(sentence)))
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" or "),
        _ => String::new(),
    }
}
