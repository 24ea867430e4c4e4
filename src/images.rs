//! An image store: what it is asked, and what it answers.
//!
//! Every query connects afresh: on the same host that costs little, and an idle connection would have to be kept alive.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::answer::{Answer, QueryError};

mod address;
mod grpc;
mod kind;
pub(crate) mod kinds;
mod side_call;

pub(crate) use address::StoreAddress;
pub(crate) use grpc::{Connection, Limit};
pub(crate) use kind::StoreKind;

use grpc::{Calls, Target};
use kind::{Description, Listed, Store};

/// What a query may spend on the side calls, once the images are counted.
const SIDE_CALLS_TIMEOUT: Duration = Duration::from_secs(2);

/// A store to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Value of the label `store`; unique.
    pub(crate) name: String,
    /// Which protocol it speaks.
    pub(crate) kind: &'static StoreKind,
    /// Where it listens.
    pub(crate) address: StoreAddress,
}

/// One configured image store.
#[derive(Debug)]
pub struct ImageStore {
    name: String,
    url: String,
    target: Target,
    store: Box<dyn Store>,
}

/// As it is configured: NAME=KIND+URL.
impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.url())
    }
}

impl StoreConfig {
    /// Kind and address, as in `cri+unix:///run/containerd/containerd.sock`.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("{}+{}", self.kind, self.address)
    }
}

impl ImageStore {
    /// A store as configured; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When tonic does not accept the address, which the configuration has checked.
    pub fn new(config: &StoreConfig) -> Result<Self, tonic::transport::Error> {
        Ok(Self {
            name: config.name.clone(),
            url: config.url(),
            target: Target::new(config.address.clone())?,
            store: (config.kind.store)(),
        })
    }

    /// The same store, which is asked by default: errors say how to configure another one.
    #[must_use]
    pub(crate) fn by_default(self) -> Self {
        Self {
            target: self.target.by_default(),
            ..self
        }
    }

    /// The configured name; the label `store` of every metric.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Kind and address, which say whose numbers they are, as in `cri+unix:///run/containerd/containerd.sock`.
    #[must_use]
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Connects and lists the images.
    ///
    /// # Errors
    ///
    /// When there is no connection, no complete list within `limit`, or an error in its place.
    pub(crate) async fn count(
        &mut self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<Answer, QueryError> {
        let began = Instant::now();
        let calls = Calls::new(&self.name, &self.target, limit, connection);
        let Listed { contents, bytes } = self.store.list(&calls).await?;
        Ok(Answer {
            contents,
            response_bytes: bytes,
            duration: began.elapsed(),
            runtime: None,
            filesystems: None,
        })
    }

    /// Asks who the runtime is and what its file systems hold, for two seconds at most, and adds that to its answer.
    ///
    /// A runtime that lacks one of these calls, or fails it, has its images counted all the same.
    pub(crate) async fn describe(
        &mut self,
        limit: &Limit,
        connection: &Connection,
        answer: Answer,
    ) -> Answer {
        let limit = limit.at_most(SIDE_CALLS_TIMEOUT);
        let calls = Calls::new(&self.name, &self.target, &limit, connection);
        let Description {
            runtime,
            filesystems,
        } = self.store.describe(&calls).await;
        Answer {
            runtime,
            filesystems,
            ..answer
        }
    }
}

#[cfg(test)]
mod tests;
