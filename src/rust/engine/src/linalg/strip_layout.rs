//! Where a lower triangle stands: strips of columns, each from its diagonal tile down.

use std::ops::Range;

use faer::{MatMut, MatRef};

/// Columns of a strip, at most (but for a node with more effects).
pub(super) const TILE: usize = 96;

/// Columns of a strip from order [`LARGE`] on, where memory would otherwise keep the processor waiting: an update of the rest
/// by a strip reads and writes all of it.
const WIDE_TILE: usize = 192;

/// Order from which strips are wide.
const LARGE: usize = 3000;

/// Where the strips stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StripLayout {
    /// First column of each strip, and the order of the matrix.
    pub(super) border: Vec<usize>,
    /// Where each strip starts among the values, and their number.
    pub(super) start: Vec<usize>,
    /// Strip of each column.
    strip: Vec<u32>,
}

impl StripLayout {
    /// Strips for a matrix whose columns come in indivisible groups that start at `offset` (last: the order).
    #[must_use]
    pub fn new(offset: &[usize]) -> Self {
        let n = offset.last().copied().unwrap_or(0);
        let tile = if n < LARGE { TILE } else { WIDE_TILE };
        let mut border = vec![0];
        let mut from = 0;
        for pair in offset.windows(2) {
            if pair[1] - from > tile && pair[0] > from {
                border.push(pair[0]);
                from = pair[0];
            }
        }
        if n > 0 {
            border.push(n);
        }
        let mut start = vec![0];
        let mut strip = Vec::with_capacity(n);
        for (s, pair) in border.windows(2).enumerate() {
            start.push(start[s] + (n - pair[0]) * (pair[1] - pair[0]));
            strip.resize(pair[1], s as u32);
        }
        Self {
            border,
            start,
            strip,
        }
    }

    /// Order of the matrix.
    #[must_use]
    pub fn order(&self) -> usize {
        self.strip.len()
    }

    /// Number of strips.
    #[must_use]
    pub fn strips(&self) -> usize {
        self.border.len() - 1
    }

    /// Columns of strip `s`.
    #[must_use]
    pub fn columns(&self, s: usize) -> Range<usize> {
        self.border[s]..self.border[s + 1]
    }

    /// Strip `s`, of these values.
    pub(super) fn strip_mut<'a>(&self, s: usize, values: &'a mut [f64]) -> MatMut<'a, f64> {
        let columns = self.columns(s);
        MatMut::from_column_major_slice_mut(values, self.order() - columns.start, columns.len())
    }

    /// Strip `s` of these values, for reading.
    pub(super) fn strip_of<'a>(&self, s: usize, values: &'a [f64]) -> MatRef<'a, f64> {
        let columns = self.columns(s);
        MatRef::from_column_major_slice(values, self.order() - columns.start, columns.len())
    }

    /// Where values of strip `s` stand.
    pub(super) fn values(&self, s: usize) -> Range<usize> {
        self.start[s]..self.start[s + 1]
    }

    /// Where column `j` (or, at the order, the end) stands among the values.
    #[must_use]
    pub fn column_start(&self, j: usize) -> usize {
        match self.strip.get(j) {
            Some(&s) => {
                let from = self.border[s as usize];
                self.start[s as usize] + (j - from) * (self.order() - from)
            }
            None => self.start[self.strips()],
        }
    }

    /// First row that is stored of column `j`.
    #[must_use]
    pub fn first_row(&self, j: usize) -> usize {
        self.border[self.strip[j] as usize]
    }
}
