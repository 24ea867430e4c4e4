//! `OTEL_EXPORTER_OTLP_…`, which `OTEL_EXPORTER_OTLP_TRACES_…` overrides.
//!
//! See <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>.

use std::{ops::RangeInclusive, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{
    ConfigError, Environment,
    attributes::{self, Pair},
    invalid, truth,
    variables::{OTLP, OTLP_TRACES},
};
use crate::{
    config::url::{self, MAX_HOST},
    telemetry::OtlpConfig,
};

/// The port of OTLP over gRPC.
const PORT: u16 = 4317;

/// Shortest and longest `OTEL_EXPORTER_OTLP_TIMEOUT`, in milliseconds.
const TIMEOUT_RANGE: RangeInclusive<u64> = 1..=600_000;

pub(super) fn read(
    environment: &Environment,
    decided_by: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<OtlpConfig, ConfigError> {
    require_only(environment, "PROTOCOL", "grpc")?;
    require_only(environment, "COMPRESSION", "none")?;
    let insecure = truth(environment, &effective(environment, "INSECURE"), warnings)?;
    let scheme = if insecure {
        Scheme::Implied
    } else {
        Scheme::Required
    };
    let variable = effective(environment, "ENDPOINT");
    let endpoint = match environment.text(&variable)? {
        Some(endpoint) => {
            let parsed = endpoint_of(&endpoint, scheme);
            let endpoint = parsed.map_err(|expected| invalid(&variable, &endpoint, &expected))?;
            decided_by.push(variable);
            endpoint
        }
        None => format!("http://localhost:{PORT}"),
    };
    if decided_by.is_empty() {
        // Another variable of OTLP has selected this exporter.
        let others = super::names().filter(|name| name.starts_with(OTLP));
        decided_by.extend(others.filter(|name| environment.is_set(name)));
    }
    Ok(OtlpConfig {
        endpoint,
        headers: headers(environment)?,
        timeout: timeout(environment)?,
    })
}

/// The variable that applies: the one for traces if it is set, otherwise the general one.
fn effective(environment: &Environment, option: &str) -> String {
    let of_traces = format!("{OTLP_TRACES}{option}");
    if environment.is_set(&of_traces) {
        of_traces
    } else {
        format!("{OTLP}{option}")
    }
}

/// Refuses every value but `only`.
fn require_only(environment: &Environment, option: &str, only: &str) -> Result<(), ConfigError> {
    let name = effective(environment, option);
    match environment.text(&name)? {
        Some(value) if value != only => {
            let expected = format!("expected {only}; nothing else is supported");
            Err(invalid(&name, &value, &expected))
        }
        _ => Ok(()),
    }
}

/// Whether an endpoint has to begin with `http://`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Required,
    /// Optional, because `OTEL_EXPORTER_OTLP_INSECURE` is true.
    Implied,
}

/// The endpoint as `http://HOST:PORT`; the error states what is expected.
fn endpoint_of(text: &str, scheme: Scheme) -> Result<String, String> {
    const EXPECTED: &str = "expected http://HOST:PORT";
    let with_scheme = if scheme == Scheme::Implied && !text.contains("://") {
        format!("http://{text}")
    } else {
        text.to_owned()
    };
    url::require_host_and_port(&with_scheme)?;
    let uri: Uri = with_scheme.parse().map_err(|_| EXPECTED.to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err(format!("{EXPECTED}; TLS is not supported"));
    }
    let authority = uri.authority().ok_or(EXPECTED)?;
    let host = authority.host();
    if host.is_empty() || host.len() > MAX_HOST {
        return Err(EXPECTED.to_owned());
    }
    let port = match authority.as_str().strip_prefix(host) {
        Some("") => PORT,
        port => port
            .and_then(|port| port.strip_prefix(':')?.parse().ok())
            .filter(|&port| port != 0)
            .ok_or_else(|| format!("{EXPECTED} with a port from 1 to 65535, or none for {PORT}"))?,
    };
    Ok(format!("http://{host}:{port}"))
}

fn timeout(environment: &Environment) -> Result<Duration, ConfigError> {
    const DEFAULT: Duration = Duration::from_secs(10);
    let name = effective(environment, "TIMEOUT");
    environment.text(&name)?.map_or(Ok(DEFAULT), |text| {
        text.parse()
            .ok()
            .filter(|milliseconds| TIMEOUT_RANGE.contains(milliseconds))
            .map(Duration::from_millis)
            .ok_or_else(|| invalid(&name, &text, "expected milliseconds from 1 to 600000"))
    })
}

/// Errors never show the values, which may hold keys.
fn headers(environment: &Environment) -> Result<HeaderMap, ConfigError> {
    let name = effective(environment, "HEADERS");
    let text = environment.text(&name)?.unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (index, pair) in attributes::pairs(&text).enumerate() {
        let header = pair.ok().and_then(header);
        let Some((key, value)) = header else {
            return Err(ConfigError::Secret {
                variable: name,
                expected: format!(
                    "expected KEY=VALUE,... with percent-encoded values, and no header that gRPC reserves; entry {} is invalid",
                    index + 1
                ),
            });
        };
        headers.append(key, value);
    }
    Ok(headers)
}

fn header(Pair { key, value }: Pair) -> Option<(HeaderName, HeaderValue)> {
    /// Headers that HTTP/2 and gRPC set themselves.
    const RESERVED: [&str; 9] = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let key: HeaderName = key.parse().ok()?;
    let is_reserved = RESERVED.contains(&key.as_str())
        || key.as_str().starts_with("grpc-")
        || key.as_str().ends_with("-bin");
    let is_ascii = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let mut value: HeaderValue = value.parse().ok()?;
    value.set_sensitive(true);
    (!is_reserved && is_ascii).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::{Scheme, endpoint_of};

    #[test]
    fn an_endpoint_without_a_port_has_that_of_otlp_over_grpc() {
        for (text, endpoint) in [
            ("http://collector", "http://collector:4317"),
            ("http://collector/", "http://collector:4317"),
            ("HTTP://[::1]", "http://[::1]:4317"),
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318"),
        ] {
            assert_eq!(endpoint_of(text, Scheme::Required), Ok(endpoint.to_owned()));
        }
    }

    #[test]
    fn an_endpoint_without_a_scheme_requires_insecure() {
        for text in ["collector", "collector:4317"] {
            assert!(endpoint_of(text, Scheme::Required).is_err(), "{text}");
            assert_eq!(
                endpoint_of(text, Scheme::Implied),
                Ok("http://collector:4317".to_owned())
            );
        }
    }

    #[test]
    fn an_endpoint_that_is_more_than_a_host_and_a_port_is_refused() {
        for text in [
            "https://collector",
            "http://",
            "http://:4317",
            "http://collector:",
            "http://collector:0",
            "http://collector:65536",
            "http://user@collector",
            "http://collector/v1/traces",
            "http://collector?x",
            "unix:///run/collector",
        ] {
            assert!(endpoint_of(text, Scheme::Required).is_err(), "{text}");
            assert!(endpoint_of(text, Scheme::Implied).is_err(), "{text}");
        }
    }
}
