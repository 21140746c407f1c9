//! Shared code of the benches.

#[expect(dead_code, reason = "the static server compresses and serves whole years of them")]
pub mod pages;
pub mod stages;
