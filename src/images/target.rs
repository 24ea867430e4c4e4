//! Where a store is expected, and why it cannot be reached there.

use std::{error::Error, io};

use rustix::io::Errno;

use super::{
    error::{QueryError, Shortage},
    wire,
};
use crate::config::StoreAddress;

mod advice;
mod host;

use host::Host;

/// Where a store is expected.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: StoreAddress,
    /// Whether an operator has named it; the default otherwise.
    is_configured: bool,
    host: Host,
}

impl Target {
    pub(super) fn configured(address: StoreAddress) -> Self {
        Self {
            address,
            is_configured: true,
            host: Host::at("/"),
        }
    }

    pub(super) fn named_by_nobody(self) -> Self {
        Self {
            is_configured: false,
            ..self
        }
    }

    /// What an error of socket(2) or connect(2) says, and what to do about it.
    pub(super) fn unreached(&self, error: &(dyn Error + 'static)) -> QueryError {
        let (address, cause) = (self.address.clone(), wire::innermost(error));
        let system = wire::causes(error).find_map(|error| error.downcast_ref::<io::Error>());
        if let Some(shortage) = system.and_then(Shortage::behind) {
            return QueryError::Shortage {
                address,
                cause,
                shortage,
            };
        }
        let errno = system.and_then(Errno::from_io_error);
        let advice = errno.map_or_else(String::new, |errno| self.advice(errno));
        match (&address, errno) {
            (StoreAddress::Unix(_), Some(Errno::ACCESS | Errno::PERM)) => {
                QueryError::Permission { address, advice }
            }
            (StoreAddress::Tcp { .. }, Some(Errno::ACCESS | Errno::PERM | Errno::AFNOSUPPORT)) => {
                QueryError::Forbidden {
                    address,
                    cause,
                    advice,
                }
            }
            _ => QueryError::Connect {
                address,
                cause,
                advice,
            },
        }
    }

    /// The lookup of its name has failed.
    pub(super) fn unresolved(&self, error: &io::Error) -> QueryError {
        QueryError::Connect {
            address: self.address.clone(),
            cause: wire::innermost(error),
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
