//! Times of ISO 8601 with seconds and a zone, as nearly all are written; others are left to ecompulse.

use crate::columns::Bits;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
const MONTH_DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// A column of times (UTC ms), and how many rows have one.
pub struct Times {
    pub values: Vec<u8>,
    pub present: Bits,
    pub count: usize,
}

impl Times {
    pub fn of(height: usize) -> Self {
        Self { values: vec![0; height * 8], present: Bits::zeros(height), count: 0 }
    }

    pub fn put(&mut self, row: usize, moment: i64) {
        self.values[row * 8..(row + 1) * 8].copy_from_slice(&moment.to_le_bytes());
        self.present.set(row);
        self.count += 1;
    }
}

/// The time that a text tells; finer parts than milliseconds are cut off. None where it is another text.
pub fn moment(text: &[u8]) -> Option<i64> {
    let (first, rest) = text.split_at_checked(19)?;
    let marks = [first[4], first[7], first[13], first[16]];
    if marks != *b"--::" || !matches!(first[10], b'T' | b' ') {
        return None;
    }
    let (year, month, day) = (number(&first[..4])?, number(&first[5..7])?, number(&first[8..10])?);
    let (hour, minute, second) = (number(&first[11..13])?, number(&first[14..16])?, number(&first[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction_ms, zone) = fraction(rest)?;
    let wall = days(year, month, day)? * DAY_MS + (hour * 60 + minute) * MINUTE_MS + second * 1000 + fraction_ms;
    Some(wall - offset(zone)? * MINUTE_MS)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Milliseconds of a fraction of up to nine digits, if there is one, and what is behind it.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(after) = rest.strip_prefix(b".") else {
        return Some((0, rest));
    };
    let length = after.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = after.split_at(length);
    let scale = match length {
        1 => 100,
        2 => 10,
        3..=9 => 1,
        _ => return None,
    };
    Some((number(&digits[..length.min(3)])? * scale, zone))
}

/// Minutes of a zone east of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    let (hours, minutes) = match zone {
        b"Z" => return Some(0),
        [_, hours @ ..] if hours.len() == 2 => (hours, &b"00"[..]),
        [_, rest @ ..] if rest.len() == 4 => rest.split_at(2),
        [_, _, _, b':', minutes @ ..] if minutes.len() == 2 => (&zone[1..3], minutes),
        _ => return None,
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let sign = match zone[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// Days since 1970 of a day that the calendar has.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = MONTH_DAYS.get(usize::try_from(month - 1).ok()?)? + i64::from(leap && month == 2);
    if year < 1 || day < 1 || day > length {
        return None;
    }
    // Years that begin in March have their odd day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(before + (153 * month + 2) / 5 + day - 1 - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_since_1970() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2023-01-01 00:00:00.1239+02:00", 1_672_524_000_123),
            ("2023-01-01T00:00:00.5-0530", 1_672_551_000_500),
            ("2024-02-29T23:59:59.987654321+05", 1_709_233_199_987),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(moment(text.as_bytes()), Some(expected), "{text}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = -719_162;
        for year in 1..=2400 {
            for month in 1..=12 {
                let found: Vec<i64> = (1..=31).filter_map(|day| days(year, month, day)).collect();
                assert!(found.len() >= 28);
                for number in found {
                    assert_eq!(number, expected);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn other_texts_are_left() {
        for text in [
            "",
            "2023-01-01",
            "2023-01-01T00:00:00",
            "2023-01-01T00:00Z",
            "2023-02-29T00:00:00Z",
            "2023-13-01T00:00:00Z",
            "2023-00-01T00:00:00Z",
            "2023-01-00T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "2023-01-01T24:00:00Z",
            "2023-01-01T00:00:60Z",
            "2023-01-01T00:60:00Z",
            "2023-01-01t00:00:00Z",
            "2023-01-01T00:00:00z",
            "2023-01-01T00:00:00.Z",
            "2023-01-01T00:00:00.1234567890Z",
            "2023-01-01T00:00:00+24:00",
            "2023-01-01T00:00:00+01:60",
            "2023-01-01T00:00:00*01:00",
            "2023-01-01T00:00:00+1:00",
            "2023-01-01T00:00:00+01:0",
            "+023-01-01T00:00:00Z",
            "2023-01-01T00:00:00ZZ",
            "2023-01-01T00:00:00Zx",
            "2023-01-01T00:00:00é",
        ] {
            assert_eq!(moment(text.as_bytes()), None, "{text}");
        }
    }
}
