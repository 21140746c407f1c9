//! The plan: what was requested, as a file of lines. It is saved beside the manifest, and survives its loss.
//!
//! Each line is a JSON object with one record and the XXH3-64 of what comes before it in the line:
//!
//! ```json
//! {"plan":{"format":1,"grab":"0.1.0"},"xxh3":"…"}
//! {"store":{"adjusted":false,"sandbox":false},"xxh3":"…"}
//! {"spec":{"path":"demo.toml","text":"…","kept_at_ms":1704456000000},"xxh3":"…"}
//! {"told":{"rate":"100/s"},"xxh3":"…"}
//! {"order":{"list":"us-stocks","types":["CS"],"exchanges":[],"as_of":null,"windows":"2016","is_planned":true},"xxh3":"…"}
//! {"asked":{"symbols":["AAPL","MSFT"],"windows":["2024-01-01..2024-12-31"]},"xxh3":"…"}
//! {"end":{"lines":6},"xxh3":"…"}
//! ```
//!
//! So each line can be verified alone, and a truncated file lacks its end: the lines that are sound are used. No I/O.

use std::{cmp::Reverse, collections::BTreeMap};

use grab_model::{Symbol, Window};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{SavedSpec, SpecText, StoreKind, Subscription, rows, writer::VERSION};

/// The format version that this program writes.
const FORMAT: u32 = 1;

/// The most symbols in one line: this many are lost with it.
const SYMBOLS_A_LINE: usize = 1_000;

/// How many faults of a file are named.
const NAMED: usize = 3;

/// What comes before the digest in a line.
const DIGEST: &str = ",\"xxh3\":\"";

/// Everything that was requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedPlan {
    /// The kind of bars of the directory, if that is decided.
    pub kind: Option<StoreKind>,
    /// The spec that it was started with last.
    pub spec: Option<SavedSpec>,
    /// The saved settings of `start`, by name.
    pub settings: BTreeMap<String, String>,
    /// The subscriptions to lists.
    pub orders: Vec<Subscription>,
    /// The windows of each symbol, including those that updates have added, and those of subscriptions.
    pub windows: BTreeMap<Symbol, Vec<Window>>,
}

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PlanLine {
    Plan {
        format: u32,
        grab: String,
    },
    Store {
        adjusted: bool,
        sandbox: bool,
    },
    Spec {
        path: String,
        text: String,
        kept_at_ms: i64,
    },
    #[serde(rename = "told")]
    Settings(BTreeMap<String, String>),
    Order(SubscriptionLine),
    Asked {
        symbols: Vec<String>,
        windows: Vec<String>,
    },
    End {
        lines: usize,
    },
}

#[derive(Serialize, Deserialize)]
struct SubscriptionLine {
    list: String,
    types: Vec<String>,
    exchanges: Vec<String>,
    as_of: Option<String>,
    windows: String,
    is_planned: bool,
}

/// The sound part of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanRead {
    /// What was requested.
    pub plan: RecordedPlan,
    /// Descriptions of the file's faults. Empty if it is as it was written.
    pub faults: Vec<String>,
}

