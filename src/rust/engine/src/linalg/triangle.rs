//! Lower triangles of large symmetric or triangular matrices in half the memory: strips of columns, each from its diagonal
//! tile down. Cholesky factor, solves, inverse and products, all by strips.
//!
//! Threads work on disjoint tiles whose borders do not depend on their number, so neither do the bits.

use std::ops::Range;
use std::sync::Arc;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{triangular_inverse, triangular_solve};
use faer::{Accum, MatMut, MatRef, Par};

use crate::linalg::dense::cholesky_in_place;
use crate::linalg::strip_layout::{StripLayout, TILE};
use crate::runtime::detached::drop_later;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::{cut, cut_rows, piece};

/// Rows of a product with a strip between two looks at the stop flag: about 10 ms with wide strips.
const ROWS_AT_ONCE: usize = 4096;

/// A lower triangle. The diagonal tiles are whole: above the diagonal they hold the mirror image where the matrix is
/// symmetric ([`Triangle::mirror`]), nothing that counts where it is triangular.
#[derive(Debug, Clone, Default)]
pub struct Triangle {
    /// Where the strips stand.
    pub layout: Arc<StripLayout>,
    /// Values, strip after strip, each column-major.
    pub data: Vec<f64>,
}

impl Drop for Triangle {
    fn drop(&mut self) {
        drop_later(std::mem::take(&mut self.data));
    }
}

impl Triangle {
    /// All zero; `offset` as in [`StripLayout::new`].
    #[must_use]
    pub fn zeros(offset: &[usize]) -> Self {
        Self::with_layout(Arc::new(StripLayout::new(offset)))
    }

    /// The lower triangle of a square column-major matrix.
    #[must_use]
    pub fn of_square(square: &[f64], n: usize) -> Self {
        let mut out = Self::zeros(&(0..=n).collect::<Vec<_>>());
        for j in 0..n {
            let at = out.layout.column_start(j) + j - out.layout.first_row(j);
            out.data[at..at + n - j].copy_from_slice(&square[j * n + j..(j + 1) * n]);
        }
        out
    }

    /// Into the lower triangle of a square column-major matrix.
    pub fn into_square(&self, square: &mut [f64]) {
        let n = self.order();
        for j in 0..n {
            let at = self.layout.column_start(j) + j - self.layout.first_row(j);
            square[j * n + j..(j + 1) * n].copy_from_slice(&self.data[at..at + n - j]);
        }
    }

    /// All zero, in the same places as another.
    #[must_use]
    pub fn with_layout(layout: Arc<StripLayout>) -> Self {
        let data = memory::zeros(layout.column_start(layout.order()));
        Self { layout, data }
    }

    /// Order of the matrix.
    #[must_use]
    pub fn order(&self) -> usize {
        self.layout.order()
    }

