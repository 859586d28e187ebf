//! Values inside of a row as canonical JSON: keys sorted, no blanks, numbers as Python writes them.

use crate::number::{number, write_number};
use crate::text::{quoted, unescape, write_quoted, Quoted};
use crate::{Sure, Suspect};
use std::ops::Range;

/// Levels of nesting that are believed; fewer than the exact way allows.
const MAX_DEPTH: usize = 64;

/// A member of an object: its key in the row, and its value in what was written.
#[derive(Clone, Debug)]
pub struct Member {
    pub key: Range<usize>,
    pub value: Range<usize>,
}

/// Writes the values of one row after the other.
#[derive(Default)]
pub struct Writer {
    /// Canonical text of values.
    pub written: Vec<u8>,
    /// Members of the objects that are open.
    pub members: Vec<Member>,
    characters: Vec<u8>,
    object: Vec<u8>,
}

impl Writer {
    /// Forget the row before.
    pub fn clear(&mut self) {
        self.written.clear();
        self.members.clear();
    }

    /// Write the value at `at`; where the row goes on.
    pub fn value(&mut self, row: &[u8], at: usize, depth: usize) -> Sure<usize> {
        match row.get(at) {
            Some(b'"') => self.string(row, at),
            Some(b'{') => self.object(row, at, depth),
            Some(b'[') => self.array(row, at, depth),
            Some(b't' | b'f' | b'n') => {
                let end = word(row, at)?;
                self.written.extend_from_slice(&row[at..end]);
                Ok(end)
            }
            _ => {
                let found = number(row, at)?;
                write_number(&row[at..found.end], found.whole, &mut self.written)?;
                Ok(found.end)
            }
        }
    }

    fn string(&mut self, row: &[u8], at: usize) -> Sure<usize> {
        let found = quoted(row, at)?;
        if found.escaped {
            self.characters.clear();
            unescape(&row[found.start..found.end], &mut self.characters)?;
            write_quoted(&self.characters, &mut self.written);
        } else {
            self.written.extend_from_slice(&row[at..found.after()]);
        }
        Ok(found.after())
    }

    fn array(&mut self, row: &[u8], at: usize, depth: usize) -> Sure<usize> {
        if depth >= MAX_DEPTH {
            return Err(Suspect);
        }
        self.written.push(b'[');
        let mut at = blank(row, at + 1);
        if row.get(at) == Some(&b']') {
            self.written.push(b']');
            return Ok(at + 1);
        }
        loop {
            at = blank(row, self.value(row, at, depth + 1)?);
            let mark = *row.get(at).ok_or(Suspect)?;
            if mark != b',' && mark != b']' {
                return Err(Suspect);
            }
            self.written.push(mark);
            if mark == b']' {
                return Ok(at + 1);
            }
            at = blank(row, at + 1);
        }
    }

    fn object(&mut self, row: &[u8], at: usize, depth: usize) -> Sure<usize> {
        let (first, start) = (self.members.len(), self.written.len());
        let end = self.open(row, at, depth)?;
        let mut object = std::mem::take(&mut self.object);
        object.clear();
        join(row, &self.written, &self.members[first..], &mut object);
        self.written.truncate(start);
        self.written.extend_from_slice(&object);
        self.object = object;
        self.members.truncate(first);
        Ok(end)
    }

    /// Write the values of the object at `at`, and leave its members, sorted, at the end of `members`.
    pub fn open(&mut self, row: &[u8], at: usize, depth: usize) -> Sure<usize> {
        if depth >= MAX_DEPTH {
            return Err(Suspect);
        }
        let first = self.members.len();
        let mut steps = Steps::into(row, at)?;
        while let Some((key, at)) = steps.next_key(row)? {
            let start = self.written.len();
            let end = self.value(row, at, depth + 1)?;
            let value = start..self.written.len();
            self.members.push(Member { key: key.start..key.end, value });
            steps.after_value(row, end);
        }
        sort(row, &mut self.members[first..])?;
        Ok(steps.at)
    }
}

/// Sort members by key; a key that is there twice is not believed.
pub fn sort(row: &[u8], members: &mut [Member]) -> Sure<()> {
    let key = |member: &Member| member.key.clone();
    if members.windows(2).all(|pair| row[key(&pair[0])] < row[key(&pair[1])]) {
        return Ok(());
    }
    members.sort_unstable_by(|one, other| row[key(one)].cmp(&row[key(other)]));
    if members.windows(2).any(|pair| row[key(&pair[0])] == row[key(&pair[1])]) {
        return Err(Suspect);
    }
    Ok(())
}

/// Append sorted members as one object. Keys have no escapes, so that they are canonical as they stand.
pub fn join(row: &[u8], written: &[u8], members: &[Member], out: &mut Vec<u8>) {
    out.push(b'{');
    for (number, member) in members.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.push(b'"');
        out.extend_from_slice(&row[member.key.clone()]);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(&written[member.value.clone()]);
    }
    out.push(b'}');
}

/// A walk over the members of an object.
pub struct Steps {
    pub at: usize,
    begun: bool,
}

impl Steps {
    /// Into the object at `at`.
    pub fn into(row: &[u8], at: usize) -> Sure<Self> {
        if row.get(at) != Some(&b'{') {
            return Err(Suspect);
        }
        Ok(Self { at: blank(row, at + 1), begun: false })
    }

    /// The next key and where its value begins, or None at the end of the object, which is passed.
    pub fn next_key(&mut self, row: &[u8]) -> Sure<Option<(Quoted, usize)>> {
        let mark = row.get(self.at);
        if mark == Some(&b'}') {
            self.at += 1;
            return Ok(None);
        }
        if self.begun {
            if mark != Some(&b',') {
                return Err(Suspect);
            }
            self.at = blank(row, self.at + 1);
        }
        self.begun = true;
        let key = quoted(row, self.at)?;
        let colon = blank(row, key.after());
        if key.escaped || row.get(colon) != Some(&b':') {
            return Err(Suspect);
        }
        Ok(Some((key, blank(row, colon + 1))))
    }

    /// Go on behind a value that ended at `end`.
    pub fn after_value(&mut self, row: &[u8], end: usize) {
        self.at = blank(row, end);
    }
}

/// The first place from `at` on that is no blank.
pub fn blank(row: &[u8], mut at: usize) -> usize {
    while matches!(row.get(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
        at += 1;
    }
    at
}

/// Where `true`, `false` or `null` at `at` ends.
pub fn word(row: &[u8], at: usize) -> Sure<usize> {
    let rest = row.get(at..).ok_or(Suspect)?;
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    let found = words.into_iter().find(|word| rest.starts_with(word));
    Ok(at + found.ok_or(Suspect)?.len())
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
