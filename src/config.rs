//! Configuration: flags, environment variables, their defaults and their validation.
//!
//! Every flag but `--output` can be given as an environment variable; the flag wins, and an empty variable counts as unset. Tracing is
//! configured by OpenTelemetry's own variables (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).

use std::{ffi::OsString, io, net::SocketAddr, path::Path};

use clap::{ArgMatches, CommandFactory, FromArgMatches, parser::ValueSource};
use tracing_subscriber::filter::Targets;

mod clap_error;
mod environment;
mod environment_file;
mod error;
mod log_filter;
mod options;
mod service_file;
mod store;
mod stores;
mod traces;
mod url;

pub use environment::Environment;
pub use error::ConfigError;
pub use options::{Command, Options, Output};
pub use service_file::SERVICE_FILE;
pub use store::parse as store;
pub use stores::StoresFrom;
pub use traces::{VARIABLES, Variable};

use crate::{
    images::{ImageStore, StoreConfig},
    telemetry::TracesConfig,
    words,
};

use clap_error::{not_of_query, refusal};
use stores::STORE;

/// All settings, validated.
#[derive(Clone, Debug)]
pub struct Config {
    /// Flags and `EXP_RKT_GRPC_*` variables.
    pub options: Options,
    /// The stores to query; at least one, with unique names.
    pub stores: Vec<StoreConfig>,
    /// Where they were named.
    pub stores_from: StoresFrom,
    /// `--listen` or its variable; `None` if neither is given, and [`Options::listen`] is the default.
    pub listen: Option<SocketAddr>,
    /// OpenTelemetry's variables.
    pub traces: TracesConfig,
    /// Warnings about settings that may not have the intended effect.
    pub warnings: Vec<String>,
}

/// Longest value that errors show uncut, in bytes.
const MAX_SHOWN: usize = 256;

impl Config {
    /// Reads the command line (program name first) and the environment. If a query names no stores in either, its settings default
    /// to those in `service_file`, if that exists.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Asked`] for `--help` and `--version`; otherwise the first invalid setting, with its valid values.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        environment: &Environment,
        service_file: &Path,
    ) -> Result<Self, ConfigError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let config = Self::assemble(arguments.clone(), environment, &Environment::default())?;
        if config.options.command.is_none() || config.stores_from == StoresFrom::Given {
            return Ok(config);
        }
        let settings = match service_file::read(service_file, environment) {
            Ok(settings) => settings,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(config),
            Err(error) => {
                let why = format!("{} cannot be read: {error}", service_file.display());
                return Ok(Self {
                    stores_from: StoresFrom::Default(Some(why)),
                    ..config
                });
            }
        };
        let mut config = Self::assemble(arguments, environment, &settings).map_err(|refusal| {
            ConfigError::OfService {
                path: service_file.to_owned(),
                refusal: Box::new(refusal),
            }
        })?;
        if settings.is_set(STORE) {
            config.stores_from = StoresFrom::File(service_file.to_owned());
        }
        Ok(config)
    }

    /// `settings` apply where neither a flag nor a variable is given.
    fn assemble(
        arguments: Vec<OsString>,
        environment: &Environment,
        settings: &Environment,
    ) -> Result<Self, ConfigError> {
        let command = Options::command();
        let both = environment.or(settings);
        require_text(&command, &both)?;
        let mut matches = with_defaults(
            ignore_empty_variables(command.clone(), environment),
            settings,
        )
        .try_get_matches_from(arguments)
        .map_err(|error| refusal(&command, &error))?;
        refuse_before_command(&command, &matches)?;
        both.require_known_flags(&variables(&command))?;
        let given = |name: &str| matches.value_source(name).is_some_and(is_given);
        let (no_log_given, listen_given) = (!given("log"), given("listen"));
        let stores_from = if given(stores::ARGUMENT) {
            StoresFrom::Given
        } else {
            StoresFrom::Default(None)
        };
        let stores = stores::of(&matches)?;
        let mut options = Options::from_arg_matches_mut(&mut matches)
            .map_err(|error| refusal(&command, &error))?;
        if no_log_given && options.command.is_some() {
            options.log = Targets::new();
        }
        let mut warnings: Vec<String> = options.removed().into_iter().collect();
        let traces = traces::read(&both, &mut warnings)?;
        Ok(Self {
            listen: listen_given.then_some(options.listen),
            stores,
            stores_from,
            options,
            traces,
            warnings,
        })
    }

    /// The stores to query. Does not connect.
    #[must_use]
    pub fn image_stores(&self) -> Vec<ImageStore> {
        let stores = self.stores.iter().map(|store| {
            let store = ImageStore::new(store);
            match self.stores_from {
                StoresFrom::Default(_) => store.by_default(),
                StoresFrom::Given | StoresFrom::File(_) => store,
            }
        });
        stores.collect()
    }

    /// Logs the warnings.
    pub fn warn(&self) {
        for warning in &self.warnings {
            tracing::warn!(warning, "setting not applied as given");
        }
    }

    /// The stores that a query asks, and where they were named; `None` if the command line or the environment named them.
    #[must_use]
    pub fn stores_and_origin(&self) -> Option<String> {
        let stores: Vec<String> = self.stores.iter().map(ToString::to_string).collect();
        let origin = self.stores_from.to_string();
        (!origin.is_empty()).then(|| format!("querying {} ({origin})", stores.join(",")))
    }
}