    /// Entry (i, j) of the symmetric matrix.
    #[must_use]
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        let (row, column) = (i.max(j), i.min(j));
        self.data[self.layout.column_start(column) + row - self.layout.first_row(column)]
    }

    /// Strip `s`: rows from its first column on.
    fn strip(&self, s: usize) -> MatRef<'_, f64> {
        self.layout.strip_of(s, &self.data[self.layout.values(s)])
    }

    /// Rows `rows` (a strip's columns, or a range that starts with them) of strip `s`, at or below its diagonal tile.
    fn part(&self, s: usize, rows: Range<usize>) -> MatRef<'_, f64> {
        let from = self.layout.border[s];
        self.strip(s).subrows(rows.start - from, rows.len())
    }

    /// Tile (i, j) of the symmetric matrix.
    fn tile(&self, i: usize, j: usize) -> MatRef<'_, f64> {
        if i >= j {
            self.part(j, self.layout.columns(i))
        } else {
            self.part(i, self.layout.columns(j)).transpose()
        }
    }

    /// Tile (i, j) of the symmetric matrix, column-major.
    pub fn copy_tile(&self, (i, j): (usize, usize), out: &mut [f64]) {
        let tile = self.tile(i, j);
        MatMut::from_column_major_slice_mut(out, tile.nrows(), tile.ncols()).copy_from(tile);
    }

    /// Makes the diagonal tiles symmetric.
    pub fn mirror(&mut self) {
        let layout = &self.layout;
        for s in 0..layout.strips() {
            mirror(layout.strip_mut(s, &mut self.data[layout.values(s)]));
        }
    }

    /// Full columns of the symmetric matrix, column-major.
    pub fn gather(&self, columns: Range<usize>, out: &mut [f64]) {
        let n = self.order();
        for (j, column) in columns.clone().zip(out.chunks_exact_mut(n.max(1))) {
            let first = self.layout.first_row(j);
            let at = self.layout.column_start(j);
            column[first..].copy_from_slice(&self.data[at..at + n - first]);
        }
        // above the diagonal tile: rows of the strips to the left
        for s in 0..self.layout.strips() {
            let own = self.layout.columns(s);
            let from = columns.start.max(own.end);
            if from >= columns.end {
                break;
            }
            for (i, stored) in own
                .clone()
                .zip(self.data[self.layout.start[s]..].chunks_exact(n - own.start))
            {
                let row = &stored[from - own.start..columns.end - own.start];
                for (c, value) in row.iter().enumerate() {
                    out[(from - columns.start + c) * n + i] = *value;
                }
            }
        }
    }

    /// Cholesky factor in place, from the lower triangle. `false` if not positive definite. Right-looking by strips: factor,
    /// panel solve, symmetric update.
    #[must_use]
    pub fn cholesky(&mut self, workers: &Workers) -> bool {
        let layout = &*self.layout;
        for s in 0..layout.strips() {
            let (own, end) = (layout.columns(s), layout.start[s + 1]);
            let (done, later) = self.data.split_at_mut(end);
            let strip = layout.strip_mut(s, &mut done[layout.start[s]..]);
            let (mut diagonal, mut panel) = strip.split_at_row_mut(own.len());
            if !cholesky_in_place(diagonal.as_mut()) {
                return false;
            }
            let l = diagonal.as_ref();
            let count = layout.strips() - s - 1;
            let rows = move |i| layout.border[s + 1 + i] - own.end;
            workers.for_each(count, cut_rows(panel.as_mut(), rows), |_, tile| {
                // X L' = B, that is L X' = B'
                triangular_solve::solve_lower_triangular_in_place(
                    l,
                    tile.transpose_mut(),
                    Par::Seq,
                );
            });
            let panel = panel.as_ref();
            let first = own.end;
            let strips = cut(later, move |i| layout.start[s + 1 + i] - end);
            workers.for_each(count, strips, |i, values| {
                let columns = layout.columns(s + 1 + i);
                let strip = layout.strip_mut(s + 1 + i, values);
                let (top, bottom) = strip.split_at_row_mut(columns.len());
                let own = panel.subrows(columns.start - first, columns.len());
                triangular::matmul(
                    top,
                    BlockStructure::TriangularLower,
                    Accum::Add,
                    own,
                    BlockStructure::Rectangular,
                    own.transpose(),
                    BlockStructure::Rectangular,
                    -1.0,
                    Par::Seq,
                );
                subtract_product(
                    bottom,
                    panel.subrows(columns.end - first, layout.order() - columns.end),
                    own.transpose(),
                    workers,
                );
            });
        }
        true
    }

    /// Logarithms of the diagonal, summed.
    #[must_use]
    pub fn log_diagonal(&self) -> f64 {
        (0..self.order()).map(|j| self.entry(j, j).ln()).sum()
    }

    /// B <- L^-1 B or, with `transposed`, L^-T B, for row-major B (order x m).
    pub fn solve_rows(&self, b: &mut [f64], m: usize, transposed: bool) {
        let n = self.order();
        if n == 0 || m == 0 {
            return;
        }
        let mut b = MatMut::from_row_major_slice_mut(b, n, m);
        let count = self.layout.strips();
        for step in 0..count {
            let s = if transposed { count - 1 - step } else { step };
            let columns = self.layout.columns(s);
            let (own, below) = b
                .as_mut()
                .subrows_mut(columns.start, n - columns.start)
                .split_at_row_mut(columns.len());
            let mut own = own;
            let (l, panel) = self.strip(s).split_at_row(columns.len());
            if transposed {
                matmul(
                    own.as_mut(),
                    Accum::Add,
                    panel.transpose(),
                    below.as_ref(),
                    -1.0,
                    Par::Seq,
                );
                triangular_solve::solve_upper_triangular_in_place(l.transpose(), own, Par::Seq);
            } else {
                triangular_solve::solve_lower_triangular_in_place(l, own.as_mut(), Par::Seq);
                matmul(below, Accum::Add, panel, own.as_ref(), -1.0, Par::Seq);
            }
        }
    }

    /// (L L')^-1 of this factor L into `out` (symmetric). First L^-1, strip by strip; then L^-T L^-1, strip after strip in
    /// place, which needs a copy of one strip only.
    pub fn inverse_of_product(&self, out: &mut Self, workers: &Workers) {
        let n = self.order();
        if !Arc::ptr_eq(&out.layout, &self.layout) {
            out.layout = Arc::clone(&self.layout);
        }
        memory::resize(&mut out.data, self.data.len());
        let layout = &*self.layout;
        let count = layout.strips();
        let strips = cut(&mut out.data, |s| layout.start[s]);
        workers.for_each(count, strips, |s, values| {
            let width = layout.columns(s).len();
            let (mut top, mut below) = layout.strip_mut(s, values).split_at_row_mut(width);
            top.as_mut().fill(0.0);
            let (l, panel) = self.strip(s).split_at_row(width);
            triangular_inverse::invert_lower_triangular(top.as_mut(), l, Par::Seq);
            matmul(
                below.as_mut(),
                Accum::Replace,
                panel,
                top.as_ref(),
                -1.0,
                Par::Seq,
            );
            for t in s + 1..count {
                let height = layout.columns(t).len();
                let (mut own, rest) = below.split_at_row_mut(height);
                let (l, panel) = self.strip(t).split_at_row(height);
                triangular_solve::solve_lower_triangular_in_place(l, own.as_mut(), Par::Seq);
                below = rest;
                subtract_product(below.as_mut(), panel, own.as_ref(), workers);
            }
        });
        for s in 0..count {
            let end = layout.start[s + 1];
            let (done, later) = out.data.split_at_mut(end);
            let (done, later) = (&mut done[layout.start[s]..], &*later);
            let first = layout.columns(s).start;
            let copy = workers.copy(done);
            let copy = layout.strip_of(s, &copy);
            let strip = layout.strip_mut(s, done);
            let rows = move |i| layout.border[s + i] - first;
            // tile t of this strip: sum over rows m >= t of (L^-1)[m, t]' (L^-1)[m, s]
            workers.for_each(count - s, cut_rows(strip, rows), |i, mut tile| {
                let rows = layout.columns(s + i);
                let left = if i == 0 {
                    copy
                } else {
                    let values = layout.values(s + i);
                    layout.strip_of(s + i, &later[values.start - end..values.end - end])
                };
                let right = copy.subrows(rows.start - first, n - rows.start);
                let (top, below) = left.split_at_row(rows.len());
                triangular::matmul(
                    tile.as_mut(),
                    BlockStructure::Rectangular,
                    Accum::Replace,
                    top.transpose(),
                    BlockStructure::TriangularUpper,
                    right.subrows(0, rows.len()),
                    BlockStructure::Rectangular,
                    1.0,
                    Par::Seq,
                );
                for from in (0..n - rows.end).step_by(ROWS_AT_ONCE) {
                    workers.check();
                    let inner = from..(from + ROWS_AT_ONCE).min(n - rows.end);
                    matmul(
                        tile.as_mut(),
                        Accum::Add,
                        below.subrows(inner.start, inner.len()).transpose(),
                        right.subrows(rows.len() + inner.start, inner.len()),
                        1.0,
                        Par::Seq,
                    );
                }
                if i == 0 {
                    mirror(tile);
                }
            });
        }
    }

    /// Lower triangle of S += alpha A'B (which must be symmetric) for row-major A and B (m x order).
    pub fn add_product_of_rows(
        &mut self,
        a: &[f64],
        b: &[f64],
        m: usize,
        alpha: f64,
        workers: &Workers,
    ) {
        let n = self.order();
        let a = MatRef::from_row_major_slice(a, m, n);
        let b = MatRef::from_row_major_slice(b, m, n);
        let width = (n / 8).clamp(16, TILE);
        let layout = &*self.layout;
        // so many columns of a strip at a time; narrow strips have fewer such pieces, and then empty ones
        let widest = (0..layout.strips()).map(|s| layout.columns(s).len()).max();
        let shares = widest.unwrap_or(0).div_ceil(width);
        let columns = move |i: usize| {
            let own = layout.columns(i / shares);
            own.start + piece(own.len(), width, i % shares).start
        };
        let count = layout.strips() * shares;
        let start = move |i| layout.column_start(if i == count { n } else { columns(i) });
        workers.for_each(count, cut(&mut self.data, start), |i, values| {
            if values.is_empty() {
                return;
            }
            let (top, from) = (layout.columns(i / shares).start, columns(i));
            let width = values.len() / (n - top);
            let target = MatMut::from_column_major_slice_mut(values, n - top, width);
            matmul(
                target.split_at_row_mut(from - top).1,
                Accum::Add,
                a.subcols(from, n - from).transpose(),
                b.subcols(from, width),
                alpha,
                Par::Seq,
            );
        });
    }

    /// out (row-major m x order) = A S for row-major A (m x order) and this symmetric S.
    pub fn rows_times(&self, a: &[f64], m: usize, out: &mut [f64]) {
        let n = self.order();
        let a = MatRef::from_row_major_slice(a, m, n);
        out.fill(0.0);
        let mut out = MatMut::from_row_major_slice_mut(out, m, n);
        for s in 0..self.layout.strips() {
            let columns = self.layout.columns(s);
            let (own, right) = out
                .as_mut()
                .subcols_mut(columns.start, n - columns.start)
                .split_at_col_mut(columns.len());
            matmul(
                own,
                Accum::Add,
                a.subcols(columns.start, n - columns.start),
                self.strip(s),
                1.0,
                Par::Seq,
            );
            matmul(
                right,
                Accum::Add,
                a.subcols(columns.start, columns.len()),
                self.part(s, columns.end..n).transpose(),
                1.0,
                Par::Seq,
            );
        }
    }

    /// Tile (i, j), i >= j, of the product of two symmetric matrices of the same layout, column-major.
    pub fn tile_of_product(&self, other: &Self, (i, j): (usize, usize), out: &mut [f64]) {
        let n = self.order();
        let (rows, columns) = (self.layout.columns(i), self.layout.columns(j));
        let mut out = MatMut::from_column_major_slice_mut(out, rows.len(), columns.len());
        // beyond row tile i both are stored as they are needed
        matmul(
            out.as_mut(),
            Accum::Replace,
            self.part(i, rows.end..n).transpose(),
            other.part(j, rows.end..n),
            1.0,
            Par::Seq,
        );
        for t in 0..=i {
            matmul(
                out.as_mut(),
                Accum::Add,
                self.tile(i, t),
                other.tile(t, j),
                1.0,
                Par::Seq,
            );
        }
    }
}

/// C -= A B, by pieces of rows between which the user can stop it.
fn subtract_product(
    mut c: MatMut<'_, f64>,
    a: MatRef<'_, f64>,
    b: MatRef<'_, f64>,
    workers: &Workers,
) {
    for from in (0..c.nrows()).step_by(ROWS_AT_ONCE) {
        workers.check();
        let rows = from..(from + ROWS_AT_ONCE).min(c.nrows());
        matmul(
            c.as_mut().subrows_mut(rows.start, rows.len()),
            Accum::Add,
            a.subrows(rows.start, rows.len()),
            b,
            -1.0,
            Par::Seq,
        );
    }
}

/// Copies the lower triangle of the topmost square onto its upper.
fn mirror(mut a: MatMut<'_, f64>) {
    for j in 0..a.ncols() {
        for i in j + 1..a.ncols() {
            a[(j, i)] = a[(i, j)];
        }
    }
}
