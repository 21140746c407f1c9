//! Faults of the transfer.

use std::{io, time::Duration};

use bytes::Bytes;
use clap::ValueEnum;
use hyper::{Response, header, header::HeaderValue};
use tokio::time::sleep;

use super::PickedFault;
use crate::{seed::RandomDraws, timed_body::TimedBody};

/// What happens to a response during its transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum WireFault {
    /// The connection is reset before the response
    Reset,
    /// The connection is reset in the middle of the body
    ResetInBody,
    /// The connection ends cleanly in the middle of the body
    EarlyEnd,
    /// Silence before the response, which then comes
    Stall,
    /// Silence in the middle of the body, which then goes on
    StallInBody,
    /// The body, compressed or not, lacks its end, and Content-Length knows of it
    Truncated,
    /// Content-Length says more than comes, and silence follows
    WrongLength,
}

/// The time between the first half of a broken body and the break: the client reads it, as a reset overtakes data.
const BREATH: Duration = Duration::from_millis(20);

impl PickedFault<WireFault> {
    /// Sends a response with its fault.
    ///
    /// # Errors
    /// If the connection is to be reset, with that kind of error; as with that of the body.
    pub async fn send(&self, packed: Response<Vec<u8>>, stall: Duration) -> io::Result<Response<TimedBody>> {
        let (mut head, bytes) = packed.into_parts();
        let (bytes, mut draws) = (Bytes::from(bytes), self.seed.draws());
        let at = cut(&bytes, &mut draws);
        let announce = |length: usize| (header::CONTENT_LENGTH, HeaderValue::from(length));
        let body = match self.kind {
            WireFault::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            WireFault::Stall => {
                sleep(stall).await;
                TimedBody::whole(bytes)
            }
            WireFault::ResetInBody => {
                head.headers.extend([announce(bytes.len())]);
                TimedBody::reset_after(bytes.slice(..at), BREATH)
            }
            WireFault::EarlyEnd => {
                head.headers.extend([announce(bytes.len())]);
                TimedBody::in_parts(bytes.slice(..at), BREATH, Bytes::new())
            }
            WireFault::StallInBody => {
                head.headers.extend([announce(bytes.len())]);
                TimedBody::in_parts(bytes.slice(..at), stall, bytes.slice(at..))
            }
            WireFault::Truncated => TimedBody::whole(bytes.slice(..at)),
            WireFault::WrongLength => {
                head.headers.extend([announce(bytes.len() + draws.pick([1, 2, 1_000]))]);
                TimedBody::in_parts(bytes, stall, Bytes::new())
            }
        };
        Ok(Response::from_parts(head, body))
    }
}

/// A position in the body, neither at its beginning nor at its end.
fn cut(bytes: &Bytes, draws: &mut RandomDraws) -> usize {
    bytes.len() / 10 + draws.below((bytes.len() * 8 / 10).max(1))
}
