//! What the tests, examples and benches of `exp-rkt-grpc` share.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`rkt_api_service`] | a stand-in for rkt's api-service that can misbehave on command |
//! | [`jaeger_agent`] | receives what a Jaeger agent would and decodes it, from the Thrift specification |
//! | [`otlp_collector`] | receives traces over OTLP/gRPC, from the official .proto files |
//! | [`protobuf`] | messages by hand, disordered and cut into pieces |
//! | [`exposition`] | reads the Prometheus text format |
//! | [`service`] | starts the real program, signals it, scrapes it, listens to what it tells systemd |

pub mod exposition;
pub mod jaeger_agent;
pub mod otlp_collector;
pub mod protobuf;
pub mod rkt_api_service;
pub mod service;
