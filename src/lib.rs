//! `grab` downloads years of US minute bars and can prove what it holds.
//!
//! The modules follow the life of a bar. What a user types ([`cli`]) becomes tasks ([`plan`], by the days of the
//! [`calendar`]) in the [`manifest`]. The [`engine`] leases them one by one, waits for a permit ([`pace`]), asks the
//! [`source`], whose answers are [`decode`]d and held against the question, merges the bars into the [`store`], and
//! only then records them. [`verify`] holds the two against each other. The [`sandbox`] is a service to try all this on. [`model`] has the words they share.
//!
//! `docs/ARCHITECTURE.md` says who may import whom; a test holds the code to it.

pub mod adjust;
pub mod calendar;
pub mod cli;
pub mod clock;
pub mod cpu;
pub mod decode;
pub mod disk;
pub mod engine;
pub mod exit;
pub mod export;
pub mod failpoint;
pub mod manifest;
pub mod model;
pub mod pace;
pub mod plan;
pub mod sandbox;
pub mod source;
pub mod store;
pub mod universe;
pub mod update;
pub mod verify;
