//! Sums of products of numbers over the rows of each cell, with twice the digits: tables of cross-products.
//!
//! A table is of the cells of some keys, a few of those of a model: the tables of all pairs of its terms hold X'WX, Z'WX and Z'WZ
//! where the cells of all keys together would be as many as the rows. Sums of twice the digits are not about a centre: tables of
//! parts of the data add up, and several tables of the same rows agree to the last digit of a double.

use crate::api::error::EngineError;
use crate::data::cells::Cells;
use crate::linalg::double2::Double2;
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Rows between two looks at the stop flag.
const ROWS: usize = 65_536;

/// Counts, and sums of weighted products of two numbers each, by cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The numbers of each product: 0 is the constant 1, others are counted from 1.
    pub products: Vec<[usize; 2]>,
    /// Observations of each cell.
    pub counts: Vec<f64>,
    /// Sums of their log weights.
    pub log_weights: Vec<f64>,
    /// Sums of w v_a v_b: for each cell and product a double, and what is left of 32 digits.
    pub sums: Vec<f64>,
}

fn wrong<T>(text: &str) -> Result<T, EngineError> {
    Err(EngineError::Dimension(text.to_owned()))
}

fn add_to(sum: &mut [f64], value: Double2) {
    let mut total = Double2 {
        high: sum[0],
        low: sum[1],
    };
    total += value;
    sum[0] = total.high;
    sum[1] = total.low;
}

fn place(code: i32, len: usize) -> Result<usize, EngineError> {
    match usize::try_from(i64::from(code) - 1) {
        Ok(cell) if cell < len => Ok(cell),
        _ => wrong("codes of cells must lie in 1..cells"),
    }
}

impl Table {
    /// A table without observations.
    #[must_use]
    pub fn empty(products: Vec<[usize; 2]>, cells: usize) -> Self {
        let width = 2 * products.len();
        Self {
            products,
            counts: memory::zeros(cells),
            log_weights: memory::zeros(cells),
            sums: memory::zeros(width * cells),
        }
    }

    /// Doubles of a cell.
    fn width(&self) -> usize {
        2 * self.products.len()
    }

    fn validate(&self) -> Result<(), EngineError> {
        let cells = self.counts.len();
        if self.log_weights.len() == cells && self.sums.len() == self.width() * cells {
            Ok(())
        } else {
            wrong("sums must be those of the cells")
        }
    }

    /// Makes room for more cells.
    pub fn grow(&mut self, cells: usize) {
        memory::resize(&mut self.counts, cells);
        memory::resize(&mut self.log_weights, cells);
        let width = self.width();
        memory::resize(&mut self.sums, width * cells);
    }