/// The value in quotes, on one line, cut if it is too long.
fn shown(value: &str) -> String {
    format!("{:?}", cut(value))
}

/// Cuts a text to the length that errors show of a value.
fn cut(text: &str) -> String {
    words::cut(text, MAX_SHOWN)
}

fn invalid(variable: &str, value: &str, expected: &str) -> ConfigError {
    ConfigError::Invalid {
        variable: variable.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}

fn is_given(source: ValueSource) -> bool {
    source != ValueSource::DefaultValue
}

/// Refuses flags of the service before a command: clap takes them, and they would have no effect.
fn refuse_before_command(command: &clap::Command, matches: &ArgMatches) -> Result<(), ConfigError> {
    if matches.subcommand_name().is_none() {
        return Ok(());
    }
    for flag in command.get_arguments().filter(|arg| !arg.is_global_set()) {
        if matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine) {
            let flag = flag.get_long().unwrap_or_default();
            return Err(ConfigError::Usage(not_of_query(&format!("--{flag}"))));
        }
    }
    Ok(())
}

/// The variables of all flags.
fn variables(command: &clap::Command) -> Vec<&str> {
    let flags = command.get_arguments();
    flags.filter_map(|flag| flag.get_env()?.to_str()).collect()
}

/// Refuses variables that are not UTF-8: clap's own error does not name the variable.
fn require_text(command: &clap::Command, environment: &Environment) -> Result<(), ConfigError> {
    for arg in command.get_arguments() {
        let Some(variable) = arg.get_env().and_then(|name| name.to_str()) else {
            continue;
        };
        if environment.text(variable).is_err() {
            let flag = arg.get_long().unwrap_or_default();
            return Err(ConfigError::NotText(format!("--{flag} ({variable})")));
        }
    }
    Ok(())
}

/// Makes clap ignore empty variables: `NAME=` in an environment file means "not set".
fn ignore_empty_variables(command: clap::Command, environment: &Environment) -> clap::Command {
    command.mut_args(|arg| {
        let variable = arg.get_env().and_then(|name| name.to_str());
        match variable.and_then(|name| environment.get(name)) {
            Some(value) if value.is_empty() => arg.env(None::<&str>),
            _ => arg,
        }
    })
}

/// Replaces clap's defaults by `settings`.
fn with_defaults(command: clap::Command, settings: &Environment) -> clap::Command {
    command.mut_args(|arg| {
        let variable = arg.get_env().and_then(|name| name.to_str());
        match variable.and_then(|name| settings.get(name)) {
            Some(value) if !value.is_empty() => arg.default_value(value.to_owned()),
            _ => arg,
        }
    })
}
