//! Why there is no configuration to run with.

use std::path::PathBuf;

use thiserror::Error;

use super::{
    cut, shown,
    stores::{STORES, renamed},
    url,
};
use crate::images::StoreConfig;

/// Why there is no configuration to run with.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// `--help` or `--version`: the text, for standard output.
    #[error("{0}")]
    Asked(String),
    /// A value that is not right.
    #[error("invalid value {} for {variable}: {expected}", shown(&url::without_credentials(value)))]
    Invalid {
        /// The flag and the environment variable that can have set it.
        variable: String,
        /// What it was set to.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A value that is not right and must not be shown.
    #[error("invalid value for {variable} (not shown, as it may hold secrets): {expected}")]
    Secret {
        /// The environment variable.
        variable: String,
        /// What would be right.
        expected: String,
    },
    /// A variable whose bytes are not a text.
    #[error("invalid value for {0}: expected UTF-8")]
    NotText(String),
    /// A known variable that cannot have an effect.
    #[error("{variable} is not supported: {why}; unset it")]
    NotOffered {
        /// The environment variable.
        variable: &'static str,
        /// Why it is not.
        why: &'static str,
    },
    /// A name that is not a known variable, but looks like one.
    #[error(
        "unknown variable {}: did you mean {nearest}? exp-rkt-grpc --help lists all of them",
        shown(variable)
    )]
    Unknown {
        /// Its name.
        variable: String,
        /// The name that is most like it.
        nearest: String,
    },
    /// Variables of two exporters are set, and nothing chooses one of them.
    #[error("{otlp} and {jaeger} are both set: set OTEL_TRACES_EXPORTER to otlp or jaeger, too")]
    Ambiguous {
        /// A variable of the exporter `otlp`.
        otlp: String,
        /// A variable of the exporter `jaeger`.
        jaeger: String,
    },
    /// A command line that cannot be read.
    #[error("{0}")]
    Usage(String),
    /// Two stores of one name.
    #[error(
        "two stores are named {} in {STORES}: expected NAME= before one of them, such as {}",
        shown(.0.name.as_str()), cut(&renamed(.0))
    )]
    DuplicateStore(StoreConfig),
    /// What the service is configured to ask is refused, and a query would have asked the same.
    #[error("in {}: {refusal}", path.display())]
    OfService {
        /// The file of the service's settings.
        path: PathBuf,
        /// What is wrong in it.
        refusal: Box<ConfigError>,
    },
}
