//! `--store [NAME=]KIND+URL`.

use std::fmt;

use super::{cut, shown, url::without_credentials};

mod url;

pub(super) const EXPECTED: &str = "expected [NAME=]KIND+URL such as rkt+http://127.0.0.1:15441 or containerd=cri+unix:///run/containerd/containerd.sock";

/// rkt's default port, see `rkt api-service --help`.
const RKT_PORT: u16 = 15441;

/// One store to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// Value of the label `store`; unique.
    pub name: String,
    /// Which protocol it speaks.
    pub kind: StoreKind,
    /// Where it listens.
    pub address: StoreAddress,
}

/// The protocols of image stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// rkt's api-service, `v1alpha.PublicAPI`.
    Rkt,
    /// The Kubernetes Container Runtime Interface, `runtime.v1`: containerd, CRI-O.
    Cri,
}

impl StoreKind {
    /// The TCP port where none is given; CRI has none, runtimes serve it on Unix sockets.
    fn default_port(self) -> Option<u16> {
        match self {
            Self::Rkt => Some(RKT_PORT),
            Self::Cri => None,
        }
    }
}

/// Where a store listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAddress {
    /// gRPC without TLS over TCP.
    Tcp {
        /// Name or IP address; IPv6 in brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Absolute path of a Unix stream socket.
    Unix(String),
}

impl StoreAddress {
    /// Host name, IP address or socket path: the attribute `server.address`.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Self::Tcp { host, .. } => host,
            Self::Unix(path) => path,
        }
    }

    /// The attribute `server.port`; a Unix socket has none.
    #[must_use]
    pub fn port(&self) -> Option<i64> {
        match self {
            Self::Tcp { port, .. } => Some(i64::from(*port)),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}+{}", self.name, self.kind, self.address)
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rkt => f.write_str("rkt"),
            Self::Cri => f.write_str("cri"),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

/// One entry of a list; `None` for what stands between two commas, or behind the last one, and is nothing.
pub(super) fn parse_entry(text: &str) -> Result<Option<StoreConfig>, String> {
    let text = text.trim();
    (!text.is_empty()).then(|| parse(text)).transpose()
}

fn parse(text: &str) -> Result<StoreConfig, String> {
    let (name, address) = match text.split_once('=') {
        // An equals sign behind the scheme belongs to the URL.
        Some((name, address)) if !name.contains(['+', ':', '/']) => (Some(name), address),
        _ => (None, text),
    };
    let (kind, url) = kind_and_url(address)?;
    Ok(StoreConfig {
        name: name.map_or_else(|| Ok(kind.to_string()), checked_name)?,
        kind,
        address: url::parse(kind, url)?,
    })
}

fn kind_and_url(address: &str) -> Result<(StoreKind, &str), String> {
    match address.split_once('+') {
        // What crictl and kubelet call an endpoint: no store but a container runtime listens on a Unix socket.
        _ if address.starts_with("unix:") => Ok((StoreKind::Cri, address)),
        _ if address.starts_with('/') => Err(format!(
            "the kind of store is missing: expected cri+unix://{}",
            cut(address)
        )),
        _ if address.starts_with("http://") => Err(format!(
            "the kind of store is missing: expected rkt+{} for rkt's api-service",
            cut(&without_credentials(address))
        )),
        None => Err(format!("the kind of store is missing; {EXPECTED}")),
        Some(("rkt", url)) => Ok((StoreKind::Rkt, url)),
        Some(("cri", url)) => Ok((StoreKind::Cri, url)),
        Some((other, _)) => Err(format!(
            "{} is not a kind of store, which are rkt and cri: expected rkt for rkt's api-service, or cri for containerd, CRI-O and k3s",
            shown(other)
        )),
    }
}

fn checked_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{} is not a name of a store: expected letters, digits, '.', '_' and '-'",
            shown(name)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreAddress, StoreConfig, StoreKind, parse};

    fn tcp(name: &str, host: &str, port: u16) -> StoreConfig {
        StoreConfig {
            name: name.to_owned(),
            kind: StoreKind::Rkt,
            address: StoreAddress::Tcp {
                host: host.to_owned(),
                port,
            },
        }
    }

    #[test]
    fn what_is_left_out_has_rkts_defaults() {
        assert_eq!(
            parse("rkt+http://127.0.0.1"),
            Ok(tcp("rkt", "127.0.0.1", 15441))
        );
        assert_eq!(parse("old=rkt+http://[::1]:1"), Ok(tcp("old", "[::1]", 1)));
    }

    #[test]
    fn a_unix_socket_has_an_absolute_path() {
        for url in ["rkt+unix:///run/a=b.sock", "rkt+unix:/run/a=b.sock"] {
            let address = parse(url).map(|store| store.address);
            assert_eq!(address, Ok(StoreAddress::Unix("/run/a=b.sock".to_owned())));
        }
        assert!(parse("rkt+unix:run/x.sock").is_err());
        assert!(parse("rkt+unix://").is_err());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for text in [
            "",
            "rkt",
            "http://127.0.0.1:15441",
            "docker+http://127.0.0.1:15441",
            "cri+http://127.0.0.1",
            "rkt+https://127.0.0.1:15441",
            "rkt+ftp://127.0.0.1",
            "rkt+http://",
            "rkt+http://127.0.0.1:0",
            "rkt+http://127.0.0.1:70000",
            "rkt+http://127.0.0.1:15441/images",
            "rkt+http://user@127.0.0.1:15441",
            "=rkt+http://127.0.0.1:15441",
            "a b=rkt+http://127.0.0.1:15441",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }
}
