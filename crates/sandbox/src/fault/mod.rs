//! Answers that are broken on purpose, so that clients can be tried against what goes wrong.
//!
//! # Flow
//! The `dealer` says whether an answer is to be broken, and how. There are three places to do it: `instead` of the
//! answer comes another one, `in_bars` spoils what it says, `on_wire` breaks it on its way out.
//!
//! # Fairness
//! A client that asks again gets the truth in the end, and can tell an answer that is broken from one that is not.
//! Kinds for which the latter is not so are lies: they are told only where they are asked for by name.

mod dealer;
mod wire_fault;
mod wrong_answer;
mod wrong_bars;

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use clap::{ValueEnum, builder::PossibleValue};

pub(super) use self::{dealer::FaultDealer, wrong_bars::Links};
pub use self::{wire_fault::WireFault, wrong_answer::WrongAnswer, wrong_bars::WrongBars};
use super::seed::Seed;

/// How many answers are broken, in which ways.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultOptions {
    /// The share of answers, from 0 to 1. It is a little less in effect, as no question is refused for ever.
    pub share: f64,
    /// The kinds, all as likely.
    pub kinds: BTreeSet<Fault>,
    /// How long an answer stalls.
    pub stall: Duration,
}

impl FaultOptions {
    /// This share of answers is broken in all ways that a client can tell.
    #[must_use]
    pub fn of(share: f64) -> Self {
        let kinds = Fault::value_variants().iter().copied().filter(|fault| !fault.is_lie()).collect();
        Self { share, kinds, stall: Duration::from_secs(3) }
    }
}

/// A way to break an answer, by the place where it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Another answer comes.
    Instead(WrongAnswer),
    /// The bars of a range, or what is said of them, are wrong.
    InBars(WrongBars),
    /// The bytes do not all arrive, or not in time.
    OnWire(WireFault),
}

/// All kinds.
static ALL: LazyLock<Vec<Fault>> = LazyLock::new(|| {
    let instead = WrongAnswer::value_variants().iter().copied().map(Fault::Instead);
    let in_bars = WrongBars::value_variants().iter().copied().map(Fault::InBars);
    let on_wire = WireFault::value_variants().iter().copied().map(Fault::OnWire);
    instead.chain(in_bars).chain(on_wire).collect()
});

impl Fault {
    /// Whether no client can tell the answer from a true one, so that it ends up with other bars or with none.
    #[must_use]
    pub fn is_lie(self) -> bool {
        match self {
            Self::Instead(kind) => kind == WrongAnswer::NotEntitled,
            Self::InBars(kind) => {
                matches!(kind, WrongBars::FalseEmpty | WrongBars::MissingDay | WrongBars::LateRevision)
            }
            Self::OnWire(_) => false,
        }
    }
}

impl ValueEnum for Fault {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Instead(kind) => kind.to_possible_value(),
            Self::InBars(kind) => kind.to_possible_value(),
            Self::OnWire(kind) => kind.to_possible_value(),
        }
    }
}

/// A kind for one answer, with the seed of its shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dealt<K = Fault> {
    pub kind: K,
    pub seed: Seed,
}

impl Dealt {
    pub fn instead(self) -> Option<Dealt<WrongAnswer>> {
        if let Fault::Instead(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    pub fn in_bars(self) -> Option<Dealt<WrongBars>> {
        if let Fault::InBars(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    pub fn on_wire(self) -> Option<Dealt<WireFault>> {
        if let Fault::OnWire(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    fn of<K>(self, kind: K) -> Dealt<K> {
        Dealt { kind, seed: self.seed }
    }
}
