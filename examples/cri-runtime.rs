//! A stand-in for containerd and CRI-O, to try `exp-rkt-grpc` without either.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lab::cri_runtime::{Images, Method, StandIn};

/// A stand-in for a Kubernetes runtime: serves CRI (ListImages, StreamImages, ImageFsInfo, Version) over cleartext HTTP/2 and
/// prints each call until ctrl-c. Stop it with ctrl-z to simulate a runtime that hangs.
///
/// In one terminal: cargo run --example cri-runtime
///
/// In another:      cargo run -- query --store cri+unix:/tmp/cri-runtime.sock
#[derive(Debug, Parser)]
#[command(name = "cri-runtime")]
struct Options {
    /// The Unix socket to listen on
    #[arg(long, value_name = "PATH", default_value = "/tmp/cri-runtime.sock")]
    socket: PathBuf,

    /// Serve this many generated images of about 200 bytes each
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(..=16_000_000))]
    images: u32,

    /// Do not implement StreamImages, like containerd before 2.4 and CRI-O before 1.36
    #[arg(long)]
    without_stream: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let images = Images::generated(options.images as usize);
    let stand_in = match StandIn::unix(&options.socket, images) {
        Ok(stand_in) => stand_in,
        Err(error) => {
            eprintln!("error: --socket {}: {error}", options.socket.display());
            return ExitCode::FAILURE;
        }
    };
    if options.without_stream {
        stand_in.without(Method::StreamImages);
    }
    println!(
        "serving {} images as --store {}",
        options.images,
        stand_in.url()
    );
    for call in stand_in.follow() {
        println!("{call}");
    }
    ExitCode::SUCCESS
}
