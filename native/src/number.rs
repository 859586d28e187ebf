//! Numbers of JSON: where they end, and how Python writes them.

use crate::{Sure, Suspect};
use std::io::Write;

/// Longer numbers are left to the exact way, which bounds its digits too.
const MAX_LENGTH: usize = 300;
/// Decimals of so many digits are told apart by doubles: there is one shortest text for their double.
const TOLD_APART: usize = 15;
/// Where doubles are neither too small nor too large for that, and for what is done here.
const ORDINARY: std::ops::Range<f64> = 1e-300..1e300;
/// A double between two texts has at most 18 digits. With `m` bits behind the point they are those of a multiple
/// of 5^m, so that there are at most 25 bits.
const BITS_BETWEEN: f64 = (1_u64 << 26) as f64;
/// As many digits as all doubles have that have no more bits behind the point, and are not far beyond 2^53.
const ALL_DIGITS: usize = 40;
/// Exponents of ten between which a double is written without one.
const POSITIONAL: std::ops::Range<i32> = -4..16;

/// A number in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number {
    pub end: usize,
    /// It has neither point nor exponent.
    pub whole: bool,
}

/// The number that begins at `at`: one that a double can hold.
pub fn number(row: &[u8], at: usize) -> Sure<Number> {
    let first = if row.get(at) == Some(&b'-') { at + 1 } else { at };
    let mut end = digits(row, first)?;
    if row[first] == b'0' && end > first + 1 {
        return Err(Suspect);
    }
    let mut whole = true;
    if row.get(end) == Some(&b'.') {
        whole = false;
        end = digits(row, end + 1)?;
    }
    let exponent = matches!(row.get(end), Some(b'e' | b'E'));
    if exponent {
        whole = false;
        let signed = matches!(row.get(end + 1), Some(b'+' | b'-'));
        end = digits(row, end + 1 + usize::from(signed))?;
    }
    if end - at > MAX_LENGTH || (exponent && !double(&row[at..end])?.is_finite()) {
        return Err(Suspect);
    }
    Ok(Number { end, whole })
}

/// Where the digits from `at` on end: at least one.
fn digits(row: &[u8], at: usize) -> Sure<usize> {
    let rest = row.get(at..).ok_or(Suspect)?;
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 {
        return Err(Suspect);
    }
    Ok(at + length)
}

fn double(text: &[u8]) -> Sure<f64> {
    let text = std::str::from_utf8(text).map_err(|_| Suspect)?;
    text.parse().map_err(|_| Suspect)
}

/// The text of a number as a cell shows it: as it was written, but Python's integers know no negative zero.
pub fn shown(text: &[u8]) -> &[u8] {
    if text == b"-0" {
        b"0"
    } else {
        text
    }
}

/// Append a number as Python's `json.dumps` writes it.
pub fn write_number(text: &[u8], whole: bool, out: &mut Vec<u8>) -> Sure<()> {
    if whole {
        out.extend_from_slice(shown(text));
        return Ok(());
    }
    let value = double(text)?;
    let mut buffer = Buffer::default();
    let written = buffer.written(format_args!("{value:e}"))?;
    if value != 0.0 && !ORDINARY.contains(&value.abs())
        || (significant(text) > TOLD_APART && stands_between(value, written)?)
    {
        return Err(Suspect);
    }
    let (mantissa, exponent) = split(written)?;
    lay_out(mantissa, exponent, out);
    Ok(())
}

/// Room for a number.
struct Buffer([u8; 64]);

impl Default for Buffer {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Buffer {
    fn written(&mut self, number: std::fmt::Arguments<'_>) -> Sure<&[u8]> {
        let mut rest = &mut self.0[..];
        rest.write_fmt(number).map_err(|_| Suspect)?;
        let left = rest.len();
        Ok(&self.0[..self.0.len() - left])
    }
}

/// Digits of a number but for zeros before them.
fn significant(text: &[u8]) -> usize {
    let mantissa = text.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or(text);
    mantissa.iter().filter(|byte| byte.is_ascii_digit()).skip_while(|&&byte| byte == b'0').count()
}

/// Whether a double stands in the middle between two shortest texts: Python takes the even one, Rust the upper one.
fn stands_between(value: f64, shortest: &[u8]) -> Sure<bool> {
    if (value * BITS_BETWEEN).fract() != 0.0 {
        return Ok(false);
    }
    let digits = |text: &[u8]| {
        text.split(|&byte| byte == b'e')
            .next()
            .map_or(0, |part| part.iter().filter(|byte| byte.is_ascii_digit()).count())
    };
    let length = digits(shortest);
    let mut buffer = Buffer::default();
    let all = buffer.written(format_args!("{value:.ALL_DIGITS$e}"))?;
    let mut after = all.iter().filter(|byte| byte.is_ascii_digit()).take(ALL_DIGITS + 1).skip(length);
    Ok(after.next() == Some(&b'5') && after.all(|&digit| digit == b'0'))
}

/// The shortest digits of a double, with sign and point, and its exponent of ten.
fn split(written: &[u8]) -> Sure<(&[u8], i32)> {
    let at = written.iter().position(|&byte| byte == b'e').ok_or(Suspect)?;
    let exponent = std::str::from_utf8(&written[at + 1..]).map_err(|_| Suspect)?;
    Ok((&written[..at], exponent.parse().map_err(|_| Suspect)?))
}

/// Append a double in the layout of Python's `repr`.
fn lay_out(mantissa: &[u8], exponent: i32, out: &mut Vec<u8>) {
    if !POSITIONAL.contains(&exponent) {
        out.extend_from_slice(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
        return;
    }
    let mut digits = mantissa;
    if let Some(positive) = mantissa.strip_prefix(b"-") {
        out.push(b'-');
        digits = positive;
    }
    let digits: Vec<u8> = digits.iter().copied().filter(|&byte| byte != b'.').collect();
    if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend((1..-exponent).map(|_| b'0'));
        out.extend_from_slice(&digits);
        return;
    }
    let point = exponent.unsigned_abs() as usize + 1;
    for place in 0..point {
        out.push(digits.get(place).copied().unwrap_or(b'0'));
    }
    out.push(b'.');
    out.extend_from_slice(digits.get(point..).filter(|rest| !rest.is_empty()).unwrap_or(b"0"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let found = number(text.as_bytes(), 0).expect("a number");
        assert_eq!(found.end, text.len());
        let mut out = Vec::new();
        write_number(text.as_bytes(), found.whole, &mut out).expect("a number");
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn numbers_are_written_as_python_writes_them() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("0.00", "0.0"),
            ("1.50", "1.5"),
            ("12", "12"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("1e5", "100000.0"),
            ("1E15", "1000000000000000.0"),
            ("1e16", "1e+16"),
            ("12e15", "1.2e+16"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("0.00012", "0.00012"),
            ("-1.25e-7", "-1.25e-07"),
            ("1e-400", "0.0"),
            ("-1e-400", "-0.0"),
            ("0.1234567890123456789", "0.12345678901234568"),
            ("9007199254740993.0", "9007199254740992.0"),
            ("100.0", "100.0"),
            ("-120.5", "-120.5"),
        ] {
            assert_eq!(written(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_large_is_suspect() {
        for text in ["", "-", "01", "-01", "1.", ".5", "+1", "1e", "1e+", "1e400", "NaN", "Infinity", "-Infinity", "x"]
        {
            assert!(number(text.as_bytes(), 0).is_err(), "{text}");
        }
        assert!(number("1".repeat(301).as_bytes(), 0).is_err());
    }
}
