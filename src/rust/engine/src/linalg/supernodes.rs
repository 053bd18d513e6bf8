//! Sparse Cholesky factor and selected inverse by supernodes: neighbouring columns of the factor with the same rows below (Ng & Peyton
//! 1993, SIAM Journal on Scientific Computing 14). Wide ones are dense panels, for which there are dense kernels; columns of the others
//! go one by one. What is last in a fill-reducing order (levels that meet many) is mostly one wide supernode with nearly all
//! of the work.

use std::ops::Range;

use crate::linalg::dense;
use crate::linalg::sparse::Pattern;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;

/// Columns from which a supernode is a panel.
const WIDE: usize = 8;

/// Columns between two looks at whether work is to stop.
const ASK: usize = 1024;

/// A supernode: its columns, and the rows of the first of them.
struct Supernode<'a> {
    columns: Range<usize>,
    rows: &'a [u32],
}

impl Supernode<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn height(&self) -> usize {
        self.rows.len()
    }

    /// Rows below those of its own columns.
    fn below(&self) -> &[u32] {
        &self.rows[self.width()..]
    }
}

impl Pattern {
    fn supernode(&self, s: usize) -> Supernode<'_> {
        let columns = self.supernode[s]..self.supernode[s + 1];
        let rows =
            &self.row[self.column_start[columns.start]..self.column_start[columns.start + 1]];
        Supernode { columns, rows }
    }

    fn is_wide(&self, s: usize) -> bool {
        self.supernode[s + 1] - self.supernode[s] >= WIDE
    }

    /// Where row `i` of its list of rows stands in its column `c`.
    fn at(&self, s: &Supernode<'_>, c: usize, i: usize) -> usize {
        self.column_start[s.columns.start + c] + i - c
    }

    /// Numeric factorisation, left-looking, of a matrix on the pattern (in `values`), in place; `false` if not positive
    /// definite.
    #[must_use]
    pub fn cholesky(&self, values: &mut [f64], workers: &Workers) -> bool {
        let mut work = workers.buffer(self.n);
        for s in 0..self.supernode.len().saturating_sub(1) {
            let own = self.supernode(s);
            if own.width() >= WIDE {
                workers.check();
                if !self.factorize_panel(&own, values, &mut work, workers) {
                    return false;
                }
                continue;
            }
            for j in own.columns {
                if j % ASK == 0 {
                    workers.check();
                }
                if !self.factorize_column(j, values, &mut work) {
                    return false;
                }
            }
        }
        true
    }

    /// Column j minus the updates of the columns that hold row j, over the root of what is left of its diagonal.
    fn factorize_column(&self, j: usize, values: &mut [f64], work: &mut [f64]) -> bool {
        let (start, end) = (self.column_start[j], self.column_start[j + 1]);
        for position in start..end {
            work[self.row[position] as usize] = values[position];
        }
        for (position, last) in self.updates(j) {
            let factor = values[position];
            for (&row, value) in self.row[position..last].iter().zip(&values[position..last]) {
                work[row as usize] -= factor * value;
            }
        }
        let d = work[j];
        if d <= 0.0 || !d.is_finite() {
            return false;
        }
        let d = d.sqrt();
        values[start] = d;
        for position in start + 1..end {
            values[position] = work[self.row[position] as usize] / d;
        }
        true
    }

    /// The same for all columns of a supernode. Each earlier supernode with rows among them is met at the first of these, in its
    /// first column: all of its columns have the same ones.
    fn factorize_panel(
        &self,
        own: &Supernode<'_>,
        values: &mut [f64],
        place: &mut [f64],
        workers: &Workers,
    ) -> bool {
        let (width, height) = (own.width(), own.height());
        let mut panel = workers.buffer(width * height);
        for (c, column) in panel.chunks_exact_mut(height).enumerate() {
            let from = self.at(own, c, c);
            column[c..].copy_from_slice(&values[from..from + height - c]);
        }
        // small whole numbers
        for (i, &row) in own.rows.iter().enumerate() {
            place[row as usize] = i as f64;
        }
        let ends = own.columns.end as u32;
        for j in own.columns.clone() {
            for (column, position) in self.earlier(j) {
                let last = self.column_start[column + 1];
                let other = self.supernode_of[column] as usize;
                let (first, is_wide) = (self.supernode[other], self.is_wide(other));
                let is_met = self.row[position - 1] as usize >= own.columns.start;
                if is_met || (is_wide && column != first) {
                    continue;
                }
                let rows = &self.row[position..last];
                let count = rows.partition_point(|&row| row < ends);
                if is_wide {
                    let other = self.supernode(other);
                    let from = position - self.column_start[first];
                    let to = (&mut *panel, height, &*place);
                    self.subtract_panel(&other, (from, count), values, to, workers);
                    continue;
                }
                let below = &values[position..last];
                for b in 0..count {
                    let to = &mut panel[place[rows[b] as usize] as usize * height..][..height];
                    for (&row, value) in rows[b..].iter().zip(&below[b..]) {
                        to[place[row as usize] as usize] -= below[b] * value;
                    }
                }
            }
        }
        if !dense::cholesky_of_panel(&mut panel, height, width) {
            return false;
        }
        for (c, column) in panel.chunks_exact(height).enumerate() {
            let from = self.at(own, c, c);
            values[from..from + height - c].copy_from_slice(&column[c..]);
        }
        true
    }

    /// Subtracts the products of the rows of `other` from number `from` on with the first `count` of them, in the columns and rows of a
    /// panel that these are.
    fn subtract_panel(
        &self,
        other: &Supernode<'_>,
        (from, count): (usize, usize),
        values: &[f64],
        (panel, height, place): (&mut [f64], usize, &[f64]),
        workers: &Workers,
    ) {
        let rows = &other.rows[from..];
        let (m, k) = (rows.len(), other.width());
        let mut left = workers.buffer(m * k);
        for (c, column) in left.chunks_exact_mut(m).enumerate() {
            let at = self.at(other, c, from);
            column.copy_from_slice(&values[at..at + m]);
        }
        let mut product = workers.buffer(m * count);
        dense::product_with_own_rows(&left, m, count, &mut product);
        for (b, column) in product.chunks_exact(m).enumerate() {
            let to = &mut panel[place[rows[b] as usize] as usize * height..][..height];
            for (&row, value) in rows[b..].iter().zip(&column[b..]) {
                to[place[row as usize] as usize] -= value;
            }
        }
    }

    /// Entries of (L L')^-1 on the pattern of L, last column first.
    pub fn selected_inverse(&self, values: &[f64], inverse: &mut Vec<f64>, workers: &Workers) {
        inverse.clear();
        memory::resize(inverse, self.row.len());
        let mut work = workers.buffer(self.n);
        for s in (0..self.supernode.len().saturating_sub(1)).rev() {
            let own = self.supernode(s);
            if own.width() >= WIDE {
                workers.check();
                self.invert_panel(&own, values, inverse, &mut work, workers);
                continue;
            }
            for j in own.columns.rev() {
                if j % ASK == 0 {
                    workers.check();
                }
                self.invert_column(j, values, inverse, &mut work);
            }
        }
    }

    /// z_ij = delta_ij / l_jj^2 - sum_{k > j, l_kj != 0} z_ik l_kj / l_jj, for i >= j in the pattern of column j; `work` is zeros
    /// before and after.
    fn invert_column(&self, j: usize, values: &[f64], inverse: &mut [f64], work: &mut [f64]) {
        let (start, end) = (self.column_start[j], self.column_start[j + 1]);
        let d = values[start];
        // work[i] = sum over k of z_ik l_kj for the rows i > j of this column: those pairs (i, k) are all in the pattern
        for position in start + 1..end {
            let k = self.row[position] as usize;
            let factor = values[position];
            // z_ik for i >= k stands in column k; its rows contain the rows > k of column j
            let (mut at, last) = (self.column_start[k], self.column_start[k + 1]);
            for own in position..end {
                let i = self.row[own];
                at += self.steps_to(i, at, last);
                let z = inverse[at];
                work[i as usize] += z * factor;
                if own != position {
                    work[k] += z * values[own];
                }
            }
        }
        let mut diagonal = 1.0 / (d * d);
        for position in start + 1..end {
            let i = self.row[position] as usize;
            let z = -work[i] / d;
            inverse[position] = z;
            diagonal -= z * values[position] / d;
            work[i] = 0.0;
        }
        inverse[start] = diagonal;
    }

    /// How far row `i` stands behind `at` in a column that has it and ends before `last`: by steps that double, then halves.
    fn steps_to(&self, i: u32, at: usize, last: usize) -> usize {
        let rows = &self.row[at..last];
        // rows are whole numbers: no row stands behind as many others as it is larger
        let most = (i.saturating_sub(rows[0]) as usize).min(rows.len() - 1);
        if rows[most] == i {
            return most;
        }
        let mut step = 1;
        while step < most && rows[step] < i {
            step *= 2;
        }
        let low = step / 2;
        low + rows[low..most.min(step) + 1].partition_point(|&row| row < i)
    }

    /// The same for all columns of a supernode. With L_1 its triangle, L_2 the rows below and Z_22 their inverse: Y = L_2 L_1^-1, Z_21
    /// = -Z_22 Y and Z_11 = (L_1 L_1')^-1 - Y'Z_21. `place` is zeros before and after.
    fn invert_panel(
        &self,
        own: &Supernode<'_>,
        values: &[f64],
        inverse: &mut [f64],
        place: &mut [f64],
        workers: &Workers,
    ) {
        let (width, below) = (own.width(), own.below());
        let m = below.len();
        let mut top = workers.buffer(width * width);
        let mut right = workers.buffer(m * width);
        for c in 0..width {
            let at = self.at(own, c, c);
            let column = &values[at..at + own.height() - c];
            top[c * width + c..(c + 1) * width].copy_from_slice(&column[..width - c]);
            right[c * m..(c + 1) * m].copy_from_slice(&column[width - c..]);
        }
        let mut lower = workers.buffer(m * width);
        if m > 0 {
            dense::divide_by_triangle(&top, width, &mut right);
            // 1 for the first row: 0 is none
            for (i, &row) in below.iter().enumerate() {
                place[row as usize] = (i + 1) as f64;
            }
            let mut z = workers.buffer(m * m);
            for (c, &row) in below.iter().enumerate() {
                let range = self.column_start[row as usize]..self.column_start[row as usize + 1];
                for (&row, value) in self.row[range.clone()].iter().zip(&inverse[range]) {
                    let i = place[row as usize] as usize;
                    if i > 0 {
                        z[c * m + i - 1] = *value;
                        z[(i - 1) * m + c] = *value;
                    }
                }
            }
            below.iter().for_each(|&row| place[row as usize] = 0.0);
            dense::product((&z, m, m, false), (&right, m, width, false), &mut lower);
            lower.iter_mut().for_each(|v| *v = -*v);
        }
        let mut block = workers.buffer(width * width);
        let mut triangle = workers.buffer(width * width);
        dense::invert_lower(&top, width, &mut triangle);
        let shapes = (dense::Shape::Upper, dense::Shape::Lower);
        let (left, other) = ((&*triangle, shapes.0, true), (&*triangle, shapes.1, false));
        dense::shaped_product(left, other, width, &mut block, dense::Shape::Lower);
        if m > 0 {
            dense::subtract_products_of_columns(&right, &lower, (m, width), &mut block);
        }
        for c in 0..width {
            let at = self.at(own, c, c);
            let column = &mut inverse[at..at + own.height() - c];
            column[..width - c].copy_from_slice(&block[c * width + c..(c + 1) * width]);
            column[width - c..].copy_from_slice(&lower[c * m..(c + 1) * m]);
        }
    }
}
