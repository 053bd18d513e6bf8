//! Large dense matrices, column-major: Cholesky factor, inverse and products. The only user of faer's dense kernels.
//!
//! Threads work on disjoint tiles whose borders depend on the size alone, so the bits do not depend on their number.

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::{triangular_inverse, triangular_solve};
use faer::{Accum, MatMut, MatRef, Par, Spec};

use std::ops::Range;

use crate::parallel::Workers;

/// Order of the tiles in which threads work.
const TILE: usize = 192;

/// A dense matrix, column-major.
#[derive(Debug, Clone, Default)]
pub struct Matrix {
    /// Entries, column after column.
    pub data: Vec<f64>,
    /// Rows.
    pub nrows: usize,
    /// Columns.
    pub ncols: usize,
}

impl Matrix {
    /// All zero.
    #[must_use]
    pub fn zeros(nrows: usize, ncols: usize) -> Self {
        Self {
            data: vec![0.0; nrows * ncols],
            nrows,
            ncols,
        }
    }

    /// Column `j`.
    #[must_use]
    pub fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.nrows..(j + 1) * self.nrows]
    }

    /// View for faer.
    #[must_use]
    pub fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.data, self.nrows, self.ncols)
    }

    /// Mutable view for faer.
    pub fn view_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_column_major_slice_mut(&mut self.data, self.nrows, self.ncols)
    }

    /// Copies the lower triangle onto the upper.
    pub fn symmetrize_from_lower(&mut self) {
        let n = self.nrows;
        const BLOCK: usize = 32;
        for jb in (0..n).step_by(BLOCK) {
            for ib in (jb..n).step_by(BLOCK) {
                for j in jb..(jb + BLOCK).min(n) {
                    for i in ib.max(j + 1)..(ib + BLOCK).min(n) {
                        self.data[i * n + j] = self.data[j * n + i];
                    }
                }
            }
        }
    }
}

/// Cholesky factor in place (lower triangle; the strict upper triangle is not touched by use). `false` if not
/// positive definite. Right-looking by tiles: factor, panel solve, symmetric update.
#[must_use]
pub fn cholesky(a: &mut Matrix, workers: &Workers) -> bool {
    let n = a.nrows;
    if n < 2 * TILE {
        return cholesky_sequential(a.view_mut());
    }
    let mut start = 0;
    while start < n {
        let width = TILE.min(n - start);
        let trailing = a
            .view_mut()
            .submatrix_mut(start, start, n - start, n - start);
        let (mut diagonal, _, mut panel, mut rest) = trailing.split_at_mut(width, width);
        if !cholesky_sequential(diagonal.as_mut()) {
            return false;
        }
        let l = diagonal.as_ref();
        let rows = tile_rows(panel.nrows());
        workers.for_each(split_rows(panel.as_mut(), &rows), |_, tile| {
            // X L' = B, that is L X' = B'
            triangular_solve::solve_lower_triangular_in_place(l, tile.transpose_mut(), Par::Seq);
        });
        let panel = panel.as_ref();
        workers.for_each(split_columns(rest.as_mut(), &rows), |i, strip| {
            let (from, to) = rows[i];
            let below = strip.submatrix_mut(from, 0, panel.nrows() - from, to - from);
            let (top, bottom) = below.split_at_row_mut(to - from);
            let own = panel.subrows(from, to - from);
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
            matmul(
                bottom,
                Accum::Add,
                panel.subrows(to, panel.nrows() - to),
                own.transpose(),
                -1.0,
                Par::Seq,
            );
        });
        start += width;
    }
    true
}

