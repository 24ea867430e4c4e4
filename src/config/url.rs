//! Checks of `http://HOST:PORT` for stores and collectors, and the removal of credentials from URLs that are shown.

use std::{borrow::Cow, net::Ipv6Addr};

use super::{cut, shown};
use crate::words::escaped;

/// Longest host name, see RFC 1035.
pub(super) const MAX_HOST: usize = 253;

/// How an IPv6 address is written.
const IN_BRACKETS: &str = "expected http://HOST:PORT as in http://[::1]:15441";

/// Refuses a user name, a malformed IPv6 address, and a path, each with its own error.
pub(super) fn require_host_and_port(url: &str) -> Result<(), String> {
    let after_scheme = url.split_once("://").map_or(url, |(_, after)| after);
    let (authority, rest) = match after_scheme.find(['/', '?', '#']) {
        Some(end) => after_scheme.split_at(end),
        None => (after_scheme, ""),
    };
    if authority.contains('@') {
        return Err(
            "a user name and a password cannot be given: expected http://HOST:PORT".to_owned(),
        );
    }
    if !authority.contains('[') && authority.matches(':').count() > 1 {
        return Err(format!(
            "an IPv6 address must be in brackets: {IN_BRACKETS}"
        ));
    }
    if let Some(after_bracket) = authority.strip_prefix('[') {
        require_ipv6(after_bracket)?;
    }
    if !matches!(rest, "" | "/") {
        return Err(
            "a path cannot be given, since gRPC has its own: expected only http://HOST:PORT"
                .to_owned(),
        );
    }
    Ok(())
}

fn require_ipv6(after_bracket: &str) -> Result<(), String> {
    let Some((address, _)) = after_bracket.split_once(']') else {
        return Err(format!("the closing bracket is missing: {IN_BRACKETS}"));
    };
    if let Some(zone) = address.find('%') {
        let zone = escaped(&cut(&address[zone..]));
        return Err(format!("a zone ({zone}) is not supported: {IN_BRACKETS}"));
    }
    match address.parse::<Ipv6Addr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{} is not an IPv6 address: {IN_BRACKETS}",
            shown(address)
        )),
    }
}

/// Removes a user name and password before the host.
pub(super) fn without_credentials(text: &str) -> Cow<'_, str> {
    let begin = text.find("://").map_or(0, |scheme| scheme + 3);
    match text.rfind('@') {
        Some(at) if at > begin && !text.contains("unix:") => {
            Cow::Owned(format!("{}…{}", &text[..begin], &text[at..]))
        }
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{require_host_and_port, without_credentials};

    #[test]
    fn a_trailing_slash_is_not_a_path() {
        for url in ["http://a", "http://a:1/", "http://[::1]:1/", "a:1"] {
            assert_eq!(require_host_and_port(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn the_error_names_what_is_more_than_a_host_and_a_port() {
        for (url, named) in [
            ("http://user@a", "password"),
            ("http://user:p@[::1]:1/x", "password"),
            ("http://::1:15441", "brackets"),
            ("http://[::1", "closing bracket"),
            ("http://[::1%lo]", "a zone (%lo)"),
            ("http://[a]:1", "\"a\" is not an IPv6 address"),
            ("::1", "brackets"),
            ("http://a:1/v1/traces", "path"),
            ("http://a:1?x", "path"),
        ] {
            let why = require_host_and_port(url).expect_err(url);
            assert!(why.contains(named), "{url}: {why}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        for (text, shown) in [
            ("rkt+http://u:p@ss@host:1/x", "rkt+http://…@host:1/x"),
            ("u:p@collector:4317", "…@collector:4317"),
            ("cri+unix:///run/a@b", "cri+unix:///run/a@b"),
            ("rkt+http://host", "rkt+http://host"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }
}
