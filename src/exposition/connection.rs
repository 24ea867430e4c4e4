//! One connection: HTTP/1.1 over a stream, within its limits.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::yield_now,
    time::sleep,
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

use super::{
    activity::Activity,
    connections::Occupancy,
    pages::{self, Page, Readiness},
    watched::Watched,
};
use crate::{metrics::Metrics, status::Status};

/// How long a client may take to send the head of a request; also how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave an answer unread once the send buffer is full.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum buffer for the head of a request per connection, in bytes.
const MAX_BUFFER: usize = 8 * 1024;

/// An older connection is closed after its next answer, so that no client can hold one forever.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// How long accepted connections may still send a request after the service has begun to stop.
const LINGER: Duration = Duration::from_millis(100);

/// What all connections share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) metrics: Metrics,
    pub(super) status: Status,
    pub(super) occupancy: Arc<Occupancy>,
    pub(super) stopping: CancellationToken,
}

impl Shared {
    /// Serves one connection until either end closes it.
    pub(super) async fn serve<S>(self, stream: S, activity: Arc<Activity>)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let stream = Watched::new(Box::pin(stream), Arc::clone(&activity));
        // hyper makes an answer only when the previous one has been written, so unread answers take the memory of one.
        let service = service_fn(async |request| {
            if activity.is_pipelined() {
                // Serve other connections first.
                yield_now().await;
            }
            Ok::<_, Infallible>(self.answer(&request, &activity))
        });
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_BUFFER)
                // A client may shut down its sending side and still read the answer.
                .half_close(true)
                .serve_connection(TokioIo::new(stream), service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = lingered(&self.stopping) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection broken");
        }
    }

    fn answer(&self, request: &Request<Incoming>, activity: &Activity) -> Response<Page> {
        let readiness = if self.stopping.is_cancelled() {
            Readiness::Stopping
        } else {
            Readiness::Ready
        };
        let (path, mut response) = pages::answer(request, &self.metrics, &self.status, readiness);
        if self.is_last_answer(activity.age()) {
            response
                .headers_mut()
                .insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.metrics.http_request(path, response.status().as_str());
        response
    }

    /// Whether a connection of this age is closed after its next answer.
    fn is_last_answer(&self, age: Duration) -> bool {
        self.stopping.is_cancelled() || self.occupancy.is_scarce() || age >= MAX_AGE
    }
}

/// Resolves shortly after the service has begun to stop.
async fn lingered(stopping: &CancellationToken) {
    stopping.cancelled().await;
    sleep(LINGER).await;
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_util::sync::CancellationToken;

    use super::{Activity, MAX_AGE, Shared};
    use crate::{exposition::connections::Connections, metrics::Metrics, status::Status};

    const REQUEST: &str = "GET /-/ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const LAST: &str = "GET / HTTP/1.0\r\n\r\n";

    fn shared() -> Shared {
        let metrics = Metrics::new("0.0.0", "").expect("they are registered once");
        Shared {
            status: Status::new(metrics.clone()),
            metrics,
            occupancy: Connections::new(4).occupancy(),
            stopping: CancellationToken::new(),
        }
    }

    /// The number of answers made.
    fn answers(metrics: &Metrics) -> usize {
        let text = metrics.text();
        let family = "exp_rkt_grpc_http_requests_total{code=\"200\",path=\"/-/ready\"} ";
        let count = text.lines().find_map(|line| line.strip_prefix(family));
        count.map_or(0, |count| count.parse().expect("it is a number"))
    }

    #[test]
    fn an_old_connection_ends_with_its_next_answer() {
        let shared = shared();
        assert!(!shared.is_last_answer(Duration::ZERO));
        assert!(!shared.is_last_answer(MAX_AGE - Duration::from_nanos(1)));
        assert!(shared.is_last_answer(MAX_AGE));
        shared.stopping.cancel();
        assert!(shared.is_last_answer(Duration::ZERO));
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_is_known_and_the_only_one_made() {
        let shared = shared();
        let metrics = shared.metrics.clone();
        let activity = Arc::new(Activity::begin());
        // Room for two requests, and not for an answer.
        let (mut client, stream) = duplex(2 * REQUEST.len());
        let served = tokio::spawn(shared.serve(stream, Arc::clone(&activity)));
        let (mut reader, mut writer) = tokio::io::split(&mut client);
        let requests = REQUEST.repeat(2);
        let (first, sent) = tokio::join!(reader.read_u8(), writer.write_all(requests.as_bytes()));
        assert_eq!(first.expect("it is answered"), b'H');
        sent.expect("it is open");
        assert_eq!(answers(&metrics), 1);
        assert!(activity.is_answering());
        let mut rest = Vec::new();
        let (read, sent) = tokio::join!(
            reader.read_to_end(&mut rest),
            writer.write_all(LAST.as_bytes())
        );
        read.expect("it is answered");
        sent.expect("it is open");
        served.await.expect("it has ended in order");
        assert_eq!(answers(&metrics), 2);
        assert!(!activity.is_answering());
    }

    #[tokio::test]
    async fn requests_that_come_at_once_leave_other_connections_their_turn() {
        let shared = shared();
        let connection = |shared: Shared| {
            let (client, stream) = duplex(64 * 1024);
            tokio::spawn(shared.serve(stream, Arc::new(Activity::begin())));
            client
        };
        // Their tasks run in this order.
        let mut greedy = connection(shared.clone());
        let mut other = connection(shared.clone());
        let requests = REQUEST.repeat(16);
        greedy.write_all(requests.as_bytes()).await.expect("open");
        other.write_all(LAST.as_bytes()).await.expect("open");
        other.read_u8().await.expect("it is answered");
        assert_eq!(answers(&shared.metrics), 1);
    }
}
