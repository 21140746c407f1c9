//! The ideal pipeline: what any program must do to bring these pages to disk, and nothing else. It is a measuring stick
//! for `scripts/bench-peers.sh`, no product: it trusts every byte, keeps no records, and gives up at the first surprise.
//!
//! `floor BASE_URL WINDOW OUT IN_FLIGHT TICKER...`
//!
//! Each of `IN_FLIGHT` threads takes the next ticker and follows its pages: fetch on a bare socket, inflate in one go
//! (libdeflate), scan by hand into columns, and as soon as a month is complete encode it (the same columns and
//! encodings as grab's), write, fsync, rename. Every buffer is reused.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use grab_model::Month;
use jiff::civil::Date;
use libdeflater::Decompressor;
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    data_type::{DataType, DoubleType, Int64Type},
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::{parser::parse_message_type, types::ColumnPath},
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SCHEMA: &str = "message bars { required int64 timestamp (TIMESTAMP(MILLIS,true)); required double open; required double high;
    required double low; required double close; required double volume; optional double vwap; optional int64 transactions; }";

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [base_url, window, out, in_flight, tickers @ ..] = arguments.as_slice() else {
        return Err("floor BASE_URL FROM..TO OUT IN_FLIGHT TICKER...".into());
    };
    let next = AtomicUsize::new(0);
    let work = || -> Result<usize> {
        let mut line = Line::new(base_url, window, out)?;
        while let Some(ticker) = tickers.get(next.fetch_add(1, Ordering::Relaxed)) {
            line.bring(ticker)?;
        }
        Ok(line.bars)
    };
    let bars = thread::scope(|scope| {
        let threads: Vec<_> = (0..in_flight.parse()?).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread died")?);
        joined.sum::<Result<usize>>()
    })?;
    Ok(writeln!(io::stdout(), "{bars}")?)
}

/// One thread's connection and buffers.
struct Line {
    host: String,
    from: Date,
    to: Date,
    out: PathBuf,
    stream: BufReader<TcpStream>,
    inflater: Decompressor,
    body: Vec<u8>,
    json: Vec<u8>,
    columns: Columns,
    properties: Arc<WriterProperties>,
    bars: usize,
}

impl Line {
    fn new(base_url: &str, window: &str, out: &str) -> Result<Self> {
        let host = base_url.strip_prefix("http://").ok_or("not http")?.to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        let (from, to) = window.split_once("..").ok_or("not FROM..TO")?;
        Ok(Self {
            host,
            from: from.parse()?,
            to: to.parse()?,
            out: out.into(),
            stream: BufReader::with_capacity(64 << 10, stream),
            inflater: Decompressor::new(),
            body: Vec::new(),
            json: Vec::new(),
            columns: Columns::default(),
            properties: Arc::new(properties()?),
            bars: 0,
        })
    }

    /// Fetches all bars of a ticker.
    fn bring(&mut self, ticker: &str) -> Result<()> {
        let mut month = Month::of(self.from);
        let mut path =
            format!("/v2/aggs/ticker/{ticker}/range/1/minute/{}/{}?limit=50000", self.from, self.to);
        loop {
            self.fetch(&path)?;
            self.inflate()?;
            let tail = scan(&self.json, &mut self.columns).ok_or("a surprise in a page")?;
            let next = next_path(tail, &self.host)?;
            while next.is_none() || self.columns.timestamp.last().is_some_and(|last| *last >= month.end_ms())
            {
                let rows = self.columns.timestamp.partition_point(|t| *t < month.end_ms());
                if rows > 0 {
                    self.keep(ticker, month, rows)?;
                }
                if month == Month::of(self.to) {
                    break;
                }
                month = month.next();
            }
            let Some(next) = next else { return Ok(()) };
            path = next;
        }
    }

    fn fetch(&mut self, path: &str) -> Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\naccept-encoding: gzip\r\n\r\n", self.host);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut header, mut length) = (String::new(), None);
        self.stream.read_line(&mut header)?;
        if !header.starts_with("HTTP/1.1 200") {
            return Err(format!("{path}: {header}").into());
        }
        while header != "\r\n" {
            header.clear();
            self.stream.read_line(&mut header)?;
            if let Some(text) = header.strip_prefix("content-length:") {
                length = Some(text.trim().parse::<usize>()?);
            }
        }
        self.body.resize(length.ok_or("no content-length")?, 0);
        Ok(self.stream.read_exact(&mut self.body)?)
    }

    /// The last four bytes of a gzip body are its length before compression.
    fn inflate(&mut self) -> Result<()> {
        let length = *self.body.last_chunk::<4>().ok_or("no gzip")?;
        self.json.resize(u32::from_le_bytes(length).try_into()?, 0);
        self.inflater.gzip_decompress(&self.body, &mut self.json)?;
        Ok(())
    }

    /// Encodes the first rows, writes them to stable storage, and drops them.
    fn keep(&mut self, ticker: &str, month: Month, rows: usize) -> Result<()> {
        let folder =
            self.out.join(format!("ticker={ticker}/year={}/month={:02}", month.year(), month.number()));
        fs::create_dir_all(&folder)?;
        let bytes = self.columns.encode(rows, &self.properties)?;
        write_durably(&folder.join("bars.parquet"), &bytes)?;
        self.columns.forget(rows);
        self.bars += rows;
        Ok(())
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(fs::rename(unfinished, path)?)
}

