//! The fixed effects' own coordinates: rank and pivot of X as `lm()` decides them, and a triangular change of basis that
//! makes the columns of Q = W^{1/2} X Rinv orthonormal (to rounding), so that nobody ever has to rescale predictors.

use std::ops::Range;

use faer::linalg::solvers::Qr;
use faer::MatRef;

use crate::api::error::EngineError;
use crate::api::model::{Column, ModelData};
use crate::linalg::rows::{self, dot};
use crate::linalg::{dense, small};
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::partition::pieces;
use crate::runtime::stop::StopFlag;

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

/// Columns from which what a library does with a square matrix takes some hundredths of a second.
const LONG: usize = 800;

/// Columns from which it is worth looking whether rows are mostly zero, as those of a factor with many levels are.
const MANY: usize = 48;

/// How much longer a product of single entries takes than one within a matrix product.
const SINGLE: usize = 16;

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
        let (gram, stop) = (gram_with_response(data, workers), workers.flag());
        Self::from_gram(data.p, &gram, || householder_r(data, stop), stop)
    }

    /// From [X y]'W[X y], as [`gram_with_response`] returns it, and, where that leaves too few digits to tell the rank, from a
    /// matrix whose columns have the lengths and angles of those of W^{1/2} X.
    #[must_use]
    pub fn from_gram(
        p: usize,
        gram: &[f64],
        triangle: impl FnOnce() -> Vec<f64>,
        stop: &StopFlag,
    ) -> Self {
        let p1 = p + 1;
        let scale: Vec<f64> = (0..p).map(|j| gram[j * p1 + j].sqrt()).collect();
        let of_gram = correlation_cholesky(gram, p1, &scale, stop);
        let (kept, pivot, smallest, (rinv, log_det_rinv)) = match of_gram {
            Some((l, smallest)) => {
                let all: Vec<usize> = (0..p).collect();
                (all.clone(), all, smallest, invert_cholesky(l, &scale, stop))
            }
            None => {
                let triangle = triangle();
                let (kept, pivot) = householder_rank(triangle.clone(), p, stop);
                let inverse = invert_householder(&triangle, &kept, p, stop);
                (kept, pivot, 0.0, inverse)
            }
        };
        let r = kept.len();
        let rhs: Vec<f64> = (0..r)
            .map(|c| (0..p).map(|i| rinv[c * p + i] * gram[i * p1 + p]).sum())
            .collect();
        let mut beta_center = memory::zeros(p);
        for (c, value) in rhs.iter().enumerate() {
            for i in 0..p {
                beta_center[i] += rinv[c * p + i] * value;
            }
        }
        let mut own = memory::zeros(p * p);
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
        let mut total = memory::zeros(p1 * p1);
        let mut block = memory::zeros(ROWS.min(n) * p1);
        let mut entries = Entries::default();
        for start in work[piece].clone().step_by(ROWS) {
            workers.check();
            let range = start..(start + ROWS).min(work[piece].end);
            let m = range.len();
            let block = &mut block[..m * p1];
            weighted_columns(data, range, block);
            if p1 > MANY && entries.take(block, m) {
                entries.add_gram(p1, &mut total);
            } else if p1 > rows::FEW {
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
    let mut total = memory::zeros(p1 * p1);
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

/// The entries of some rows that are not zero.
#[derive(Default)]
struct Entries {
    /// Where each row starts among them, and their number.
    start: Vec<usize>,
    column: Vec<u32>,
    value: Vec<f64>,
}

impl Entries {
    /// Those of `m` rows given column after column, where there are so few that cross-products are taken faster one by one.
    fn take(&mut self, block: &[f64], m: usize) -> bool {
        let p = block.len() / m;
        let mut count = vec![0usize; m];
        for column in block.chunks_exact(m) {
            for (count, value) in count.iter_mut().zip(column) {
                *count += usize::from(*value != 0.0);
            }
        }
        let products: usize = count.iter().map(|c| c * c).sum();
        if products * SINGLE > m * p * p {
            return false;
        }
        self.start.clear();
        let mut next = 0;
        for count in &mut count {
            self.start.push(next);
            next += std::mem::replace(count, next);
        }
        self.start.push(next);
        self.column.resize(next, 0);
        self.value.resize(next, 0.0);
        for (j, column) in block.chunks_exact(m).enumerate() {
            for (at, value) in count.iter_mut().zip(column) {
                if *value != 0.0 {
                    self.column[*at] = j as u32;
                    self.value[*at] = *value;
                    *at += 1;
                }
            }
        }
        true
    }

    /// Lower triangle of `total` (p x p) += rows' rows.
    fn add_gram(&self, p: usize, total: &mut [f64]) {
        for row in self.start.windows(2) {
            let (columns, values) = (&self.column[row[0]..row[1]], &self.value[row[0]..row[1]]);
            for (a, (j, x)) in columns.iter().zip(values).enumerate() {
                let total = &mut total[*j as usize * p..(*j as usize + 1) * p];
                for (i, y) in columns[a..].iter().zip(&values[a..]) {
                    total[*i as usize] += x * y;
                }
            }
        }
    }
}

/// L of the cross-products of the columns in units of their lengths, and its smallest squared pivot: the squared relative length
/// of the part of a column orthogonal to the ones before it. `None` where that is too small for cross-products to decide about
/// rank (they square the condition number); where it is not, dqrdc2's limited pivoting moves no column.
fn correlation_cholesky(
    gram: &[f64],
    ld: usize,
    scale: &[f64],
    stop: &StopFlag,
) -> Option<(Vec<f64>, f64)> {
    let p = scale.len();
    if scale.contains(&0.0) {
        return None;
    }
    let mut l = memory::zeros(p * p);
    for j in 0..p {
        for i in j..p {
            l[j * p + i] = gram[j * ld + i] / (scale[j] * scale[i]);
        }
        l[j * p + j] = 1.0;
    }
    let (positive, l) = stop.wait_for_long(p >= LONG, move || (small::cholesky(&mut l, p), l));
    let pivots = (0..p).map(|j| l[j * p + j].powi(2));
    let smallest = pivots.fold(1.0, f64::min);
    (positive && smallest >= SAFE_PIVOT).then_some((l, smallest))
}

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

/// Whether X has at least as many independent columns as rows, told without anything of order p x p. Where cross-products of the rows do not tell it safely, reflections do.
fn leaves_no_residual(data: &ModelData<'_>, stop: &StopFlag) -> bool {
    let (n, p) = (data.n(), data.p);
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
    let n = data.n();
    for (column, to) in data.x[columns].iter().zip(out.chunks_exact_mut(n)) {
        column.visit(0..n, to.iter_mut(), |to, value| *to = value);
        if let Some(w) = data.weights {
            to.iter_mut().zip(w).for_each(|(v, w)| *v *= w.sqrt());
        }
    }
}

/// A matrix, column-major, whose columns have the lengths and angles of those of W^{1/2} X: R of its QR decomposition (p x p), by
/// chunks of rows stacked under the R so far; of fewer rows than columns, W^{1/2} X itself (n x p).
pub(crate) fn householder_r(data: &ModelData<'_>, stop: &StopFlag) -> Vec<f64> {
    let (n, p) = (data.n(), data.p);
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
            let qr = Qr::new(MatRef::from_row_major_slice(&stacked, total, p));
            let factor = qr.R();
            for j in 0..p {
                for i in 0..=j {
                    r[j * p + i] = factor[(i, j)];
                }
            }
            r
        });
        filled = p;
    }
    r
}

