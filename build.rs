//! Compiles the .proto files without protoc, and records the git revision if there is one.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

fn main() -> Result<(), Box<dyn Error>> {
    let files = protox::compile(protos()?, ["proto"])?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_server(false)
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed=proto");

    let revision = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let version = match revision.as_str() {
        "" => env!("CARGO_PKG_VERSION").to_owned(),
        revision => format!("{} ({revision})", env!("CARGO_PKG_VERSION")),
    };
    // BUILD_, because Cargo sets these for `cargo run` too, and the program refuses EXP_RKT_GRPC_ variables that it does not know.
    println!("cargo::rustc-env=BUILD_REVISION={revision}");
    println!("cargo::rustc-env=BUILD_VERSION={version}");
    // The log of HEAD grows with every commit and checkout. For a path that does not exist, Cargo would rebuild every time.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    Ok(())
}

/// The .proto files, one for each kind of store.
fn protos() -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir("proto")?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "proto"));
    paths.sort();
    Ok(paths)
}

/// What git prints about this checkout; `None` in a source archive, even inside another project's checkout.
fn git(arguments: &[&str]) -> Option<String> {
    if !Path::new(".git").exists() {
        return None;
    }
    let git = Command::new("git").args(arguments).output().ok()?;
    let printed = String::from_utf8(git.stdout).ok()?.trim().to_owned();
    (git.status.success() && !printed.is_empty()).then_some(printed)
}
