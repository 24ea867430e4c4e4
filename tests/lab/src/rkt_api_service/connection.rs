//! Accepts connections and reads calls.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokio::sync::Notify;

use super::Behaviour;
use super::call::{Call, Method, Request};
use super::listen::{Listener, Stream};
use super::response::{ResponseBody, Status, respond};
use super::shared::Shared;
use super::v1alpha::ListImagesRequest;

/// How long accepting pauses after it failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections without end.
pub(super) async fn accept(listener: Listener, shared: Arc<Shared>) {
    let listener = listener
        .accepting()
        .expect("a nonblocking listener joins a runtime");
    loop {
        match listener.accept().await {
            Ok(stream) => {
                let connection = Connection::opened(&shared);
                tokio::spawn(connection.serve(stream));
            }
            Err(error) => {
                eprintln!("accepting a connection failed: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// An open connection; counted as such until it is dropped.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    /// Told to close the connection at once.
    pub(super) cut: Notify,
    ordinal: usize,
}

impl Connection {
    fn opened(shared: &Arc<Shared>) -> Self {
        let ordinal = shared.change(|state| {
            state.accepted += 1;
            state.open += 1;
            state.accepted
        });
        Self {
            shared: Arc::clone(shared),
            cut: Notify::new(),
            ordinal,
        }
    }

    async fn serve(self, mut stream: Box<dyn Stream>) {
        let behaviour = self.shared.lock().behaviour.clone();
        match behaviour {
            Behaviour::Refuse => {}
            Behaviour::Silent => {
                let _bytes_or_error = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            }
            _ => Arc::new(self).serve_http(stream).await,
        }
    }

    async fn serve_http(self: Arc<Self>, stream: Box<dyn Stream>) {
        let calls = Arc::clone(&self);
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .auto_date_header(false)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |request| Arc::clone(&calls).call(request)),
            );
        tokio::select! {
            _ended = serving => {}
            () = self.cut.notified() => {}
        }
    }

    async fn call(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<http::Response<ResponseBody>, Infallible> {
        let (head, body) = request.into_parts();
        let encoding = head
            .headers
            .get("grpc-encoding")
            .and_then(|value| value.to_str().ok());
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        let request = read_request(head.uri.path(), encoding, &body.unwrap_or_default());
        let call = Call {
            path: head.uri.path().to_owned(),
            authority: head.uri.authority().map(ToString::to_string),
            headers: head.headers,
            request: request.clone(),
            at: Instant::now(),
            connection: self.ordinal,
        };
        // Before the call is seen: what hangs now is let go by the next release, not by an earlier one.
        let releases = self.shared.releases.subscribe();
        let behaviour = self.shared.change(|state| {
            let behaviour = call
                .method()
                .and_then(|method| state.by_method.get(&method));
            let behaviour = behaviour.unwrap_or(&state.behaviour).clone();
            state
                .followers
                .retain(|follower| follower.send(call.clone()).is_ok());
            state.calls.push(call);
            behaviour
        });
        Ok(respond(self, behaviour, request, releases).await)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.change(|state| state.open -= 1);
    }
}

/// The request message, or how rkt answers what is none.
fn read_request(path: &str, encoding: Option<&str>, body: &Bytes) -> Request {
    let Some(method) = Method::of(path) else {
        return unknown_method(path);
    };
    let message = match body.split_first_chunk::<5>() {
        Some(([0, length @ ..], message))
            if u32::from_be_bytes(*length) as usize == message.len() =>
        {
            message
        }
        Some(([1, ..], _)) => {
            let text = format!(
                "Decompressor is not installed for grpc-encoding {:?}",
                encoding.unwrap_or("")
            );
            return Request::Refused(Status::UNIMPLEMENTED, text);
        }
        _ => {
            return Request::Refused(
                Status::INTERNAL,
                "the request is no whole gRPC message".into(),
            );
        }
    };
    match method {
        Method::GetInfo => Request::GetInfo,
        Method::ListImages => match ListImagesRequest::decode(message) {
            Ok(request) => Request::ListImages(request),
            Err(error) => Request::Refused(Status::UNKNOWN, error.to_string()),
        },
    }
}

fn unknown_method(path: &str) -> Request {
    match path.trim_start_matches('/').split_once('/') {
        Some(("v1alpha.PublicAPI", method)) => {
            Request::Refused(Status::UNIMPLEMENTED, format!("unknown method {method}"))
        }
        Some((service, _)) => {
            Request::Refused(Status::UNIMPLEMENTED, format!("unknown service {service}"))
        }
        None => Request::Refused(
            Status::INVALID_ARGUMENT,
            format!("malformed method name: {path:?}"),
        ),
    }
}
