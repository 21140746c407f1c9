//! The body of a response as it is sent: at once, or with a pause and perhaps a break in it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// Bytes to send. A complete body determines its `Content-Length`. For any other the sender has set it; if fewer bytes
/// are sent, the connection ends.
pub(super) struct TimedBody {
    first: Bytes,
    pause: Option<Pin<Box<Sleep>>>,
    /// The part after the pause. None for a complete body.
    end: Option<io::Result<Bytes>>,
}

impl TimedBody {
    /// The whole body at once.
    pub fn whole(bytes: Bytes) -> Self {
        Self { first: bytes, pause: None, end: None }
    }

    /// A part, a pause, and the rest.
    pub fn in_parts(first: Bytes, pause: Duration, rest: Bytes) -> Self {
        Self { first, pause: Some(Box::pin(sleep(pause))), end: Some(Ok(rest)) }
    }

    /// A part, a pause, and a reset.
    pub fn reset_after(first: Bytes, pause: Duration) -> Self {
        Self {
            first,
            pause: Some(Box::pin(sleep(pause))),
            end: Some(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl HttpBody for TimedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(self.end.take().map(|end| end.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.end.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.end.is_none() { SizeHint::with_exact(self.first.len() as u64) } else { SizeHint::default() }
    }
}
