//! Bars that late trades revise: before that they have less volume, or do not exist.

use grab_model::Bar;

use crate::seed::Seed;

/// How many bars of a session are not final at first.
const UNSETTLED: f64 = 0.15;

/// How many of these do not exist at first.
const LATE: f64 = 0.2;

/// A session of a ticker that is not final yet.
#[derive(Clone, Copy)]
pub(super) struct Settling {
    pub seed: Seed,
    /// After how many sessions it is final.
    pub sessions: u8,
    /// How many sessions have passed.
    pub age: usize,
}

impl Settling {
    /// A bar as it is now. None if it does not exist yet. Each bar becomes final once, after its own number of
    /// sessions.
    pub fn pass(&self, bar: Bar) -> Option<Bar> {
        let sessions = usize::from(self.sessions);
        if self.age >= sessions {
            return Some(bar);
        }
        let mut draws = self.seed.child(bar.timestamp.unsigned_abs()).draws();
        let is_final = !draws.happens(UNSETTLED) || self.age > draws.below(sessions);
        if is_final {
            return Some(bar);
        }
        // A single trade cannot be split.
        let is_late = draws.happens(LATE) || bar.volume < 2.0 || bar.transactions.is_some_and(|n| n < 2);
        (!is_late).then(|| unsettled(bar, draws.between(0.4, 0.95), draws.between(0.000_1, 0.001)))
    }
}

/// A bar that has only a part of its trades yet; their average price differs by another part.
fn unsettled(bar: Bar, part: f64, off: f64) -> Bar {
    let whole = (bar.volume * part).floor();
    let is_whole = bar.volume.fract() == 0.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "millions at most")]
    let trades = |n: i64| ((n as f64 * part) as i64).max(1);
    Bar {
        volume: if is_whole { whole.max(1.0) } else { (bar.volume * part * 1e6).round() / 1e6 },
        // The smallest step of prices is less than this.
        vwap: bar.vwap.map(|vwap| ((vwap * (1.0 + off) + 0.000_1) * 1e4).round() / 1e4),
        transactions: bar.transactions.map(trades),
        ..bar
    }
}
