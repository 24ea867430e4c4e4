//! The address of a store, and the errors of connecting to it.

use std::{error::Error, io};

use rustix::io::Errno;
use tonic::transport::Endpoint;

use super::{
    call::{causes, innermost},
    connect_error::ConnectError,
    peer,
    shortage::Shortage,
};
use crate::images::address::StoreAddress;

mod advice;
mod host;

use host::Host;

/// The address of a store.
#[derive(Clone, Debug)]
pub(in crate::images) struct Target {
    pub(super) address: StoreAddress,
    pub(super) endpoint: Endpoint,
    /// Whether the operator has configured it; otherwise it is the default.
    is_configured: bool,
    host: Host,
}

impl Target {
    pub(in crate::images) fn new(address: StoreAddress) -> Self {
        let endpoint = match &address {
            StoreAddress::Tcp { .. } => Endpoint::from_shared(address.to_string())
                .expect("the configuration takes hosts from URIs"),
            // Becomes `:authority`. The path is not needed: `peer` connects.
            StoreAddress::Unix(_) => Endpoint::from_static("http://localhost"),
        };
        Self {
            address,
            endpoint: endpoint
                .initial_stream_window_size(peer::WINDOW)
                .initial_connection_window_size(peer::WINDOW)
                .http2_max_header_list_size(peer::MAX_HEADERS)
                .user_agent(concat!("exp-rkt-grpc/", env!("CARGO_PKG_VERSION")))
                .expect("the constant is a valid header value"),
            is_configured: true,
            host: Host::at("/"),
        }
    }

    /// Marks the store as the default.
    pub(in crate::images) fn by_default(self) -> Self {
        Self {
            is_configured: false,
            ..self
        }
    }

    /// Explains an error of socket(2) or connect(2), with advice.
    pub(super) fn unreached(&self, error: &(dyn Error + 'static)) -> ConnectError {
        let (address, cause) = (self.address.clone(), innermost(error));
        let system = causes(error).find_map(|error| error.downcast_ref::<io::Error>());
        if let Some(shortage) = system.and_then(Shortage::of) {
            return ConnectError::Shortage {
                address,
                cause,
                shortage,
            };
        }
        let errno = system.and_then(Errno::from_io_error);
        let advice = errno.map_or_else(String::new, |errno| self.advice(errno));
        match (&address, errno) {
            (StoreAddress::Unix(_), Some(Errno::ACCESS | Errno::PERM)) => {
                ConnectError::Permission { address, advice }
            }
            (StoreAddress::Tcp { .. }, Some(Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT)) => {
                ConnectError::Forbidden {
                    address,
                    cause,
                    advice,
                }
            }
            _ => ConnectError::Connect {
                address,
                cause,
                advice,
            },
        }
    }

    /// Explains a failed lookup of the host name, with advice.
    pub(super) fn unresolved(&self, error: &io::Error) -> ConnectError {
        ConnectError::Connect {
            address: self.address.clone(),
            cause: innermost(error),
            advice: advice::about_names(&self.host),
        }
    }

    fn advice(&self, errno: Errno) -> String {
        match (&self.address, errno) {
            (StoreAddress::Unix(path), errno) => advice::about_socket(errno, path, &self.host),
            (_, Errno::CONNREFUSED) if !self.is_configured => advice::about_default(&self.host),
            (_, errno) => advice::about_network(errno, &self.host),
        }
    }
}

#[cfg(test)]
mod tests;
