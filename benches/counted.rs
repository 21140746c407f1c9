//! Runs one stage, for valgrind to count its instructions: `just bench-check`. Without a stage it only names them.

use std::{
    env,
    error::Error,
    hint::black_box,
    io::{self, Write},
};

use grab_core::store::Encodings;

#[path = "support/mod.rs"]
mod support;

use support::stages::{Material, merge};

/// For a commit, the mean of this many: the first ones prepare their statements.
const COMMITS: usize = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let stage = env::args().nth(1).unwrap_or_default();
    let mut material = Material::new()?;
    let merged = (material.month.clone(), material.overlap.clone());
    match stage.as_str() {
        "inflate" => counted(|| material.inflate()),
        "parse" => counted(|| material.parse()),
        "merge" => counted(|| Ok(merge(merged))),
        "encode" => counted(|| material.encode(Encodings::Compatible)),
        "encode-compact" => counted(|| material.encode(Encodings::Compact)),
        "commit" => counted(|| (0..COMMITS).try_fold(0, |_, _| material.books.commit())),
        _ => Ok(writeln!(io::stdout(), "stages: inflate parse merge encode encode-compact commit")?),
    }
}

/// valgrind finds this function by its name: nothing else is counted.
#[inline(never)]
fn counted<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    black_box(work()).map(drop)
}
