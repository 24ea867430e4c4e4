//! Errors of clap, rewritten for operators, who may have set variables instead of flags.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{ConfigError, cut};
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
            let variable = command
                .get_arguments()
                .find(|arg| flag.strip_prefix("--") == arg.get_long())
                .and_then(|arg| arg.get_env());
            ConfigError::Invalid {
                variable: match variable {
                    Some(variable) => format!("{flag} ({})", variable.display()),
                    None => flag.to_owned(),
                },
                value: context(error, ContextKind::InvalidValue),
                expected: Error::source(error).map_or_else(
                    || match context(error, ContextKind::ValidValue).as_str() {
                        "" => format!("expected {}", cut(&argument)),
                        values => format!("expected {values}"),
                    },
                    ToString::to_string,
                ),
            }
        }
        ErrorKind::UnknownArgument => ConfigError::Usage(unknown_argument(command, error)),
        ErrorKind::InvalidSubcommand => {
            let given = context(error, ContextKind::InvalidSubcommand);
            let nearest = context(error, ContextKind::SuggestedSubcommand);
            ConfigError::Usage(unknown("command", &given, &nearest))
        }
        _ => ConfigError::Usage(first_line(error)),
    }
}

fn unknown_argument(command: &clap::Command, error: &clap::Error) -> String {
    let given = context(error, ContextKind::InvalidArg);
    let name = given.trim_start_matches('-');
    let is_service_flag = |arg: &clap::Arg| arg.get_long() == Some(name);
    if command.get_arguments().any(is_service_flag) {
        return format!("{given} is a flag of the service, not of query: leave it out");
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