    /// Adds rows: `codes` says which cell (from 1) each is of, `values` are the numbers, column after column.
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
        self.validate()?;
        let n = codes.len();
        let whole = values.iter().all(|v| v.len() == n) && weights.is_none_or(|w| w.len() == n);
        if !whole || self.products.iter().flatten().any(|&v| v > values.len()) {
            return wrong("each number must have one value for each row");
        }
        let (width, cells) = (self.width(), self.counts.len());
        for (i, &code) in codes.iter().enumerate() {
            if i % ROWS == 0 {
                stop.check();
            }
            let cell = place(code, cells)?;
            let w = weights.map_or(1.0, |w| w[i]);
            self.counts[cell] += 1.0;
            self.log_weights[cell] += if weights.is_some() { w.ln() } else { 0.0 };
            let value = |v: usize| if v == 0 { 1.0 } else { values[v - 1][i] };
            let sums = self.sums[cell * width..(cell + 1) * width].chunks_exact_mut(2);
            for (sum, &[a, b]) in sums.zip(&self.products) {
                let product = Double2::product(value(a), value(b));
                if !product.high.is_finite() {
                    let what = "a number";
                    return Err(EngineError::NotFinite { what, row: i + 1 });
                }
                add_to(
                    sum,
                    match weights {
                        None => product,
                        Some(_) => product * Double2::from(w),
                    },
                );
            }
        }
        Ok(())
    }

    /// Adds another table: `to` says which cell (from 1) each of its cells is here.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn add(&mut self, other: &Self, to: &[i32]) -> Result<(), EngineError> {
        self.validate()?;
        other.validate()?;
        if other.products != self.products || to.len() != other.counts.len() {
            return wrong("only tables of the same products can be added");
        }
        let (width, cells) = (self.width(), self.counts.len());
        for (from, &to) in to.iter().enumerate() {
            let to = place(to, cells)?;
            self.counts[to] += other.counts[from];
            self.log_weights[to] += other.log_weights[from];
            let added = other.sums[from * width..(from + 1) * width].chunks_exact(2);
            let sums = self.sums[to * width..(to + 1) * width].chunks_exact_mut(2);
            for (sum, added) in sums.zip(added) {
                let (high, low) = (added[0], added[1]);
                add_to(sum, Double2 { high, low });
            }
        }
        Ok(())
    }

    /// Adds rows that were gathered by finer cells: sum w v_a v_b = (sum w) m_a m_b + the scatter.
    ///
    /// # Errors
    /// [`EngineError::Dimension`].
    pub fn add_cells(&mut self, cells: &Cells, to: &[i32]) -> Result<(), EngineError> {
        self.validate()?;
        cells.validate()?;
        let m = cells.m;
        if to.len() != cells.len() || self.products.iter().flatten().any(|&v| v > m) {
            return wrong("each cell must be of one cell of the table");
        }
        let (width, count) = (self.width(), self.counts.len());
        for (from, &to) in to.iter().enumerate() {
            let to = place(to, count)?;
            self.counts[to] += cells.counts[from];
            self.log_weights[to] += cells.log_weights[from];
            let mean = |v: usize| {
                if v == 0 {
                    1.0
                } else {
                    cells.means[from * m + v - 1]
                }
            };
            let sums = self.sums[to * width..(to + 1) * width].chunks_exact_mut(2);
            for (sum, &[a, b]) in sums.zip(&self.products) {
                let weight = Double2::from(cells.weights[from]);
                let mut value = Double2::product(mean(a), mean(b)) * weight;
                if a > 0 && b > 0 {
                    let (a, b) = (a.max(b), a.min(b));
                    let entry = from * (m * (m + 1) / 2) + a * (a - 1) / 2 + b - 1;
                    value += Double2::from(cells.scatter[entry]);
                }
                add_to(sum, value);
            }
        }
        Ok(())
    }

    /// Sums of numbers about a centre become those of the numbers, with `centre` a value for each:
    /// sum w v_a v_b = sum w z_a z_b + c_a sum w z_b + c_b sum w z_a + c_a c_b sum w for v = z + c.
    ///
    /// # Errors
    /// [`EngineError::Dimension`] where the products lack one of those.
    pub fn shift(&mut self, centre: &[f64]) -> Result<(), EngineError> {
        self.validate()?;
        let width = self.width();
        let find = |a: usize, b: usize| {
            let is_it = |p: &[usize; 2]| *p == [a, b] || *p == [b, a];
            match self.products.iter().position(is_it) {
                Some(at) => Ok(2 * at),
                None => wrong("a product lacks the sums of its numbers"),
            }
        };
        let mut plan = Vec::new();
        for &[a, b] in &self.products {
            if a.max(b) > centre.len() {
                return wrong("each number must have a centre");
            }
            let of = |v: usize| if v == 0 { 0.0 } else { centre[v - 1] };
            plan.push((find(a, 0)?, find(b, 0)?, find(0, 0)?, of(a), of(b)));
        }
        for sums in self.sums.chunks_exact_mut(width.max(1)) {
            let before = sums.to_vec();
            let at = |e: usize| Double2 {
                high: before[e],
                low: before[e + 1],
            };
            for (sum, &(a, b, one, ca, cb)) in sums.chunks_exact_mut(2).zip(&plan) {
                if cb != 0.0 {
                    add_to(sum, at(a) * Double2::from(cb));
                }
                if ca != 0.0 {
                    add_to(sum, at(b) * Double2::from(ca));
                }
                if ca != 0.0 && cb != 0.0 {
                    add_to(sum, at(one) * Double2::product(ca, cb));
                }
            }
        }
        Ok(())
    }
}

