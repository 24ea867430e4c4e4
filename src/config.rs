//! Flags and environment, their defaults, and what is right.
//!
//! Every flag can be given as an environment variable, the flag wins; an empty variable counts as unset. Tracing is configured
//! by OpenTelemetry's own variables (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, parser::ValueSource};
use thiserror::Error;
use tracing_subscriber::filter::Targets;

mod byte_size;
mod log_filter;
mod options;
mod refusal;
mod store;
mod traces;

pub use options::{Command, Options, Output};
pub use store::{StoreAddress, StoreConfig, StoreKind};
pub use traces::{TraceExport, TracesConfig};

use refusal::refusal;

/// The git revision the program was built from; empty when it was built outside a checkout.
pub const REVISION: &str = env!("EXP_RKT_GRPC_REVISION");

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Flags and `EXP_RKT_GRPC_*` variables.
    pub options: Options,
    /// OpenTelemetry's variables.
    pub traces: TracesConfig,
}

/// Why there is no configuration to run with.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// `--help` or `--version`: the text, for standard output.
    #[error("{0}")]
    Asked(String),
    /// A value that is not right.
    #[error("invalid value {value:?} for {variable}: {expected}")]
    Invalid {
        /// The flag and the environment variable that can have set it.
        variable: String,
        /// What it was set to.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A command line that cannot be read.
    #[error("{0}")]
    Usage(String),
    /// Two stores of one name.
    #[error(
        "two stores are named {0:?} in --store (EXP_RKT_GRPC_STORE): expected NAME= before all but one of them, with different names"
    )]
    DuplicateStore(String),
}

impl Config {
    /// Reads the command line (program name first) and the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Asked`] for `--help` and `--version`; otherwise what is wrong and what would be right.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let command = Options::command();
        require_text(&command, &environment)?;
        let command = ignore_empty_variables(command, &environment);
        let mut matches = command
            .clone()
            .try_get_matches_from(arguments)
            .map_err(|error| refusal(&command, &error))?;
        let quiet = !matches.value_source("log").is_some_and(given);
        let mut options = Options::from_arg_matches_mut(&mut matches)
            .map_err(|error| refusal(&command, &error))?;
        if quiet && options.command.is_some() {
            options.log = Targets::new();
        }
        require_unique_names(&options.stores)?;
        Ok(Self {
            options,
            traces: TracesConfig::read(environment)?,
        })
    }
}

fn given(source: ValueSource) -> bool {
    source != ValueSource::DefaultValue
}

/// clap would not say which variable it cannot read.
fn require_text(
    command: &clap::Command,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<(), ConfigError> {
    for arg in command.get_arguments() {
        let Some(variable) = arg.get_env().and_then(|name| name.to_str()) else {
            continue;
        };
        if let Some(Err(value)) = environment(variable).map(OsString::into_string) {
            return Err(ConfigError::Invalid {
                variable: format!("--{} ({variable})", arg.get_long().unwrap_or_default()),
                value: value.to_string_lossy().into_owned(),
                expected: "expected UTF-8".to_owned(),
            });
        }
    }
    Ok(())
}

/// `NAME=` in an environment file means "not set" to those who write it.
fn ignore_empty_variables(
    command: clap::Command,
    environment: impl Fn(&str) -> Option<OsString>,
) -> clap::Command {
    command.mut_args(|arg| {
        let variable = arg.get_env().and_then(|name| name.to_str());
        match variable.and_then(&environment) {
            Some(value) if value.is_empty() => arg.env(None::<&str>),
            _ => arg,
        }
    })
}

fn require_unique_names(stores: &[StoreConfig]) -> Result<(), ConfigError> {
    for (index, store) in stores.iter().enumerate() {
        if stores[..index]
            .iter()
            .any(|before| before.name == store.name)
        {
            return Err(ConfigError::DuplicateStore(store.name.clone()));
        }
    }
    Ok(())
}
