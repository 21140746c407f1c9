//! Reads the bars of a page as the service writes them, four times as fast as a general JSON reader.
//!
//! It knows one schema and nothing else: names of one or two letters, plain numbers. Anything unusual, such as a new
//! field, an escape, a null or a mistake, is left to serde, which reads the same body from its beginning and reports
//! what is wrong with it. So this scanner never decides what a response means; what it returns equals serde's result to
//! the last bit.

use std::ops::Range;

use grab_model::{Bar, Bars};

use super::digits::{float, integer};

/// Approximate bytes of a bar, to reserve room for the rows.
const BAR: usize = 90;

/// Reads the bars of the top level's `results`, and returns the range of that array in the body. None if anything is
/// unusual, or if there are more than `most` bars.
pub(super) fn bars(json: &[u8], most: usize) -> Option<(Bars, Range<usize>)> {
    let mut scanner = BarScanner { rest: json };
    scanner.find_results()?;
    let begin = json.len() - scanner.rest.len();
    scanner.expect(b'[')?;
    let mut bars = Bars::with_capacity(most.min(scanner.rest.len() / BAR + 1));
    if scanner.take(b']') {
        return Some((bars, begin..json.len() - scanner.rest.len()));
    }
    loop {
        bars.push(scanner.usual_bar().or_else(|| scanner.bar())?);
        if bars.len() > most {
            return None;
        }
        if !scanner.take(b',') {
            scanner.expect(b']')?;
            return Some((bars, begin..json.len() - scanner.rest.len()));
        }
    }
}

/// The rest of a body.
struct BarScanner<'a> {
    rest: &'a [u8],
}

/// The fields of a bar as bits, to record which ones were read.
mod field {
    pub(super) const TIME: u8 = 1;
    pub(super) const OPEN: u8 = 2;
    pub(super) const HIGH: u8 = 4;
    pub(super) const LOW: u8 = 8;
    pub(super) const CLOSE: u8 = 16;
    pub(super) const VOLUME: u8 = 32;
    pub(super) const VWAP: u8 = 64;
    pub(super) const TRANSACTIONS: u8 = 128;
    pub(super) const REQUIRED: u8 = TIME | OPEN | HIGH | LOW | CLOSE | VOLUME;
}

impl<'a> BarScanner<'a> {
    /// Goes to the value of the top level's `results`. Before it there may be names with texts, numbers or words.
    fn find_results(&mut self) -> Option<()> {
        self.skip_space();
        self.expect(b'{')?;
        loop {
            // All bytes up to the next quote belong to the name, spaces too.
            self.take_byte(b'"').then_some(())?;
            let name = self.text()?;
            self.expect(b':')?;
            if name == b"results" {
                return Some(());
            }
            self.skip_scalar()?;
            self.expect(b',')?;
        }
    }

