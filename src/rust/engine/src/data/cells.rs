//! Rows gathered by cell: counts, means and scatter of numbers, and the condensed rows that these give.

use crate::api::error::EngineError;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Rows between two looks at the stop flag.
const ROWS: usize = 65_536;

/// Squared pivots below this share of the scatter they are left of are rounding.
const ROUNDING: f64 = 1e-13;

/// Counts, weights, means and scatter of m numbers in each of several cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Numbers.
    pub m: usize,
    /// Observations of each cell.
    pub counts: Vec<f64>,
    /// Sums of their weights.
    pub weights: Vec<f64>,
    /// Sums of their log weights.
    pub log_weights: Vec<f64>,
    /// Weighted means, m a cell.
    pub means: Vec<f64>,
    /// Weighted scatter about the means, sum w (v - mean)(v - mean)': lower triangles, row by row, m (m + 1) / 2 a cell.
    pub scatter: Vec<f64>,
}

/// Rows that have the cross-products of the observations of cells: see [`crate::api::model::StandsFor`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condensed {
    /// Cell of each row, from 1.
    pub cell: Vec<i32>,
    /// What the constant 1 is in each row: 1 in a row of means, 0 in a row of scatter.
    pub one: Vec<f64>,
    /// The numbers of each row, column after column.
    pub values: Vec<f64>,
    /// Weights.
    pub weights: Vec<f64>,
    /// Observations of each row.
    pub counts: Vec<f64>,
    /// Sums of their log weights.
    pub log_weights: Vec<f64>,
    /// 0, and in the row of what means and scatter of the other numbers leave of the last one, the dimensions that it has: its
    /// square is a sum of so many squares.
    pub own: Vec<f64>,
}

fn wrong<T>(text: &str) -> Result<T, EngineError> {
    Err(EngineError::Dimension(text.to_owned()))
}

/// Entries of a lower triangle.
fn triangle(m: usize) -> usize {
    m * (m + 1) / 2
}

impl Cells {
    /// Cells without observations.
    #[must_use]
    pub fn empty(m: usize, cells: usize) -> Self {
        Self {
            m,
            counts: memory::zeros(cells),
            weights: memory::zeros(cells),
            log_weights: memory::zeros(cells),
            means: memory::zeros(m * cells),
            scatter: memory::zeros(triangle(m) * cells),
        }
    }

