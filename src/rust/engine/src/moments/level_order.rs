//! Rows in the order of the levels of a grouping factor.

/// Rows ordered by level (counting sort).
#[derive(Debug, Clone)]
pub(crate) struct LevelOrder {
    start: Vec<usize>,
    row: Vec<u32>,
}

impl LevelOrder {
    /// Rows of one level.
    pub(crate) fn rows(&self, level: usize) -> &[u32] {
        &self.row[self.start[level]..self.start[level + 1]]
    }

    pub(crate) fn new(codes: &[i32], n_levels: usize) -> Self {
        let mut start = vec![0usize; n_levels + 1];
        for &c in codes {
            start[c as usize] += 1;
        }
        for j in 0..n_levels {
            start[j + 1] += start[j];
        }
        let mut next = start.clone();
        let mut row = vec![0u32; codes.len()];
        for (i, &c) in codes.iter().enumerate() {
            let slot = &mut next[c as usize - 1];
            row[*slot] = i as u32;
            *slot += 1;
        }
        Self { start, row }
    }
}
