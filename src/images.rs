//! An image store, and the queries to it.
//!
//! Every query opens a new connection: on the same host that is cheap, and an idle connection would need keep-alives.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::answer::{Answer, QueryError};

mod address;
mod grpc;
mod kind;
pub(crate) mod kinds;
mod side_call;
mod space;

pub(crate) use address::StoreAddress;
pub(crate) use grpc::{Connection, Limit};
pub(crate) use kind::{Parameter, StoreKind};

use grpc::{Calls, Target};
use kind::{Description, Store};
use space::Space;

/// Longest time for a query's side calls, which follow the list.
const SIDE_CALLS_TIMEOUT: Duration = Duration::from_secs(2);

/// Configuration of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Value of the label `store`; unique.
    pub(crate) name: String,
    /// The protocol that it speaks.
    pub(crate) kind: &'static StoreKind,
    /// Where it listens.
    pub(crate) address: StoreAddress,
    /// The value of the kind's parameter, if it has one.
    pub(crate) parameter: Option<String>,
}

/// An image store that can be queried.
#[derive(Debug)]
pub struct ImageStore {
    config: StoreConfig,
    target: Target,
    store: Box<dyn Store>,
    space: Space,
}

/// As in the configuration: NAME=KIND+URL.
impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.url())
    }
}

impl StoreConfig {
    /// Kind, address and parameter, as in `cri+unix:///run/containerd/containerd.sock`.
    pub(crate) fn url(&self) -> String {
        format!("{}+{}", self.kind, self.location())
    }

    /// Address and parameter, as in `unix:///run/containerd/containerd.sock?namespace=moby`.
    pub(crate) fn location(&self) -> String {
        match (self.kind.parameter, &self.parameter) {
            (Some(Parameter { key, .. }), Some(value)) => format!("{}?{key}={value}", self.address),
            _ => self.address.to_string(),
        }
    }
}

impl ImageStore {
    /// Creates the store. Does not connect.
    #[must_use]
    pub fn new(config: &StoreConfig) -> Self {
        Self {
            config: config.clone(),
            target: Target::new(config.address.clone()),
            store: (config.kind.store)(config.parameter.as_deref()),
            space: Space::default(),
        }
    }

    /// Marks the store as the default: its errors say how to configure another one.
    pub(crate) fn by_default(self) -> Self {
        Self {
            target: self.target.by_default(),
            ..self
        }
    }

    /// What it was created from.
    pub(crate) fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// Connects and lists the images.
    ///
    /// # Errors
    ///
    /// When connecting or listing fails, or the list is not complete within `limit`.
    pub(crate) async fn count(
        &mut self,
        limit: &Limit,
        connection: &Connection,
    ) -> Result<Answer, QueryError> {
        let began = Instant::now();
        let calls = Calls::new(&self.config.name, &self.target, limit, connection);
        let listed = self.store.list(&calls).await?;
        Ok(Answer {
            contents: listed.contents,
            response_bytes: listed.bytes,
            duration: began.elapsed(),
            runtime: None,
            filesystems: None,
            warning: listed.warning,
        })
    }

    /// Makes the side calls (the runtime's version, its file systems) within two seconds, measures the file systems, and adds the
    /// results to `answer`.
    ///
    /// A side call that fails, or that the runtime does not support, leaves the rest of the answer as it is.
    pub(crate) async fn describe(
        &mut self,
        limit: &Limit,
        connection: &Connection,
        answer: Answer,
    ) -> Answer {
        let limit = limit.at_most(SIDE_CALLS_TIMEOUT);
        let calls = Calls::new(&self.config.name, &self.target, &limit, connection);
        let Description {
            runtime,
            mut filesystems,
            warning,
        } = self.store.describe(&calls).await;
        // Over TCP, they may be those of another host.
        if let (Some(filesystems), StoreAddress::Unix(_)) = (&mut filesystems, &self.config.address)
        {
            self.space.measure(filesystems, &limit).await;
        }
        Answer {
            runtime,
            filesystems,
            warning: answer.warning.or(warning),
            ..answer
        }
    }
}

#[cfg(test)]
mod tests;
