//! Which runtime has answered, of either kind of store.

use super::{cri, rkt};
use crate::words::escaped;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// For example `rkt` or `containerd`.
    pub name: String,
    /// Empty where the runtime tells none.
    pub version: String,
    /// Version of the API it serves.
    pub api_version: String,
}

impl From<rkt::Info> for Runtime {
    fn from(info: rkt::Info) -> Self {
        Self {
            name: "rkt".to_owned(),
            version: label(&info.version),
            api_version: label(&info.api_version),
        }
    }
}

impl From<cri::Version> for Runtime {
    fn from(version: cri::Version) -> Self {
        Self {
            name: label(&version.name),
            version: label(&version.version),
            api_version: label(&version.api_version),
        }
    }
}

/// A store's text that becomes the value of a label: none of them may fill a scrape,
/// or command the terminal that shows it.
pub(super) fn label(text: &str) -> String {
    const LONGEST: usize = 256;
    let mut label = escaped(text);
    label.truncate(label.floor_char_boundary(LONGEST));
    label
}
