//! One pass over rows of one JSON object each: what is plainly certain becomes columns, all else is suspect.

use crate::columns::{Bits, TextColumn};
use crate::keys::{Keys, Role};
use crate::members::{blank, join, sort, word, Member, Steps, Writer};
use crate::number::{number, shown};
use crate::text::{quoted, unescape, Quoted};
use crate::time::{moment, Times};
use crate::{Sure, Suspect};
use std::ops::Range;

/// How large rows and their parts may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub row: usize,
    pub field: usize,
}

/// What a pass found.
pub struct Scanned {
    /// By field.
    pub fields: Vec<TextColumn>,
    /// Unknown members and those of `properties` as one canonical object.
    pub properties: TextColumn,
    /// Of the field that holds times, those that are plain.
    pub times: Option<(usize, Times)>,
    /// Rows of which no column tells anything.
    pub suspects: Bits,
}

/// A value of a field in the row.
#[derive(Clone, Copy)]
enum Found {
    Text(Quoted),
    Bare(usize, usize),
}

/// The pass, with the row that it is at.
struct Pass {
    keys: Keys,
    limits: Limits,
    out: Scanned,
    writer: Writer,
    seen: Vec<usize>,
    found: Vec<(usize, Found)>,
    unknown: Vec<Member>,
    given: Option<Range<usize>>,
    characters: Vec<u8>,
}

/// Scan rows; None stands for a row that is not there, and is suspect. The column `timed` holds times.
pub fn scan<'a>(
    rows: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    keys: Keys,
    columns: usize,
    timed: Option<usize>,
    limits: Limits,
) -> Scanned {
    let height = rows.len();
    let out = Scanned {
        fields: (0..columns).map(|_| TextColumn::of(height)).collect(),
        properties: TextColumn::of(height),
        times: timed.map(|column| (column, Times::of(height))),
        suspects: Bits::zeros(height),
    };
    let mut pass = Pass {
        seen: vec![usize::MAX; keys.start()],
        keys,
        limits,
        out,
        writer: Writer::default(),
        found: Vec::new(),
        unknown: Vec::new(),
        given: None,
        characters: Vec::new(),
    };
    for (number, row) in rows.enumerate() {
        if row.ok_or(Suspect).and_then(|row| pass.row(number, row)).is_err() {
            pass.out.suspects.set(number);
        }
    }
    pass.out
}

impl Pass {
    /// Read a row, then write it: of a suspect nothing is written.
    fn row(&mut self, number: usize, row: &[u8]) -> Sure<()> {
        if row.len() > self.limits.row || std::str::from_utf8(row).is_err() {
            return Err(Suspect);
        }
        self.writer.clear();
        self.found.clear();
        self.unknown.clear();
        self.given = None;
        let mut steps = Steps::into(row, blank(row, 0))?;
        let mut before = self.keys.start();
        while let Some((key, at)) = steps.next_key(row)? {
            let place = self.keys.place(&row[key.start..key.end], before);
            let end = match place {
                Some(place) => self.known(number, place, row, at)?,
                None => self.other(&key, row, at)?,
            };
            before = place.unwrap_or(before);
            steps.after_value(row, end);
        }
        if steps.at != row.len() && blank(row, steps.at) != row.len() {
            return Err(Suspect);
        }
        let has_properties = self.merge(row)?;
        self.commit(number, row, has_properties)
    }

    /// A key that is known.
    fn known(&mut self, number: usize, place: usize, row: &[u8], at: usize) -> Sure<usize> {
        if std::mem::replace(&mut self.seen[place], number) == number {
            return Err(Suspect); // twice
        }
        match self.keys.roles[place] {
            Role::Field(column) => self.cell(column, row, at),
            Role::Dropped => self.writer.value(row, at, 1),
            Role::Properties if row.get(at) == Some(&b'n') => word(row, at),
            Role::Properties => {
                let first = self.writer.members.len();
                let end = self.writer.open(row, at, 1)?;
                self.given = Some(first..self.writer.members.len());
                Ok(end)
            }
        }
    }

    /// A value that feeds a field: no object and no list.
    fn cell(&mut self, column: usize, row: &[u8], at: usize) -> Sure<usize> {
        let (found, end) = match row.get(at) {
            Some(b'"') => {
                let text = quoted(row, at)?;
                (Found::Text(text), text.after())
            }
            Some(b'n') => return word(row, at),
            Some(b't' | b'f') => {
                let end = word(row, at)?;
                (Found::Bare(at, end), end)
            }
            _ => {
                let end = number(row, at)?.end;
                (Found::Bare(at, end), end)
            }
        };
        self.found.push((column, found));
        Ok(end)
    }

    /// A key that is not known.
    fn other(&mut self, key: &Quoted, row: &[u8], at: usize) -> Sure<usize> {
        let start = self.writer.written.len();
        let end = self.writer.value(row, at, 1)?;
        let value = start..self.writer.written.len();
        self.unknown.push(Member { key: key.start..key.end, value });
        Ok(end)
    }

    /// Join unknown members and those of `properties` in `characters`; whether there is anything.
    fn merge(&mut self, row: &[u8]) -> Sure<bool> {
        sort(row, &mut self.unknown)?;
        let written = &self.writer.written;
        self.unknown.retain(|member| &written[member.value.clone()] != b"null");
        let has = self.given.is_some() || !self.unknown.is_empty();
        if !has {
            return Ok(false);
        }
        if let Some(given) = self.given.take() {
            self.unknown.extend_from_slice(&self.writer.members[given]);
            sort(row, &mut self.unknown)?; // a key in both is not believed
        }
        self.characters.clear();
        join(row, &self.writer.written, &self.unknown, &mut self.characters);
        if self.characters.len() > self.limits.field || !self.out.properties.has_room(self.characters.len()) {
            return Err(Suspect);
        }
        Ok(true)
    }

    /// Write what was found, unless an escape is odd.
    fn commit(&mut self, number: usize, row: &[u8], has_properties: bool) -> Sure<()> {
        self.writer.written.clear(); // free now: the characters of texts with escapes
        for (column, found) in &mut self.found {
            if !self.out.fields[*column].has_room(row.len()) {
                return Err(Suspect);
            }
            if let Found::Text(text) = found {
                if text.escaped {
                    let start = self.writer.written.len();
                    unescape(&row[text.start..text.end], &mut self.writer.written)?;
                    (text.start, text.end) = (start, self.writer.written.len());
                }
            }
        }
        for (column, found) in &self.found {
            let (text, is_quoted) = match *found {
                Found::Text(text) if text.escaped => (&self.writer.written[text.start..text.end], true),
                Found::Text(text) => (&row[text.start..text.end], true),
                Found::Bare(start, end) => (shown(&row[start..end]), false),
            };
            self.out.fields[*column].put(number, text, is_quoted);
            if let Some((timed, times)) = &mut self.out.times {
                if timed == column && is_quoted {
                    moment(text).into_iter().for_each(|moment| times.put(number, moment));
                }
            }
        }
        if has_properties {
            self.out.properties.put(number, &self.characters, false);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
