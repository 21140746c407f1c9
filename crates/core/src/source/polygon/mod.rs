//! The vendor's REST service (Polygon.io, since 2025 Massive): custom bars, page by page.

mod client;
mod reference;
mod validate;

pub use client::{Polygon, PolygonOptions};
