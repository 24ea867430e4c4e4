//! Environment variables, and the detection of misspelt ones.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{ConfigError, traces};

/// Prefix of the flags' variables.
pub(super) const OURS: &str = "EXP_RKT_GRPC_";

/// The variables of OpenTelemetry's batch processor for log records, which differ by two letters from those for spans.
const LOG_RECORDS: &str = "OTEL_BLRP_";

/// Maximum edit distance between a misspelt name and a known one; swapping two adjacent letters counts as one.
const MISSPELT: usize = 2;

/// Characters of a name that are compared; all known names are shorter.
const LONGEST: usize = 64;

/// Environment variables by name.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl FromIterator<(OsString, OsString)> for Environment {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        Self(variables.into_iter().collect())
    }
}

impl Environment {
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The trimmed value; `None` if it is unset or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, ConfigError> {
        match self.get(name).map(OsStr::to_str) {
            None => Ok(None),
            Some(None) => Err(ConfigError::NotText(name.to_owned())),
            Some(Some(value)) => {
                Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty()))
            }
        }
    }

    /// These variables, and those of `other` that are not set here.
    pub(super) fn or(&self, other: &Self) -> Self {
        let mut both = other.0.clone();
        let set = self.0.iter().filter(|(_, value)| !value.is_empty());
        both.extend(set.map(|(name, value)| (name.clone(), value.clone())));
        Self(both)
    }

    /// Whether a variable with this prefix is set.
    pub(super) fn sets_any(&self, prefix: &str) -> bool {
        let mut names = self.0.keys().filter_map(|name| name.to_str());
        names.any(|name| name.starts_with(prefix) && self.is_set(name))
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name)
            .is_some_and(|value| !value.to_string_lossy().trim().is_empty())
    }

    /// Refuses a variable that looks like one of `flags` but is not.
    pub(super) fn require_known_flags(&self, flags: &[&str]) -> Result<(), ConfigError> {
        self.require_known(flags, |name| name.starts_with(OURS))
    }

    /// Refuses a variable that looks like a supported one of OpenTelemetry's. Their other variables are ignored.
    pub(super) fn require_known_traces(&self) -> Result<(), ConfigError> {
        let known: Vec<String> = traces::names().collect();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        self.require_known(&known, |_| false)
    }

    fn require_known(
        &self,
        known: &[&str],
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), ConfigError> {
        for name in self.0.keys() {
            let name = name.to_string_lossy();
            if known.contains(&&*name) || name.starts_with(LOG_RECORDS) || !self.is_set(&name) {
                continue;
            }
            let upper: String = name.chars().take(LONGEST).collect();
            let upper = upper.to_ascii_uppercase();
            // The comparison is slow, and the length rules out most other variables.
            let nearest = known
                .iter()
                .filter(|known| is_ours(&upper) || known.len().abs_diff(upper.len()) <= MISSPELT)
                .map(|known| (strsim::osa_distance(&upper, known), *known))
                .min();
            if let Some((distance, nearest)) = nearest
                && (is_ours(&upper) || distance <= MISSPELT)
            {
                return Err(ConfigError::Unknown {
                    variable: name.into_owned(),
                    nearest: nearest.to_owned(),
                });
            }
        }
        Ok(())
    }
}