/// (L L')^-1 into `out`, full symmetric, from the lower triangle of `l`: L^-1 by columns of tiles, then L^-T L^-1.
pub fn inverse_from_cholesky(
    l: &Matrix,
    scratch: &mut Matrix,
    out: &mut Matrix,
    workers: &Workers,
) {
    let n = l.nrows;
    if n == 0 {
        return;
    }
    let strips = tile_rows(n);
    scratch.data.resize(n * n, 0.0);
    (scratch.nrows, scratch.ncols) = (n, n);
    let factor = l.view();
    // Column strip [from, to) of L^-1: zero above `from`, inverse of the diagonal tile, then a solve with what is below.
    workers.for_each(split_columns(scratch.view_mut(), &strips), |i, strip| {
        let (from, to) = strips[i];
        let below = strip.submatrix_mut(from, 0, n - from, to - from);
        let (mut top, mut bottom) = below.split_at_row_mut(to - from);
        top.as_mut().fill(0.0);
        triangular_inverse::invert_lower_triangular(
            top.as_mut(),
            factor.submatrix(from, from, to - from, to - from),
            Par::Seq,
        );
        matmul(
            bottom.as_mut(),
            Accum::Replace,
            factor.submatrix(to, from, n - to, to - from),
            top.as_ref(),
            -1.0,
            Par::Seq,
        );
        triangular_solve::solve_lower_triangular_in_place(
            factor.submatrix(to, to, n - to, n - to),
            bottom,
            Par::Seq,
        );
    });
    out.data.resize(n * n, 0.0);
    (out.nrows, out.ncols) = (n, n);
    let inverse = scratch.view();
    workers.for_each(split_columns(out.view_mut(), &strips), |i, mut strip| {
        let (from, to) = strips[i];
        // rows from `from` on: sum over m of Linv[m, rows]' Linv[m, strip], Linv[m, row] = 0 for m < row
        for &(r, s) in strips.iter().filter(|t| t.0 >= from) {
            let mut tile = strip.as_mut().submatrix_mut(r, 0, s - r, to - from);
            triangular::matmul(
                tile.as_mut(),
                BlockStructure::Rectangular,
                Accum::Replace,
                inverse.submatrix(r, r, s - r, s - r).transpose(),
                BlockStructure::TriangularUpper,
                inverse.submatrix(r, from, s - r, to - from),
                BlockStructure::Rectangular,
                1.0,
                Par::Seq,
            );
            matmul(
                tile,
                Accum::Add,
                inverse.submatrix(s, r, n - s, s - r).transpose(),
                inverse.submatrix(s, from, n - s, to - from),
                1.0,
                Par::Seq,
            );
        }
    });
    out.symmetrize_from_lower();
}

/// C += alpha A' B for row-major A (m x r) and B (m x c) into column-major `out` (r x c).
pub fn add_transposed_product(
    a: &[f64],
    b: &[f64],
    m: usize,
    r: usize,
    c: usize,
    alpha: f64,
    out: &mut [f64],
) {
    let a = MatRef::from_row_major_slice(a, m, r);
    let b = MatRef::from_row_major_slice(b, m, c);
    matmul(
        MatMut::from_column_major_slice_mut(out, r, c),
        Accum::Add,
        a.transpose(),
        b,
        alpha,
        Par::Seq,
    );
}

/// Lower triangle of C += alpha A'A for row-major A (m x r) into column-major `out` (r x r).
pub fn add_gram(a: &[f64], m: usize, r: usize, alpha: f64, out: &mut [f64]) {
    let a = MatRef::from_row_major_slice(a, m, r);
    triangular::matmul(
        MatMut::from_column_major_slice_mut(out, r, r),
        BlockStructure::TriangularLower,
        Accum::Add,
        a.transpose(),
        BlockStructure::Rectangular,
        a,
        BlockStructure::Rectangular,
        alpha,
        Par::Seq,
    );
}

/// out (row-major m x c) = A B with row-major A (m x r) and column-major B (r x c).
pub fn rows_times(a: &[f64], b: &[f64], m: usize, r: usize, c: usize, out: &mut [f64]) {
    matmul(
        MatMut::from_row_major_slice_mut(out, m, c),
        Accum::Replace,
        MatRef::from_row_major_slice(a, m, r),
        MatRef::from_column_major_slice(b, r, c),
        1.0,
        Par::Seq,
    );
}

/// B <- L^-1 B or, with `transposed`, L^-T B, for row-major B (n x m) and the lower triangle of `l`.
pub fn solve_rows(l: &Matrix, b: &mut [f64], m: usize, transposed: bool) {
    if l.nrows == 0 || m == 0 {
        return;
    }
    let rhs = MatMut::from_row_major_slice_mut(b, l.nrows, m);
    if transposed {
        triangular_solve::solve_upper_triangular_in_place(l.view().transpose(), rhs, Par::Seq);
    } else {
        triangular_solve::solve_lower_triangular_in_place(l.view(), rhs, Par::Seq);
    }
}

