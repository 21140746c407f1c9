#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| grab_fuzz::tickers::check(data));
