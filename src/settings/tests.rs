//! Each setting: where it may be set, and which source wins.

use std::{fs, time::Duration};

use grab_ops::parse_config;

use super::*;
use grab_core::data_dir::DataDir;

fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
}

fn sources<'a>(env: &'a dyn Fn(&str) -> Option<String>, config: &str) -> Sources<'a> {
    let values = parse_config(config, &list::keys()).unwrap();
    let files = vec![Layer { name: "grab.toml".into(), values, is_remembered: false }];
    Sources { env, files, default_data_dir: DEFAULT_DATA_DIR }
}

fn fetch(given: &[(&Setting, &str)]) -> FetchArgs {
    FetchArgs { settings: FlagValues::of(given).into(), ..FetchArgs::default() }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_the_file() {
    let env = env(&[("GRAB_RATE", "100/s")]);
    let rate = |flag: Option<&str>, env: &dyn Fn(&str) -> Option<String>, config| {
        let given = flag.map(|flag| (&list::RATE, flag));
        let args = fetch(given.as_slice());
        FetchSettings::resolve(&args, &sources(env, config)).unwrap().options.rate(false).to_string()
    };
    let none = |_: &str| None;
    assert_eq!(rate(Some("2/s"), &env, "rate = \"7/min\""), "2/s");
    assert_eq!(rate(None, &env, "rate = \"7/min\""), "100/s");
    assert_eq!(rate(None, &none, "rate = \"7/min\""), "7/min");
    assert_eq!(rate(None, &none, ""), "5/min");
}

#[test]
fn every_key_of_the_config_file_has_its_effect() {
    let config = "base_url = \"http://localhost:1\"\nrate = \"9/min\"\nconcurrency = 3\nadjusted = true\n\
        max_attempts = 2\nmax_retry_time = \"1m\"\nconnect_timeout = \"2s\"\nread_timeout = 3\nprogress = \"none\"\n\
        max_duration = \"50m\"\nmax_requests = 7\ndata_dir = \"elsewhere\"\nparquet = \"compact\"\nlog_format = \"json\"\n\
        allow_unsynced = true\n";
    let none = |_: &str| None;
    let sources = sources(&none, config);
    let FetchSettings { options, progress } =
        FetchSettings::resolve(&FetchArgs::default(), &sources).unwrap();
    assert_eq!(options.base_url.as_ref().map(ToString::to_string).as_deref(), Some("http://localhost:1/"));
    assert_eq!((options.rate(false).to_string().as_str(), options.concurrency(false)), ("9/min", 3));
    assert_eq!((options.adjusted, options.max_attempts), (Some(true), 2));
    assert_eq!(options.max_retry_time, Duration::from_mins(1));
    assert_eq!((options.connect_timeout.as_secs(), options.read_timeout.as_secs()), (2, 3));
    assert_eq!(progress, ProgressMode::None);
    assert_eq!((options.max_duration, options.max_requests), (Some(Duration::from_mins(50)), Some(7)));
    let common = CommonArgs::default();
    assert_eq!(sources.data_dir(&common).unwrap(), DataDir::new(Path::new("elsewhere")));
    assert_eq!(sources.log_format(&common).unwrap(), LogFormat::Json);
    assert!(sources.allow_unsynced(&common).unwrap());
    assert_eq!(sources.encodings(&ParquetArgs::default()).unwrap(), Encodings::Compact);
}

#[test]
fn wrong_values_are_named_with_the_place_where_they_are_set() {
    let none = |_: &str| None;
    let args = fetch(&[(&list::CONCURRENCY, "33")]);
    let error = FetchSettings::resolve(&args, &sources(&none, "")).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.exit().code()),
        ("--concurrency: \"33\" is not a number from 1 to 32", 2)
    );
    let env = env(&[("GRAB_READ_TIMEOUT", "soon")]);
    let error = FetchSettings::resolve(&FetchArgs::default(), &sources(&env, "")).unwrap_err();
    assert!(error.to_string().starts_with("GRAB_READ_TIMEOUT: \"soon\" is not a time"), "{error}");
    let error =
        FetchSettings::resolve(&FetchArgs::default(), &sources(&none, "rate = \"fast\"")).unwrap_err();
    assert!(error.to_string().starts_with("grab.toml: rate: "), "{error}");
    assert_eq!(error.exit().code(), 3);
    let error = parse_config("rate = \"5/min\"\nrates = 1\n", &list::keys()).unwrap_err();
    assert!(
        error.starts_with("line 2: unknown key \"rates\" (did you mean \"rate\"?); known are "),
        "{error}"
    );
}

#[test]
fn the_key_comes_from_the_environment_or_a_file_and_nowhere_else() {
    let bearer = |pairs: &[(&str, &str)]| {
        let env = env(pairs);
        sources(&env, "").key().map(|key| key.map(|key| key.bearer()))
    };
    assert_eq!(bearer(&[]).unwrap(), None);
    let both = [("POLYGON_API_KEY", "old"), ("MASSIVE_API_KEY", "new")];
    assert_eq!(bearer(&both).unwrap().as_deref(), Some("Bearer new"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "from-file\n").unwrap();
    let path = file.path().display().to_string();
    assert_eq!(bearer(&[("GRAB_API_KEY_FILE", &path)]).unwrap().as_deref(), Some("Bearer from-file"));
    assert_eq!(bearer(&[("GRAB_API_KEY_FILE", "/does/not/exist")]).unwrap_err().exit().code(), 20);
    let odd = bearer(&[("MASSIVE_API_KEY", "two words")]).unwrap_err();
    assert!(!odd.to_string().contains("words"), "{odd}");
}

#[test]
fn a_word_that_is_no_choice_is_answered_with_the_choices() {
    assert_eq!(read_choice("bar"), Ok(ProgressMode::Bar));
    let error = read_choice::<ProgressMode>("loud").unwrap_err();
    assert_eq!(error, "\"loud\" is not one of auto, bar, lines, json, none");
}

#[test]
fn base_urls_that_cannot_be_right() {
    for text in ["api.massive.com", "ftp://x", "http://user:pass@x", "http://x?apiKey=hush"] {
        assert!(read_base_url(text).is_err(), "{text}");
    }
    assert!(!read_base_url("http://x?apiKey=hush").unwrap_err().contains("hush"));
}
