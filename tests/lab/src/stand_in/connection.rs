//! Accepts connections and reads calls.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;
use tonic::Status;

use super::Behaviour;
use super::Protocol;
use super::call::Call;
use super::listen::{Listener, Stream};
use super::response::{ResponseBody, respond};
use super::shared::Shared;

/// Pause after a failed accept, for example because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections forever.
pub(super) async fn accept<P: Protocol>(listener: Listener, shared: Arc<Shared<P>>) {
    let listener = listener
        .accepting()
        .expect("a nonblocking listener can join a runtime");
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

/// An open connection; counted as open until it is dropped.
pub(super) struct Connection<P: Protocol> {
    pub(super) shared: Arc<Shared<P>>,
    /// Closes the connection at once when notified.
    pub(super) cut: Notify,
    ordinal: usize,
}

impl<P: Protocol> Connection<P> {
    fn opened(shared: &Arc<Shared<P>>) -> Self {
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
            Behaviour::Speak(language) => {
                let _client_gone = language.serve(&mut *stream).await;
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
        let request = read_request::<P>(head.uri.path(), encoding, &body.unwrap_or_default())
            .and_then(|request| P::with_metadata(request, &head.headers));
        let call = Call {
            path: head.uri.path().to_owned(),
            authority: head.uri.authority().map(ToString::to_string),
            headers: head.headers,
            request: request.clone(),
            at: Instant::now(),
            connection: self.ordinal,
        };
        // Subscribe before the call becomes visible, so that a release after that ends its hang, and an earlier release does not.
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

impl<P: Protocol> Drop for Connection<P> {
    fn drop(&mut self) {
        self.shared.change(|state| state.open -= 1);
    }
}

/// The request message, or the status with which a real server refuses a malformed request.
fn read_request<P: Protocol>(
    path: &str,
    encoding: Option<&str>,
    body: &[u8],
) -> Result<P::Request, Status> {
    let method = P::method(path);
    let method = method.ok_or_else(|| Status::unimplemented(format!("unknown method {path}")))?;
    match body.split_first_chunk::<5>() {
        Some(([0, length @ ..], message))
            if u32::from_be_bytes(*length) as usize == message.len() =>
        {
            P::decode(method, message).map_err(|error| Status::unknown(error.to_string()))
        }
        Some(([1, ..], _)) => Err(Status::unimplemented(format!(
            "Decompressor is not installed for grpc-encoding {:?}",
            encoding.unwrap_or("")
        ))),
        _ => Err(Status::internal(
            "the request is not one whole gRPC message",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rkt_api_service::Rkt;
    use tonic::Code;

    /// A stand-in that is more lenient than a real server would hide faults of a client.
    #[test]
    fn a_request_that_a_real_server_refuses_is_refused() {
        const LIST: &str = "/v1alpha.PublicAPI/ListImages";
        for (path, body, code) in [
            (LIST, &b"\0\0\0\0\0"[..], Code::Ok),
            (
                "/v1alpha.PublicAPI/ListPods",
                b"\0\0\0\0\0",
                Code::Unimplemented,
            ),
            (
                "/runtime.v1.ImageService/ListImages",
                b"\0\0\0\0\0",
                Code::Unimplemented,
            ),
            (LIST, b"\x01\0\0\0\0", Code::Unimplemented),
            (LIST, b"\0\0\0\0\x01\x0f", Code::Unknown),
            (LIST, b"\0\0\0\0\0\0", Code::Internal),
            (LIST, b"\0\0", Code::Internal),
            (LIST, b"", Code::Internal),
        ] {
            let read = read_request::<Rkt>(path, None, body);
            let read = read.map_or_else(|status| status.code(), |_| Code::Ok);
            assert_eq!(read, code, "{path} {body:?}");
        }
    }
}