    /// Number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.counts.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Checks lengths.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn validate(&self) -> Result<(), EngineError> {
        let cells = self.len();
        let whole = self.weights.len() == cells
            && self.log_weights.len() == cells
            && self.means.len() == self.m * cells
            && self.scatter.len() == triangle(self.m) * cells;
        if whole {
            Ok(())
        } else {
            wrong("means and scatter must be those of the cells")
        }
    }

    /// Makes room for more cells.
    pub fn grow(&mut self, cells: usize) {
        for column in [&mut self.counts, &mut self.weights, &mut self.log_weights] {
            memory::resize(column, cells);
        }
        memory::resize(&mut self.means, self.m * cells);
        memory::resize(&mut self.scatter, triangle(self.m) * cells);
    }

    /// Adds rows: `codes` says which cell (from 1) each is of, `values` are its numbers, column after column.
    ///
    /// The mean moves by w (v - mean) / sum w, the scatter by w (v - old mean)(v - new mean)': West (1979), Communications of
    /// the ACM 22, 532-535.
    ///
    /// # Errors
    /// [`EngineError::Dimension`], [`EngineError::NotFinite`].
    pub fn add_rows(
        &mut self,
        codes: &[i32],
        values: &[&[f64]],
        weights: Option<&[f64]>,
        stop: &StopFlag,
    ) -> Result<(), EngineError> {
        let n = codes.len();
        let whole = values.len() == self.m
            && values.iter().all(|v| v.len() == n)
            && weights.is_none_or(|w| w.len() == n);
        if !whole {
            return wrong("each number must have one value for each row");
        }
        let m = self.m;
        let mut off = vec![0.0; m];
        for (i, &code) in codes.iter().enumerate() {
            if i % ROWS == 0 {
                stop.check();
            }
            let Some(cell) = usize::try_from(code - 1).ok().filter(|&c| c < self.len()) else {
                return wrong("codes of cells must lie in 1..cells");
            };
            let w = weights.map_or(1.0, |w| w[i]);
            self.counts[cell] += 1.0;
            self.weights[cell] += w;
            self.log_weights[cell] += if weights.is_some() { w.ln() } else { 0.0 };
            let share = w / self.weights[cell];
            let means = &mut self.means[cell * m..(cell + 1) * m];
            for ((off, mean), v) in off.iter_mut().zip(means.iter()).zip(values) {
                *off = v[i] - mean;
            }
            let mut scatter = self.scatter[cell * triangle(m)..].iter_mut();
            for a in 0..m {
                // w (v - old mean) = w off, and v - new mean = off - share off
                let own = w * (off[a] - share * off[a]);
                for b in &off[..=a] {
                    if let Some(entry) = scatter.next() {
                        *entry += own * b;
                    }
                }
            }
            for (mean, off) in means.iter_mut().zip(&off) {
                *mean += share * off;
            }
        }
        if self
            .means
            .iter()
            .chain(&self.scatter)
            .all(|v| v.is_finite())
        {
            Ok(())
        } else {
            let bad = |v: &&[f64]| v.iter().position(|v| !v.is_finite());
            let row = values.iter().filter_map(bad).min().unwrap_or(0) + 1;
            let what = "a number";
            Err(EngineError::NotFinite { what, row })
        }
    }

    /// Adds the observations of other cells: `to` says which cell (from 0) each of theirs is here.
    ///
    /// With d the difference of two means, the scatter of both together is the sum of their own and d d' w v / (w + v): Chan, Golub
    /// and LeVeque (1983), The American Statistician 37, 242-247.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn add(&mut self, other: &Self, to: &[i32]) -> Result<(), EngineError> {
        self.validate()?;
        other.validate()?;
        let m = self.m;
        if other.m != m || to.len() != other.len() {
            return wrong("only cells of the same numbers can be added");
        }
        let mut off = vec![0.0; m];
        for (from, &to) in to.iter().enumerate() {
            let Some(to) = usize::try_from(to).ok().filter(|&c| c < self.len()) else {
                return wrong("each cell that is added must be one of these");
            };
            if other.weights[from] == 0.0 {
                continue;
            }
            let before = self.weights[to];
            self.counts[to] += other.counts[from];
            self.weights[to] += other.weights[from];
            self.log_weights[to] += other.log_weights[from];
            let share = other.weights[from] / self.weights[to];
            let means = &mut self.means[to * m..(to + 1) * m];
            for ((off, mean), v) in off.iter_mut().zip(means).zip(&other.means[from * m..]) {
                *off = v - *mean;
                *mean += share * *off;
            }
            let added = &other.scatter[from * triangle(m)..];
            let mut entries = self.scatter[to * triangle(m)..].iter_mut().zip(added);
            for a in 0..m {
                for b in &off[..=a] {
                    if let Some((entry, own)) = entries.next() {
                        *entry += own + before * share * off[a] * b;
                    }
                }
            }
        }
        Ok(())
    }

    /// The condensed rows of some of the numbers, the response last: of each cell its means, with the sum of its weights, and the
    /// rows of R of weight 1, R'R its scatter.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn condense(&self, keep: &[usize]) -> Result<Condensed, EngineError> {
        self.validate()?;
        if keep.is_empty() || keep.iter().any(|&v| v >= self.m) {
            return wrong("there is no such number");
        }
        let k = keep.len();
        let mut out = Condensed::default();
        let mut columns = vec![Vec::new(); k];
        let mut r = vec![0.0; k * k];
        for cell in 0..self.len() {
            if self.counts[cell] == 0.0 {
                continue;
            }
            for (column, &v) in columns.iter_mut().zip(keep) {
                column.push(self.means[cell * self.m + v]);
            }
            out.push(
                cell,
                1.0,
                self.weights[cell],
                self.counts[cell],
                self.log_weights[cell],
            );
            let scatter = &self.scatter[cell * triangle(self.m)..];
            let entry = |a: usize, b: usize| {
                let (a, b) = (keep[a].max(keep[b]), keep[a].min(keep[b]));
                scatter[triangle(a) + b]
            };
            let mut left = self.counts[cell] - 1.0;
            for a in 0..k {
                upper_row(&mut r, k, a, &entry);
                // all that is left of the response is in one row, even where that is nothing
                let (of_response, vanishes) = (a + 1 == k, r[a * k + a] == 0.0);
                let is_nothing = if of_response { left < 1.0 } else { vanishes };
                if is_nothing {
                    continue;
                }
                for (b, column) in columns.iter_mut().enumerate() {
                    column.push(if b < a { 0.0 } else { r[a * k + b] });
                }
                out.push(cell, 0.0, 1.0, 0.0, 0.0);
                if !of_response {
                    left -= 1.0;
                } else if let Some(own) = out.own.last_mut() {
                    *own = left;
                }
            }
        }
        out.values = columns.into_iter().flatten().collect();
        Ok(out)
    }
}

/// Row `a` of the upper triangular R with R'R = S, row by row; a row of zeros where the pivot is rounding.
fn upper_row(r: &mut [f64], k: usize, a: usize, s: &dyn Fn(usize, usize) -> f64) {
    let dot = |r: &[f64], b: usize| (0..a).map(|c| r[c * k + a] * r[c * k + b]).sum::<f64>();
    let own = s(a, a);
    let pivot = own - dot(r, a);
    if pivot > ROUNDING * own {
        let root = pivot.sqrt();
        for b in a + 1..k {
            r[a * k + b] = (s(a, b) - dot(r, b)) / root;
        }
        r[a * k + a] = root;
    } else {
        r[a * k..(a + 1) * k].fill(0.0);
    }
}

