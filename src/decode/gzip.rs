//! The transfer's compression.

use std::io::Read;

use flate2::bufread::MultiGzDecoder;

use super::DecodeError;

/// Inflates a whole gzip body to at most `limit` bytes: a few hundred bytes can claim to be gigabytes.
///
/// # Errors
/// If the stream is damaged, fails its checksum, ends too early, or is longer than `limit`.
pub fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
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
    fn a_bomb_is_stopped_at_the_bound() {
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(matches!(inflate(&bomb, 1_000), Err(DecodeError::TooLarge { limit: 1_000 })));
    }
}
