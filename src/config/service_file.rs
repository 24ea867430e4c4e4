//! The service's settings file, for a query of the same stores.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind, Read},
    path::Path,
};

use super::{Environment, environment::OURS, environment_file};

/// `EnvironmentFile=` of the unit.
pub const SERVICE_FILE: &str = "/etc/default/exp-rkt-grpc";

/// Longest file that is read, in bytes.
const MAX_LENGTH: u64 = 1024 * 1024;

/// Prefix of OpenTelemetry's variables.
const TRACES: &str = "OTEL_";

/// Settings that do not affect a query: where the service listens, when it queries, what its page shows, and what it logs.
const NOT_OF_A_QUERY: [&str; 4] = [
    "EXP_RKT_GRPC_LISTEN",
    "EXP_RKT_GRPC_QUERY_AT_START",
    "EXP_RKT_GRPC_TRACE_URL",
    "EXP_RKT_GRPC_LOG",
];

/// Reads the variables that a query uses: stores and deadline, and misspelt names, so that they are refused. OpenTelemetry's
/// variables belong together: if the environment sets one of them, those in the file are ignored.
///
/// # Errors
///
/// When the file cannot be read, is not a regular file, is longer than 1 MiB, or is not UTF-8.
pub(super) fn read(path: &Path, environment: &Environment) -> io::Result<Environment> {
    let takes_traces = !environment.sets_any(TRACES);
    let is_taken = |name: &str| {
        let of_ours =
            name.to_ascii_uppercase().starts_with(OURS) && !NOT_OF_A_QUERY.contains(&name);
        of_ours || takes_traces && name.starts_with(TRACES)
    };
    let variables = environment_file::parse(&text(path)?);
    let taken = variables.into_iter().filter(|(name, _)| is_taken(name));
    Ok(taken
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect())
}

/// Reads regular files only: a FIFO would block, and a device may have no end.
fn text(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        ));
    }
    let mut text = String::new();
    let read = fs::File::open(path)?
        .take(MAX_LENGTH + 1)
        .read_to_string(&mut text)?;
    if read as u64 > MAX_LENGTH {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            "it is longer than 1 MiB",
        ));
    }
    Ok(text)
}
