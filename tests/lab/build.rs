//! Compiles .proto files without protoc: the service's own, with servers for the stand-ins and clients for comparison, and that of the tests,
//! which has a package of the same name and therefore a folder of its own.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "containerd-containers.proto",
        "containerd-images.proto",
        "containerd-namespaces.proto",
        "containerd-version.proto",
        "cri.proto",
        "rkt.proto",
    ];
    let files = protox::compile(protos, ["../../proto"])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed=../../proto");

    let folder = Path::new(&env::var("OUT_DIR")?).join("tests");
    fs::create_dir_all(&folder)?;
    let files = protox::compile(["pods.proto"], ["proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .out_dir(folder)
        .compile_fds(files)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
