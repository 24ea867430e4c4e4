//! A stand-in for containerd and CRI-O, to try `exp-rkt-grpc` without either.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use lab::cri_runtime::{Behaviour, Images, Listen, Method, StandIn};

/// A stand-in for a Kubernetes runtime: serves CRI (ListImages, StreamImages, ImageFsInfo, Version) over cleartext
/// HTTP/2, and misbehaves when told to.
///
/// In one terminal: cargo run --example cri-runtime
///
/// In another:      cargo run -- query --store cri+unix:/tmp/cri-runtime.sock
#[derive(Debug, Parser)]
#[command(name = "cri-runtime", after_help = format!("How it can behave (--behave):\n{}", Behaviour::help()))]
struct Options {
    /// Where to listen: unix:/path or ADDRESS:PORT (port 0: any free one)
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "unix:/tmp/cri-runtime.sock"
    )]
    listen: Listen,

    /// Serve so many made-up images of about 200 bytes each
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = clap::value_parser!(u32).range(..=16_000_000))]
    images: u32,

    /// Images in a message of StreamImages
    #[arg(long, value_name = "COUNT", default_value = "3000", value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,

    /// Do not have StreamImages, as containerd before 2.4 and CRI-O before 1.36
    #[arg(long)]
    without_stream: bool,

    /// How to behave: one of the kinds below
    #[arg(
        long,
        value_name = "KIND",
        default_value = "answer",
        hide_possible_values = true
    )]
    behave: Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(options: &Options) -> Result<(), Box<dyn Error>> {
    let (listen, behaviour) = (&options.listen, &options.behave);
    let stand_in = StandIn::at(listen, Images::generated(options.images as usize))
        .map_err(|error| format!("--listen {listen}: {error}"))?;
    stand_in.serve_batches_of(options.batch as usize);
    stand_in.behave(behaviour.clone());
    if options.without_stream {
        stand_in.without(Method::StreamImages);
    }
    println!("{} images; to each call: {behaviour}", options.images);
    println!("serving as --store {}; ctrl-c ends", stand_in.url());

    let calls = stand_in.follow();
    let lines = std::thread::spawn(move || calls.iter().for_each(|call| println!("{call}")));
    tokio::signal::ctrl_c().await?;
    stand_in.stop();
    lines.join().map_err(|_| "printing the calls failed".into())
}
