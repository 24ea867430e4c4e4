//! `--store [NAME=]KIND+URL`.

use std::fmt;

use http::Uri;

use super::{shown, traces::MAX_HOST};

const EXPECTED: &str = "expected [NAME=]KIND+URL such as rkt+http://127.0.0.1:15441 or containerd=cri+unix:///run/containerd/containerd.sock";

/// Longest path of a Unix socket in bytes, see unix(7): the last of the 108 is 0.
const MAX_SOCKET_PATH: usize = 107;

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

pub(super) fn parse(text: &str) -> Result<StoreConfig, String> {
    let (name, address) = match text.split_once('=') {
        // An equals sign behind the scheme belongs to the URL.
        Some((name, address)) if !name.contains('+') => (Some(name), address),
        _ => (None, text),
    };
    let (kind, url) = address
        .split_once('+')
        .ok_or_else(|| format!("rkt+ or cri+ is missing before the URL; {EXPECTED}"))?;
    let kind = match kind {
        "rkt" => StoreKind::Rkt,
        "cri" => StoreKind::Cri,
        other => {
            return Err(format!(
                "{} is no kind of store, which are rkt and cri; {EXPECTED}",
                shown(other)
            ));
        }
    };
    Ok(StoreConfig {
        name: name.map_or_else(|| Ok(kind.to_string()), checked_name)?,
        kind,
        address: parse_address(kind, url)?,
    })
}

fn checked_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{} is no name of a store: expected letters, digits, '.', '_' and '-'",
            shown(name)
        ))
    }
}

fn parse_address(kind: StoreKind, url: &str) -> Result<StoreAddress, String> {
    match url.split_once(':') {
        Some(("unix", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            if !path.starts_with('/') {
                return Err(format!("{} is no absolute path; {EXPECTED}", shown(path)));
            }
            if path.len() > MAX_SOCKET_PATH {
                return Err(format!(
                    "the path has {} bytes, and that of a Unix socket has {MAX_SOCKET_PATH} at most; {EXPECTED}",
                    path.len()
                ));
            }
            Ok(StoreAddress::Unix(path.to_owned()))
        }
        Some(("http", _)) => parse_http(kind, url),
        Some(("https", _)) => Err("TLS is not offered: expected http:// or unix://".to_owned()),
        _ => Err(EXPECTED.to_owned()),
    }
}

fn parse_http(kind: StoreKind, url: &str) -> Result<StoreAddress, String> {
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("{error}; {EXPECTED}"))?;
    let authority = uri.authority().ok_or(EXPECTED)?;
    let only_host_and_port = authority.as_str().parse::<u16>().is_err()
        && !authority.as_str().contains('@')
        && uri.path() == "/"
        && uri.query().is_none();
    let (host, port) = match authority.as_str().strip_prefix(authority.host()) {
        Some("") => (
            authority.host(),
            kind.default_port()
                .ok_or_else(|| format!("a port is missing; {EXPECTED}"))?,
        ),
        Some(port) => (
            authority.host(),
            port.strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|&port| port != 0)
                .ok_or_else(|| format!("{} is no port; {EXPECTED}", shown(port)))?,
        ),
        None => return Err(EXPECTED.to_owned()),
    };
    if host.len() > MAX_HOST {
        return Err(format!(
            "a host name has {MAX_HOST} characters at most; {EXPECTED}"
        ));
    }
    if !only_host_and_port || host.is_empty() {
        return Err(format!(
            "nothing but a host and a port can be given; {EXPECTED}"
        ));
    }
    Ok(StoreAddress::Tcp {
        host: host.to_owned(),
        port,
    })
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
