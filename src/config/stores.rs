//! All stores of `--store`, and where they were named.

use std::{fmt, path::PathBuf};

use clap::ArgMatches;

use super::{ConfigError, invalid};
use crate::images::StoreConfig;

/// clap's id of the flag.
pub(super) const ARGUMENT: &str = "entries";

/// Its variable.
pub(super) const STORE: &str = "EXP_RKT_GRPC_STORE";

/// The name of both in errors.
pub(super) const STORES: &str = "--store (EXP_RKT_GRPC_STORE)";

/// Where the stores were named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoresFrom {
    /// The command line or the environment.
    Given,
    /// The file of the service's settings.
    File(PathBuf),
    /// Nowhere: the default. Why the service's settings file could not be read, if it exists.
    Default(Option<String>),
}

/// To be shown in parentheses after the stores; empty for [`Self::Given`].
impl fmt::Display for StoresFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => Ok(()),
            Self::File(path) => write!(f, "{STORE} in {}", path.display()),
            Self::Default(None) => f.write_str("default"),
            Self::Default(Some(why)) => write!(f, "default; {why}"),
        }
    }
}

/// The stores of a parsed command line.
///
/// # Errors
///
/// When there is none, or two have the same name.
pub(super) fn of(matches: &ArgMatches) -> Result<Vec<StoreConfig>, ConfigError> {
    let entries = matches.get_many::<Option<StoreConfig>>(ARGUMENT);
    let stores: Vec<StoreConfig> = entries.into_iter().flatten().flatten().cloned().collect();
    if stores.is_empty() {
        let commas = matches
            .get_raw(ARGUMENT)
            .map_or(0, |entries| entries.len() - 1);
        let expected = format!("no store is named; {}", super::store::EXPECTED);
        return Err(invalid(STORES, &",".repeat(commas), &expected));
    }
    for (index, store) in stores.iter().enumerate() {
        let mut before = stores[..index].iter();
        if before.any(|before| before.name == store.name) {
            return Err(ConfigError::DuplicateStore(store.clone()));
        }
    }
    Ok(stores)
}

/// The same store under another name.
pub(super) fn renamed(store: &StoreConfig) -> String {
    format!("{}-2={}", store.name, store.url())
}
