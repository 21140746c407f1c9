//! `grab` downloads years of US minute bars and can prove what it holds.
pub mod calendar;
pub mod clock;
pub mod decode;
pub mod engine;
pub mod manifest;
pub mod model;
pub mod pace;
pub mod plan;
pub mod sandbox;
pub mod source;
pub mod store;