    /// Reads a text without escapes, to its end.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = memchr::memchr2(b'"', b'\\', self.rest)?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.expect(b'"')?;
        Some(text)
    }

    fn skip_scalar(&mut self) -> Option<()> {
        if self.take_byte(b'"') {
            return self.text().map(|_| ());
        }
        let is_scalar = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
        let length = self.rest.iter().take_while(|byte| is_scalar(byte)).count();
        self.rest = self.rest.get(length..)?;
        self.skip_space();
        (length > 0).then_some(())
    }

    /// Reads a bar exactly as the service writes it: all fields, in its order, with no space between them. None for any
    /// other, and then nothing is consumed.
    #[inline]
    fn usual_bar(&mut self) -> Option<Bar> {
        let (volume, rest) = float(self.rest.strip_prefix(br#"{"v":"#)?)?;
        let (vwap, rest) = float(rest.strip_prefix(br#","vw":"#)?)?;
        let (open, rest) = float(rest.strip_prefix(br#","o":"#)?)?;
        let (close, rest) = float(rest.strip_prefix(br#","c":"#)?)?;
        let (high, rest) = float(rest.strip_prefix(br#","h":"#)?)?;
        let (low, rest) = float(rest.strip_prefix(br#","l":"#)?)?;
        let (timestamp, rest) = integer(rest.strip_prefix(br#","t":"#)?)?;
        let (transactions, rest) = integer(rest.strip_prefix(br#","n":"#)?)?;
        self.rest = rest.strip_prefix(b"}")?;
        self.skip_space();
        let (vwap, transactions) = (Some(vwap), Some(transactions));
        Some(Bar { timestamp, open, high, low, close, volume, vwap, transactions })
    }

    /// Reads a bar with its fields in any order.
    fn bar(&mut self) -> Option<Bar> {
        let mut bar = Bar {
            timestamp: 0,
            open: 0.0,
            high: 0.0,
            low: 0.0,
            close: 0.0,
            volume: 0.0,
            vwap: None,
            transactions: None,
        };
        let mut seen = 0_u8;
        self.expect(b'{')?;
        loop {
            let this;
            match self.letter()? {
                b't' => (bar.timestamp, this) = (self.integer()?, field::TIME),
                b'o' => (bar.open, this) = (self.float()?, field::OPEN),
                b'h' => (bar.high, this) = (self.float()?, field::HIGH),
                b'l' => (bar.low, this) = (self.float()?, field::LOW),
                b'c' => (bar.close, this) = (self.float()?, field::CLOSE),
                b'v' => (bar.volume, this) = (self.float()?, field::VOLUME),
                b'w' => (bar.vwap, this) = (Some(self.float()?), field::VWAP),
                b'n' => (bar.transactions, this) = (Some(self.integer()?), field::TRANSACTIONS),
                _ => return None,
            }
            if seen & this != 0 {
                return None;
            }
            seen |= this;
            if !self.take(b',') {
                self.expect(b'}')?;
                return (seen & field::REQUIRED == field::REQUIRED).then_some(bar);
            }
        }
    }

    /// Reads a field's name and the colon after it. For `vw` it returns the second letter.
    fn letter(&mut self) -> Option<u8> {
        let (letter, rest) = match self.rest {
            [b'"', b'v', b'w', b'"', rest @ ..] => (b'w', rest),
            [b'"', letter, b'"', rest @ ..] if *letter != b'w' => (*letter, rest),
            _ => return None,
        };
        self.rest = rest;
        self.skip_space();
        self.expect(b':')?;
        Some(letter)
    }

    /// Reads a number as the float64 to which its decimal text parses.
    fn float(&mut self) -> Option<f64> {
        let value = match float(self.rest) {
            Some((value, rest)) if !matches!(rest, [b'e' | b'E', ..]) => {
                self.rest = rest;
                value
            }
            Some(_) | None => {
                let text = std::str::from_utf8(self.number()?).ok()?;
                text.parse().ok().filter(|value: &f64| value.is_finite())?
            }
        };
        self.skip_space();
        Some(value)
    }

    /// Reads a whole number that is written without fraction and exponent.
    fn integer(&mut self) -> Option<i64> {
        let (value, rest) = integer(self.rest)?;
        if matches!(rest, [b'.' | b'e' | b'E', ..]) {
            return None;
        }
        self.rest = rest;
        self.skip_space();
        Some(value)
    }

    /// Reads the text of a number in any notation that JSON allows.
    fn number(&mut self) -> Option<&'a [u8]> {
        let begin = self.rest;
        self.take_byte(b'-');
        let is_zero = matches!(self.rest, [b'0', ..]);
        let whole = self.skip_digits()?;
        if is_zero && whole > 1 {
            return None;
        }
        if self.take_byte(b'.') {
            self.skip_digits()?;
        }
        if self.take_byte(b'e') || self.take_byte(b'E') {
            if !self.take_byte(b'+') {
                self.take_byte(b'-');
            }
            self.skip_digits()?;
        }
        begin.get(..begin.len() - self.rest.len())
    }

    /// Consumes digits, at least one. Returns their number.
    fn skip_digits(&mut self) -> Option<usize> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.rest = self.rest.get(digits..)?;
        Some(digits).filter(|digits| *digits > 0)
    }

    /// Consumes this byte, which must be next, and the space after it.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Consumes a byte, and the space after it, if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.take_byte(byte);
        if is_next {
            self.skip_space();
        }
        is_next
    }

    fn take_byte(&mut self, byte: u8) -> bool {
        let Some((first, rest)) = self.rest.split_first() else { return false };
        let is_next = *first == byte;
        if is_next {
            self.rest = rest;
        }
        is_next
    }

    fn skip_space(&mut self) {
        // Usually there is no space, and no letter, digit or mark is below `!`.
        if let [b'!'..=u8::MAX, ..] = self.rest {
            return;
        }
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}
