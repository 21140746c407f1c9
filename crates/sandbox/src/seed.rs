//! Random numbers with random access: they depend on where they are used, not on earlier draws.

use std::fmt::Write;

/// A node in a tree of seeds. The node of a ticker has children for its minutes, these have children for price and
/// volume, and so on: any of them can be reached without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seed(u64);

impl Seed {
    /// The root of a tree.
    pub fn root(seed: u64) -> Self {
        Self(seed).child(0)
    }

    /// The child with a number.
    pub fn child(self, number: u64) -> Self {
        Self(mix(self.0 ^ mix(number.wrapping_add(GOLDEN))))
    }

    /// The child with a name.
    pub fn named(self, name: &str) -> Self {
        name.bytes().fold(self, |seed, byte| seed.child(byte.into()))
    }

    /// The random numbers of this node.
    pub fn draws(self) -> RandomDraws {
        RandomDraws(self.0)
    }

    /// A curve through random points in -1.0..1.0 with a distance of `period` seconds, at an instant in seconds.
    pub fn curve(self, seconds: u32, period: u32) -> f64 {
        let (point, within) = (u64::from(seconds / period), seconds % period);
        let x = f64::from(within) / f64::from(period);
        let (before, after) =
            (self.child(point).draws().between(-1.0, 1.0), self.child(point + 1).draws().between(-1.0, 1.0));
        before + (after - before) * x * x * (3.0 - 2.0 * x)
    }

    /// This node as `words` groups of 16 hexadecimal digits: request ids, and ids of rows.
    pub fn hex(self, words: u64) -> String {
        (0..words).fold(String::new(), |mut text, word| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{:016x}", self.child(word).0);
            text
        })
    }
}

/// Numbers drawn one after the other: splitmix64 (Steele, Lea and Flood 2014).
pub(super) struct RandomDraws(u64);

impl RandomDraws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number in 0.0..1.0.
    pub fn unit(&mut self) -> f64 {
        f64::from((self.bits() >> 32) as u32) / 4_294_967_296.0
    }

    /// A number in `low..high`, evenly distributed.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A number in `low..high`, distributed so that as many lie in 1..10 as in 10..100.
    pub fn between_orders(&mut self, low: f64, high: f64) -> f64 {
        self.between(low.ln(), high.ln()).exp()
    }

    /// Returns true with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, all equally likely.
    pub fn pick<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        self.pick_from(&choices)
    }

    /// One of a slice of choices, which must not be empty.
    pub fn pick_from<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A whole number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.bits() % end as u64).unwrap_or_default()
    }
}

/// 2^64 divided by the golden ratio: the step of splitmix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The mixing function of splitmix64: a bijection whose results for neighbours are unrelated.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
