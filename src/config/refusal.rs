//! What clap refuses, in the words of those who set variables.

use std::{borrow::Cow, error::Error};

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::{ConfigError, cut};

/// clap names the flag; an operator may have set the variable.
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
        _ => ConfigError::Usage(usage(error)),
    }
}

fn usage(error: &clap::Error) -> String {
    let mut text = error.render().to_string();
    for kind in [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ] {
        let input = context(error, kind);
        if let Cow::Owned(shorter) = cut(&input) {
            text = text.replace(&input, &shorter);
        }
    }
    text.trim_start_matches("error: ").trim_end().to_owned()
}

fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" or "),
        _ => String::new(),
    }
}
