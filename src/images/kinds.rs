//! The kinds of stores: configuration and help texts take them from here.

use super::kind::StoreKind;

mod cri;
mod rkt;

/// All kinds, in the order in which they are listed to users.
pub(crate) static KINDS: &[&StoreKind] = &[&rkt::KIND, &cri::KIND];

/// The kind of this name.
pub(crate) fn named(name: &str) -> Option<&'static StoreKind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// The kind of a store that is reached over a Unix socket and whose kind is not given: what crictl and kubelet call an endpoint.
pub(crate) static ENDPOINT: &StoreKind = &cri::KIND;