/// Sums of c d s over the cells of each group: c and d a value for each cell (`None`: 1), s the sums of one product of a table with
/// `width` doubles for a cell, the first of them at `start`.
///
/// # Errors
/// [`EngineError::Dimension`].
pub fn fold(
    (sums, start, width): (&[f64], usize, usize),
    (codes, groups): (Option<&[i32]>, usize),
    left: Option<&[f64]>,
    right: Option<&[f64]>,
) -> Result<Vec<f64>, EngineError> {
    if width < 2 || start + 2 > width || sums.len() % width != 0 {
        return wrong("there is no such product");
    }
    let cells = sums.len() / width;
    let fits = |len: Option<usize>| len.is_none_or(|len| len == cells);
    if !fits(codes.map(<[i32]>::len))
        || !fits(left.map(<[f64]>::len))
        || !fits(right.map(<[f64]>::len))
    {
        return wrong("each cell must have one value");
    }
    let mut out = memory::zeros(2 * groups);
    for (cell, sum) in sums.chunks_exact(width).enumerate() {
        let to = codes.map_or(Ok(0), |codes| place(codes[cell], groups))?;
        let mut value = Double2 {
            high: sum[start],
            low: sum[start + 1],
        };
        let (c, d) = (
            left.map_or(1.0, |v| v[cell]),
            right.map_or(1.0, |v| v[cell]),
        );
        if left.is_some() || right.is_some() {
            value = value * Double2::product(c, d);
        }
        add_to(&mut out[2 * to..2 * to + 2], value);
    }
    Ok(out)
}

