//! The fixed effects' own coordinates: rank and pivot of X as `lm()` decides them, and a triangular change of basis that
//! makes the columns of Q = W^{1/2} X Rinv orthonormal (to rounding), so that nobody ever has to rescale predictors.

use std::ops::Range;

use faer::linalg::solvers::Qr;
use faer::MatRef;

use crate::linalg::{dense, small};
use crate::parallel::{pieces, Workers};
use crate::terms::{Column, ModelData};

/// `lm()`'s tolerance: a column whose part orthogonal to the columns before it is shorter than this, relative to its own
/// length, is aliased (LINPACK dqrdc2).
const RANK_TOLERANCE: f64 = 1e-7;

/// Smallest squared relative length of an orthogonal part at which cross-products decide the rank safely.
const SAFE_PIVOT: f64 = 1e-8;

/// Smallest squared relative length at which cross-products may be transformed instead of rows: the loss of
/// accuracy is machine epsilon over this.
const TRANSFORM_PIVOT: f64 = 1e-4;

/// Rows handled at once: they stay in the cache.
const ROWS: usize = 512;

/// Columns up to which plain loops are faster than a matrix product.
const FEW: usize = 8;

/// Rows of one piece of work.
const PIECE: usize = 65_536;

/// Rank, pivot and change of basis of X.
#[derive(Debug, Clone)]
pub struct FixedBasis {
    /// Columns of X.
    pub p: usize,
    /// Kept columns, ascending.
    pub kept: Vec<usize>,
    /// All columns, kept ones first, then the aliased ones in the order in which they were put aside.
    pub pivot: Vec<usize>,
    /// p x r, column-major, rows of aliased columns zero, upper triangular on the kept ones: Q = W^{1/2} X Rinv.
    pub rinv: Vec<f64>,
    /// log |Rinv|, of the kept square part.
    pub log_det_rinv: f64,
    /// Whether cross-products of X may be transformed by `rinv` afterwards (well conditioned), or rows have to be.
    pub transform_moments: bool,
    /// X'WX, p x p, lower triangle valid.
    pub gram: Vec<f64>,
    /// Weighted sum of squares of the response less the offset.
    pub total: f64,

    /// Coefficients (p, zero where aliased) about which the response is centred; close to weighted least squares.
    pub beta_center: Vec<f64>,
}

impl FixedBasis {
    /// One pass over the rows.
    #[must_use]
    pub fn new(data: &ModelData<'_>, workers: &Workers) -> Self {
        Self::from_gram(data, &gram_with_response(data, workers))
    }

    /// From what [`gram_with_response`] returns.
    #[must_use]
    pub fn from_gram(data: &ModelData<'_>, gram: &[f64]) -> Self {
        let p = data.p;
        let p1 = p + 1;
        let scale: Vec<f64> = (0..p).map(|j| gram[j * p1 + j].sqrt()).collect();
        let of_gram = correlation_cholesky(gram, p1, &scale);
        let (kept, pivot, smallest, (rinv, log_det_rinv)) = match of_gram {
            Some((l, smallest)) => {
                let all: Vec<usize> = (0..p).collect();
                (all.clone(), all, smallest, invert_cholesky(&l, &scale))
            }
            None => {
                let triangle = householder_r(data);
                let (kept, pivot) = householder_rank(triangle.clone(), p);
                let inverse = invert_householder(&triangle, p, &kept);
                (kept, pivot, 0.0, inverse)
            }
        };
        let r = kept.len();
        let rhs: Vec<f64> = (0..r)
            .map(|c| (0..p).map(|i| rinv[c * p + i] * gram[i * p1 + p]).sum())
            .collect();
        let mut beta_center = vec![0.0; p];
        for (c, value) in rhs.iter().enumerate() {
            for i in 0..p {
                beta_center[i] += rinv[c * p + i] * value;
            }
        }
        let mut own = vec![0.0; p * p];
        for j in 0..p {
            for i in j..p {
                own[j * p + i] = gram[j * p1 + i];
            }
        }
        let mut basis = Self {
            p,
            kept,
            pivot,
            rinv,
            log_det_rinv,
            transform_moments: smallest >= TRANSFORM_PIVOT,
            gram: own,
            total: gram[p1 * p1 - 1],
            beta_center,
        };
        basis.mirror_gram();
        basis
    }

