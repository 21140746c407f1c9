//! The digest of a partition's content, stored in the file itself: so a file can be verified with or without a
//! manifest.

use xxhash_rust::xxh3::Xxh3;

use grab_model::{Bars, DayBar};

/// Returns the XXH3 of `entries`, then of all columns in the order of the file: numbers in little-endian, those that
/// may be absent after a byte for their presence.
pub(super) fn of<'a>(bars: &Bars, entries: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = begun(entries);
    hasher.update(&numbers(bars.timestamps().iter().map(|time| time.to_le_bytes())));
    for column in bars.required() {
        hasher.update(&numbers(column.iter().map(|number| number.to_le_bytes())));
    }
    hasher.update(&optional(bars.vwaps().iter().map(|vwap| vwap.map(f64::to_le_bytes))));
    hasher.update(&optional(bars.transactions().iter().map(|count| count.map(i64::to_le_bytes))));
    hasher.digest()
}

/// Returns the digest for the day bars of many symbols, whose names come first, each with a line feed.
pub(super) fn of_market<'a>(bars: &[DayBar], entries: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    let mut hasher = begun(entries);
    for bar in bars {
        hasher.update(format!("{}\n", bar.symbol).as_bytes());
    }
    for column in 0..5 {
        hasher.update(&numbers(bars.iter().map(|bar| bar.required()[column].to_le_bytes())));
    }
    hasher.update(&optional(bars.iter().map(|bar| bar.vwap.map(f64::to_le_bytes))));
    hasher.update(&optional(bars.iter().map(|bar| bar.transactions.map(i64::to_le_bytes))));
    hasher.digest()
}

/// Returns a hasher that has hashed the file's metadata.
pub(super) fn begun<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> Xxh3 {
    let mut hasher = Xxh3::new();
    for (key, value) in entries {
        hasher.update(format!("{key}={value}\n").as_bytes());
    }
    hasher
}

/// Returns the bytes of numbers, eight each.
pub(super) fn numbers(column: impl Iterator<Item = [u8; 8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 * column.size_hint().0);
    column.for_each(|number| bytes.extend_from_slice(&number));
    bytes
}

fn optional(column: impl Iterator<Item = Option<[u8; 8]>>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 * column.size_hint().0);
    for value in column {
        bytes.push(u8::from(value.is_some()));
        bytes.extend_from_slice(&value.unwrap_or_default());
    }
    bytes
}
