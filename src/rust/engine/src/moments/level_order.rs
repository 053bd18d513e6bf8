//! Rows in the order of the levels of a grouping factor.

use crate::api::model::Members;
use crate::runtime::memory;

/// Rows ordered by level (counting sort).
#[derive(Debug, Clone)]
pub(crate) struct LevelOrder {
    start: Vec<usize>,
    row: Vec<u32>,
    /// Weight of each row at the level, where rows are members of several.
    weight: Option<Vec<f64>>,
}

impl LevelOrder {
    /// Rows of one level.
    pub(crate) fn rows(&self, level: usize) -> &[u32] {
        &self.row[self.start[level]..self.start[level + 1]]
    }

    /// Rows of one level, and their weights there.
    pub(crate) fn weighted_rows(&self, level: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let own = self.start[level]..self.start[level + 1];
        let weight = self.weight.as_deref();
        own.map(move |at| (self.row[at] as usize, weight.map_or(1.0, |w| w[at])))
    }

    /// How many rows there are, those of several levels as often.
    pub(crate) fn len(&self) -> usize {
        self.row.len()
    }

    pub(crate) fn new(codes: &[i32], n_levels: usize) -> Self {
        let (start, mut next) = starts(codes, n_levels);
        let mut row = vec![0u32; codes.len()];
        for (i, &c) in codes.iter().enumerate() {
            let slot = &mut next[c as usize - 1];
            row[*slot] = i as u32;
            *slot += 1;
        }
        Self {
            start,
            row,
            weight: None,
        }
    }

    /// Of rows that are members of several levels.
    pub(crate) fn of_members(members: Members<'_>, n_levels: usize) -> Self {
        let (start, mut next) = starts(members.level, n_levels);
        let mut row = vec![0u32; members.level.len()];
        let mut weight = memory::zeros(members.level.len());
        for i in 0..members.start.len() - 1 {
            for (level, own) in members.of_row(i) {
                let slot = &mut next[level];
                row[*slot] = i as u32;
                weight[*slot] = own;
                *slot += 1;
            }
        }
        Self {
            start,
            row,
            weight: Some(weight),
        }
    }
}

/// Where the rows of each level start, and once more to count from.
fn starts(codes: &[i32], n_levels: usize) -> (Vec<usize>, Vec<usize>) {
    let mut start = vec![0usize; n_levels + 1];
    for &c in codes {
        start[c as usize] += 1;
    }
    for j in 0..n_levels {
        start[j + 1] += start[j];
    }
    let next = start.clone();
    (start, next)
}
