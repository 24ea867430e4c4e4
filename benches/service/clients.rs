//! The other clients of the store. Each is a separate process that makes one query for every line on its standard input, on a new
//! connection, like the service.

use std::{
    env,
    future::poll_fn,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use http_body_util::BodyExt;
use lab::rkt_api_service::v1alpha::{ListImagesRequest, ListImagesResponse};
use tonic::{
    body::Body,
    client::Grpc,
    codegen::http::{Request, uri::PathAndQuery},
    transport::{Channel, Endpoint},
};
use tower_service::Service;

use crate::{peers::Peers, usage::Usage};

/// First argument that makes this program a client.
pub(crate) const ROLE: &str = "--client";

const METHOD: &str = "/v1alpha.PublicAPI/ListImages";

/// An empty message in gRPC framing: no filter, no detail.
const REQUEST: &[u8] = &[0; 5];

/// How a client reads the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Receives the bytes over the same kind of channel as the service and discards them: the lower bound.
    Drain,
    /// Like a generated client: decodes the whole message into a struct for each image.
    Full,
    /// grpcio from PyPI; only counts the images.
    Python,
}

/// A running client; dropping it kills it.
pub(crate) struct Client {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    /// `None` for the Python client if Python or grpcio is missing.
    pub(crate) fn start(reading: Reading, peers: &Peers, url: &str) -> Option<Self> {
        let mut command = match reading {
            Reading::Drain | Reading::Full => {
                let program = env::current_exe().expect("this program has a path");
                let mut command = Command::new(program);
                let name = if reading == Reading::Drain {
                    "drain"
                } else {
                    "full"
                };
                command.args([ROLE, name, url]);
                command
            }
            Reading::Python => {
                let folder = env!("CARGO_MANIFEST_DIR");
                let mut command = Command::new(peers.python.as_ref()?);
                command
                    .arg(format!("{folder}/service/client.py"))
                    .arg(format!("{folder}/../proto"))
                    .arg(url);
                command
            }
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a client starts");
        Some(Self {
            requests: child.stdin.take().expect("stdin is piped"),
            answers: BufReader::new(child.stdout.take().expect("stdout is piped")),
            child,
        })
    }

    /// Queries the store and returns how long the query took. Panics if the store does not list `images` images.
    pub(crate) fn query(&mut self, images: u64) -> Duration {
        writeln!(self.requests).expect("the client runs");
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("the client answers");
        let mut numbers = line.split_whitespace().map(|word| word.parse::<u64>());
        let (Some(Ok(nanoseconds)), Some(Ok(counted))) = (numbers.next(), numbers.next()) else {
            panic!("unexpected output of the client: {line:?}");
        };
        // The bare drain always reports 0 images.
        assert!(counted == images || counted == 0, "{counted} images");
        Duration::from_nanos(nanoseconds)
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage(self.child.id())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs as a client: answers every line with the duration in nanoseconds and the number of images.
pub(crate) fn serve(reading: &str, url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs a few descriptors");
    let endpoint = Endpoint::from_shared(url.to_owned()).expect("the bench passes a URL");
    for line in io::stdin().lines() {
        line.expect("the bench writes text");
        let began = Instant::now();
        let images = runtime.block_on(async {
            let channel = endpoint.connect().await.expect("the store listens");
            match reading {
                "drain" => drain(channel).await,
                _ => decode(channel).await,
            }
        });
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{} {images}", began.elapsed().as_nanos()).expect("the bench reads");
    }
}

async fn drain(mut channel: Channel) -> u64 {
    poll_fn(|context| channel.poll_ready(context))
        .await
        .expect("the connection is open");
    let request = Request::post(METHOD)
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(Body::new(http_body_util::Full::new(REQUEST.into())))
        .expect("the request is well-formed");
    let response = channel.call(request).await.expect("the store responds");
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        frame.expect("the response is complete");
    }
    0
}

async fn decode(channel: Channel) -> u64 {
    let mut client = Grpc::new(channel).max_decoding_message_size(usize::MAX);
    client.ready().await.expect("the connection is open");
    let codec = tonic_prost::ProstCodec::<ListImagesRequest, ListImagesResponse>::default();
    let request = tonic::Request::new(ListImagesRequest::default());
    let response = client
        .unary(request, PathAndQuery::from_static(METHOD), codec)
        .await
        .expect("the store responds");
    let images = response.into_inner().images;
    let size: i64 = images.iter().map(|image| image.size).sum();
    let newest = images.iter().map(|image| image.import_timestamp).max();
    std::hint::black_box((size, newest));
    images.len() as u64
}
