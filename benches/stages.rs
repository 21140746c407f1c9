//! The time of each stage of a page: `just bench`.
//!
//! `manifest commit` waits for the disk: compare it with itself on one machine only.

use std::{error::Error, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, Throughput};
use grab_core::store::Encodings;

#[path = "support/mod.rs"]
mod support;

use support::stages::{Material, merge};

fn main() -> Result<(), Box<dyn Error>> {
    let mut material = Material::new()?;
    let mut criterion = Criterion::default().measurement_time(Duration::from_secs(5)).configure_from_args();
    let mut group = criterion.benchmark_group("page");
    group.throughput(Throughput::Bytes(material.json.len() as u64));
    group.bench_function("inflate", |bencher| bencher.iter(|| black_box(material.inflate())));
    group.bench_function("parse", |bencher| bencher.iter(|| black_box(material.parse())));
    group.finish();
    let mut group = criterion.benchmark_group("month");
    group.throughput(Throughput::Elements(material.month.len() as u64));
    let input = || (material.month.clone(), material.overlap.clone());
    group.bench_function("merge", |bencher| bencher.iter_batched(input, merge, BatchSize::LargeInput));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(material.encode(Encodings::Compatible)));
    });
    group.finish();
    criterion
        .bench_function("manifest commit", |bencher| bencher.iter(|| black_box(material.books.commit())));
    criterion.final_summary();
    Ok(())
}