impl RecordedPlan {
    /// Whether nothing was requested.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.orders.is_empty() && self.spec.is_none()
    }

    /// Adds everything that only `other` has. If they contradict each other, this one wins.
    pub fn unite(&mut self, other: Self) {
        let Self { kind, spec, settings, orders, windows } = other;
        self.kind = self.kind.or(kind);
        self.spec = self.spec.take().or(spec);
        for (setting, value) in settings {
            self.settings.entry(setting).or_insert(value);
        }
        for order in orders {
            if !self.has_order(&order) {
                self.orders.push(order);
            }
        }
        for (symbol, windows) in windows {
            self.windows.entry(symbol).or_default().extend(windows);
        }
        self.simplify();
    }

    /// Whether this has the same subscription, planned or not.
    pub(super) fn has_order(&self, order: &Subscription) -> bool {
        self.orders.iter().any(|known| known.is_same(order))
    }

    /// Removes windows that lie within another one of their symbol.
    pub(super) fn simplify(&mut self) {
        for windows in self.windows.values_mut() {
            windows.sort_unstable_by_key(|window| (window.from(), Reverse(window.to())));
            let mut reached = None;
            windows.retain(|window| {
                let is_beyond = reached.is_none_or(|reached| reached < window.to());
                reached = reached.max(Some(window.to()));
                is_beyond
            });
        }
    }

    /// The days that are requested here, but not in another plan.
    #[must_use]
    pub fn beyond(&self, other: &Self) -> Vec<(Symbol, Window)> {
        let mut beyond = Vec::new();
        for (symbol, windows) in &self.windows {
            let known = other.windows.get(symbol).map_or(&[][..], Vec::as_slice);
            for window in windows {
                let left = known.iter().fold(vec![*window], |left, known| {
                    left.into_iter().flat_map(|part| part.minus(*known)).collect()
                });
                beyond.extend(left.into_iter().map(|window| (symbol.clone(), window)));
            }
        }
        beyond
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut records = vec![PlanLine::Plan { format: FORMAT, grab: VERSION.to_owned() }];
        records
            .extend(self.kind.map(|StoreKind { adjusted, sandbox }| PlanLine::Store { adjusted, sandbox }));
        records.extend(self.spec.clone().map(|SavedSpec { spec: SpecText { path, text }, kept_at_ms }| {
            PlanLine::Spec { path, text, kept_at_ms }
        }));
        if !self.settings.is_empty() {
            records.push(PlanLine::Settings(self.settings.clone()));
        }
        records.extend(self.orders.iter().map(|order| PlanLine::Order(order.into())));
        let mut by_windows: BTreeMap<&[Window], Vec<&Symbol>> = BTreeMap::new();
        for (symbol, windows) in &self.windows {
            by_windows.entry(windows).or_default().push(symbol);
        }
        for (windows, symbols) in by_windows {
            let windows: Vec<_> = windows.iter().map(ToString::to_string).collect();
            records.extend(symbols.chunks(SYMBOLS_A_LINE).map(|symbols| {
                let symbols = symbols.iter().map(ToString::to_string).collect();
                PlanLine::Asked { symbols, windows: windows.clone() }
            }));
        }
        records.push(PlanLine::End { lines: records.len() });
        let lines: Vec<_> = records.iter().map(line).collect();
        lines.concat().into_bytes()
    }
}

impl Subscription {
    /// Whether both request the same, planned or not.
    fn is_same(&self, other: &Self) -> bool {
        let planned_at_ms = None;
        Self { planned_at_ms, ..self.clone() } == Self { planned_at_ms, ..other.clone() }
    }
}

impl From<&Subscription> for SubscriptionLine {
    fn from(order: &Subscription) -> Self {
        Self {
            list: order.list.clone(),
            types: order.types.clone(),
            exchanges: order.exchanges.clone(),
            as_of: order.as_of.map(|day| day.to_string()),
            windows: order.windows.clone(),
            is_planned: order.planned_at_ms.is_some(),
        }
    }
}

impl SubscriptionLine {
    fn read(self) -> Option<Subscription> {
        let as_of = match self.as_of {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Subscription {
            list: self.list,
            types: self.types,
            exchanges: self.exchanges,
            as_of,
            windows: self.windows,
            // The time does not matter, only whether its tasks are among the windows.
            planned_at_ms: self.is_planned.then_some(0),
        })
    }
}

/// A line with its digest. Plain texts and numbers always become JSON.
fn line(record: &PlanLine) -> String {
    let json = serde_json::to_string(record).unwrap_or_default();
    let content = json.strip_suffix('}').unwrap_or(&json);
    format!("{content}{DIGEST}{:016x}\"}}\n", xxh3_64(content.as_bytes()))
}

