//! Numbers and errors as people read them.

use std::{error::Error, time::Duration};

use jiff::Timestamp;

/// `1,234,567`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 task`, `3 tasks`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `21.4 MB`, in powers of 1000.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") }
}

/// `0.4s`, `12s`, `3m20s`, `5h02m`, `3d04h`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_nanos() > 0 => format!("{:.1}s", time.as_secs_f64()),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// A time that was measured by clocks, which may have been set meanwhile.
#[must_use]
pub fn milliseconds(ms: i64) -> String {
    duration(Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
}

/// The second of an instant in UTC, such as `2024-01-02 14:30:00`.
#[must_use]
pub fn second(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%F %T").to_string()
}

/// The clock at an instant in UTC, such as `14:30:00`.
#[must_use]
pub fn clock(ms: i64) -> String {
    let at = Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%T").to_string()
}

/// An instant as RFC 3339 in UTC.
#[must_use]
pub fn instant(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string())
}

/// An error with all its causes, in one line. Control characters, which names of files may have, are replaced.
#[must_use]
pub fn error_chain(error: &dyn Error) -> String {
    let (mut chain, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        chain = format!("{chain}: {cause}");
        source = cause.source();
    }
    chain.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Caused(&'static str, Option<Box<Caused>>);

    impl fmt::Display for Caused {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str(self.0)
        }
    }

    impl Error for Caused {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as &dyn Error)
        }
    }

    #[test]
    fn an_error_has_all_its_causes_in_one_line() {
        let caused = |text, cause: Caused| Caused(text, Some(Box::new(cause)));
        let error = caused("cannot write a\nb", caused("no fsync", Caused("os error 95", None)));
        assert_eq!(error_chain(&error), "cannot write a\u{fffd}b: no fsync: os error 95");
        assert_eq!(error_chain(&Caused("alone", None)), "alone");
    }

    #[test]
    fn as_people_read_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|n| plural(n, "task")), ["1 task", "2 tasks"]);
        assert_eq!([999, 21_400_000, 7_000_000_000_000].map(bytes), ["999 B", "21.4 MB", "7.0 TB"]);
        let times = [400, 12_000, 200_000, 18_120_000, 273_600_000].map(Duration::from_millis);
        assert_eq!(times.map(duration), ["0.4s", "12s", "3m20s", "5h02m", "3d04h"]);
        assert_eq!(instant(1_704_205_800_000), "2024-01-02T14:30:00Z");
        assert_eq!(second(1_704_205_800_999), "2024-01-02 14:30:00");
        assert_eq!(clock(1_704_205_800_999), "14:30:00");
        assert_eq!([-5, 1_500].map(milliseconds), ["0s", "1.5s"]);
    }
}