/// The path of the next page on this host.
fn next_path(tail: &[u8], host: &str) -> Result<Option<String>> {
    let Some((_, rest)) = std::str::from_utf8(tail)?.split_once(r#""next_url":"http://"#) else {
        return Ok(None);
    };
    let path = rest.strip_prefix(host).and_then(|rest| rest.split('"').next());
    Ok(Some(path.ok_or("next_url leads elsewhere")?.to_owned()))
}

/// Bars as columns: open, high, low, close, volume, vwap in this order.
#[derive(Default)]
struct Columns {
    timestamp: Vec<i64>,
    numbers: [Vec<f64>; 6],
    transactions: Vec<i64>,
}

impl Columns {
    fn encode(&self, rows: usize, properties: &Arc<WriterProperties>) -> Result<Vec<u8>> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::clone(properties))?;
        let mut group = file.next_row_group()?;
        let present = vec![1; rows];
        write_column::<Int64Type>(&mut group, &self.timestamp[..rows], None)?;
        let [required @ .., vwap] = &self.numbers;
        for column in required {
            write_column::<DoubleType>(&mut group, &column[..rows], None)?;
        }
        write_column::<DoubleType>(&mut group, &vwap[..rows], Some(&present))?;
        write_column::<Int64Type>(&mut group, &self.transactions[..rows], Some(&present))?;
        group.close()?;
        Ok(file.into_inner()?)
    }

    fn forget(&mut self, rows: usize) {
        self.timestamp.drain(..rows);
        self.numbers.iter_mut().for_each(|column| drop(column.drain(..rows)));
        self.transactions.drain(..rows);
    }
}

fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    present: Option<&[i16]>,
) -> Result<()> {
    let mut column = group.next_column()?.ok_or("a column too many")?;
    column.typed::<T>().write_batch(values, present, None)?;
    Ok(column.close()?)
}

fn properties() -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::from(name);
    Ok(WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_column_compression(column("transactions"), Compression::UNCOMPRESSED)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::PLAIN)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_column_encoding(column("timestamp"), Encoding::DELTA_BINARY_PACKED)
        .set_column_encoding(column("transactions"), Encoding::DELTA_BINARY_PACKED)
        .build())
}

/// Appends the bars of a page; returns what follows them. None if there is anything unusual in it.
fn scan<'a>(json: &'a [u8], columns: &mut Columns) -> Option<&'a [u8]> {
    const RESULTS: &[u8] = b"\"results\":[";
    let start = json.windows(RESULTS.len()).position(|window| window == RESULTS)? + RESULTS.len();
    let mut rest = json.get(start..)?;
    loop {
        rest = scan_bar(rest, columns)?;
        match rest {
            [b',', after @ ..] => rest = after,
            [b']', after @ ..] => return Some(after),
            _ => return None,
        }
    }
}

/// A bar as the service writes it: all fields, in its order.
fn scan_bar<'a>(json: &'a [u8], columns: &mut Columns) -> Option<&'a [u8]> {
    let (volume, rest) = scan_float(json.strip_prefix(br#"{"v":"#)?)?;
    let (vwap, rest) = scan_float(rest.strip_prefix(br#","vw":"#)?)?;
    let (open, rest) = scan_float(rest.strip_prefix(br#","o":"#)?)?;
    let (close, rest) = scan_float(rest.strip_prefix(br#","c":"#)?)?;
    let (high, rest) = scan_float(rest.strip_prefix(br#","h":"#)?)?;
    let (low, rest) = scan_float(rest.strip_prefix(br#","l":"#)?)?;
    let (timestamp, rest) = scan_digits(rest.strip_prefix(br#","t":"#)?, 0);
    let (transactions, rest) = scan_digits(rest.strip_prefix(br#","n":"#)?, 0);
    columns.timestamp.push(timestamp.cast_signed());
    columns.transactions.push(transactions.cast_signed());
    let numbers = [open, high, low, close, volume, vwap];
    columns.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(number));
    rest.strip_prefix(b"}")
}

/// A number of at most 15 digits: one correctly rounded operation on two exact numbers (Clinger).
#[expect(clippy::cast_precision_loss, reason = "at most 15 digits")]
#[inline]
fn scan_float(json: &[u8]) -> Option<(f64, &[u8])> {
    const TENS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    let (whole, rest) = scan_digits(json, 0);
    let [b'.', rest @ ..] = rest else {
        return (json.len() - rest.len() <= 15).then_some((whole as f64, rest));
    };
    let (mantissa, after) = scan_digits(rest, whole);
    let fraction = rest.len() - after.len();
    if after.starts_with(b"e") {
        let (number, after) = json.split_at(json.iter().position(|byte| *byte == b',')?);
        return Some((std::str::from_utf8(number).ok()?.parse().ok()?, after));
    }
    (json.len() - after.len() <= 16).then(|| (mantissa as f64 / TENS[fraction], after))
}

#[inline]
fn scan_digits(mut json: &[u8], mut mantissa: u64) -> (u64, &[u8]) {
    while let [digit @ b'0'..=b'9', rest @ ..] = json {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        json = rest;
    }
    (mantissa, json)
}
