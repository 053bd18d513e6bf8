//! Products and Cholesky factor of dense matrices of moderate size, on one thread, by faer's kernels; large ones are in
//! [`super::triangle`].

use std::mem::MaybeUninit;

use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::solvers::{Qr, Svd};
use faer::linalg::{evd, triangular_inverse, triangular_solve};
use faer::reborrow::ReborrowMut;
use faer::{Accum, MatMut, MatRef, Par, Spec};

use crate::runtime::memory;

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
            data: memory::zeros(nrows * ncols),
            nrows,
            ncols,
        }
    }
}

/// Cholesky factor in place of a column-major matrix, in its lower triangle (the other is neither read nor written). `false`
/// if not positive definite.
#[must_use]
pub fn cholesky(a: &mut [f64], n: usize) -> bool {
    cholesky_in_place(MatMut::from_column_major_slice_mut(a, n, n))
}

/// Cholesky factor in place of the first `width` rows of a column-major panel, and those below times its inverse transposed.
/// `false` if not positive definite.
#[must_use]
pub fn cholesky_of_panel(panel: &mut [f64], height: usize, width: usize) -> bool {
    let panel = MatMut::from_column_major_slice_mut(panel, height, width);
    let (mut top, below) = panel.split_at_row_mut(width);
    if !cholesky_in_place(top.rb_mut()) {
        return false;
    }
    let factor = top.as_ref();
    triangular_solve::solve_lower_triangular_in_place(factor, below.transpose_mut(), Par::Seq);
    (0..width).all(|j| factor[(j, j)].is_finite())
}

/// B <- B L^-1 for column-major B with `width` columns and the lower triangle of `l`.
pub fn divide_by_triangle(l: &[f64], width: usize, b: &mut [f64]) {
    let rows = b.len() / width;
    triangular_solve::solve_upper_triangular_in_place(
        MatRef::from_column_major_slice(l, width, width).transpose(),
        MatMut::from_column_major_slice_mut(b, rows, width).transpose_mut(),
        Par::Seq,
    );
}

/// out = A A_1' for column-major A with m rows, A_1 being the first `count` of them; m x count.
pub fn product_with_own_rows(a: &[f64], m: usize, count: usize, out: &mut [f64]) {
    let a = MatRef::from_column_major_slice(a, m, a.len() / m);
    matmul(
        MatMut::from_column_major_slice_mut(out, m, count),
        Accum::Replace,
        a,
        a.subrows(0, count).transpose(),
        1.0,
        Par::Seq,
    );
}

/// C -= A'B for column-major A and B (m x r) into column-major `out` (r x r).
pub fn subtract_products_of_columns(a: &[f64], b: &[f64], (m, r): (usize, usize), out: &mut [f64]) {
    matmul(
        MatMut::from_column_major_slice_mut(out, r, r),
        Accum::Add,
        MatRef::from_column_major_slice(a, m, r).transpose(),
        MatRef::from_column_major_slice(b, m, r),
        -1.0,
        Par::Seq,
    );
}

/// The inverse of the lower triangle of `l` into that of `out` (both n x n, column-major).
pub fn invert_lower(l: &[f64], n: usize, out: &mut [f64]) {
    triangular_inverse::invert_lower_triangular(
        MatMut::from_column_major_slice_mut(out, n, n),
        MatRef::from_column_major_slice(l, n, n),
        Par::Seq,
    );
}

/// out = A B, all column-major; each factor with the dimensions in which it enters the product, and whether it stands
/// transposed.
pub fn product(a: (&[f64], usize, usize, bool), b: (&[f64], usize, usize, bool), out: &mut [f64]) {
    fn matrix((x, rows, columns, transposed): (&[f64], usize, usize, bool)) -> MatRef<'_, f64> {
        let x = &x[..rows * columns];
        if transposed {
            MatRef::from_row_major_slice(x, rows, columns)
        } else {
            MatRef::from_column_major_slice(x, rows, columns)
        }
    }
    let (rows, columns) = (a.1, b.2);
    matmul(
        MatMut::from_column_major_slice_mut(&mut out[..rows * columns], rows, columns),
        Accum::Replace,
        matrix(a),
        matrix(b),
        1.0,
        Par::Seq,
    );
}

