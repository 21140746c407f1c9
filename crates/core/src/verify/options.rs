//! What a verification reads, and with what it compares.

use std::collections::BTreeSet;

use grab_model::{Month, Partition, Symbol};
use jiff::civil::Date;

use super::{ListingCuts, OtherWriters, StoredWitness};

/// What to verify, and with what. The default reads no file as a whole, uses the stored witness, works beside another
/// process that writes, and expects bars on all requested days.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifyOptions {
    /// Which files are read as a whole.
    pub deep: DeepSelection,
    /// How the stored witness is used.
    pub witness: StoredWitness,
    /// Whether another process may write meanwhile.
    pub others: OtherWriters,
    /// Parts of subscribed windows that are in no task: what the witness saw of them is expected.
    pub listing_cuts: ListingCuts,
    /// The last finished session: nothing is expected on later days.
    pub last: Date,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            deep: DeepSelection::None,
            witness: StoredWitness::Used,
            others: OtherWriters::Allowed,
            listing_cuts: ListingCuts::default(),
            last: Date::MAX,
        }
    }
}

/// Which files are read as a whole.
#[derive(Clone, Debug, PartialEq)]
pub enum DeepSelection {
    /// None: names and sizes only.
    None,
    /// All.
    All,
    /// These partitions.
    Only(BTreeSet<(Symbol, Month)>),
    /// This share of all files, from 0 to 1: always the same files, chosen by their digests.
    Share(f64),
    /// The `n`th of `of` parts, counted from 1: the parts together are all files.
    Part {
        /// The number of the part.
        n: u64,
        /// The number of parts.
        of: u64,
    },
}

impl DeepSelection {
    /// Parses a share such as `5%` or a part such as `1/10`. None if it is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(percent) = text.strip_suffix('%') {
            let percent: f64 = percent.trim().parse().ok()?;
            return (0.0..=100.0).contains(&percent).then_some(Self::Share(percent / 100.0));
        }
        let (n, of) = text.split_once('/')?;
        let (n, of) = (n.parse().ok()?, of.parse().ok()?);
        (1..=of).contains(&n).then_some(Self::Part { n, of })
    }
}

impl DeepSelection {
    /// Chooses by the digest: it is as good as random, and always the same.
    pub(super) fn includes(&self, partition: &Partition) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(these) => these.contains(&(partition.symbol.clone(), partition.month)),
            #[expect(clippy::cast_precision_loss, reason = "a lot, not a count")]
            Self::Share(share) => (partition.xxh3 as f64) < *share * u64::MAX as f64,
            Self::Part { n, of } => partition.xxh3 % (*of).max(1) == n.saturating_sub(1),
        }
    }
}