impl Condensed {
    fn push(&mut self, cell: usize, one: f64, weight: f64, count: f64, log_weight: f64) {
        self.cell.push(i32::try_from(cell + 1).unwrap_or(i32::MAX));
        self.one.push(one);
        self.weights.push(weight);
        self.counts.push(count);
        self.log_weights.push(log_weight);
        self.own.push(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::{triangle, Cells};
    use crate::runtime::stop::StopFlag;
    use proptest::prelude::*;

    /// Numbers x, z and y of rows in two cells, far from zero.
    fn example(seed: u64, n: usize, shift: f64) -> (Vec<i32>, Vec<Vec<f64>>, Vec<f64>) {
        let noise = |i: usize, k: u64| {
            let x = (i as u64 + 1).wrapping_mul(seed.wrapping_add(k) | 1);
            (x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64
        };
        let codes = (0..n).map(|i| 1 + (noise(i, 7) * 2.0) as i32).collect();
        let columns = (0..3).map(|k| (0..n).map(|i| shift + noise(i, k)).collect());
        let weights = (0..n).map(|i| 0.1 + noise(i, 11)).collect();
        (codes, columns.collect(), weights)
    }

    fn fold(codes: &[i32], columns: &[Vec<f64>], weights: &[f64]) -> Cells {
        let mut cells = Cells::empty(columns.len(), 2);
        let columns: Vec<&[f64]> = columns.iter().map(Vec::as_slice).collect();
        cells
            .add_rows(codes, &columns, Some(weights), &StopFlag::default())
            .expect("rows of the cells");
        cells
    }

    fn close(a: f64, b: f64, scale: f64) -> bool {
        (a - b).abs() <= 1e-9 * scale
    }

    proptest! {
        #[test]
        fn condensed_rows_have_the_cross_products_of_the_rows(seed in any::<u64>(), n in 1usize..60) {
            let (codes, columns, weights) = example(seed, n, 3.0);
            let cells = fold(&codes, &columns, &weights);
            let rows = cells.condense(&[0, 1, 2]).expect("numbers of the cells");
            let count = rows.cell.len();
            for cell in 1..=2 {
                let mine = |i: &usize| rows.cell[*i] == cell;
                let n_cell = codes.iter().filter(|c| **c == cell).count();
                let counts: f64 = (0..count).filter(mine).map(|i| rows.counts[i]).sum();
                prop_assert_eq!(counts as usize, n_cell);
                let dimensions: f64 = (0..count).filter(mine).map(|i| rows.own[i].max(1.0)).sum();
                prop_assert_eq!(dimensions as usize, n_cell);
                for a in 0..3 {
                    for b in 0..3 {
                        let of_rows: f64 = (0..n).filter(|&i| codes[i] == cell)
                            .map(|i| weights[i] * columns[a][i] * columns[b][i]).sum();
                        let value = |v: usize, i: usize| rows.values[v * count + i];
                        let condensed: f64 = (0..count).filter(mine)
                            .map(|i| rows.weights[i] * value(a, i) * value(b, i)).sum();
                        prop_assert!(close(of_rows, condensed, 1.0 + of_rows), "{of_rows} {condensed}");
                    }
                }
            }
        }

        #[test]
        fn any_split_of_the_rows_gives_the_same_cells(seed in any::<u64>(), n in 2usize..60, at in 0usize..60) {
            let (codes, columns, weights) = example(seed, n, 1e6);
            let at = at % n;
            let part = |from: usize, to: usize| {
                let columns: Vec<Vec<f64>> = columns.iter().map(|v| v[from..to].to_vec()).collect();
                fold(&codes[from..to], &columns, &weights[from..to])
            };
            let whole = part(0, n);
            let mut both = part(0, at);
            // the cells of the second part in another order
            let mut turned = part(at, n);
            turned.counts.swap(0, 1);
            turned.weights.swap(0, 1);
            turned.log_weights.swap(0, 1);
            turned.means.rotate_left(3);
            turned.scatter.rotate_left(triangle(3));
            both.add(&turned, &[1, 0]).expect("the same numbers");
            for (a, b) in whole.means.iter().zip(&both.means) {
                prop_assert!(close(*a, *b, 1.0), "{a} {b}");
            }
            for (a, b) in whole.scatter.iter().zip(&both.scatter) {
                prop_assert!(close(*a, *b, n as f64), "{a} {b}");
            }
            prop_assert_eq!(&whole.counts, &both.counts);
        }
    }

    #[test]
    fn rows_of_no_cell_and_other_numbers_are_refused() {
        let mut cells = Cells::empty(1, 1);
        let stop = StopFlag::default();
        assert!(cells.add_rows(&[2], &[&[1.0]], None, &stop).is_err());
        assert!(cells.add_rows(&[0], &[&[1.0]], None, &stop).is_err());
        assert!(cells.add_rows(&[1], &[&[f64::NAN]], None, &stop).is_err());
        assert!(Cells::empty(1, 1).add(&Cells::empty(2, 1), &[0]).is_err());
        assert!(Cells::empty(1, 1).add(&Cells::empty(1, 1), &[1]).is_err());
        assert!(Cells::empty(1, 1).condense(&[1]).is_err());
    }
}
