//! Prometheus 3 scrapes a Unix socket, as the packaged configuration tells it to.

use std::fs;

use lab::documents::root;
use lab::prometheus::{Prometheus, Release};
use lab::rkt_api_service::{Images, StandIn};
use lab::service::Activation;
use lab::tempdir;

/// The socket of `systemd/examples/unix-socket.conf`.
const SOCKET: &str = "/run/exp-rkt-grpc/metrics.sock";

#[test]
fn prometheus_3_scrapes_the_unix_socket_of_the_packaged_configuration() {
    let Some(release) = Release::v3() else {
        return;
    };
    let stand_in = StandIn::tcp(Images::generated(17));
    let folder = tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("metrics.sock");
    let service = super::builder(&stand_in)
        .activation(Activation::unix(&socket))
        .spawn();
    let packaged = root().join("packaging/prometheus/scrape-unix-socket.yml");
    let packaged = fs::read_to_string(packaged).expect("it is text");
    assert!(packaged.contains(&format!("__unix_socket__: {SOCKET}\n")));
    let configuration = folder.path().join("scrape-unix-socket.yml");
    let moved = packaged.replace(SOCKET, &socket.display().to_string());
    fs::write(&configuration, moved).expect("a fresh folder can be written");
    let prometheus = Prometheus::builder(release)
        .scrape_config_file(&configuration)
        .start();
    // The first scrape starts the service.
    prometheus.wait_for("up{job='exp-rkt-grpc',instance='node1.example.com'}", "1");
    assert!(service.query().contains("17 images"));
    prometheus.wait_for("imagestore_images{instance='node1.example.com'}", "17");
}