/// Reads the sound part of a file.
#[must_use]
pub fn read(bytes: &[u8]) -> PlanRead {
    let mut reading = PlanParser::default();
    let mut lines = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        lines += 1;
        if let Err(why) = reading.add(line, lines) {
            reading.fault(format!("line {lines} {why}"));
        }
    }
    if !reading.has_begun {
        reading.fault("it does not begin as a plan of grab".to_owned());
    }
    match reading.end {
        None if lines > 0 => reading.fault("its end is missing".to_owned()),
        Some(end) if end + 1 != lines => reading.fault(format!("it has {lines} lines of {}", end + 1)),
        None | Some(_) => {}
    }
    reading.finish()
}

#[derive(Default)]
struct PlanParser {
    read: PlanRead,
    has_begun: bool,
    end: Option<usize>,
    more_faults: usize,
}

impl PlanParser {
    fn fault(&mut self, fault: String) {
        if self.read.faults.len() < NAMED {
            self.read.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }

    fn add(&mut self, line: &[u8], number: usize) -> Result<(), String> {
        let content = sound(line).ok_or("is not as grab wrote it")?;
        let unknown = || "is unknown to this grab".to_owned();
        match serde_json::from_str(&format!("{content}}}")).map_err(|_| unknown())? {
            PlanLine::Plan { format, grab } => {
                self.has_begun |= number == 1;
                if format != FORMAT {
                    return Err(format!(
                        "is of format {format}, written by grab {grab}: this grab knows {FORMAT}"
                    ));
                }
            }
            PlanLine::Store { adjusted, sandbox } => {
                self.read.plan.kind = Some(StoreKind { adjusted, sandbox });
            }
            PlanLine::Spec { path, text, kept_at_ms } => {
                self.read.plan.spec = Some(SavedSpec { spec: SpecText { path, text }, kept_at_ms });
            }
            PlanLine::Settings(settings) => self.read.plan.settings.extend(settings),
            PlanLine::Order(order) => self.read.plan.orders.push(order.read().ok_or_else(unknown)?),
            PlanLine::Asked { symbols, windows } => self.requested(&symbols, &windows).ok_or_else(unknown)?,
            PlanLine::End { lines } => self.end = Some(lines),
        }
        Ok(())
    }

    fn requested(&mut self, symbols: &[String], windows: &[String]) -> Option<()> {
        let window = |text: &String| {
            let (from, to) = text.split_once("..")?;
            rows::window(from, to).ok()
        };
        let windows: Vec<_> = windows.iter().map(window).collect::<Option<_>>()?;
        for symbol in symbols {
            self.read.plan.windows.entry(symbol.parse().ok()?).or_default().extend(&windows);
        }
        Some(())
    }

    fn finish(mut self) -> PlanRead {
        if self.more_faults > 0 {
            self.read.faults.push(format!("and {} more", self.more_faults));
        }
        self.read.plan.simplify();
        self.read
    }
}

/// Returns a line without its last brace, if its digest is right. None otherwise.
fn sound(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\"}\n")?;
    let (content, digest) = line.rsplit_once(DIGEST)?;
    (digest == format!("{:016x}", xxh3_64(content.as_bytes()))).then_some(content)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn symbol(text: &str) -> Symbol {
        text.parse().unwrap()
    }

    fn days(from: i8, to: i8) -> Window {
        Window::new(date(2024, 1, from), date(2024, 1, to)).unwrap()
    }