/// Where the entries of a square matrix stand; the others are zero, and are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Everywhere.
    Full,
    /// On and below the diagonal.
    Lower,
    /// On and above the diagonal.
    Upper,
}

impl Shape {
    /// Shape of the transpose.
    #[must_use]
    pub fn transposed(self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Lower => Self::Upper,
            Self::Upper => Self::Lower,
        }
    }

    fn structure(self) -> BlockStructure {
        match self {
            Self::Full => BlockStructure::Rectangular,
            Self::Lower => BlockStructure::TriangularLower,
            Self::Upper => BlockStructure::TriangularUpper,
        }
    }
}

/// out = A B for n x n column-major matrices of these shapes, each given with whether it stands transposed (and the shape that
/// it has then). Of `out` only what stands in `shape` is computed; where the product is wider, its other entries are left
/// alone.
pub fn shaped_product(
    a: (&[f64], Shape, bool),
    b: (&[f64], Shape, bool),
    n: usize,
    out: &mut [f64],
    shape: Shape,
) {
    fn matrix(x: &[f64], transposed: bool, n: usize) -> MatRef<'_, f64> {
        if transposed {
            MatRef::from_row_major_slice(x, n, n)
        } else {
            MatRef::from_column_major_slice(x, n, n)
        }
    }
    triangular::matmul(
        MatMut::from_column_major_slice_mut(out, n, n),
        shape.structure(),
        Accum::Replace,
        matrix(a.0, a.2, n),
        a.1.structure(),
        matrix(b.0, b.2, n),
        b.1.structure(),
        1.0,
        Par::Seq,
    );
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

/// C += A B' for row-major A (r x m) and B (c x m) into column-major `out` (r x c).
pub fn add_outer(a: &[f64], b: &[f64], m: usize, out: &mut [f64]) {
    let (r, c) = (a.len() / m, b.len() / m);
    matmul(
        MatMut::from_column_major_slice_mut(out, r, c),
        Accum::Add,
        MatRef::from_row_major_slice(a, r, m),
        MatRef::from_row_major_slice(b, c, m).transpose(),
        1.0,
        Par::Seq,
    );
}

/// Lower triangle of C += alpha A'A for row-major A (m x r) into column-major `out` (r x r).
pub fn add_gram(a: &[f64], m: usize, r: usize, alpha: f64, out: &mut [f64]) {
    add_gram_of(MatRef::from_row_major_slice(a, m, r), alpha, out);
}

/// Lower triangle of C += A'A for column-major A (m x r) into column-major `out` (r x r).
pub fn add_gram_of_columns(a: &[f64], m: usize, r: usize, out: &mut [f64]) {
    add_gram_of(MatRef::from_column_major_slice(a, m, r), 1.0, out);
}

fn add_gram_of(a: MatRef<'_, f64>, alpha: f64, out: &mut [f64]) {
    let r = a.ncols();
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
    let factor = MatRef::from_column_major_slice(&l.data, l.nrows, l.ncols);
    let rhs = MatMut::from_row_major_slice_mut(b, l.nrows, m);
    if transposed {
        triangular_solve::solve_upper_triangular_in_place(factor.transpose(), rhs, Par::Seq);
    } else {
        triangular_solve::solve_lower_triangular_in_place(factor, rhs, Par::Seq);
    }
}

/// B <- L^-1 B for column-major B (k rows) and the lower triangle in the first k rows and columns of `l`, which has `order` of
/// them.
pub fn solve_columns(l: &[f64], order: usize, k: usize, b: &mut [f64]) {
    let columns = b.len() / k;
    triangular_solve::solve_lower_triangular_in_place(
        MatRef::from_column_major_slice(l, order, order).submatrix(0, 0, k, k),
        MatMut::from_column_major_slice_mut(b, k, columns),
        Par::Seq,
    );
}

