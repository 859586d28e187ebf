//! Columns of text in Arrow's layout of views, which Polars takes as they are.

const VIEW: usize = 16;
/// Texts as short stand in the view itself.
const INLINE: usize = 12;
/// Offsets into a column's data have 32 bits.
const MAX_DATA: usize = i32::MAX as usize;

/// One bit for each row, the lowest first.
#[derive(Clone, Debug, Default)]
pub struct Bits(pub Vec<u8>);

impl Bits {
    pub fn zeros(height: usize) -> Self {
        Self(vec![0; height.div_ceil(8)])
    }

    pub fn set(&mut self, row: usize) {
        self.0[row / 8] |= 1 << (row % 8);
    }

    pub fn get(&self, row: usize) -> bool {
        self.0.get(row / 8).is_some_and(|byte| byte & (1 << (row % 8)) != 0)
    }
}

/// A column of text; it takes no memory until a row has one.
#[derive(Debug)]
pub struct TextColumn {
    height: usize,
    pub views: Vec<u8>,
    pub data: Vec<u8>,
    pub present: Bits,
    pub quoted: Bits,
    pub count: usize,
}

impl TextColumn {
    pub fn of(height: usize) -> Self {
        let (views, data) = (Vec::new(), Vec::new());
        Self { height, views, data, present: Bits::default(), quoted: Bits::default(), count: 0 }
    }

    /// Whether there is room for a text.
    pub fn has_room(&self, length: usize) -> bool {
        self.data.len() + length <= MAX_DATA
    }

    /// Set the text of a row, which has none yet.
    pub fn put(&mut self, row: usize, text: &[u8], quoted: bool) {
        if self.count == 0 {
            self.views = vec![0; self.height * VIEW];
            self.present = Bits::zeros(self.height);
            self.quoted = Bits::zeros(self.height);
        }
        self.count += 1;
        self.present.set(row);
        if quoted {
            self.quoted.set(row);
        }
        let view = &mut self.views[row * VIEW..(row + 1) * VIEW];
        view[..4].copy_from_slice(&(text.len() as u32).to_le_bytes());
        if text.len() <= INLINE {
            view[4..4 + text.len()].copy_from_slice(text);
            return;
        }
        view[4..8].copy_from_slice(&text[..4]);
        // Bytes 8 to 11 are the number of the buffer: the only one, 0.
        view[12..].copy_from_slice(&(self.data.len() as u32).to_le_bytes());
        self.data.extend_from_slice(text);
    }

    /// The text of a row; None where there is none.
    pub fn text(&self, row: usize) -> Option<&[u8]> {
        if !self.present.get(row) {
            return None;
        }
        let view = &self.views[row * VIEW..(row + 1) * VIEW];
        let number = |at: usize| u32::from_le_bytes(view[at..at + 4].try_into().expect("four bytes")) as usize;
        let length = number(0);
        Some(if length <= INLINE { &view[4..4 + length] } else { &self.data[number(12)..number(12) + length] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_any_length_come_back() {
        let texts: Vec<String> = (0..30).map(|length| "x".repeat(length)).collect();
        let mut column = TextColumn::of(31);
        for (row, text) in texts.iter().enumerate() {
            column.put(row, text.as_bytes(), row % 2 == 1);
        }
        for (row, text) in texts.iter().enumerate() {
            assert_eq!(column.text(row), Some(text.as_bytes()));
            assert_eq!(column.quoted.get(row), row % 2 == 1);
        }
        assert_eq!(column.text(30), None);
        assert_eq!(column.count, 30);
    }

    #[test]
    fn a_column_that_no_row_has_takes_no_memory() {
        let column = TextColumn::of(1_000_000);
        assert!(column.views.is_empty() && column.present.0.is_empty());
        assert_eq!(column.text(7), None);
    }
}