    fn plan() -> RecordedPlan {
        let order = Subscription {
            list: "us-stocks".to_owned(),
            types: vec!["CS".to_owned()],
            as_of: Some(date(2016, 1, 4)),
            windows: "2016".to_owned(),
            planned_at_ms: Some(0),
            ..Subscription::default()
        };
        let text = "windows = [\"2024\"] # \u{1f980}\r\n".to_owned();
        let spec = SavedSpec { spec: SpecText { path: "a \"b\".toml".to_owned(), text }, kept_at_ms: 7 };
        RecordedPlan {
            kind: Some(StoreKind { adjusted: true, sandbox: false }),
            spec: Some(spec),
            settings: [("rate".to_owned(), "100/s".to_owned())].into(),
            orders: vec![order.clone(), Subscription { as_of: None, planned_at_ms: None, ..order }],
            windows: [
                ("A", vec![days(1, 31)]),
                ("BRK.B", vec![days(1, 31)]),
                ("KIMpL", vec![days(1, 5), days(8, 9)]),
            ]
            .map(|(text, windows)| (symbol(text), windows))
            .into(),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let read = read(&plan().encode());
        assert_eq!(read, PlanRead { plan: plan(), faults: Vec::new() });
        let text = String::from_utf8(plan().encode()).unwrap();
        assert_eq!(text.lines().count(), 9, "symbols with the same windows share a line");
        assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
    }

    #[test]
    fn of_what_is_damaged_all_that_is_sound_is_used() {
        let whole = String::from_utf8(plan().encode()).unwrap();
        let faults = |text: &str| read(text.as_bytes()).faults.join("; ");
        let cut = &whole[..whole.len() - 60];
        assert_eq!(faults(cut), "line 8 is not as grab wrote it; its end is missing");
        assert_eq!(read(cut.as_bytes()).plan.windows.len(), 1);
        let flipped = whole.replacen("BRK.B", "BRK.A", 1);
        assert_eq!(faults(&flipped), "line 8 is not as grab wrote it");
        assert_eq!(read(flipped.as_bytes()).plan.windows.keys().collect::<Vec<_>>(), [&symbol("KIMpL")]);
        let without = whole.replacen(whole.lines().nth(6).unwrap(), "", 1).replace("\n\n", "\n");
        assert_eq!(faults(&without), "it has 8 lines of 9");
        let newer = line(&PlanLine::Plan { format: 2, grab: "9.0.0".to_owned() })
            + &whole[whole.find('\n').unwrap() + 1..];
        assert_eq!(faults(&newer), "line 1 is of format 2, written by grab 9.0.0: this grab knows 1");
        assert_eq!(read(newer.as_bytes()).plan, plan());
        let content = "{\"dream\":{}";
        let unknown = format!("{content}{DIGEST}{:016x}\"}}\n{whole}", xxh3_64(content.as_bytes()));
        assert!(faults(&unknown).starts_with("line 1 is unknown to this grab; it does not begin"));
        assert_eq!(read(unknown.as_bytes()).plan, plan());
        assert_eq!(faults(""), "it does not begin as a plan of grab");
        assert!(faults(&"x\n".repeat(9)).ends_with("line 3 is not as grab wrote it; and 8 more"));
    }

    #[test]
    fn another_plan_is_taken_up_and_what_is_beyond_it_is_told() {
        let mut mine = plan();
        let other = RecordedPlan {
            windows: [(symbol("A"), vec![days(5, 9)]), (symbol("C"), vec![days(2, 3)])].into(),
            orders: vec![Subscription { planned_at_ms: None, ..plan().orders[0].clone() }],
            ..RecordedPlan::default()
        };
        mine.unite(other.clone());
        assert_eq!(mine.windows[&symbol("A")], [days(1, 31)]);
        assert_eq!((mine.orders, mine.kind, mine.settings), (plan().orders, plan().kind, plan().settings));
        assert_eq!(other.beyond(&plan()), [(symbol("C"), days(2, 3))]);
        let left = [days(1, 4), days(10, 31)].map(|window| (symbol("A"), window));
        let only_a =
            RecordedPlan { windows: [(symbol("A"), vec![days(1, 31)])].into(), ..RecordedPlan::default() };
        assert_eq!(only_a.beyond(&other), left);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic_and_none_are_made_up(at in 0..2_000_usize, bit in 0..8_u8) {
            let mut bytes = plan().encode();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let read = read(&bytes);
            prop_assert!(!read.faults.is_empty(), "byte {}", at);
            prop_assert!(read.plan.beyond(&plan()).is_empty());
        }
    }
}
