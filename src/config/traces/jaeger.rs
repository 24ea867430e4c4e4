//! Where the Jaeger agent listens: `OTEL_EXPORTER_JAEGER_AGENT_HOST` and `OTEL_EXPORTER_JAEGER_AGENT_PORT`.

use std::net::Ipv6Addr;

use super::{
    ConfigError, Environment, invalid,
    variables::{JAEGER_HOST, JAEGER_PORT},
};
use crate::{config::url::MAX_HOST, telemetry::TraceExport};

pub(super) fn read(
    environment: &Environment,
    decided_by: &mut Vec<String>,
) -> Result<TraceExport, ConfigError> {
    let names = [JAEGER_HOST, JAEGER_PORT];
    let set = names.into_iter().filter(|name| environment.is_set(name));
    decided_by.extend(set.map(str::to_owned));
    Ok(TraceExport::Jaeger {
        host: host(environment.text(JAEGER_HOST)?)?,
        port: port(environment.text(JAEGER_PORT)?)?,
    })
}

fn host(value: Option<String>) -> Result<String, ConfigError> {
    const EXPECTED: &str =
        "expected a host name or an IP address (IPv6 in brackets), without a port";
    let Some(host) = value else {
        return Ok("127.0.0.1".to_owned());
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let plain = host.len() <= MAX_HOST
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if bracketed || plain {
        Ok(host)
    } else {
        Err(invalid(JAEGER_HOST, &host, EXPECTED))
    }
}

fn port(value: Option<String>) -> Result<u16, ConfigError> {
    const DEFAULT: u16 = 6831;
    value.map_or(Ok(DEFAULT), |port| {
        port.parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| invalid(JAEGER_PORT, &port, "expected a port from 1 to 65535"))
    })
}
