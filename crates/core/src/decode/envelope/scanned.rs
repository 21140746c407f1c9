//! The scanner and serde read the same of every body, to the last bit.

use std::iter;

use fastrand::Rng;
use proptest::prelude::*;

use super::*;

/// Everything in a body as text; it distinguishes every float64 from every other, and -0 from 0.
fn as_text(body: &Envelope) -> String {
    format!("{body:?}")
}

/// Compares the two readers on a body; returns whether the scanner could read it.
fn compare(json: &[u8]) -> bool {
    let (scanned, any) = (Envelope::read_scanned(json), Envelope::read_any(json));
    let is_scanned = scanned.is_some();
    if let Some(scanned) = scanned {
        let any =
            any.unwrap_or_else(|error| panic!("serde refuses {:?}: {error}", String::from_utf8_lossy(json)));
        assert_eq!(as_text(&scanned), as_text(&any), "{:?}", String::from_utf8_lossy(json));
    }
    is_scanned
}

/// A number in any notation, valid or not.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (0..2_000_u32, 0..10_000_u32).prop_map(|(whole, part)| format!("{whole}.{part:04}")),
        3 => any::<u32>().prop_map(|whole| whole.to_string()),
        1 => any::<i64>().prop_map(|whole| whole.to_string()),
        1 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,24})?([eE][+-]?[0-9]{1,3})?",
        1 => prop::sample::select(vec!["-0", "-0.0", "0e0", "01", "1.", ".5", "+1", "null", "\"1\"", "1e999", "-", "true",
            "9007199254740993", "9007199254740993.0", "18446744073709551616", "0.1e-400", "123456789012345678.5"])
            .prop_map(str::to_owned),
    ]
}

