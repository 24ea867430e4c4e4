//! The store: a stand-in for rkt's api-service that can be stopped and started again.

use std::net::SocketAddr;

use lab::rkt_api_service::{Images, StandIn};

use crate::places;
use crate::{Break, Step};

/// Stops when it is dropped.
#[derive(Debug)]
pub(super) struct Store {
    images: Images,
    count: u64,
    address: SocketAddr,
    running: Option<StandIn>,
}

impl Store {
    /// Serves the sample images.
    pub(super) fn open() -> Step<Self> {
        let images = Images::samples();
        let stand_in = places::stand_in(&images)?;
        Ok(Self {
            count: images.totals().count,
            images,
            address: stand_in.address(),
            running: Some(stand_in),
        })
    }

    /// The number of its images.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes its listener and all connections: the next connection is refused.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// Listens again on the same address.
    pub(super) fn start(&mut self) -> Step {
        let stand_in = StandIn::tcp_at(self.address, self.images.clone())
            .map_err(Break::because("the stand-in cannot be started again"))?;
        self.running = Some(stand_in);
        Ok(())
    }
}