    /// Rank r of X.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.kept.len()
    }

    fn mirror_gram(&mut self) {
        let p = self.p;
        for j in 0..p {
            for i in j + 1..p {
                self.gram[i * p + j] = self.gram[j * p + i];
            }
        }
    }
}

/// Rows `range` of W^{1/2} X into row-major `out` with `stride` values a row.
pub fn weighted_rows(data: &ModelData<'_>, range: Range<usize>, stride: usize, out: &mut [f64]) {
    for (j, column) in data.x.iter().enumerate() {
        column.visit(range.clone(), out.chunks_exact_mut(stride), |row, value| {
            row[j] = value;
        });
    }
    if let Some(w) = data.weights {
        for (row, weight) in out.chunks_exact_mut(stride).zip(&w[range]) {
            let root = weight.sqrt();
            row[..data.p].iter_mut().for_each(|v| *v *= root);
        }
    }
}

/// (W^{1/2} [X y])'(W^{1/2} [X y]) with y less the offset; (p + 1) x (p + 1), both triangles. A block of rows at a time,
/// column by column.
#[must_use]
pub fn gram_with_response(data: &ModelData<'_>, workers: &Workers) -> Vec<f64> {
    let (n, p1) = (data.n(), data.p + 1);
    let work = pieces(n, PIECE);
    let parts = workers.map(work.len(), |piece| {
        let mut total = vec![0.0; p1 * p1];
        let mut block = vec![0.0; ROWS.min(n) * p1];
        for start in work[piece].clone().step_by(ROWS) {
            let range = start..(start + ROWS).min(work[piece].end);
            let m = range.len();
            let block = &mut block[..m * p1];
            weighted_columns(data, range, block);
            if p1 > FEW {
                dense::add_gram_of_columns(block, m, p1, &mut total);
            } else {
                for j in 0..p1 {
                    let (column, rest) = block[j * m..].split_at(m);
                    total[j * p1 + j] += dot(column, column);
                    for (i, other) in (j + 1..p1).zip(rest.chunks_exact(m)) {
                        total[j * p1 + i] += dot(column, other);
                    }
                }
            }
        }
        total
    });
    let mut total = vec![0.0; p1 * p1];
    for part in parts {
        total.iter_mut().zip(&part).for_each(|(a, b)| *a += b);
    }
    for j in 0..p1 {
        for i in j + 1..p1 {
            total[i * p1 + j] = total[j * p1 + i];
        }
    }
    total
}

/// Rows `range` of W^{1/2} [X y], y less the offset, into `out`, column after column.
fn weighted_columns(data: &ModelData<'_>, range: Range<usize>, out: &mut [f64]) {
    let m = range.len();
    let (x, y) = out.split_at_mut(m * data.p);
    for (column, to) in data.x.iter().zip(x.chunks_exact_mut(m)) {
        match column {
            Column::Values(v) => to.copy_from_slice(&v[range.clone()]),
            _ => column.visit(range.clone(), to.iter_mut(), |to, value| *to = value),
        }
    }
    y.copy_from_slice(&data.y[range.clone()]);
    if let Some(offset) = data.offset {
        y.iter_mut()
            .zip(&offset[range.clone()])
            .for_each(|(y, o)| *y -= o);
    }
    if let Some(w) = data.weights {
        let roots: Vec<f64> = w[range].iter().map(|w| w.sqrt()).collect();
        for column in out.chunks_exact_mut(m) {
            column
                .iter_mut()
                .zip(&roots)
                .for_each(|(v, root)| *v *= root);
        }
    }
}

