//! The fixed effects' own coordinates: rank and pivot of X as `lm()` decides them, and a triangular change of basis that
//! makes the columns of Q = W^{1/2} X Rinv orthonormal (to rounding), so that nobody ever has to rescale predictors.

use crate::api::model::ModelData;
use crate::basis::gram::gram_with_response;
use crate::basis::rank::{householder_r, householder_rank, invert_householder, LONG, SAFE_PIVOT};
use crate::linalg::small;
use crate::runtime::memory;
use crate::runtime::parallel::Workers;
use crate::runtime::stop::StopFlag;

/// Smallest squared relative length at which cross-products may be transformed instead of rows: the loss of
/// accuracy is machine epsilon over this.
const TRANSFORM_PIVOT: f64 = 1e-4;

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

    /// Like [`Self::from_gram`], without some columns, which are taken for aliased.
    #[must_use]
    pub(crate) fn without(
        p: usize,
        gram: &[f64],
        excluded: &[usize],
        triangle: impl FnOnce() -> Vec<f64>,
        stop: &StopFlag,
    ) -> Self {
        if excluded.is_empty() {
            return Self::from_gram(p, gram, triangle, stop);
        }
        let left: Vec<usize> = (0..p).filter(|j| !excluded.contains(j)).collect();
        let (r, p1) = (left.len(), p + 1);
        let with_response: Vec<usize> = left.iter().copied().chain([p]).collect();
        let own: Vec<f64> = memory::collect(
            (0..(r + 1) * (r + 1))
                .map(|e| gram[with_response[e / (r + 1)] * p1 + with_response[e % (r + 1)]]),
        );
        let of_columns = || {
            let all = triangle();
            let rows = all.len() / p;
            let columns = left.iter().map(|&j| &all[j * rows..(j + 1) * rows]);
            columns.flatten().copied().collect()
        };
        let found = Self::from_gram(r, &own, of_columns, stop);
        let mut rinv = memory::zeros(p * found.rank());
        let mut beta_center = memory::zeros(p);
        for (i, &j) in left.iter().enumerate() {
            beta_center[j] = found.beta_center[i];
            (0..found.rank()).for_each(|c| rinv[c * p + j] = found.rinv[c * r + i]);
        }
        let of_all = |columns: &[usize]| columns.iter().map(|&i| left[i]).collect::<Vec<_>>();
        let mut pivot = of_all(&found.pivot);
        pivot.extend(excluded);
        let gram = memory::collect((0..p * p).map(|e| gram[(e / p) * p1 + e % p]));
        Self {
            p,
            kept: of_all(&found.kept),
            pivot,
            rinv,
            beta_center,
            gram,
            ..found
        }
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

/// L of the cross-products of the columns in units of their lengths, and its smallest squared pivot: the squared relative
/// length of the part of a column orthogonal to the ones before it. `None` where that is too small for cross-products to decide
/// about rank (they square the condition number); where it is not, dqrdc2's limited pivoting moves no column.
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

#[cfg(test)]
mod tests {
    use super::FixedBasis;
    use crate::api::model::{Column, ModelData};
    use crate::basis::gram::gram_with_response;
    use crate::basis::rank::leaves_no_residual;
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
            stands_for: None,
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