/// Lower triangle of S += alpha A'B (which must be symmetric) for row-major A and B (m x n), by strips of columns.
pub fn add_strips(
    a: &[f64],
    b: &[f64],
    m: usize,
    n: usize,
    alpha: f64,
    s: &mut Matrix,
    workers: &Workers,
) {
    let a = MatRef::from_row_major_slice(a, m, n);
    let b = MatRef::from_row_major_slice(b, m, n);
    let width = (n / 8).clamp(16, TILE);
    let strips: Vec<(usize, usize)> = (0..n)
        .step_by(width)
        .map(|from| (from, (from + width).min(n)))
        .collect();
    workers.for_each(split_columns(s.view_mut(), &strips), |i, strip| {
        let (from, to) = strips[i];
        let target = strip.submatrix_mut(from, 0, n - from, to - from);
        matmul(
            target,
            Accum::Add,
            a.subcols(from, n - from).transpose(),
            b.subcols(from, to - from),
            alpha,
            Par::Seq,
        );
    });
}

/// Columns `to` of `out` += A[, from] B, B column-major with as many rows as `from` has columns; by strips of columns.
pub fn add_product(
    out: &mut Matrix,
    to: Range<usize>,
    a: &Matrix,
    from: Range<usize>,
    b: &[f64],
    workers: &Workers,
) {
    if to.is_empty() || from.is_empty() {
        return;
    }
    let strips = tile_rows(to.len());
    let left = a.view().subcols(from.start, from.len());
    let right = MatRef::from_column_major_slice(b, from.len(), to.len());
    let target = out.view_mut().subcols_mut(to.start, to.len());
    workers.for_each(split_columns(target, &strips), |i, strip| {
        let (first, end) = strips[i];
        matmul(
            strip,
            Accum::Add,
            left,
            right.subcols(first, end - first),
            1.0,
            Par::Seq,
        );
    });
}

/// Eigenvalues of a symmetric matrix, ascending, from its lower triangle. `None` where it is not finite.
#[must_use]
pub fn symmetric_eigenvalues(a: &Matrix) -> Option<Vec<f64>> {
    let n = a.nrows;
    let params = Spec::default();
    let mut memory = MemBuffer::new(evd::self_adjoint_evd_scratch::<f64>(
        n,
        evd::ComputeEigenvectors::No,
        Par::Seq,
        params,
    ));
    let mut values = vec![0.0; n];
    evd::self_adjoint_evd(
        a.view(),
        DiagMut::from_slice_mut(&mut values),
        None,
        Par::Seq,
        MemStack::new(&mut memory),
        params,
    )
    .ok()?;
    values.iter().all(|v| v.is_finite()).then_some(values)
}

fn cholesky_sequential(a: MatMut<'_, f64>) -> bool {
    let n = a.nrows();
    let params = Spec::default();
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
        n,
        Par::Seq,
        params,
    ));
    let regularization = llt::factor::LltRegularization::default();
    llt::factor::cholesky_in_place(
        a,
        regularization,
        Par::Seq,
        MemStack::new(&mut memory),
        params,
    )
    .is_ok()
}

fn tile_rows(n: usize) -> Vec<(usize, usize)> {
    (0..n)
        .step_by(TILE)
        .map(|from| (from, (from + TILE).min(n)))
        .collect()
}

fn split_columns<'a>(mut a: MatMut<'a, f64>, tiles: &[(usize, usize)]) -> Vec<MatMut<'a, f64>> {
    let mut parts = Vec::with_capacity(tiles.len());
    for &(from, to) in tiles {
        let (head, tail) = a.split_at_col_mut(to - from);
        parts.push(head);
        a = tail;
    }
    parts
}

fn split_rows<'a>(mut a: MatMut<'a, f64>, tiles: &[(usize, usize)]) -> Vec<MatMut<'a, f64>> {
    let mut parts = Vec::with_capacity(tiles.len());
    for &(from, to) in tiles {
        let (head, tail) = a.split_at_row_mut(to - from);
        parts.push(head);
        a = tail;
    }
    parts
}
