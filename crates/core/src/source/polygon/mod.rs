//! The vendor's REST service (Polygon.io, since 2025 Massive): custom bars, page by page.

mod check;
mod client;
mod directory;

pub use client::{Polygon, PolygonOptions};
