//! A second source that saw the market: whether a symbol without bars traded at all.

use jiff::civil::Date;

use grab_model::Symbol;

/// A second source. Its data are in memory: a lookup is cheap and cannot fail.
pub trait Witness: Sync {
    /// What it saw of a symbol on a day. None if it does not cover the day, which proves nothing.
    fn saw(&self, symbol: &Symbol, day: Date) -> Option<WitnessView>;
}

/// What a witness saw of one symbol on one session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WitnessView {
    /// It did not trade.
    NoTrade,
    /// It traded this many shares, as traded.
    Traded(f64),
}

/// No witness.
#[derive(Clone, Copy, Debug)]
pub struct NoWitness;

impl Witness for NoWitness {
    fn saw(&self, _: &Symbol, _: Date) -> Option<WitnessView> {
        None
    }
}
