//! Durations (`"500ms"`, `"10s"`, `"24h"`) and sizes (`"32KiB"`): one number and one unit, exactly.

use std::time::Duration;

/// Units of time, longest first, in milliseconds.
const TIMES: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size, largest first, in bytes.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// So many seconds, where a constant is asked for.
pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds, where a constant is asked for.
pub(super) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Reads a duration; the error says how one is written.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str =
        "a duration is a whole number and one of ms, s, m, h, d: \"500ms\", \"10s\", \"24h\"";
    measure(text, &TIMES, FORM).map(Duration::from_millis)
}

/// Reads a size in bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, &'static str> {
    const FORM: &str = "a size is a whole number and one of B, KiB, MiB, GiB: \"32KiB\", \"10MiB\"";
    measure(text, &SIZES, FORM)
}

/// The shortest exact form; a part below a millisecond is dropped.
pub(super) fn format_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 { "0s".to_owned() } else { format(millis, &TIMES) }
}

/// The shortest exact form.
pub(super) fn format_size(bytes: u64) -> String {
    format(bytes, &SIZES)
}

fn measure(text: &str, units: &[(&str, u64)], form: &'static str) -> Result<u64, &'static str> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or(form)?;
    if number.is_empty() {
        return Err(form);
    }
    let number: Option<u64> = number.parse().ok();
    number.and_then(|number| number.checked_mul(*factor)).ok_or("the number is too large")
}

fn format(amount: u64, units: &[(&str, u64)]) -> String {
    let exact = units.iter().find(|(_, factor)| amount != 0 && amount.is_multiple_of(*factor));
    let (name, factor) = exact.or_else(|| units.last()).copied().unwrap_or(("", 1));
    format!("{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_one_number_and_one_unit() {
        for (text, millis) in [
            ("0s", 0),
            ("1ms", 1),
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("24h", 86_400_000),
            ("2s", 2_000),
            ("90d", 7_776_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "10",
            "s",
            "1.5s",
            "-1s",
            "+1s",
            " 1s",
            "1 s",
            "1S",
            "1h30m",
            "1us",
            "999999999999d",
            "99999999999999999999s",
            "18446744073709551615d",
            "१s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_one_number_and_one_binary_unit() {
        for (text, bytes) in
            [("1B", 1), ("32KiB", 32 << 10), ("10MiB", 10 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "1K", "1KB", "1MB", "1kib", "0x1KiB", "-1B", "99999999999999999999B"]
        {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_printed_duration_reads_back(millis in 0..u64::MAX / 2) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn a_printed_size_reads_back(bytes: u64) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn units_never_panic(text in ".*") {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
