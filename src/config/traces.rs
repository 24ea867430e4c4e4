//! OpenTelemetry's variables, as far as they matter here.

use std::{ffi::OsString, net::Ipv6Addr};

use http::Uri;

use super::ConfigError;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const JAEGER_HOST: &str = "OTEL_EXPORTER_JAEGER_AGENT_HOST";
const JAEGER_PORT: &str = "OTEL_EXPORTER_JAEGER_AGENT_PORT";
const OTLP_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// Where finished traces go, and under which name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracesConfig {
    /// `service.name` of the traces, where `OTEL_SERVICE_NAME` gives one.
    pub service_name: Option<String>,
    /// The exporter; `None` switches tracing off.
    pub export: Option<TraceExport>,
}

/// The exporters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceExport {
    /// The Jaeger agent protocol: compact Thrift over UDP.
    Jaeger {
        /// Name or IP address; IPv6 in brackets.
        host: String,
        /// UDP port.
        port: u16,
    },
    /// OTLP over gRPC, without TLS.
    Otlp {
        /// `http://HOST:PORT`.
        endpoint: String,
    },
}

impl TracesConfig {
    pub(super) fn read(
        environment: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigError> {
        let variable = |name: &'static str| -> Result<Option<String>, ConfigError> {
            match environment(name).map(OsString::into_string) {
                Some(Ok(value)) if value.trim().is_empty() => Ok(None),
                Some(Ok(value)) => Ok(Some(value.trim().to_owned())),
                Some(Err(value)) => Err(invalid(name, &value.to_string_lossy(), "expected UTF-8")),
                None => Ok(None),
            }
        };
        let exporter = match variable(DISABLED)? {
            // Every other value means false, as OpenTelemetry has it.
            Some(disabled) if disabled.eq_ignore_ascii_case("true") => Some("none".to_owned()),
            _ => variable(EXPORTER)?,
        };
        let export = match exporter.as_deref() {
            None | Some("jaeger") => Some(TraceExport::Jaeger {
                host: jaeger_host(variable(JAEGER_HOST)?)?,
                port: jaeger_port(variable(JAEGER_PORT)?)?,
            }),
            Some("otlp") => Some(TraceExport::Otlp {
                endpoint: otlp_endpoint(variable(OTLP_ENDPOINT)?)?,
            }),
            Some("none") => None,
            Some(other) => {
                return Err(invalid(EXPORTER, other, "expected jaeger, otlp or none"));
            }
        };
        Ok(Self {
            service_name: variable(SERVICE_NAME)?,
            export,
        })
    }
}

fn jaeger_host(value: Option<String>) -> Result<String, ConfigError> {
    const EXPECTED: &str =
        "expected a host name or an IP address (IPv6 in brackets), without a port";
    let Some(host) = value else {
        return Ok("127.0.0.1".to_owned());
    };
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let plain = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if bracketed || plain {
        Ok(host)
    } else {
        Err(invalid(JAEGER_HOST, &host, EXPECTED))
    }
}

fn jaeger_port(value: Option<String>) -> Result<u16, ConfigError> {
    const DEFAULT: u16 = 6831;
    value.map_or(Ok(DEFAULT), |port| {
        port.parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| invalid(JAEGER_PORT, &port, "expected a port from 1 to 65535"))
    })
}

fn otlp_endpoint(value: Option<String>) -> Result<String, ConfigError> {
    const EXPECTED: &str = "expected http://HOST:PORT; TLS is not offered";
    let endpoint = value.unwrap_or_else(|| "http://localhost:4317".to_owned());
    let usable = endpoint
        .parse::<Uri>()
        .is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some());
    if usable {
        Ok(endpoint)
    } else {
        Err(invalid(OTLP_ENDPOINT, &endpoint, EXPECTED))
    }
}

fn invalid(variable: &str, value: &str, expected: &str) -> ConfigError {
    ConfigError::Invalid {
        variable: variable.to_owned(),
        value: value.to_owned(),
        expected: expected.to_owned(),
    }
}
