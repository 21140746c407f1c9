//! `grab` as a library: it downloads years of US minute bars and can prove what it has stored.
//!
//! The modules follow the life of a bar. What a user asks for becomes tasks (`grab_model::plan`) in the [`manifest`]. The
//! [`engine`] leases them one by one, waits for a permit ([`pace`]), asks the [`source`], whose answers are [`decode`]d and held
//! against the question, merges the bars into the [`store`], and only then records them. [`verify`] compares the two with each
//! other; [`update`] plans the requests of an update; [`export`] derives files for other programs.
//!
//! `docs/ARCHITECTURE.md` says who may import whom; a test holds the code to it.

#[cfg(not(unix))]
compile_error!("grab runs on Linux and macOS: on Windows, build it in WSL or in a container");

pub mod clock;
pub mod cpu;
pub mod data_dir;
pub mod decode;
pub mod disk;
pub mod engine;
pub mod exit;
pub mod export;
pub mod failpoint;
pub mod manifest;
pub mod pace;
pub mod source;
pub mod store;
pub mod update;
pub mod verify;
