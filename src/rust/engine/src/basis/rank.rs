//! The rank of X as `lm()` decides it, by Householder reflections, where cross-products do not tell it.

use std::ops::Range;

use crate::api::error::EngineError;
use crate::api::model::ModelData;
use crate::basis::gram::weighted_rows;
use crate::linalg::row_sums::dot;
use crate::linalg::{dense, small};
use crate::runtime::memory;
use crate::runtime::stop::StopFlag;

/// Smallest squared relative length of an orthogonal part at which cross-products decide the rank safely.
pub(super) const SAFE_PIVOT: f64 = 1e-8;

/// Columns from which what a library does with a square matrix takes some hundredths of a second.
pub(super) const LONG: usize = 800;

/// `lm()`'s tolerance: a column whose part orthogonal to the columns before it is shorter than this, relative to its own
/// length, is aliased (LINPACK dqrdc2).
const RANK_TOLERANCE: f64 = 1e-7;

/// Rows handled at once: they stay in the cache.
const ROWS: usize = 512;

/// Refuses fixed effects that leave nothing for residuals, before anything of the size of X'X is made.
///
/// # Errors
/// [`EngineError::NoResidualDf`], or what is wrong with the columns.
pub fn require_residual(data: &ModelData<'_>, stop: &StopFlag) -> Result<(), EngineError> {
    if !leaves_no_residual(data, stop) {
        return Ok(());
    }
    data.check_finite()?;
    let n = data.n();
    Err(EngineError::NoResidualDf { n, rank: n })
}

/// Whether X has at least as many independent columns as rows, told without anything of order p x p. Where cross-products of
/// the rows do not tell it safely, reflections do.
pub(crate) fn leaves_no_residual(data: &ModelData<'_>, stop: &StopFlag) -> bool {
    let (n, p) = (data.rows(), data.p);
    if p < n {
        return false;
    }
    let mut gram = memory::zeros(n * n);
    for from in (0..p).step_by(ROWS) {
        stop.check();
        let columns = from..(from + ROWS).min(p);
        let mut block = memory::zeros(n * columns.len());
        weighted_block(data, columns, &mut block);
        for column in block.chunks_exact_mut(n) {
            let length = dot(column, column).sqrt();
            if length > 0.0 {
                column.iter_mut().for_each(|v| *v /= length);
            }
        }
        dense::add_gram(&block, block.len() / n, n, 1.0, &mut gram);
    }
    // columns of length 1: were r < n of them independent, a pivot would be at most p RANK_TOLERANCE^2
    let (positive, gram) =
        stop.wait_for_long(n >= LONG, move || (small::cholesky(&mut gram, n), gram));
    let safe = SAFE_PIVOT * (p as f64 / n as f64);
    if positive && (0..n).all(|i| gram[i * n + i].powi(2) >= safe) {
        return true;
    }
    householder_rank(householder_r(data, stop), p, stop).0.len() >= n
}

/// Columns `columns` of W^{1/2} X, column after column.
fn weighted_block(data: &ModelData<'_>, columns: Range<usize>, out: &mut [f64]) {
    let n = data.rows();
    for (column, to) in data.x[columns].iter().zip(out.chunks_exact_mut(n)) {
        column.visit(0..n, to.iter_mut(), |to, value| *to = value);
        if let Some(w) = data.weights {
            to.iter_mut().zip(w).for_each(|(v, w)| *v *= w.sqrt());
        }
    }
}

/// A matrix, column-major, whose columns have the lengths and angles of those of W^{1/2} X: R of its QR decomposition (p x p),
/// by chunks of rows stacked under the R so far; of fewer rows than columns, W^{1/2} X itself (n x p).
pub(crate) fn householder_r(data: &ModelData<'_>, stop: &StopFlag) -> Vec<f64> {
    let (n, p) = (data.rows(), data.p);
    if n <= p {
        let mut own = memory::zeros(n * p);
        weighted_block(data, 0..p, &mut own);
        return own;
    }
    let chunk = ROWS.max(2 * p);
    let mut r = memory::zeros(p * p);
    let mut filled = 0;
    for start in (0..n).step_by(chunk) {
        let end = (start + chunk).min(n);
        let rows = filled + end - start;
        let mut stacked = memory::zeros(rows.max(p) * p);
        for i in 0..filled {
            for j in i..p {
                stacked[i * p + j] = r[j * p + i];
            }
        }
        weighted_rows(data, start..end, p, &mut stacked[filled * p..rows * p]);
        let total = stacked.len() / p;
        r = stop.wait_for_long(p >= LONG, move || {
            dense::triangle_of_qr(&stacked, total, p, &mut r);
            r
        });
        filled = p;
    }
    r
}

/// Rank and pivot by Householder reflections with dqrdc2's limited pivoting, applied to what [`householder_r`] gives.
pub(crate) fn householder_rank(
    mut a: Vec<f64>,
    p: usize,
    stop: &StopFlag,
) -> (Vec<usize>, Vec<usize>) {
    let m = a.len() / p.max(1);
    let mut pivot: Vec<usize> = (0..p).collect();
    let length = |a: &[f64], c: usize, from: usize| {
        a[c * m + from..(c + 1) * m]
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
    // after as many columns as rows nothing is left of the others
    while position < rank.min(m) {
        stop.check();
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
        reflect(&mut a, m, &pivot, position);
        position += 1;
    }
    // they are put aside last
    let last = rank - rank.min(m);
    rank -= last;
    pivot[rank..].rotate_left(last);
    let mut kept = pivot[..rank].to_vec();
    kept.sort_unstable();
    (kept, pivot)
}

/// Householder reflection of the rows of `a` (columns of length m) that clears column `pivot[position]` below row `position`,
/// applied to the columns after it. As long as no column has been put aside there is nothing to clear in a triangle, and then
/// as many entries as there are such columns.
fn reflect(a: &mut [f64], m: usize, pivot: &[usize], position: usize) {
    let column = pivot[position];
    let own = &a[column * m + position..(column + 1) * m];
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
        let target = &mut a[c * m + position..c * m + position + filled];
        let s = 2.0 * target.iter().zip(&v).map(|(x, y)| x * y).sum::<f64>() / square;
        target.iter_mut().zip(&v).for_each(|(x, y)| *x -= s * y);
    }
}

/// Rinv from what [`householder_r`] gives, for the columns that are kept of p.
pub(crate) fn invert_householder(
    triangle: &[f64],
    kept: &[usize],
    p: usize,
    stop: &StopFlag,
) -> (Vec<f64>, f64) {
    let (m, r) = (triangle.len() / p.max(1), kept.len());
    // R of the kept columns alone: re-triangularise the kept columns of R.
    let mut a = memory::zeros(triangle.len());
    for &j in kept {
        a[j * m..(j + 1) * m].copy_from_slice(&triangle[j * m..(j + 1) * m]);
    }
    for position in 0..r {
        stop.check();
        reflect(&mut a, m, kept, position);
    }
    // its transpose, which is lower triangular
    let mut lower = memory::zeros(r * r);
    for (c, &j) in kept.iter().enumerate() {
        for i in 0..=c {
            lower[i * r + c] = a[j * m + i];
        }
    }
    let inverse = stop.wait_for_long(r >= LONG, move || small::invert_lower(&lower, r));
    let mut rinv = memory::zeros(p * r);
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
