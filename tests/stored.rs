//! The metadata of a stored file, for readers that know nothing about grab.

use std::{
    collections::BTreeMap,
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use grab_model::Bar;
use jiff::{Timestamp, civil::date};
use parquet::{
    basic::Compression,
    file::{
        reader::{FileReader, SerializedFileReader},
        statistics::Statistics,
    },
};

use crate::support::{Grab, Reply, Server, minutes, page, read_store};

/// Ten bars of a day; some lack the optional columns.
fn bars() -> Vec<Bar> {
    let mut bars = minutes(date(2024, 1, 3), 10);
    bars[4].vwap = None;
    bars[7].transactions = None;
    bars
}

/// A store with two days of one month, of which one was fetched at `first` and the other at `last`.
fn fetched_twice(first: &str, last: &str) -> Grab {
    let server = Server::start(|request| {
        let bars = if request.from() == "2024-01-03" { bars() } else { minutes(date(2024, 1, 4), 5) };
        Reply::json(200, page(request.symbol(), &bars, None))
    });
    let grab = Grab::with_server(server.base_url());
    for (now, windows) in [(first, "2024-01-03"), (last, "2024-01-04")] {
        let start = format!("start --windows {windows} --tickers KIMpL");
        grab.run_with("GRAB_NOW", now, &start).exits(0);
    }
    grab
}

fn open(grab: &Grab) -> SerializedFileReader<File> {
    let path = Path::new("bars_1m/ticker=KIM%70L/year=2024/month=01/bars.parquet");
    SerializedFileReader::new(File::open(grab.data_dir().join(path)).unwrap()).unwrap()
}

fn metadata(file: &SerializedFileReader<File>) -> BTreeMap<String, String> {
    let entries = file.metadata().file_metadata().key_value_metadata().unwrap();
    entries.iter().map(|entry| (entry.key.clone(), entry.value.clone().unwrap())).collect()
}

#[test]
fn a_file_says_what_it_holds_and_where_and_when_it_came_from() {
    let (first, last) = ("2024-01-05T12:00:00Z", "2024-02-05T12:00:00Z");
    let file = open(&fetched_twice(first, last));
    let mut said = metadata(&file);
    // The pretended clock advances while the program runs.
    for (key, at) in [("grab.fetched_first_ms", first), ("grab.fetched_last_ms", last)] {
        let late = said.remove(key).unwrap().parse::<i64>().unwrap()
            - at.parse::<Timestamp>().unwrap().as_millisecond();
        assert!((0..60_000).contains(&late), "{key} is {late} ms late");
    }
    let digest = said.remove("grab.digest").unwrap();
    assert!(digest.len() == 16 && u64::from_str_radix(&digest, 16).is_ok(), "{digest}");
    let expected = [
        ("grab.adjusted", "false"),
        ("grab.month", "2024-01"),
        ("grab.schema_version", "1"),
        ("grab.source", "127.0.0.1"),
        ("grab.ticker", "KIMpL"),
        ("grab.version", env!("CARGO_PKG_VERSION")),
        // The third and the fourth.
        ("grab.whole_days", "12"),
    ];
    assert_eq!(said, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let created_by = file.metadata().file_metadata().created_by().unwrap();
    assert_eq!(created_by, concat!("grab version ", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_digest_is_made_as_the_document_says_which_names_every_key() {
    let grab = fetched_twice("2024-02-01T12:00:00Z", "2024-02-01T12:00:00Z");
    let file = open(&grab);
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/store.md")).unwrap();
    let mut said = Vec::new();
    for entry in file.metadata().file_metadata().key_value_metadata().unwrap() {
        assert!(document.contains(&format!("`{}`", entry.key)), "{}", entry.key);
        if entry.key != "grab.digest" {
            said.extend(format!("{}={}\n", entry.key, entry.value.as_ref().unwrap()).bytes());
        }
    }
    let stored = &read_store(&grab.data_dir())["KIMpL"];
    let mut column = |value: &dyn Fn(&Bar) -> Vec<u8>| said.extend(stored.iter().flat_map(value));
    let optional = |value: Option<[u8; 8]>| value.map_or(vec![0; 9], |bytes| [&[1], &bytes[..]].concat());
    column(&|bar| bar.timestamp.to_le_bytes().to_vec());
    let prices = |bar: &Bar| [bar.open, bar.high, bar.low, bar.close, bar.volume];
    for number in 0..5 {
        column(&|bar| prices(bar)[number].to_le_bytes().to_vec());
    }
    column(&|bar| optional(bar.vwap.map(f64::to_le_bytes)));
    column(&|bar| optional(bar.transactions.map(i64::to_le_bytes)));
    let digest = xxhash_rust::xxh3::xxh3_64(&said);
    assert_eq!(metadata(&file)["grab.digest"], format!("{digest:016x}"));
}

#[test]
fn the_sandbox_and_adjusted_prices_can_be_told_from_the_file() {
    let grab = Grab::of_sandbox();
    grab.run("start --sandbox --adjusted --windows 2024-01-03 --tickers KIMpL").exits(0);
    let said = metadata(&open(&grab));
    assert_eq!((said["grab.source"].as_str(), said["grab.adjusted"].as_str()), ("sandbox", "true"));
}

/// The first page ends within January, the second at its end, the third has nothing.
#[test]
fn a_month_that_a_page_has_cut_is_compressed_when_the_rest_of_it_is_there() {
    let days = [3, 4].map(|day| minutes(date(2024, 1, day), 5));
    let is_ill = Arc::new(AtomicBool::new(false));
    let illness = Arc::clone(&is_ill);
    let server = Server::start(move |request| {
        let next = |page| format!("http://{}/next?cursor={page}", request.header("host").unwrap());
        let (bars, next): (&[Bar], _) = match request.target.rsplit_once("cursor=") {
            None => (&days[0], Some(next(2))),
            Some((_, "2")) => (&days[1], Some(next(3))),
            Some(_) if illness.swap(false, Ordering::Relaxed) => return Reply::json(500, "{}"),
            Some(_) => (&[], None),
        };
        Reply::json(200, page("KIMpL", bars, next.as_deref()))
    });
    let start = "start --windows 2024-01 --tickers KIMpL";
    let is_passing = |grab: &Grab| {
        let file = open(grab);
        let columns = file.metadata().row_group(0).columns().iter();
        let is_zstd = columns.map(|column| matches!(column.compression(), Compression::ZSTD(_)));
        let lifetime = metadata(&file).remove("grab.lifetime");
        assert_eq!(is_zstd.clone().any(|is| is), lifetime.is_none(), "{lifetime:?}");
        lifetime.as_deref() == Some("passing")
    };

    let grab = Grab::with_server(server.base_url());
    grab.run(start).exits(0);
    assert!(!is_passing(&grab));

    for (requests, bars) in [(1, 5), (2, 10)] {
        let grab = Grab::with_server(server.base_url());
        grab.run(&format!("{start} --max-requests {requests}")).exits(10);
        assert!(is_passing(&grab));
        assert_eq!(read_store(&grab.data_dir())["KIMpL"].len(), bars);
        assert_eq!(grab.run("verify --deep --json").json()["damage"], 0);
        grab.run("resume").exits(0);
        assert!(!is_passing(&grab));
        assert_eq!(grab.run("verify --deep --json").json()["damage"], 0);
        assert_eq!(read_store(&grab.data_dir())["KIMpL"].len(), 10);
    }

    // The task is parked before its last page: the month is not in memory meanwhile.
    is_ill.store(true, Ordering::Relaxed);
    let grab = Grab::with_server(server.base_url());
    grab.run(start).exits(0);
    assert!(!is_ill.load(Ordering::Relaxed) && !is_passing(&grab));
}

#[test]
fn the_columns_are_those_of_the_contract_in_their_order() {
    let file = open(&fetched_twice("2024-02-01T12:00:00Z", "2024-02-01T12:00:00Z"));
    let mut text = Vec::new();
    parquet::schema::printer::print_schema(&mut text, file.metadata().file_metadata().schema());
    let columns: Vec<_> =
        String::from_utf8(text).unwrap().lines().map(|line| line.trim().to_owned()).collect();
    let expected = [
        "message bars {",
        "REQUIRED INT64 timestamp (TIMESTAMP(MILLIS,true));",
        "REQUIRED DOUBLE open;",
        "REQUIRED DOUBLE high;",
        "REQUIRED DOUBLE low;",
        "REQUIRED DOUBLE close;",
        "REQUIRED DOUBLE volume;",
        "OPTIONAL DOUBLE vwap;",
        "OPTIONAL INT64 transactions;",
        "}",
    ];
    assert_eq!(columns, expected);
}

#[test]
fn engines_find_the_span_of_a_file_the_order_of_its_rows_and_their_nulls_without_reading_them() {
    let file = open(&fetched_twice("2024-02-01T12:00:00Z", "2024-02-01T12:00:00Z"));
    assert_eq!((file.num_row_groups(), file.metadata().file_metadata().num_rows()), (1, 15));
    let group = file.metadata().row_group(0);
    let Some(Statistics::Int64(timestamps)) = group.column(0).statistics() else { panic!("no statistics") };
    let (first, last) = (bars()[0].timestamp, minutes(date(2024, 1, 4), 5)[4].timestamp);
    assert_eq!((timestamps.min_opt(), timestamps.max_opt()), (Some(&first), Some(&last)));
    assert!(timestamps.min_is_exact() && timestamps.max_is_exact());
    let nulls = |column: usize| group.column(column).statistics().unwrap().null_count_opt();
    assert_eq!([0, 1, 5, 6, 7].map(nulls), [Some(0), Some(0), Some(0), Some(1), Some(1)]);
    let order = group.sorting_columns().unwrap();
    assert_eq!(order.iter().map(|by| (by.column_idx, by.descending)).collect::<Vec<_>>(), [(0, false)]);
    let [zstd @ .., counts] = group.columns() else { panic!("no columns") };
    assert!(zstd.iter().all(|column| matches!(column.compression(), Compression::ZSTD(_))));
    assert_eq!(counts.compression(), Compression::UNCOMPRESSED);
}
