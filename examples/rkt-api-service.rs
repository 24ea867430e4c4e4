//! A stand-in for rkt's api-service, to try `exp-rkt-grpc` without rkt.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use lab::rkt_api_service::{Behaviour, Images, Listen, StandIn};

/// A stand-in for rkt's api-service: serves v1alpha.PublicAPI (ListImages, GetInfo) over cleartext HTTP/2,
/// and misbehaves when told to.
///
/// In one terminal: cargo run --example rkt-api-service
///
/// In another:      cargo run -- --query-at-start, then press ctrl-\ to ask again
#[derive(Debug, Parser)]
#[command(name = "rkt-api-service", after_help = format!("How it can behave (--behave):\n{}", Behaviour::help()))]
struct Options {
    /// Where to listen: ADDRESS:PORT (port 0: any free one) or unix:/path
    #[arg(long, value_name = "WHERE", default_value = "127.0.0.1:15441")]
    listen: Listen,

    /// Serve so many made-up images of 254 bytes each, instead of manifests
    #[arg(long, value_name = "COUNT", conflicts_with = "manifests", value_parser = clap::value_parser!(u32).range(..=16_000_000))]
    images: Option<u32>,

    /// Serve the image manifests (ACI, OCI) of this directory, read anew at each call [default: examples/manifests]
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,

    /// How to behave: one of the kinds below
    #[arg(
        long,
        value_name = "KIND",
        default_value = "answer",
        hide_possible_values = true
    )]
    behave: Behaviour,
}

impl Options {
    fn images(&self) -> Images {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/manifests");
        match self.images {
            Some(count) => Images::generated(count as usize),
            None => Images::Manifests(self.manifests.clone().unwrap_or_else(|| samples.into())),
        }
    }
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
    let (listen, behaviour, images) = (&options.listen, &options.behave, options.images());
    if let Images::Manifests(directory) = &images {
        let readable = std::fs::read_dir(directory);
        readable.map_err(|error| format!("--manifests {}: {error}", directory.display()))?;
    }
    let totals = images.totals();
    let stand_in =
        StandIn::at(listen, images).map_err(|error| format!("--listen {listen}: {error}"))?;
    stand_in.behave(behaviour.clone());
    println!(
        "{} images, {} bytes; to each call: {behaviour}",
        totals.count, totals.size_bytes
    );
    println!("serving as --store {}; ctrl-c ends", stand_in.url());

    let calls = stand_in.follow();
    let lines = std::thread::spawn(move || calls.iter().for_each(|call| println!("{call}")));
    tokio::signal::ctrl_c().await?;
    stand_in.stop();
    lines.join().map_err(|_| "printing the calls failed".into())
}
