//! Responses that are broken on purpose, to test how clients handle faults.
//!
//! # Flow
//! The `picker` decides whether a response is broken, and how. There are three kinds of faults: `wrong_answer` replaces
//! the response, `wrong_bars` falsifies its content, `wire_fault` breaks its transfer.
//!
//! # Fairness
//! A client that repeats its request finally gets the true response, and can distinguish a broken response from a true
//! one. Faults that a client cannot detect are lies: they are used only if they are requested by name.

mod picker;
mod wire_fault;
mod wrong_answer;
mod wrong_bars;

use std::{collections::BTreeSet, sync::LazyLock, time::Duration};

use clap::{ValueEnum, builder::PossibleValue};

pub(super) use self::{picker::FaultPicker, wrong_bars::Links};
pub use self::{wire_fault::WireFault, wrong_answer::WrongAnswer, wrong_bars::WrongBars};
use super::seed::Seed;

/// How many responses are broken, and in which ways.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultOptions {
    /// The share of responses, from 0 to 1. The effective share is a little smaller, as no request fails more than twice in a row.
    pub share: f64,
    /// The kinds, all equally likely.
    pub kinds: BTreeSet<Fault>,
    /// How long a response stalls.
    pub stall: Duration,
}

impl FaultOptions {
    /// Breaks this share of responses in all ways that a client can detect.
    #[must_use]
    pub fn of(share: f64) -> Self {
        let kinds = Fault::value_variants().iter().copied().filter(|fault| !fault.is_lie()).collect();
        Self { share, kinds, stall: Duration::from_secs(3) }
    }
}

/// A way to break a response, by the step that does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Another response is sent.
    Instead(WrongAnswer),
    /// The bars of a range, or the fields about them, are wrong.
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
    /// Whether no client can distinguish the response from a true one, so that it stores other bars or none.
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

/// A kind of fault for one response, with the seed of its shape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PickedFault<K = Fault> {
    pub kind: K,
    pub seed: Seed,
}

impl PickedFault {
    pub fn instead(self) -> Option<PickedFault<WrongAnswer>> {
        if let Fault::Instead(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    pub fn in_bars(self) -> Option<PickedFault<WrongBars>> {
        if let Fault::InBars(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    pub fn on_wire(self) -> Option<PickedFault<WireFault>> {
        if let Fault::OnWire(kind) = self.kind { Some(self.of(kind)) } else { None }
    }

    fn of<K>(self, kind: K) -> PickedFault<K> {
        PickedFault { kind, seed: self.seed }
    }
}
