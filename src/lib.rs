//! `grab` downloads years of US minute bars and can prove what it holds.
pub mod calendar;
pub mod clock;
pub mod manifest;
pub mod model;
pub mod store;
