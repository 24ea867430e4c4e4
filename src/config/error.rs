//! Why a configuration is refused.

use std::path::PathBuf;

use thiserror::Error;

use super::{
    cut, shown,
    stores::{STORES, renamed},
    url,
};
use crate::images::StoreConfig;

/// Why a configuration is refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// `--help` or `--version`: the text, for standard output.
    #[error("{0}")]
    Asked(String),
    /// An invalid value.
    #[error("invalid value {} for {variable}: {expected}", shown(&url::without_credentials(value)))]
    Invalid {
        /// The flag and its environment variable.
        variable: String,
        /// What it was set to.
        value: String,
        /// The valid values.
        expected: String,
    },
    /// An invalid value that must not be shown.
    #[error("invalid value for {variable} (not shown, as it may hold secrets): {expected}")]
    Secret {
        /// The environment variable.
        variable: String,
        /// The valid values.
        expected: String,
    },
    /// A variable that is not UTF-8.
    #[error("invalid value for {0}: expected UTF-8")]
    NotText(String),
    /// A variable of OpenTelemetry that is not supported.
    #[error("{variable} is not supported: {why}; unset it")]
    NotSupported {
        /// The environment variable.
        variable: &'static str,
        /// Why it is not supported.
        why: &'static str,
    },
    /// An unknown variable that looks like a known one.
    #[error(
        "unknown variable {}: did you mean {nearest}? exp-rkt-grpc --help lists all of them",
        shown(variable)
    )]
    Unknown {
        /// Its name.
        variable: String,
        /// The most similar known name.
        nearest: String,
    },
    /// Variables of both exporters are set, but `OTEL_TRACES_EXPORTER` is not.
    #[error("{otlp} and {jaeger} are both set: set OTEL_TRACES_EXPORTER to otlp or jaeger, too")]
    Ambiguous {
        /// A variable of the exporter `otlp`.
        otlp: String,
        /// A variable of the exporter `jaeger`.
        jaeger: String,
    },
    /// An invalid command line.
    #[error("{0}")]
    Usage(String),
    /// Two stores with the same name.
    #[error(
        "two stores are named {} in {STORES}: expected NAME= before one of them, such as {}",
        shown(.0.name.as_str()), cut(&renamed(.0))
    )]
    DuplicateStore(StoreConfig),
    /// The service's settings, which the query would use, are refused.
    #[error("in {}: {refusal}", path.display())]
    OfService {
        /// The file of the service's settings.
        path: PathBuf,
        /// What is wrong in it.
        refusal: Box<ConfigError>,
    },
}
