//! The URL of a store: `unix:///PATH` or `http://HOST:PORT`.

use http::Uri;

use super::EXPECTED;
use crate::{
    config::{
        shown,
        url::{self, MAX_HOST},
    },
    images::{StoreAddress, StoreKind},
};

/// Longest path of a Unix socket, in bytes: the last of 108 is a NUL, see unix(7).
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn parse(kind: &StoreKind, url: &str) -> Result<StoreAddress, String> {
    match url.split_once(':') {
        Some(("unix", path)) => parse_path(path.strip_prefix("//").unwrap_or(path)),
        Some(("http", _)) => parse_http(kind, url),
        Some(("https", _)) => Err(
            "TLS is not supported, since stores are on this host: expected http:// or unix://"
                .to_owned(),
        ),
        Some((scheme, _)) => Err(format!(
            "{} is not a scheme of a store; {EXPECTED}",
            shown(scheme)
        )),
        None => Err(format!("the URL is missing; {EXPECTED}")),
    }
}

fn parse_path(path: &str) -> Result<StoreAddress, String> {
    if path.starts_with('@') {
        return Err(
            "abstract sockets are not supported: expected the path of a socket, as in unix:///PATH"
                .to_owned(),
        );
    }
    if !path.starts_with('/') {
        return Err(format!(
            "{} is not an absolute path; {EXPECTED}",
            shown(path)
        ));
    }
    if path.ends_with('/') {
        return Err(
            "the path ends with a slash, as that of a directory: expected the path of a socket"
                .to_owned(),
        );
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(format!(
            "the path has {} bytes, but a Unix socket's has at most {MAX_SOCKET_PATH}; {EXPECTED}",
            path.len()
        ));
    }
    Ok(StoreAddress::Unix(path.to_owned()))
}

fn parse_http(kind: &StoreKind, url: &str) -> Result<StoreAddress, String> {
    url::require_host_and_port(url)?;
    let uri: Uri = url
        .parse()
        .map_err(|error| format!("{error}; {EXPECTED}"))?;
    let authority = uri.authority().ok_or(EXPECTED)?;
    let host = authority.host();
    if host.is_empty() || authority.as_str().parse::<u16>().is_ok() {
        return Err(format!("the host is missing; {EXPECTED}"));
    }
    if host.len() > MAX_HOST {
        return Err(format!(
            "a host name has at most {MAX_HOST} characters; {EXPECTED}"
        ));
    }
    let port = match authority.as_str().strip_prefix(host) {
        Some("") => kind
            .default_port
            .ok_or_else(|| format!("a port is missing; {EXPECTED}"))?,
        Some(port) => port
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|&port| port != 0)
            .ok_or_else(|| {
                let port = shown(port.trim_start_matches(':'));
                format!("{port} is not a port from 1 to 65535; {EXPECTED}")
            })?,
        None => return Err(EXPECTED.to_owned()),
    };
    Ok(StoreAddress::Tcp {
        host: host.to_owned(),
        port,
    })
}
