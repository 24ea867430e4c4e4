//! Compiles the service's own .proto files without protoc: servers for the stand-ins, and clients for comparison.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["cri.proto", "rkt.proto"], ["../../proto"])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed=../../proto");
    Ok(())
}
