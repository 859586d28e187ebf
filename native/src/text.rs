//! Strings of JSON: where they end, and what their escapes stand for.

use crate::{Sure, Suspect};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const BLANK: u64 = 0x20;

/// A string in a row: what is between its quotes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quoted {
    pub start: usize,
    pub end: usize,
    pub escaped: bool,
}

impl Quoted {
    /// Where the text goes on.
    pub fn after(&self) -> usize {
        self.end + 1
    }
}

/// The string that begins at `at`; its escapes are not looked at yet.
pub fn quoted(row: &[u8], at: usize) -> Sure<Quoted> {
    if row.get(at) != Some(&b'"') {
        return Err(Suspect);
    }
    let start = at + 1;
    let mut end = special(row, start);
    let mut escaped = false;
    loop {
        match row.get(end) {
            Some(b'"') => return Ok(Quoted { start, end, escaped }),
            Some(b'\\') => {
                escaped = true;
                end = special(row, end + 2);
            }
            _ => return Err(Suspect), // a control character, or no end
        }
    }
}

/// The place of the first quote, backslash or control character from `at` on.
fn special(row: &[u8], mut at: usize) -> usize {
    // Eight bytes at a time: a false alarm can only stand above a true one, so that the lowest bit is right.
    while let Some(chunk) = row.get(at..at + 8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("eight bytes"));
        let quote = word ^ (ONES * u64::from(b'"'));
        let slash = word ^ (ONES * u64::from(b'\\'));
        let found = (word.wrapping_sub(ONES * BLANK) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (slash.wrapping_sub(ONES) & !slash);
        let found = found & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while let Some(&byte) = row.get(at) {
        if byte == b'"' || byte == b'\\' || byte < 0x20 {
            return at;
        }
        at += 1;
    }
    at
}

/// Append the characters that a string with escapes stands for; half a surrogate pair is not believed.
pub fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Sure<()> {
    let mut at = 0;
    while at < raw.len() {
        let plain = raw[at..].iter().position(|&byte| byte == b'\\');
        let until = plain.map_or(raw.len(), |length| at + length);
        out.extend_from_slice(&raw[at..until]);
        if until == raw.len() {
            break;
        }
        at = one_escape(raw, until, out)?;
    }
    Ok(())
}

/// Append what the escape at `at` stands for; where the text goes on.
fn one_escape(raw: &[u8], at: usize, out: &mut Vec<u8>) -> Sure<usize> {
    let byte = match raw.get(at + 1) {
        Some(b'u') => return unicode_escape(raw, at, out),
        Some(&byte @ (b'"' | b'\\' | b'/')) => byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        _ => return Err(Suspect),
    };
    out.push(byte);
    Ok(at + 2)
}

fn unicode_escape(raw: &[u8], at: usize, out: &mut Vec<u8>) -> Sure<usize> {
    let first = hexadecimal(raw, at)?;
    let (code, after) = if (0xd800..0xdc00).contains(&first) {
        let second = hexadecimal(raw, at + 6)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Suspect);
        }
        (0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), at + 12)
    } else {
        (first, at + 6)
    };
    let character = char::from_u32(code).ok_or(Suspect)?;
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(after)
}

/// The number of the escape `\uXXXX` at `at`.
fn hexadecimal(raw: &[u8], at: usize) -> Sure<u32> {
    let escape = raw.get(at..at + 6).ok_or(Suspect)?;
    if escape[0] != b'\\' || escape[1] != b'u' {
        return Err(Suspect);
    }
    escape[2..].iter().try_fold(0, |number, &digit| {
        let digit = char::from(digit).to_digit(16).ok_or(Suspect)?;
        Ok(number * 16 + digit)
    })
}

/// Append characters as a JSON string in which only what must be escaped is.
pub fn write_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn characters(raw: &str) -> Sure<String> {
        let mut out = Vec::new();
        unescape(raw.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn a_string_ends_at_its_quote_wherever_it_stands() {
        for length in 0..40 {
            let row = format!("\"{}\" rest", "é".repeat(length));
            let found = quoted(row.as_bytes(), 0).expect("a string");
            assert_eq!((found.start, found.end), (1, 1 + 2 * length));
        }
    }

    #[test]
    fn a_string_without_end_or_with_a_control_character_is_suspect() {
        for row in ["\"abc", "\"abc\\", "\"abc\\\"", "\"a\nb\"", "\"12345678\u{1}\"", "abc", ""] {
            assert!(quoted(row.as_bytes(), 0).is_err(), "{row:?}");
        }
    }

    #[test]
    fn escapes_become_characters() {
        assert_eq!(characters(r#"a\"\\\/\b\f\n\r\tz"#).as_deref(), Ok("a\"\\/\u{8}\u{c}\n\r\tz"));
        assert_eq!(characters(r"\u00e9\u00E9\u0000").as_deref(), Ok("éé\0"));
        assert_eq!(characters(r"x\ud83d\ude00y").as_deref(), Ok("x😀y"));
    }

    #[test]
    fn odd_escapes_are_suspect() {
        for raw in
            [r"\x", r"\u12", r"\u12g4", r"\u+123", r"\ud83d", r"\ud83dx", r"\ud83d\u0041", r"\ude00", r"\ud83d\n1234"]
        {
            assert!(characters(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let mut out = Vec::new();
        write_quoted("a\"\\\n\u{1f}\u{7f}é/".as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).as_deref(), Ok("\"a\\\"\\\\\\n\\u001f\u{7f}é/\""));
    }
}
