//! The exchange calendar.
