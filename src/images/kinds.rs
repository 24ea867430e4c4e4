//! The kinds of stores, for configuration and help texts.

use super::kind::StoreKind;

mod cri;
mod rkt;

/// All kinds, in the order in which they are listed to users.
pub(crate) static KINDS: &[&StoreKind] = &[&rkt::KIND, &cri::KIND];

/// The kind of this name.
pub(crate) fn named(name: &str) -> Option<&'static StoreKind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// The default kind of `unix:` URLs, which crictl and kubelet call endpoints.
pub(crate) static ENDPOINT: &StoreKind = &cri::KIND;
