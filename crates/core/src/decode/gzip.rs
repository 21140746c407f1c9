//! The gzip compression of the transfer.

use std::{cell::Cell, io::Read};

use flate2::bufread::MultiGzDecoder;
use libdeflater::Decompressor;
use memchr::memmem;

use super::DecodeError;

/// The largest ratio of inflated to deflated length (zlib's `deflate` says 1032).
const MOST_SHRUNK: usize = 1_032;

/// Bytes of the end of a member: its checksum and its length.
const TRAILER: usize = 8;

/// Buffers are multiples of this, so that a page that is a little longer than the one before fits as well.
const MEGABYTE: usize = 1 << 20;

/// A recycled buffer is not larger than this: a page is about 5 MB of JSON.
const KEPT: usize = 8 * MEGABYTE;

thread_local! {
    /// The buffer for the thread's next body: to return megabytes to the system after each page and allocate them again
    /// costs as much as some of the work on them.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Takes a buffer of [`inflate`] back, for this thread's next body.
pub fn recycle(inflated: Vec<u8>) {
    if inflated.capacity() <= KEPT {
        SPARE.set(inflated);
    }
}

/// Inflates a whole gzip body to at most `limit` bytes: a few hundred bytes can claim to be gigabytes.
///
/// # Errors
/// If the stream is damaged, fails its checksum, ends too early, or is longer than `limit`.
pub fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    inflate_at_once(body, limit).map_or_else(|| inflate_stream(body, limit), Ok)
}

/// Inflates one member into a buffer of the length in its trailer, twice as fast as a stream. None if the body is
/// anything else: then the stream finds out what it is.
fn inflate_at_once(body: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (data, trailer) = body.split_last_chunk::<TRAILER>()?;
    let [c0, c1, c2, c3, l0, l1, l2, l3] = *trailer;
    let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    if length > limit.min(body.len().saturating_mul(MOST_SHRUNK)) {
        return None;
    }
    let spare = Some(SPARE.take()).filter(|spare| spare.capacity() >= length);
    let mut inflated = spare.unwrap_or_else(|| Vec::with_capacity(length.next_multiple_of(MEGABYTE)));
    inflated.resize(length, 0);
    let written = Decompressor::new().gzip_decompress(body, &mut inflated).ok()?;
    // libdeflate stops after the first member, and does not return where it ended. If these bytes are nowhere else in
    // the body, the member's trailer is that of the body.
    let is_all = written == length
        && libdeflater::crc32(&inflated) == checksum
        && memmem::find(body, trailer) == Some(data.len());
    is_all.then_some(inflated)
}

fn inflate_stream(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    // Pages of minute bars shrink to a quarter or a fifth.
    let mut inflated = Vec::with_capacity(limit.min(body.len().saturating_mul(5)));
    MultiGzDecoder::new(body).take(bound).read_to_end(&mut inflated).map_err(DecodeError::Gzip)?;
    if inflated.len() > limit { Err(DecodeError::TooLarge { limit }) } else { Ok(inflated) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn whole_or_not_at_all() {
        let body = gzip(b"{\"status\":\"OK\"}");
        assert_eq!(inflate(&body, 100).unwrap(), b"{\"status\":\"OK\"}");
        for cut in [1, 10, body.len() / 2, body.len() - 1] {
            assert!(matches!(inflate(&body[..cut], 100), Err(DecodeError::Gzip(_))), "{cut} bytes");
        }
        let mut flipped = body.clone();
        let checksum = flipped.len() - 5;
        flipped[checksum] ^= 1;
        assert!(matches!(inflate(&flipped, 100), Err(DecodeError::Gzip(_))));
    }

    #[test]
    fn two_members_are_one_body() {
        let body = [gzip(b"{\"status\":"), gzip(b"\"OK\"}")].concat();
        assert_eq!(inflate(&body, 100).unwrap(), b"{\"status\":\"OK\"}");
        let body = [gzip(b"0123456789"), gzip(b"9876543210")].concat();
        assert_eq!(inflate(&body, 100).unwrap(), b"01234567899876543210", "of one length");
        let twice = gzip(b"0123456789").repeat(2);
        assert_eq!(inflate(&twice, 100).unwrap(), b"01234567890123456789", "of one content");
        let mut stuffed = gzip(b"0123456789");
        stuffed.extend_from_within(stuffed.len() - 20..);
        assert!(
            matches!(inflate(&stuffed, 100), Err(DecodeError::Gzip(_))),
            "the same trailer after what is none"
        );
    }

    #[test]
    fn both_ways_inflate_the_same() {
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(inflate(&gzip(b""), 0).unwrap(), b"");
        for length in [1, 18, 1_000, 100_000] {
            let plain: Vec<u8> = (0..length).map(|_| rng.u8(b'0'..=b'9')).collect();
            let body = gzip(&plain);
            assert_eq!(inflate_at_once(&body, length).unwrap(), plain);
            assert_eq!(inflate_stream(&body, length).unwrap(), plain);
            for _ in 0..200 {
                let mut damaged = body.clone();
                let place = rng.usize(..damaged.len());
                damaged[place] ^= 1 << rng.u8(..8);
                // Some bits have no meaning, such as those of the time in the header: then the output must equal the
                // input.
                let inflated = [inflate_at_once(&damaged, length), inflate_stream(&damaged, length).ok()];
                assert!(inflated.iter().flatten().all(|bytes| *bytes == plain), "byte {place} of {length}");
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(matches!(inflate(&bomb, 1_000), Err(DecodeError::TooLarge { limit: 1_000 })));
    }
}