/// A bar with its fields in some order; now and then one is missing, double or new.
fn bar() -> impl Strategy<Value = String> {
    let fields = vec!["v", "vw", "o", "c", "h", "l", "t", "n"];
    let names = prop_oneof![
        12 => Just(fields.clone()),
        4 => Just(fields.clone()).prop_shuffle(),
        1 => prop::sample::subsequence(fields, 0..8),
        1 => Just(vec!["v", "o", "c", "h", "l", "t"]),
        1 => Just(vec!["v", "vw", "o", "c", "h", "l", "t", "n", "otc"]),
        1 => Just(vec!["v", "v", "o", "c", "h", "l", "t", "n"]),
    ];
    (names, prop::collection::vec(number(), 9), 0..10_u8, 0..2_000_000_000_000_i64).prop_map(
        |(names, numbers, whole, time)| {
            let field = |(name, number): (&str, String)| match name {
                "t" if whole > 0 => format!(r#""t":{time}"#),
                "n" if whole > 1 => format!(r#""n":{}"#, time % 5_000),
                name => format!(r#""{name}":{number}"#),
            };
            let fields: Vec<_> = names.into_iter().zip(numbers).map(field).collect();
            format!("{{{}}}", fields.join(","))
        },
    )
}

fn page() -> impl Strategy<Value = String> {
    let head = prop::sample::select(vec![
        r#""ticker":"A","queryCount":2,"resultsCount":2,"adjusted":false,"#,
        r#""ticker":"A \"results\":[","adjusted":true,"#,
        r#""ticker":"results","x":null,"#,
        r#""deep":{"results":[]},"#,
        r#"" results":[],"#,
        r#""results ":[{"v":9,"o":9,"c":9,"h":9,"l":9,"t":9}],"#,
        r#"" results":[{"v":9,"o":9,"c":9,"h":9,"l":9,"t":9}],"#,
        "",
    ]);
    let after_results = prop::sample::select(vec![
        r#","status":"OK","request_id":"r","count":2,"next_url":"https://api.massive.com/x"}"#,
        r#","results":[]}"#,
        r#","status":["x"]}"#,
        "}",
        "",
        "}}",
    ]);
    let space = prop::sample::select(vec!["", " ", "\n  "]);
    (head, prop::collection::vec(bar(), 0..6), after_results, space).prop_map(
        |(head, bars, after_results, space)| {
            let page = format!(r#"{{{head}"results":[{}]{after_results}"#, bars.join(","));
            page.replace(',', &format!(",{space}")).replace("\":", &format!("\":{space}"))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_written_serde_reads_the_same(page in page()) {
        compare(page.as_bytes());
    }

    #[test]
    fn whatever_is_damaged_serde_reads_the_same(
        page in page(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = page.into_bytes();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        compare(&bytes);
    }
}

#[test]
fn what_the_service_sends_is_scanned_and_what_is_unusual_is_not() {
    let page = |bars: &str| {
        format!(
            r#"{{"ticker":"A","adjusted":false,"results":[{bars}],"status":"OK","request_id":"r","count":1}}"#
        )
    };
    let usual = [
        r#"{"v":1.12117471e+08,"vw":125.725,"o":130.28,"c":125.07,"h":130.9,"l":124.17,"t":1672722000000,"n":1021065}"#,
        r#"{"v": 25933.6, "o": 1, "c": 1, "h": 1, "l": 1, "t": 1672722060000}"#,
        "",
    ];
    for bars in usual {
        assert!(compare(page(bars).as_bytes()), "{bars}");
    }
    let unusual = [
        r#"{"v":1,"vw":null,"o":1,"c":1,"h":1,"l":1,"t":0,"n":1}"#,
        r#"{"v":1,"o":1,"c":1,"h":1,"l":1,"t":1.67272206e+12}"#,
        r#"{"v":1,"o":1,"c":1,"h":1,"l":1,"t":0,"otc":true}"#,
    ];
    for bars in unusual {
        assert!(!compare(page(bars).as_bytes()), "{bars}");
        assert!(Envelope::read(page(bars).as_bytes()).is_ok(), "{bars}");
    }
}

#[test]
fn a_name_that_is_nearly_that_of_the_results_is_another_one() {
    let bar = |value: u8| format!(r#"{{"v":{value},"o":1,"c":1,"h":1,"l":1,"t":0}}"#);
    for name in [" results", "results ", "  results", "Results", r"results\u0020", "result"] {
        let page = format!(r#"{{"{name}":[{}],"results":[{}],"status":"OK"}}"#, bar(9), bar(1));
        compare(page.as_bytes());
        assert_eq!(Envelope::read(page.as_bytes()).unwrap().results.required()[4], [1.0], "{page}");
    }
}

/// Prices and volumes of every size and length, in pages of 50,000.
fn pages_agree(pages: u64) {
    for seed in 0..pages {
        let mut rng = Rng::with_seed(seed);
        let mut number = || match rng.u8(..10) {
            0 => format!("{}", rng.u64(..) >> rng.u32(1..64)),
            1 => format!("{}", f64::from_bits(rng.u64(..)).abs()).replace("NaN", "1").replace("inf", "2"),
            2 => format!("{:e}", rng.f64() * 1e9),
            3 => format!("{:.*}", rng.usize(1..19), rng.f64() * 1e4),
            _ => format!("{:.*}", rng.usize(1..5), rng.f64() * 1e3),
        };
        let bars: Vec<_> = (0..50_000_u64)
            .map(|minute| {
                let prices: [String; 6] = std::array::from_fn(|_| number());
                let fields = iter::zip(["v", "vw", "o", "c", "h", "l"], prices);
                let fields: Vec<_> = fields.map(|(name, number)| format!(r#""{name}":{number}"#)).collect();
                format!(r#"{{{},"t":{},"n":{minute}}}"#, fields.join(","), minute * 60_000)
            })
            .collect();
        let json = format!(r#"{{"ticker":"A","results":[{}],"status":"OK"}}"#, bars.join(","));
        let scanned = Envelope::read_scanned(json.as_bytes()).unwrap().results;
        let any = Envelope::read_any(json.as_bytes()).unwrap().results;
        let bits = |column: &[f64]| column.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        for (one, other) in scanned.required().into_iter().zip(any.required()) {
            assert_eq!(bits(one), bits(other), "seed {seed}");
        }
        assert_eq!((scanned.timestamps(), scanned.transactions()), (any.timestamps(), any.transactions()));
        let vwaps = |bars: &Bars| bars.vwaps().iter().map(|vwap| vwap.map(f64::to_bits)).collect::<Vec<_>>();
        assert_eq!(vwaps(&scanned), vwaps(&any), "seed {seed}");
    }
}

#[test]
fn numbers_of_every_size_agree() {
    pages_agree(1);
}

/// `cargo test --locked -- --ignored ten_million`: a quarter of a minute.
#[test]
#[ignore = "needs a quarter of a minute, too long for each run of all tests"]
fn ten_million_numbers_agree() {
    pages_agree(25);
}
