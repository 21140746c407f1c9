//! The form of every Parquet file that grab writes: what older programs must know to read it. `scripts/readers.sh` runs them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use jiff::civil::date;

use crate::support::{
    Grab, Reply, Request, Server, Thrift, bars_of, footer, market_page, minutes, page, read_store,
};

/// Encodings and compressions by the numbers of the format.
const PLAIN: i64 = 0;
const RLE: i64 = 3;
const DELTA_BINARY_PACKED: i64 = 5;
const BYTE_STREAM_SPLIT: i64 = 9;
const UNCOMPRESSED: i64 = 0;
const ZSTD: i64 = 6;

/// Bars on three days in pages of sixty, a market's day, lists with splits and a rename.
fn answer(request: &Request) -> Reply {
    let target = request.target.as_str();
    if let Some(day) = request.market_day() {
        return Reply::json(200, market_page(day, &[("A", 7.5), ("KIMpL", 3.0)]));
    }
    if target.starts_with("/stocks/v1/splits") {
        let split = r#"{"ticker":"A","execution_date":"2024-01-04","split_from":1,"split_to":1.5}"#;
        return Reply::json(200, format!(r#"{{"status":"OK","results":[{split}]}}"#));
    }
    if target.starts_with("/vX/") {
        let events = r#"[{"date":"2012-01-03","type":"ticker_change","ticker_change":{"ticker":"OLD"}}]"#;
        return Reply::json(
            200,
            format!(r#"{{"status":"OK","results":{{"name":"A Inc.","events":{events}}}}}"#),
        );
    }
    if target.starts_with("/v3/reference/tickers?") {
        let is_active = target.contains("active=true");
        let row = if is_active { r#"{"ticker":"A","active":true,"type":"CS"}"# } else { "" };
        return Reply::json(200, format!(r#"{{"status":"OK","results":[{row}]}}"#));
    }
    let bars = bars_of(&[date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 4)]);
    let begin = target.split("cursor=").nth(1).map_or(0, |begin| begin.parse().unwrap());
    let end = bars.len().min(begin + 60);
    let host = request.header("host").unwrap();
    let symbol = request.symbol();
    let next = format!("http://{host}/v2/aggs/ticker/{symbol}/range/1/minute/0/0?cursor={end}");
    Reply::json(200, page(symbol, &bars[begin..end], (end < bars.len()).then_some(&next)))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}

/// Every kind of file: final and interim bars, days of the market, tables, exports.
fn every_kind(grab: &Grab) -> Vec<PathBuf> {
    grab.run("start --windows 2024-01 --tickers KIMpL --rate none").exits(0);
    grab.run("start --windows 2024-01 --tickers A --concurrency 1 --max-requests 1").exits(10);
    grab.run("universe sync --renames").exits(0);
    grab.run("verify --witness grouped-daily").exits(13);
    grab.run("export --out exported").exits(0);
    let mut found = Vec::new();
    files(&grab.data_dir(), &mut found);
    files(&grab.dir().join("exported"), &mut found);
    let kinds: BTreeSet<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let all = ["A.parquet", "KIM%70L.parquet", "bars.parquet", "market.parquet", "renames.parquet"];
    assert!(
        all.into_iter().chain(["splits.parquet", "tickers.parquet"]).all(|kind| kinds.contains(kind)),
        "{kinds:?}"
    );
    found
}

/// The columns of a file: name, encodings, compression.
fn columns(metadata: &Thrift) -> Vec<(String, BTreeSet<i64>, i64)> {
    let chunks = metadata.list(4).iter().flat_map(|group| group.list(1));
    chunks
        .map(|chunk| {
            let column = chunk.field(3).unwrap();
            let Thrift::Bytes(name) = &column.list(3)[0] else { panic!("{column:?}") };
            let encodings = column.list(2).iter().map(Thrift::number).collect();
            let name = String::from_utf8(name.clone()).unwrap();
            (name, encodings, column.field(4).unwrap().number())
        })
        .collect()
}

#[test]
fn every_column_of_every_file_has_the_order_of_its_type() {
    for parquet in ["compatible", "compact"] {
        let server = Server::start(answer);
        let grab = Grab::with_server(server.base_url()).env("GRAB_PARQUET", parquet);
        for path in every_kind(&grab) {
            let metadata = footer(&path);
            // `ColumnOrder` is a union whose only old member is 1, TYPE_ORDER; Polars before 2, DataFusion before 51
            // and Daft 0.4 cannot read a footer with another one.
            let orders = metadata.list(7);
            // The first element of the schema is the table itself.
            assert_eq!(orders.len(), metadata.list(2).len() - 1, "{}", path.display());
            for order in orders {
                assert_eq!(order.ids(), [1], "{}: {order:?}", path.display());
            }
        }
    }
}

#[test]
fn by_default_no_file_has_an_encoding_that_people_cannot_read() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    for path in every_kind(&grab) {
        for (name, encodings, compression) in columns(&footer(&path)) {
            let known = BTreeSet::from([PLAIN, RLE, DELTA_BINARY_PACKED]);
            assert!(encodings.is_subset(&known), "{} {name}: {encodings:?}", path.display());
            assert!([UNCOMPRESSED, ZSTD].contains(&compression), "{} {name}", path.display());
        }
    }
}

fn volume_encodings(grab: &Grab) -> BTreeSet<i64> {
    let path = grab.data_dir().join("bars_1m/ticker=KIM%70L/year=2024/month=01/bars.parquet");
    let columns = columns(&footer(&path));
    columns.into_iter().find(|(name, ..)| name == "volume").unwrap().1
}

#[test]
fn compact_files_are_for_whoever_asks_for_them() {
    let server = Server::start(answer);
    let spec = "windows = [\"2024-01\"]\nparquet = \"compact\"\nuniverse.tickers = [\"KIMpL\"]\n";
    let start = "start --windows 2024-01 --tickers KIMpL";
    let (with_spec, flag) = ("start --spec spec.toml", "--parquet compact");
    let cases = [
        (start.to_owned(), None, "", PLAIN),
        (format!("{start} {flag}"), Some("compatible"), "", BYTE_STREAM_SPLIT),
        (start.to_owned(), Some("compact"), "", BYTE_STREAM_SPLIT),
        (start.to_owned(), None, "parquet = \"compact\"\n", BYTE_STREAM_SPLIT),
        (with_spec.to_owned(), None, "parquet = \"compatible\"\n", BYTE_STREAM_SPLIT),
        (with_spec.to_owned(), Some("compatible"), "", PLAIN),
        (format!("{with_spec} --parquet compatible"), Some("compact"), "", PLAIN),
    ];
    let mut stores = Vec::new();
    for (arguments, variable, config, expected) in cases {
        let mut grab = Grab::with_server(server.base_url());
        if let Some(value) = variable {
            grab = grab.env("GRAB_PARQUET", value);
        }
        fs::write(grab.dir().join("spec.toml"), spec).unwrap();
        fs::write(grab.dir().join("grab.toml"), config).unwrap();
        grab.run(&arguments).exits(0);
        assert!(volume_encodings(&grab).contains(&expected), "{arguments} {variable:?} {config}");
        stores.push(read_store(&grab.data_dir()));
    }
    assert!(stores.windows(2).all(|pair| pair[0] == pair[1]), "the bars are the same in each");
}

#[test]
fn a_spec_that_is_kept_says_it_to_later_commands_too() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let spec = "windows = [\"2024-01\"]\nparquet = \"compact\"\nuniverse.tickers = [\"KIMpL\"]\n";
    fs::write(grab.dir().join("spec.toml"), spec).unwrap();
    grab.run("start --spec spec.toml --plan-only").exits(0);
    grab.run("resume").exits(0);
    assert!(volume_encodings(&grab).contains(&BYTE_STREAM_SPLIT));
    grab.run("export --out exported").exits(0);
    let exported = columns(&footer(&grab.dir().join("exported/KIM%70L.parquet")));
    let volume = exported.into_iter().find(|(name, ..)| name == "volume").unwrap();
    assert!(volume.1.contains(&BYTE_STREAM_SPLIT), "{volume:?}");
    fs::write(grab.dir().join("spec.toml"), spec.replace("compact", "tiny")).unwrap();
    let wrong = "parquet: \"tiny\" is not one of compatible, compact";
    let refused = grab.run("start --spec spec.toml").exits(3);
    assert!(refused.stderr.contains(wrong), "{refused:?}");
    let checked = grab.run("spec check spec.toml").exits(3);
    assert!(checked.stdout.contains(&format!("line 2: {wrong}")), "{checked:?}");
}

#[test]
fn what_start_was_told_is_the_form_of_later_runs_too() {
    let server = Server::start(answer);
    let grab = Grab::with_server(server.base_url());
    let told = |status: &str| grab.run(status).exits(0).json()["told"]["parquet"].clone();
    grab.run("start --plan-only --windows 2024-01 --tickers KIMpL --parquet compact").exits(0);
    assert_eq!(told("status --json"), "compact");
    grab.run("resume").exits(0);
    assert!(volume_encodings(&grab).contains(&BYTE_STREAM_SPLIT));
    // A setting of another command applies to its run alone.
    grab.run("repair --rewrite --parquet compatible").exits(0);
    assert!(!volume_encodings(&grab).contains(&BYTE_STREAM_SPLIT));
    assert_eq!(grab.run("repair --rewrite --json").exits(0).json()["parquet"], "compact");
    assert!(volume_encodings(&grab).contains(&BYTE_STREAM_SPLIT));
    grab.run("start --windows 2024-01 --tickers KIMpL --parquet compatible").exits(0);
    assert_eq!(grab.run("repair --rewrite --json").exits(0).json()["parquet"], "compatible");
    assert!(!volume_encodings(&grab).contains(&BYTE_STREAM_SPLIT));
}

/// Bars that are days and weeks apart, and counts that jump: fastparquet misreads steps of more than 28 bits, so each
/// of these begins a page.
#[test]
fn a_page_of_integers_has_no_step_that_is_too_wide_for_fastparquet() {
    let days = [date(2024, 1, 2), date(2024, 1, 3), date(2024, 1, 8), date(2024, 1, 31)];
    let mut bars: Vec<_> = days.into_iter().flat_map(|day| minutes(day, 3)).collect();
    bars[1].transactions = None;
    bars[5].transactions = Some(1 << 53);
    bars[11].transactions = None;
    let sent = bars.clone();
    let server = Server::start(move |request| Reply::json(200, page(request.symbol(), &sent, None)));
    let grab = Grab::with_server(server.base_url());
    grab.run("start --windows 2024-01 --tickers KIMpL").exits(0);
    assert_eq!(read_store(&grab.data_dir())["KIMpL"], bars);
    let path = grab.data_dir().join("bars_1m/ticker=KIM%70L/year=2024/month=01/bars.parquet");
    assert_eq!(pages(&path, 0), [6, 3, 3], "three days from the 3rd to the 8th are too far, and to the 31st");
    assert_eq!(pages(&path, 7), [5, 2, 5], "with what is absent");
    assert_eq!(pages(&path, 1), [12]);
}

/// Rows of each data page of a column.
fn pages(path: &Path, column: usize) -> Vec<u32> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let file = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let rows = file.get_row_group(0).unwrap();
    let pages = rows.get_column_page_reader(column).unwrap();
    pages.map(|page| page.unwrap().num_values()).collect()
}
