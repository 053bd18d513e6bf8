//! Which rows are connected: those whose observations a model takes as dependent, directly or through others.
//!
//! Rows of one level of a grouping factor are, those of levels that a known precision matrix links, and those of one group of
//! correlated residuals. Rows that are not connected are independent, so that a cluster of independent rows is a union of
//! connected sets.

use crate::api::model::{KnownMatrix, ModelData};

/// Sets that are united step by step (Tarjan 1975, Journal of the ACM 22).
pub(crate) struct Sets {
    parent: Vec<u32>,
}

impl Sets {
    /// So many sets of one element.
    pub fn new(count: usize) -> Self {
        Self {
            parent: (0..count as u32).collect(),
        }
    }

    /// The element that stands for the set of `element`.
    pub fn of(&mut self, element: usize) -> usize {
        let mut at = element;
        while self.parent[at] as usize != at {
            let above = self.parent[self.parent[at] as usize];
            self.parent[at] = above;
            at = above as usize;
        }
        at
    }

    pub fn unite(&mut self, a: usize, b: usize) {
        let (a, b) = (self.of(a), self.of(b));
        self.parent[a.max(b)] = a.min(b) as u32;
    }

    /// Numbers of the sets of some elements, from 0 in the order in which they come, and how many there are.
    fn numbered(&mut self, elements: impl Iterator<Item = usize>) -> (Vec<u32>, usize) {
        let mut number = vec![u32::MAX; self.parent.len()];
        let mut count = 0;
        let codes = elements.map(|element| {
            let own = &mut number[self.of(element)];
            if *own == u32::MAX {
                *own = count;
                count += 1;
            }
            *own
        });
        let codes = codes.collect();
        (codes, count as usize)
    }
}

/// Links the levels, which stand from element `first` on, that have an entry of their precision matrix.
fn unite_levels(sets: &mut Sets, precision: &KnownMatrix<'_>, first: usize) {
    for (column, ends) in precision.start.windows(2).enumerate() {
        for at in ends[0] as usize..ends[1] as usize {
            if precision.value[at] != 0.0 {
                sets.unite(first + column, first + precision.row[at] as usize);
            }
        }
    }
}

/// The connected set of each row, from 0, and the number of sets.
#[must_use]
pub fn connected_rows(data: &ModelData<'_>) -> (Vec<u32>, usize) {
    let n = data.rows();
    let residual = data.residual.as_ref().filter(|r| r.correlation.is_some());
    let of_residuals = residual.map_or(0, |r| r.groups.as_ref().map_or(1, |g| g.n_levels));
    let levels: usize = data.factors.iter().map(|factor| factor.n_levels).sum();
    let mut sets = Sets::new(n + levels + of_residuals);
    let mut first = n;
    for factor in &data.factors {
        let has_rows = !factor.codes.is_empty() || factor.members.is_some();
        for row in 0..if has_rows { n } else { 0 } {
            for (level, _) in factor.of_row(row) {
                sets.unite(row, first + level);
            }
        }
        if let Some(precision) = &factor.precision {
            unite_levels(&mut sets, precision, first);
        }
        first += factor.n_levels;
    }
    if let Some(residual) = residual {
        for row in 0..n {
            let group = residual.groups.as_ref().map_or(1, |g| g.codes[row]);
            sets.unite(row, first + group as usize - 1);
        }
    }
    sets.numbered(0..n)
}

/// The connected set of each level, or row, that a known matrix has, from 0, and the number of sets.
#[must_use]
pub fn connected_levels(matrix: &KnownMatrix<'_>) -> (Vec<u32>, usize) {
    let levels = matrix.start.len().saturating_sub(1);
    let mut sets = Sets::new(levels);
    unite_levels(&mut sets, matrix, 0);
    sets.numbered(0..levels)
}

#[cfg(test)]
mod tests {
    use super::{connected_levels, connected_rows};
    use crate::api::model::{
        Column, GroupingFactor, KnownMatrix, ModelData, RandomTerm, Structure,
    };

    fn factor(codes: &[i32], n_levels: usize) -> GroupingFactor<'_> {
        GroupingFactor {
            members: None,
            counts: None,
            codes,
            n_levels,
            precision: None,
        }
    }

    #[test]
    fn crossed_levels_connect_rows_and_others_do_not() {
        let y = [0.0; 6];
        let (a, b) = ([1, 1, 2, 2, 3, 3], [1, 2, 2, 1, 3, 4]);
        let mut data = ModelData {
            y: &y,
            x: vec![Column::Constant],
            p: 1,
            weights: None,
            offset: None,
            factors: vec![factor(&a, 3), factor(&b, 4)],
            terms: vec![RandomTerm {
                factor: 0,
                columns: vec![Column::Constant],
                structure: Structure::Unstructured,
                classes: None,
            }],
            residual: None,
            moments: None,
            stands_for: None,
        };
        assert_eq!(connected_rows(&data), (vec![0, 0, 0, 0, 1, 1], 2));
        // levels 1 and 3 of the first factor are related
        let known = KnownMatrix {
            start: &[0, 2, 3, 5],
            row: &[0, 2, 1, 0, 2],
            value: &[2.0, -1.0, 1.0, -1.0, 2.0],
        };
        assert_eq!(connected_levels(&known), (vec![0, 1, 0], 2));
        data.factors[0].precision = Some(known);
        assert_eq!(connected_rows(&data).1, 1);
        data.factors.clear();
        assert_eq!(connected_rows(&data).1, 6);
    }
}
