//! All stores of `--store`, and who has named them.

use std::{fmt, path::PathBuf};

use clap::ArgMatches;

use super::{ConfigError, invalid};
use crate::images::StoreConfig;

/// The name of the flag among clap's arguments.
pub(super) const ARGUMENT: &str = "entries";

/// Its variable.
pub(super) const STORE: &str = "EXP_RKT_GRPC_STORE";

/// How both are called in errors.
pub(super) const STORES: &str = "--store (EXP_RKT_GRPC_STORE)";

/// Who has named the stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoresFrom {
    /// The command line or the environment.
    Given,
    /// The file of the service's settings.
    File(PathBuf),
    /// Nobody: it is the default; with the reason why the service's settings are not known, where they are there.
    Default(Option<String>),
}

/// In a pair of parentheses behind the stores; nothing for those that were given.
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

/// The stores of a command line that was read.
///
/// # Errors
///
/// When there is none, or two have one name.
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