/// Sums of columns times whole numbers, element by element, as numbers of twice the digits.
///
/// # Errors
/// [`EngineError::Dimension`].
pub fn add_columns(columns: &[&[f64]], times: &[f64]) -> Result<Vec<f64>, EngineError> {
    let n = columns.first().map_or(0, |c| c.len());
    if times.len() != columns.len() || columns.iter().any(|c| c.len() != n) {
        return wrong("columns must have one length");
    }
    let mut out = memory::zeros(2 * n);
    for (column, times) in columns.iter().zip(times) {
        for (sum, v) in out.chunks_exact_mut(2).zip(*column) {
            add_to(sum, Double2::product(*v, *times));
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rows(n: usize) -> (Vec<f64>, Vec<f64>, Vec<f64>, Vec<i32>) {
        let x: Vec<f64> = (0..n).map(|i| 1e5 + (i as f64 * 1.7).sin()).collect();
        let y: Vec<f64> = (0..n).map(|i| 1e6 + (i as f64 * 0.3).cos()).collect();
        let w: Vec<f64> = (0..n).map(|i| 0.5 + (i % 7) as f64 / 5.0).collect();
        let codes = (0..n).map(|i| (i * i % 11 % 4) as i32 + 1).collect();
        (x, y, w, codes)
    }

    fn products() -> Vec<[usize; 2]> {
        vec![[0, 0], [1, 0], [2, 0], [1, 1], [2, 1], [2, 2]]
    }

    fn near(a: &[f64], b: &[f64], tolerance: f64) {
        for (a, b) in a.chunks_exact(2).zip(b.chunks_exact(2)) {
            let difference = (a[0] - b[0]) + (a[1] - b[1]);
            assert!(difference.abs() <= tolerance * b[0].abs(), "{a:?} {b:?}");
        }
    }

    #[test]
    fn parts_add_up_with_twice_the_digits() {
        let (x, y, w, codes) = rows(300);
        let stop = StopFlag::default();
        let mut whole = Table::empty(products(), 4);
        whole.add_rows(&codes, &[&x, &y], Some(&w), &stop).unwrap();
        let mut sum = Table::empty(products(), 4);
        for range in [0..7, 7..150, 150..300] {
            let mut part = Table::empty(products(), 4);
            part.add_rows(
                &codes[range.clone()],
                &[&x[range.clone()], &y[range.clone()]],
                Some(&w[range]),
                &stop,
            )
            .unwrap();
            // theirs in another order
            part.counts.reverse();
            part.log_weights.reverse();
            part.sums = part
                .sums
                .chunks_exact(12)
                .rev()
                .flatten()
                .copied()
                .collect();
            sum.add(&part, &[4, 3, 2, 1]).unwrap();
        }
        assert_eq!(sum.counts, whole.counts);
        near(&sum.sums, &whole.sums, 1e-30);
    }

    #[test]
    fn cells_and_sums_about_a_centre_give_the_same_tables() {
        let (x, y, w, codes) = rows(200);
        let stop = StopFlag::default();
        let mut whole = Table::empty(products(), 2);
        let coarse: Vec<i32> = codes.iter().map(|c| (c + 1) / 2).collect();
        whole.add_rows(&coarse, &[&x, &y], Some(&w), &stop).unwrap();
        let mut cells = Cells::empty(2, 4);
        cells.add_rows(&codes, &[&x, &y], Some(&w), &stop).unwrap();
        let mut found = Table::empty(products(), 2);
        found.add_cells(&cells, &[1, 1, 2, 2]).unwrap();
        near(&found.sums, &whole.sums, 1e-15);
        // x - 1e5 and y - 1e6 are exact
        let off = |v: &[f64], c: f64| v.iter().map(|v| v - c).collect::<Vec<f64>>();
        let mut centred = Table::empty(products(), 2);
        centred
            .add_rows(&coarse, &[&off(&x, 1e5), &off(&y, 1e6)], Some(&w), &stop)
            .unwrap();
        centred.shift(&[1e5, 1e6]).unwrap();
        near(&centred.sums, &whole.sums, 1e-29);
    }

    #[test]
    fn folds_are_weighted_sums_of_cells() {
        let (x, y, _, codes) = rows(100);
        let mut table = Table::empty(products(), 4);
        let stop = StopFlag::default();
        table.add_rows(&codes, &[&x, &y], None, &stop).unwrap();
        let (c, d) = ([1.0, -0.5, 3.0, 0.1], [2.0, 1.0, 0.25, -1.0]);
        let found = fold(
            (&table.sums, 8, 12),
            (Some(&[1, 2, 1, 2]), 2),
            Some(&c),
            Some(&d),
        )
        .unwrap();
        let mut expected = [0.0; 2];
        for (i, code) in codes.iter().enumerate() {
            let cell = *code as usize - 1;
            expected[cell % 2] += c[cell] * d[cell] * x[i] * y[i];
        }
        for (found, expected) in found.chunks_exact(2).zip(expected) {
            assert!((found[0] - expected).abs() < 1e-12 * expected.abs());
        }
        assert_eq!(
            add_columns(&[&[1.0, 2.0], &[1e-20, 3.0]], &[1.0, 2.0]).unwrap(),
            [1.0, 2e-20, 8.0, 0.0]
        );
        assert!(fold((&table.sums, 11, 12), (None, 1), None, None).is_err());
        assert!(fold((&table.sums, 0, 12), (Some(&[1, 2, 3, 4]), 3), None, None).is_err());
        assert!(table
            .add_rows(&[5], &[&[1.0], &[1.0]], None, &stop)
            .is_err());
        assert!(table
            .add_rows(&[1], &[&[1.0], &[f64::NAN]], None, &stop)
            .is_err());
        let mut lacking = Table::empty(vec![[1, 1]], 1);
        assert!(lacking.shift(&[1.0]).is_err());
    }
}
