//! The flags, their variables, and their texts in `--help`.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;

use super::{
    byte_size, log_filter,
    store::{self, StoreConfig},
};

/// Shortest and longest `--deadline`.
const DEADLINE_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// The part of `--help` that clap cannot know.
const AFTER_HELP: &str = "\
Environment (OpenTelemetry's own variables):
  OTEL_TRACES_EXPORTER             jaeger (default), otlp or none
  OTEL_SDK_DISABLED                true is the same as the exporter none
  OTEL_EXPORTER_JAEGER_AGENT_HOST  where the Jaeger agent listens [default: 127.0.0.1]
  OTEL_EXPORTER_JAEGER_AGENT_PORT  its UDP port for compact Thrift [default: 6831]
  OTEL_EXPORTER_OTLP_ENDPOINT      OTLP over gRPC without TLS [default: http://localhost:4317]
  OTEL_SERVICE_NAME                the traces' service.name [default: exp-rkt-grpc]
  OTEL_RESOURCE_ATTRIBUTES         what else the traces say of the service: KEY=VALUE,...

Signals:
  SIGQUIT                    query the image stores now
  SIGTERM, SIGINT, SIGHUP    stop: answer what was accepted, give a running query 5 s;
                             a second one aborts

Exit status:
  0   asked to stop, and stopped
  1   runtime failure, or aborted by a second signal
  78  configuration refused (EX_CONFIG of sysexits.h)";

/// Counts the images of container image stores when asked by SIGQUIT.
///
/// Serves the numbers as Prometheus metrics on a socket that systemd passes (or on its own), sends each query as one trace to
/// Jaeger or an OpenTelemetry collector, and logs to the journal. Runs until SIGTERM, SIGINT or SIGHUP.
#[derive(Clone, Debug, Parser)]
#[command(name = "exp-rkt-grpc", version = env!("EXP_RKT_GRPC_VERSION"), after_long_help = AFTER_HELP, max_term_width = 100)]
pub struct Options {
    /// An image store to ask: [NAME=]KIND+URL; repeatable, or separated by commas
    ///
    /// KIND is `rkt` (rkt's api-service) or `cri` (containerd, CRI-O and other Kubernetes runtimes). URL is unix:///PATH or
    /// http://HOST:PORT; rkt's port is 15441 when left out. NAME, the value of the metrics' label `store`, is KIND when left
    /// out, and must be unique. Letters, digits, `.`, `_` and `-` are allowed in it.
    #[arg(
        long = "store",
        env = "EXP_RKT_GRPC_STORE",
        value_name = "[NAME=]KIND+URL",
        value_delimiter = ',',
        default_value = "rkt+http://127.0.0.1:15441",
        value_parser = store::parse,
        global = true
    )]
    pub stores: Vec<StoreConfig>,

    /// How long a whole query may take, from connecting to the last byte: 1ms to 24h
    #[arg(
        long,
        env = "EXP_RKT_GRPC_DEADLINE",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse_deadline,
        global = true
    )]
    pub deadline: Duration,

    /// Longest list of images that is read, in bytes or with a unit, such as 64MiB [default: no limit]
    ///
    /// A longer one is a failed query, RESOURCE_EXHAUSTED. The service needs no limit for its own sake: it reads a list of any
    /// length in the same memory.
    #[arg(
        long,
        env = "EXP_RKT_GRPC_MAX_RESPONSE",
        value_name = "BYTES",
        value_parser = byte_size::parse,
        global = true
    )]
    pub max_response: Option<u64>,

    /// Where to serve metrics when systemd passes no socket: IP:PORT
    #[arg(
        long,
        env = "EXP_RKT_GRPC_LISTEN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:33333",
        value_parser = parse_listen
    )]
    pub listen: SocketAddr,

    /// Query once as soon as the service is ready
    #[arg(
        long,
        env = "EXP_RKT_GRPC_QUERY_AT_START",
        action = clap::ArgAction::SetTrue,
        value_parser = parse_switch
    )]
    pub query_at_start: bool,

    /// What to log: off, error, warn, info, debug, trace, or TARGET=LEVEL pairs separated by commas
    ///
    /// A level alone is that of the service itself; libraries then log warnings and errors only.
    #[arg(
        long = "log-level",
        env = "EXP_RKT_GRPC_LOG",
        value_name = "FILTER",
        default_value = "info",
        value_parser = log_filter::parse,
        global = true
    )]
    pub log: Targets,

    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What can be done instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Query the image stores once and print what they answer
    ///
    /// Exits with 0 when every store answered, with 1 when one did not, with 78 when the configuration is refused. Nothing is
    /// logged unless --log-level or its variable is given.
    Query {
        /// A table for people, or JSON for programs
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        output: Output,
    },
}

/// The forms of a query's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line per store.
    Table,
    /// One object.
    Json,
}

fn parse_deadline(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected a duration from 1ms to 24h, such as 60s, 1500ms or 2m";
    let deadline = humantime::parse_duration(text).map_err(|_| EXPECTED.to_owned())?;
    if DEADLINE_RANGE.contains(&deadline) {
        Ok(deadline)
    } else {
        Err(EXPECTED.to_owned())
    }
}

fn parse_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "expected an IP address and a port, such as 127.0.0.1:33333 or [::1]:33333".to_owned()
    })
}