/// Inner product in lanes: the same on every machine, and vectorised.
#[must_use]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest = a.remainder().iter().zip(b.remainder());
    let rest: f64 = rest.map(|(x, y)| x * y).sum();
    for (x, y) in a.zip(b) {
        for l in 0..8 {
            lanes[l] += x[l] * y[l];
        }
    }
    let half: [f64; 4] = std::array::from_fn(|l| lanes[l] + lanes[l + 4]);
    (half[0] + half[2]) + (half[1] + half[3]) + rest
}

/// Lower triangle of `total` += rows' rows.
pub fn accumulate_gram(rows: &[f64], width: usize, total: &mut [f64]) {
    match width {
        0 => {}
        1 => few_columns::<1>(rows, total),
        2 => few_columns::<2>(rows, total),
        3 => few_columns::<3>(rows, total),
        4 => few_columns::<4>(rows, total),
        5 => few_columns::<5>(rows, total),
        6 => few_columns::<6>(rows, total),
        7 => few_columns::<7>(rows, total),
        FEW => few_columns::<FEW>(rows, total),
        _ => dense::add_gram(rows, rows.len() / width, width, 1.0, total),
    }
}

/// [`accumulate_gram`] of `W` columns, unrolled.
fn few_columns<const W: usize>(rows: &[f64], total: &mut [f64]) {
    let mut sums = [[0.0; W]; W];
    for (sum, column) in sums.iter_mut().zip(total.chunks_exact(W)) {
        sum.copy_from_slice(column);
    }
    for row in rows.chunks_exact(W) {
        for j in 0..W {
            for i in j..W {
                sums[j][i] += row[j] * row[i];
            }
        }
    }
    for (sum, column) in sums.iter().zip(total.chunks_exact_mut(W)) {
        column.copy_from_slice(sum);
    }
}

/// L of the cross-products of the columns in units of their lengths, and its smallest squared pivot: the squared relative length
/// of the part of a column orthogonal to the ones before it. `None` where that is too small for cross-products to decide about
/// rank (they square the condition number); where it is not, dqrdc2's limited pivoting moves no column.
fn correlation_cholesky(gram: &[f64], ld: usize, scale: &[f64]) -> Option<(Vec<f64>, f64)> {
    let p = scale.len();
    if scale.contains(&0.0) {
        return None;
    }
    let mut l = vec![0.0; p * p];
    for j in 0..p {
        for i in j..p {
            l[j * p + i] = gram[j * ld + i] / (scale[j] * scale[i]);
        }
        l[j * p + j] = 1.0;
    }
    let positive = small::cholesky(&mut l, p);
    let pivots = (0..p).map(|j| l[j * p + j].powi(2));
    let smallest = pivots.fold(1.0, f64::min);
    (positive && smallest >= SAFE_PIVOT).then_some((l, smallest))
}

/// R of the QR decomposition of W^{1/2} X (p x p, column-major), by chunks of rows stacked under the R so far.
fn householder_r(data: &ModelData<'_>) -> Vec<f64> {
    let (n, p) = (data.n(), data.p);
    let chunk = ROWS.max(2 * p);
    let mut r = vec![0.0; p * p];
    let mut filled = 0;
    for start in (0..n).step_by(chunk) {
        let end = (start + chunk).min(n);
        let rows = filled + end - start;
        let mut stacked = vec![0.0; rows.max(p) * p];
        for i in 0..filled {
            for j in i..p {
                stacked[i * p + j] = r[j * p + i];
            }
        }
        weighted_rows(data, start..end, p, &mut stacked[filled * p..rows * p]);
        let total = stacked.len() / p;
        let qr = Qr::new(MatRef::from_row_major_slice(&stacked, total, p));
        let factor = qr.R();
        for j in 0..p {
            for i in 0..=j {
                r[j * p + i] = factor[(i, j)];
            }
        }
        filled = p;
    }
    r
}

