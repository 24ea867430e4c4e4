//! `--store [NAME=]KIND+URL`.

use super::{cut, shown, url::without_credentials};
use crate::images::{
    StoreConfig, StoreKind,
    kinds::{self, KINDS},
};

mod parameter;
mod url;

pub(super) const EXPECTED: &str = "expected [NAME=]KIND+URL such as rkt+http://127.0.0.1:15441, cri+unix:///run/containerd/containerd.sock or docker=containerd+unix:///run/containerd/containerd.sock?namespace=moby";

/// One entry of a list; `None` for an empty one, such as after a trailing comma.
pub(super) fn parse_entry(text: &str) -> Result<Option<StoreConfig>, String> {
    let text = text.trim();
    (!text.is_empty()).then(|| parse(text)).transpose()
}

/// Parses one store in the form of `--store`.
///
/// # Errors
///
/// When the text is invalid; the error states what is expected.
pub fn parse(text: &str) -> Result<StoreConfig, String> {
    let (name, address) = match text.split_once('=') {
        // An equals sign after the scheme belongs to the URL.
        Some((name, address)) if !name.contains(['+', ':', '/']) => (Some(name), address),
        _ => (None, text),
    };
    let (kind, url) = kind_and_url(address)?;
    let (url, query) = match url.split_once('?') {
        Some((url, query)) => (url, Some(query)),
        None => (url, None),
    };
    Ok(StoreConfig {
        name: name.map_or_else(|| Ok(kind.to_string()), checked_name)?,
        kind,
        address: url::parse(kind, url)?,
        parameter: parameter::parse(kind, query)?,
    })
}

fn kind_and_url(address: &str) -> Result<(&'static StoreKind, &str), String> {
    match address.split_once('+') {
        _ if address.starts_with("unix:") => Ok((kinds::ENDPOINT, address)),
        _ if address.starts_with('/') => {
            let query = address.split_once('?').map(|(_, query)| query);
            let kind = query.and_then(parameter::kind_with);
            let kind = kind.map_or(kinds::ENDPOINT, |(kind, _)| kind);
            Err(format!(
                "the kind of store is missing: expected {kind}+unix://{}",
                cut(address)
            ))
        }
        _ if address.starts_with("http://") => Err(format!(
            "the kind of store is missing: expected rkt+{} for rkt's api-service",
            cut(&without_credentials(address))
        )),
        None => Err(format!("the kind of store is missing; {EXPECTED}")),
        Some((name, url)) => match kinds::named(name) {
            Some(kind) => Ok((kind, url)),
            None => Err(format!(
                "{} is not a kind of store: expected {}",
                shown(name),
                kinds_and_runtimes()
            )),
        },
    }
}

/// All kinds, as in `rkt for rkt's api-service, or cri for containerd`.
fn kinds_and_runtimes() -> String {
    let kinds = KINDS
        .iter()
        .map(|kind| format!("{} for {}", kind.name, kind.runtimes));
    kinds.collect::<Vec<_>>().join(", or ")
}

/// The long help of `--store`.
pub(super) fn help() -> String {
    let kinds = KINDS.iter();
    let kinds = kinds.map(|kind| format!("`{}` ({})", kind.name, kind.runtimes));
    let kinds: Vec<String> = kinds.collect();
    let ports = KINDS.iter().filter_map(|kind| {
        let port = kind.default_port?;
        Some(format!("; {}'s default port is {port}", kind.name))
    });
    let parameters = KINDS.iter().filter_map(|kind| {
        let example = kind.parameter?.example();
        Some(format!(
            " The URL of `{}` ends with a parameter, as in {example}.",
            kind.name
        ))
    });
    format!(
        "An image store to query: [NAME=]KIND+URL; repeatable, or separated by commas\n\n\
        KIND is {}. URL is unix:///PATH (KIND defaults to `{}`) or http://HOST:PORT{}.{} NAME is the value of the metrics' label \
        `store`, defaults to KIND, and must be unique. It may contain letters, digits, `.`, `_` and `-`.",
        kinds.join(" or "),
        kinds::ENDPOINT,
        ports.collect::<String>(),
        parameters.collect::<String>(),
    )
}

fn checked_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !name.is_empty() && name.chars().all(allowed) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "{} is not a valid store name: expected letters, digits, '.', '_' and '-'",
            shown(name)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreConfig, kinds, parse};
    use crate::images::StoreAddress;

    fn tcp(name: &str, host: &str, port: u16) -> StoreConfig {
        StoreConfig {
            name: name.to_owned(),
            kind: kinds::named("rkt").expect("a kind"),
            address: StoreAddress::Tcp {
                host: host.to_owned(),
                port,
            },
            parameter: None,
        }
    }

    #[test]
    fn missing_parts_have_rkts_defaults() {
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
    fn invalid_stores_are_refused() {
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
