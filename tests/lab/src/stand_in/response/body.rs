//! Response bodies: sends frames until the body ends or the client goes away.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::Status;

use super::{released, status_fields};
use crate::stand_in::Protocol;
use crate::stand_in::behaviour::Behaviour;
use crate::stand_in::connection::Connection;
use crate::stand_in::listing::{BLOCK, Listing};
use crate::stand_in::message::{Compressed, Messages};

/// Time for sent data to leave before its stream or connection is broken, which would drop queued data.
const SETTLE: Duration = Duration::from_millis(20);

/// Number of DATA frames of a dribbled response between two pauses.
const DRIBBLE_BURST: u64 = 32;

const DRIBBLE_PAUSE: Duration = Duration::from_millis(1);

/// A response's body.
pub(in crate::stand_in) enum ResponseBody {
    /// No frames: the headers end the stream.
    Empty,
    /// One chunk.
    Whole(Option<Bytes>),
    /// The frames that [`Frames`] sends.
    Frames(mpsc::Receiver<Part>),
}

impl Body for ResponseBody {
    type Data = Bytes;
    /// Its reason becomes the error code of RST_STREAM.
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(page) => Poll::Ready(page.take().map(|page| Ok(Frame::data(page)))),
            Self::Frames(receiver) => loop {
                match ready!(receiver.poll_recv(context)) {
                    Some(Part::Frame(frame)) => return Poll::Ready(Some(Ok(frame))),
                    Some(Part::Reset(reason)) => return Poll::Ready(Some(Err(reason.into()))),
                    Some(Part::Wanted(wanted)) => drop(wanted.send(())),
                    None => return Poll::Ready(None),
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty | Self::Whole(None))
    }
}

/// The client has ended the call, or its connection.
pub(super) struct ClientGone;

pub(super) type Sent = Result<(), ClientGone>;

/// A part of a body.
pub(in crate::stand_in) enum Part {
    Frame(Frame<Bytes>),
    Reset(h2::Reason),
    /// Nothing to send; notifies the sender when the server polls the body for it.
    Wanted(oneshot::Sender<()>),
}

/// The sending side of a body. Sending waits until the client can receive.
pub(super) struct Frames {
    pub(super) sender: mpsc::Sender<Part>,
    pub(super) releases: watch::Receiver<u64>,
}

impl Frames {
    /// Sends `messages` according to `behaviour`.
    pub(super) async fn send_body<P: Protocol>(
        mut self,
        connection: &Connection<P>,
        behaviour: Behaviour,
        mut messages: Messages,
    ) -> Sent {
        match behaviour {
            Behaviour::HangInBody => {
                self.half_of(&mut messages).await?;
                self.released().await?;
                self.rest_of(messages).await?;
                self.trailers(&Status::ok("")).await
            }
            Behaviour::FailAfterBody(status) | Behaviour::FailAfter(_, status) => {
                self.rest_of(messages).await?;
                self.trailers(&status).await
            }
            Behaviour::CutOff => {
                self.half_of(&mut messages).await?;
                self.settle().await?;
                connection.cut.notify_one();
                // The stream must not end before the connection does.
                self.sender.closed().await;
                Ok(())
            }
            Behaviour::Reset(reason) => {
                self.half_of(&mut messages).await?;
                self.settle().await?;
                self.send(Part::Reset(reason)).await
            }
            Behaviour::Flood => self.flood::<P>().await,
            Behaviour::WithoutTrailers => self.rest_of(messages).await,
            Behaviour::Trailers(fields) => {
                self.rest_of(messages).await?;
                self.send(Part::Frame(Frame::trailers(fields))).await
            }
            Behaviour::Dribble { chunk } => {
                self.dribble(messages, chunk).await?;
                self.trailers(&Status::ok("")).await
            }
            _ => {
                self.rest_of(messages).await?;
                self.trailers(&Status::ok("")).await
            }
        }
    }

    async fn send(&self, part: Part) -> Sent {
        self.sender.send(part).await.map_err(|_| ClientGone)
    }

    async fn data(&self, bytes: Bytes) -> Sent {
        self.send(Part::Frame(Frame::data(bytes))).await
    }

    async fn trailers(&self, status: &Status) -> Sent {
        self.send(Part::Frame(Frame::trailers(status_fields(status))))
            .await
    }

    async fn half_of(&self, messages: &mut Messages) -> Sent {
        let half = messages.remaining() / 2;
        // Send the last byte separately. It is accepted only when the client's window had room for everything before it, so
        // `settle`, which waits for that, waits for the client.
        self.part_of(messages, half.saturating_sub(1)).await?;
        self.part_of(messages, half.min(1)).await
    }

    async fn part_of(&self, messages: &mut Messages, mut length: u64) -> Sent {
        while length > 0
            && let Some(bytes) = messages.take(length)
        {
            length -= bytes.len() as u64;
            self.data(bytes).await?;
        }
        Ok(())
    }

    async fn rest_of(&self, mut messages: Messages) -> Sent {
        while let Some(bytes) = messages.take(u64::MAX) {
            self.data(bytes).await?;
        }
        Ok(())
    }

    /// Sends bursts of frames with pauses, because clients treat too many small frames as an attack. (In h2, a frame of less than
    /// 256 bytes costs up to 255 bytes, and unread frames may cost at most half of the connection's window.)
    async fn dribble(&self, mut messages: Messages, chunk: usize) -> Sent {
        for sent in 1_u64.. {
            let Some(bytes) = messages.take(chunk as u64) else {
                break;
            };
            self.data(bytes).await?;
            if sent % DRIBBLE_BURST == 0 {
                tokio::time::sleep(DRIBBLE_PAUSE).await;
            }
        }
        Ok(())
    }

    /// Sends messages of nearly the maximum length, one after another, each with complete images.
    async fn flood<P: Protocol>(&self) -> Sent {
        let block = P::generated(BLOCK / 256)
            .blocks
            .flatten()
            .collect::<Vec<_>>();
        let times = u32::MAX as usize / block.len();
        loop {
            let listings = vec![Listing::repeated(&block, times)];
            self.rest_of(Messages::frame(Compressed::No, listings))
                .await?;
        }
    }

    /// Waits until the client's window has room for everything sent so far, and then for [`SETTLE`].
    async fn settle(&self) -> Sent {
        let (wanted, more_is_wanted) = oneshot::channel();
        self.send(Part::Wanted(wanted)).await?;
        more_is_wanted.await.map_err(|_| ClientGone)?;
        tokio::time::sleep(SETTLE).await;
        Ok(())
    }

    async fn released(&mut self) -> Sent {
        tokio::select! {
            () = released(&mut self.releases) => Ok(()),
            () = self.sender.closed() => Err(ClientGone),
        }
    }
}
