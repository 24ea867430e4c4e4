//! The kinds of stores, for configuration and help texts.

use super::kind::StoreKind;

mod containerd;
mod cri;
mod fingerprints;
mod lists;
mod name;
mod references;
mod rkt;
mod timestamp;

/// All kinds, in the order in which they are listed to users.
pub(crate) static KINDS: &[&StoreKind] = &[&rkt::KIND, &cri::KIND, &containerd::KIND];

/// The kind of this name.
pub(crate) fn named(name: &str) -> Option<&'static StoreKind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

/// A usual socket of a runtime.
#[derive(Clone, Copy, Debug)]
pub(super) struct UsualSocket {
    pub(super) kind: &'static StoreKind,
    pub(super) path: &'static str,
    /// The systemd unit of the runtime.
    pub(super) unit: &'static str,
}

/// The usual sockets of all runtimes.
pub(super) fn usual_sockets() -> impl Iterator<Item = UsualSocket> {
    KINDS.iter().flat_map(|&kind| {
        let sockets = kind.sockets.iter();
        sockets.map(move |&(path, unit)| UsualSocket { kind, path, unit })
    })
}

/// The default kind of `unix:` URLs, which crictl and kubelet call endpoints.
pub(crate) static ENDPOINT: &StoreKind = &cri::KIND;
