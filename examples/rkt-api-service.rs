//! A stand-in for rkt's api-service, to try `exp-rkt-grpc` without rkt.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use lab::rkt_api_service::{Images, StandIn};

/// A stand-in for rkt's api-service: serves v1alpha.PublicAPI (ListImages, GetInfo) over cleartext HTTP/2 and prints each
/// call until ctrl-c. Stop it with ctrl-z to simulate a store that hangs.
///
/// In one terminal: cargo run --example rkt-api-service
///
/// In another:      cargo run -- --query-at-start, then press ctrl-\ for another query
#[derive(Debug, Parser)]
#[command(name = "rkt-api-service")]
struct Options {
    /// The address to listen on; port 0 selects a free port
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:15441")]
    listen: SocketAddr,

    /// Serve this many generated images of 254 bytes each instead of five sample images
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(..=16_000_000))]
    images: Option<u32>,
}

fn main() -> ExitCode {
    let Options { listen, images } = Options::parse();
    let images = images.map_or_else(Images::samples, |count| Images::generated(count as usize));
    let totals = images.totals();
    let stand_in = match StandIn::tcp_at(listen, images) {
        Ok(stand_in) => stand_in,
        Err(error) => {
            eprintln!("error: --listen {listen}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "serving {} images of {} bytes as --store {}",
        totals.count,
        totals.size_bytes,
        stand_in.url()
    );
    for call in stand_in.follow() {
        println!("{call}");
    }
    ExitCode::SUCCESS
}