/// Rank and pivot by Householder reflections with dqrdc2's limited pivoting, applied to R (which has the same column
/// lengths and angles as X).
fn householder_rank(mut a: Vec<f64>, p: usize) -> (Vec<usize>, Vec<usize>) {
    let mut pivot: Vec<usize> = (0..p).collect();
    let length = |a: &[f64], c: usize, from: usize| {
        a[c * p + from..(c + 1) * p]
            .iter()
            .map(|v| v * v)
            .sum::<f64>()
            .sqrt()
    };
    let original: Vec<f64> = (0..p)
        .map(|c| {
            let l = length(&a, c, 0);
            if l == 0.0 {
                1.0
            } else {
                l
            }
        })
        .collect();
    let mut rank = p;
    let mut position = 0;
    while position < rank {
        while position < rank
            && length(&a, pivot[position], position) < original[pivot[position]] * RANK_TOLERANCE
        {
            let aliased = pivot.remove(position);
            pivot.push(aliased);
            rank -= 1;
        }
        if position >= rank {
            break;
        }
        reflect(&mut a, p, &pivot, position);
        position += 1;
    }
    let mut kept = pivot[..rank].to_vec();
    kept.sort_unstable();
    (kept, pivot)
}

/// Householder reflection that clears column `pivot[position]` below row `position`, applied to the columns after it. As long as
/// no column has been put aside there is nothing to clear, and then as many entries as there are such columns.
fn reflect(a: &mut [f64], p: usize, pivot: &[usize], position: usize) {
    let column = pivot[position];
    let own = &a[column * p + position..(column + 1) * p];
    let filled = own
        .iter()
        .rposition(|x| *x != 0.0)
        .map_or(0, |last| last + 1);
    if filled <= 1 {
        return;
    }
    let mut v: Vec<f64> = own[..filled].to_vec();
    let norm = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v[0] += norm.copysign(v[0]);
    let square: f64 = v.iter().map(|x| x * x).sum();
    for &c in &pivot[position..] {
        let target = &mut a[c * p + position..c * p + position + filled];
        let s = 2.0 * target.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>() / square;
        target.iter_mut().zip(&v).for_each(|(x, y)| *x -= s * y);
    }
}

/// Rinv and its log determinant, where R = L' diag(scale).
fn invert_cholesky(l: &[f64], scale: &[f64]) -> (Vec<f64>, f64) {
    let p = scale.len();
    let inverse = small::invert_lower(l, p);
    let mut rinv = vec![0.0; p * p];
    small::transpose(&inverse, p, &mut rinv);
    for column in rinv.chunks_exact_mut(p.max(1)) {
        column.iter_mut().zip(scale).for_each(|(v, s)| *v /= s);
    }
    let log_det = (0..p).map(|c| rinv[c * p + c].ln()).sum();
    (rinv, log_det)
}

/// The same from the R of all columns, for those that are kept.
fn invert_householder(triangle: &[f64], p: usize, kept: &[usize]) -> (Vec<f64>, f64) {
    let r = kept.len();
    // R of the kept columns alone: re-triangularise the kept columns of R.
    let mut a = vec![0.0; p * p];
    for &j in kept {
        a[j * p..(j + 1) * p].copy_from_slice(&triangle[j * p..(j + 1) * p]);
    }
    for position in 0..r {
        reflect(&mut a, p, kept, position);
    }
    // its transpose, which is lower triangular
    let mut lower = vec![0.0; r * r];
    for (c, &j) in kept.iter().enumerate() {
        for i in 0..=c {
            lower[i * r + c] = a[j * p + i];
        }
    }
    let inverse = small::invert_lower(&lower, r);
    let mut rinv = vec![0.0; p * r];
    let mut log_det = 0.0;
    for c in 0..r {
        let pivot = inverse[c * r + c];
        log_det += pivot.abs().ln();
        for i in 0..=c {
            rinv[c * p + kept[i]] = pivot.signum() * inverse[i * r + c];
        }
    }
    (rinv, log_det)
}
