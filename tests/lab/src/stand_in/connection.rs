//! Accepts connections and reads calls.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

use super::Behaviour;
use super::Protocol;
use super::call::{Call, Refusal};
use super::listen::{Listener, Stream};
use super::response::{ResponseBody, Status, respond};
use super::shared::Shared;

/// How long accepting pauses after it failed, for example because no file descriptor was left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts connections without end.
pub(super) async fn accept<P: Protocol>(listener: Listener, shared: Arc<Shared<P>>) {
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
pub(super) struct Connection<P: Protocol> {
    pub(super) shared: Arc<Shared<P>>,
    /// Told to close the connection at once.
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
                let _client_gone = language.converse(&mut *stream).await;
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
        let request = read_request::<P>(head.uri.path(), encoding, &body.unwrap_or_default());
        let call = Call {
            path: head.uri.path().to_owned(),
            authority: head.uri.authority().map(ToString::to_string),
            headers: head.headers,
            request: request.clone().unwrap_or_else(P::Request::from),
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

impl<P: Protocol> Drop for Connection<P> {
    fn drop(&mut self) {
        self.shared.change(|state| state.open -= 1);
    }
}

/// The request message, or how a real server answers what is none.
fn read_request<P: Protocol>(
    path: &str,
    encoding: Option<&str>,
    body: &Bytes,
) -> Result<P::Request, Refusal> {
    let refused = |code, message: String| Err(Refusal { code, message });
    let Some(method) = P::method(path) else {
        return Err(unknown_method::<P>(path));
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
            return refused(Status::UNIMPLEMENTED, text);
        }
        _ => {
            return refused(
                Status::INTERNAL,
                "the request is no whole gRPC message".into(),
            );
        }
    };
    P::decode(method, message).or_else(|error| refused(Status::UNKNOWN, error.to_string()))
}

fn unknown_method<P: Protocol>(path: &str) -> Refusal {
    let (code, message) = match path.trim_start_matches('/').split_once('/') {
        Some((service, method)) if P::SERVICES.contains(&service) => {
            (Status::UNIMPLEMENTED, P::unknown_method(service, method))
        }
        Some((service, _)) => (Status::UNIMPLEMENTED, format!("unknown service {service}")),
        None => (
            Status::INVALID_ARGUMENT,
            format!("malformed method name: {path:?}"),
        ),
    };
    Refusal { code, message }
}