/// Rank and pivot by Householder reflections with dqrdc2's limited pivoting, applied to what [`householder_r`] gives.
fn householder_rank(mut a: Vec<f64>, p: usize, stop: &StopFlag) -> (Vec<usize>, Vec<usize>) {
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
/// applied to the columns after it. As long as no column has been put aside there is nothing to clear in a triangle, and then as
/// many entries as there are such columns.
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

/// Rinv and its log determinant, where R = L' diag(scale).
fn invert_cholesky(l: Vec<f64>, scale: &[f64], stop: &StopFlag) -> (Vec<f64>, f64) {
    let p = scale.len();
    let inverse = stop.wait_for_long(p >= LONG, move || small::invert_lower(&l, p));
    let mut rinv = memory::zeros(p * p);
    small::transpose(&inverse, p, &mut rinv);
    for column in rinv.chunks_exact_mut(p.max(1)) {
        column.iter_mut().zip(scale).for_each(|(v, s)| *v /= s);
    }
    let log_det = (0..p).map(|c| rinv[c * p + c].ln()).sum();
    (rinv, log_det)
}

/// The same from what [`householder_r`] gives, for the columns that are kept of p.
fn invert_householder(
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

#[cfg(test)]
mod tests {
    use super::{gram_with_response, leaves_no_residual, FixedBasis};
    use crate::api::model::{Column, ModelData};
    use crate::runtime::parallel::Workers;
    use crate::runtime::stop::StopFlag;

    fn model<'a>(y: &'a [f64], x: Vec<Column<'a>>, weights: Option<&'a [f64]>) -> ModelData<'a> {
        let p = x.len();
        ModelData {
            y,
            x,
            p,
            weights,
            offset: None,
            factors: Vec::new(),
            terms: Vec::new(),
            residual: None,
            moments: None,
        }
    }

    #[test]
    fn cross_products_of_sparse_rows_are_those_of_all() {
        // 1300 rows: blocks of rows, the last one shorter; the dense columns at the end of some rows only
        let (n, levels) = (1300, 80);
        let y: Vec<f64> = (0..n).map(|i| ((i * 7) % 11) as f64 - 4.0).collect();
        let weights: Vec<f64> = (0..n).map(|i| 0.5 + (i % 5) as f64).collect();
        let codes: Vec<i32> = (0..n).map(|i| 1 + (i * i % levels) as i32).collect();
        let dummies: Vec<Vec<f64>> = (1..levels)
            .map(|l| (0..levels).map(|k| f64::from(u8::from(k == l))).collect())
            .collect();
        let late: Vec<f64> = (0..n)
            .map(|i| if i > 600 { y[i] + 1.5 } else { 0.0 })
            .collect();
        let mut x = vec![Column::Constant];
        x.extend(dummies.iter().map(|values| Column::Coded {
            codes: &codes,
            values,
        }));
        x.extend((0..60).map(|_| Column::Values(&late)));
        for weights in [None, Some(weights.as_slice())] {
            let data = model(&y, x.clone(), weights);
            let found = gram_with_response(&data, &Workers::sequential());
            let p1 = data.p + 1;
            let entry = |i: usize, j: usize| if j < data.p { data.x[j].at(i) } else { y[i] };
            for a in 0..p1 {
                for b in 0..p1 {
                    let products =
                        (0..n).map(|i| weights.map_or(1.0, |w| w[i]) * entry(i, a) * entry(i, b));
                    let expected: f64 = products.sum();
                    let d = (found[b * p1 + a] - expected).abs();
                    assert!(d <= 1e-11 * (1.0 + expected.abs()), "{a} {b}: {d}");
                }
            }
        }
    }

    #[test]
    fn as_many_independent_columns_as_rows_are_told_at_once() {
        let n = 6;
        let y: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        // columns of rank 5 and 6, some zero, some of very different size
        let wide = |rank: usize| -> Vec<Vec<f64>> {
            (0..40)
                .map(|j| {
                    let size = 10f64.powi(j % 9 - 4);
                    (0..n)
                        .map(|i| match j {
                            3 => 0.0,
                            _ => {
                                let row = i.min(rank - 1) as f64;
                                size * (1.0 + row * row * j as f64).cos()
                            }
                        })
                        .collect()
                })
                .collect()
        };
        let tiny: Vec<f64> = (0..n).map(|i| 10f64.powi(-3 * i as i32)).collect();
        for weights in [None, Some(tiny.as_slice())] {
            for rank in [5, 6] {
                let columns = wide(rank);
                let x = columns.iter().map(|v| Column::Values(v)).collect();
                let data = model(&y, x, weights);
                let expected = FixedBasis::new(&data, &Workers::sequential());
                assert_eq!(
                    leaves_no_residual(&data, &StopFlag::default()),
                    expected.rank() >= n
                );
                if weights.is_none() {
                    assert_eq!(expected.rank(), rank);
                    let mut pivot = expected.pivot.clone();
                    pivot.sort_unstable();
                    assert!(pivot.into_iter().eq(0..40));
                    // the zero column first, then in order
                    let aside = &expected.pivot[rank..];
                    assert_eq!(aside[0], 3);
                    assert!(aside.windows(2).all(|pair| pair[0] < pair[1]));
                }
                let few = model(&y, data.x[..5].to_vec(), weights);
                assert!(!leaves_no_residual(&few, &StopFlag::default()));
            }
        }
    }
}