/// Eigenvalues of a symmetric matrix, ascending, from its lower triangle. `None` where it is not finite.
#[must_use]
pub fn symmetric_eigenvalues(a: &Matrix) -> Option<Vec<f64>> {
    eigen(&a.data, a.nrows, None)
}

/// Eigenvalues of a column-major matrix, with its eigenvectors in the columns of `vectors`.
pub fn symmetric_eigen(a: &[f64], n: usize, vectors: &mut [f64]) -> Option<Vec<f64>> {
    eigen(
        a,
        n,
        Some(MatMut::from_column_major_slice_mut(vectors, n, n)),
    )
}

fn eigen(a: &[f64], n: usize, vectors: Option<MatMut<'_, f64>>) -> Option<Vec<f64>> {
    let params = Spec::default();
    let wanted = match vectors {
        Some(_) => evd::ComputeEigenvectors::Yes,
        None => evd::ComputeEigenvectors::No,
    };
    let needed = evd::self_adjoint_evd_scratch::<f64>(n, wanted, Par::Seq, params);
    memory::require::<u8>(needed.unaligned_bytes_required());
    let mut buffer = MemBuffer::new(needed);
    let mut values = memory::zeros(n);
    evd::self_adjoint_evd(
        MatRef::from_column_major_slice(a, n, n),
        DiagMut::from_slice_mut(&mut values),
        vectors,
        Par::Seq,
        MemStack::new(&mut buffer),
        params,
    )
    .ok()?;
    values.iter().all(|v| v.is_finite()).then_some(values)
}

/// Singular values (descending) and left singular vectors (columns) of a square column-major matrix. `None` where the iterations do
/// not converge.
#[must_use]
pub fn left_singular(a: &[f64], n: usize) -> Option<(Vec<f64>, Vec<f64>)> {
    // U, V, and the workspace of the reduction
    memory::require::<f64>(5 * n * n);
    let found = Svd::new(MatRef::from_column_major_slice(a, n, n)).ok()?;
    let values: Vec<f64> = found.S().column_vector().iter().copied().collect();
    let u = found.U();
    let vectors = memory::collect((0..n * n).map(|e| u[(e % n, e / n)]));
    values
        .iter()
        .all(|v| v.is_finite())
        .then_some((values, vectors))
}

/// Bytes of the stack that a factor of moderate size (up to order 1000) takes in the place of allocated ones.
const ON_STACK: usize = 1 << 13;

/// Cholesky factor in the lower triangle; `false` if not positive definite.
#[must_use]
pub(super) fn cholesky_in_place(a: MatMut<'_, f64>) -> bool {
    let params = Spec::default();
    let regularization = llt::factor::LltRegularization::default();
    let needed = llt::factor::cholesky_in_place_scratch::<f64>(a.nrows(), Par::Seq, params);
    let factorize = |stack: &mut MemStack| {
        llt::factor::cholesky_in_place(a, regularization, Par::Seq, stack, params).is_ok()
    };
    if needed.unaligned_bytes_required() > ON_STACK {
        memory::require::<u8>(needed.unaligned_bytes_required());
        return factorize(MemStack::new(&mut MemBuffer::new(needed)));
    }
    factorize(MemStack::new(&mut [MaybeUninit::uninit(); ON_STACK]))
}

/// R of the QR decomposition of a row-major matrix (`rows` x `columns`, at least as many rows), column-major: its upper
/// triangle is written.
pub fn triangle_of_qr(a: &[f64], rows: usize, columns: usize, r: &mut [f64]) {
    let qr = Qr::new(MatRef::from_row_major_slice(a, rows, columns));
    let factor = qr.R();
    for j in 0..columns {
        for i in 0..=j {
            r[j * columns + i] = factor[(i, j)];
        }
    }
}
