//! Numbers as the service writes nearly all of them: digits, with or without a point and more digits.

/// Powers of ten that float64 represents exactly.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// float64 and 64 bits represent every number of this many digits exactly.
const MOST_DIGITS: usize = 15;

/// Reads a number without sign and exponent, of few digits. Returns it with the rest of the text, which is not checked.
#[inline]
pub(super) fn float(json: &[u8]) -> Option<(f64, &[u8])> {
    let (whole, digits, rest) = whole_digits(json)?;
    let [b'.', rest @ ..] = rest else { return Some((exact(whole), rest)) };
    let (mantissa, all_digits, rest) = digits_after((whole, digits), rest);
    let fraction = all_digits - digits;
    // Both are exact, so their quotient is the nearest float64 there is (Clinger 1990).
    let value = || exact(mantissa) / POWERS[fraction];
    (fraction > 0 && all_digits <= MOST_DIGITS).then(|| (value(), rest))
}

/// Reads a whole number. A fraction or an exponent is left in the rest of the text.
#[inline]
pub(super) fn integer(json: &[u8]) -> Option<(i64, &[u8])> {
    let (whole, _, rest) = whole_digits(json)?;
    Some((whole.cast_signed(), rest))
}

/// Digits before the point: at least one, not too many, and no leading zero.
#[expect(clippy::inline_always, reason = "measured: else each number costs a call")]
#[inline(always)]
fn whole_digits(json: &[u8]) -> Option<(u64, usize, &[u8])> {
    let (whole, digits, rest) = digits_after((0, 0), json);
    let is_padded = digits > 1 && json.starts_with(b"0");
    (digits > 0 && digits <= MOST_DIGITS && !is_padded).then_some((whole, digits, rest))
}

/// Extends a mantissa and its number of digits. If there are too many digits, the mantissa is meaningless.
#[inline]
fn digits_after((mut mantissa, mut digits): (u64, usize), mut json: &[u8]) -> (u64, usize, &[u8]) {
    while let [byte, rest @ ..] = json {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        digits += 1;
        json = rest;
    }
    (mantissa, digits, json)
}

#[expect(clippy::cast_precision_loss, reason = "of so few digits there is no loss")]
fn exact(mantissa: u64) -> f64 {
    mantissa as f64
}
