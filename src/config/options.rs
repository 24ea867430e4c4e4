//! The flags, their variables, and their texts in `--help`.

use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

use clap::{Parser, Subcommand, ValueEnum};
use tracing_subscriber::filter::Targets;

use super::{log_filter, store, traces::VARIABLES};
use crate::{images::StoreConfig, status::TraceUrl};

/// Shortest and longest `--deadline`.
const DEADLINE_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);

/// Widest line of `--help`, in columns.
const WIDTH: usize = 100;

/// The end of [`after_help`].
const AFTER_ENVIRONMENT: &str = "\
Signals:
  SIGQUIT                    query the image stores now
  SIGTERM, SIGINT, SIGHUP    stop: answer what was accepted, give a running query 5 s;
                             a second signal aborts
  Each of the four interrupts the command query.

Exit status:
  0   stopped by a signal; of query: every store answered
  1   runtime failure, or aborted by a second signal; of query: a store did not answer,
      it was interrupted, or its result could not be printed
  78  configuration refused (EX_CONFIG of sysexits.h)
  101 a bug: a panic that ended the service";

/// The part of `--help` that clap cannot generate.
fn after_help() -> String {
    let mut text = String::from("Environment (OpenTelemetry's own variables):\n");
    for variable in VARIABLES {
        let line = format!("  {:<33}{}", variable.name, variable.help);
        let default = match variable.default {
            "" => String::new(),
            default => format!("[default: {default}]"),
        };
        if line.len() + 1 + default.len() <= WIDTH {
            text.push_str(format!("{line} {default}").trim_end());
        } else {
            text.push_str(&format!("{line}\n{:<35}{default}", ""));
        }
        text.push('\n');
    }
    text.push_str(
        "  Each OTEL_EXPORTER_OTLP_ variable can be set for traces alone, as OTEL_EXPORTER_OTLP_TRACES_...,\n  \
        which wins.\n\n",
    );
    text + AFTER_ENVIRONMENT
}

/// Counts the images of container image stores when sent SIGQUIT.
///
/// Serves the numbers as Prometheus metrics on a socket that systemd passes (or on its own), sends each query as one trace to
/// Jaeger or an OpenTelemetry collector, and logs to the journal. Runs until SIGTERM, SIGINT or SIGHUP.
///
/// To try it at a shell, query a store once:
///
/// exp-rkt-grpc query --store cri+unix:///run/containerd/containerd.sock
#[derive(Clone, Debug, Parser)]
#[command(name = "exp-rkt-grpc", version = env!("BUILD_VERSION"), after_long_help = after_help(), max_term_width = WIDTH)]
pub struct Options {
    /// An image store to query: [NAME=]KIND+URL; repeatable, or separated by commas
    #[arg(
        long = "store",
        env = "EXP_RKT_GRPC_STORE",
        value_name = "[NAME=]KIND+URL",
        value_delimiter = ',',
        default_value = "rkt+http://127.0.0.1:15441",
        value_parser = store::parse_entry,
        long_help = store::help(),
        global = true
    )]
    pub(super) entries: Vec<Option<StoreConfig>>,

    /// How long a whole query may take, from connecting to the last byte: 1ms to 24h
    #[arg(
        long,
        env = "EXP_RKT_GRPC_DEADLINE",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = parse_deadline,
        allow_hyphen_values = true,
        global = true
    )]
    pub deadline: Duration,

    /// Removed. It is not refused, so that an upgrade does not stop the service.
    #[arg(long, env = "EXP_RKT_GRPC_MAX_RESPONSE", hide = true, global = true)]
    max_response: Option<String>,

    /// Where to serve metrics when systemd passes no socket: IP:PORT
    ///
    /// If systemd passes a socket, this has no effect: the address is then set in exp-rkt-grpc.socket. If systemd starts the
    /// service without passing a socket, there is no default: this flag is required.
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

    /// Link trace ids on the status page to this URL, such as http://127.0.0.1:16686/trace/{trace_id}
    #[arg(long, env = "EXP_RKT_GRPC_TRACE_URL", value_name = "URL")]
    pub trace_url: Option<TraceUrl>,

    /// What to log: off, error, warn, info, debug, trace, or TARGET=LEVEL pairs separated by commas
    ///
    /// A level alone applies to the service itself; libraries then log only warnings and errors.
    #[arg(
        long = "log-level",
        env = "EXP_RKT_GRPC_LOG",
        value_name = "FILTER",
        default_value = "info",
        value_parser = log_filter::parse,
        global = true
    )]
    pub log: Targets,

    /// A command to run instead of the service.
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Options {
    /// A warning about a removed flag, if it is given.
    pub(super) fn removed(&self) -> Option<String> {
        self.max_response.as_ref()?;
        Some("--max-response (EXP_RKT_GRPC_MAX_RESPONSE) was removed and has no effect: a list of any length is read in constant memory".to_owned())
    }
}

/// Commands that run instead of the service.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Query the image stores once and print what they answer
    ///
    /// Without --store or its variable it queries the stores in /etc/default/exp-rkt-grpc, and names them on standard error.
    /// The variables OTEL_* apply. Exits with 0 if every store answered; with 1 if a store did not, if it was interrupted, or if
    /// its result could not be printed; with 78 if the configuration is refused. Nothing is logged unless --log-level or its
    /// variable is given.
    Query {
        /// A table for people, or JSON for programs
        #[arg(long, value_name = "FORMAT", default_value = "table")]
        output: Output,
    },
}

/// Output formats of `query`.
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
    const EXPECTED: &str =
        "expected an IP address and a port, such as 127.0.0.1:33333 or [::1]:33333";
    text.parse().map_err(|_| {
        if !text.contains(['[', '/']) && text.matches(':').count() > 1 {
            format!("an IPv6 address must be in brackets; {EXPECTED}")
        } else {
            EXPECTED.to_owned()
        }
    })
}
