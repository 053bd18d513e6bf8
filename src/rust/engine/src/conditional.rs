//! Conditional variances of the random effects given the data and the covariance parameters.

use crate::factor::{SchurFactor, SelectedInverse, System};
use crate::linalg::small;
use crate::memory;
use crate::prior::for_each_entry;
use crate::random_basis::TermBasis;
use crate::schur::Storage;

/// Lambda_j [M^-1]_jj Lambda_j' for each level: k x k x J, relative to sigma^2; `lambda` = B T of the term (k x k).
#[must_use]
pub fn term_variances(
    system: &System,
    inverse: &SelectedInverse,
    basis: &TermBasis,
    lambda: &[f64],
) -> Vec<f64> {
    let k = basis.k;
    let levels = system.moments.factors[basis.factor].n_levels;
    let kf = system.moments.factors[basis.factor].k;
    let mut out = memory::zeros(levels * k * k);
    let mut work = vec![
        0.0;
        if matches!(inverse.r, SchurFactor::Sparse(_)) {
            system.schur.q2
        } else {
            0
        }
    ];
    let mut block = memory::zeros(k * k);
    let mut half = memory::zeros(k * k);
    for (j, target) in out.chunks_exact_mut(k * k).enumerate() {
        for c in 0..k {
            for i in 0..k {
                let (row, column) = (basis.offset + i, basis.offset + c);
                block[c * k + i] = if basis.factor == 0 {
                    inverse.m11[j * kf * kf + column * kf + row]
                } else {
                    let start = system.schur.offset[system.schur.node_of[basis.factor][j] as usize];
                    match (&inverse.r, &system.schur.storage) {
                        (SchurFactor::Dense(r), _) => r.entry(start + row, start + column),
                        (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
                            pattern.scatter_symmetric(values, start + column, &mut work);
                            work[start + row]
                        }
                        (SchurFactor::Sparse(_), Storage::Dense) => f64::NAN,
                    }
                };
            }
        }
        small::mul_nn(lambda, &block, k, k, k, &mut half);
        small::mul_nt(&half, lambda, k, k, k, target);
    }
    out
}

/// Sum over the levels of each factor of I - [P M^-1]_jj, symmetric in the sum, P the known precision matrix of the levels.
#[must_use]
pub fn complements(system: &System, inverse: &SelectedInverse) -> Option<Vec<Vec<f64>>> {
    let moments = &system.moments;
    let mut out = Vec::with_capacity(moments.factors.len());
    for (f, factor) in moments.factors.iter().enumerate() {
        let k = factor.k;
        let mut sum = memory::zeros(k * k);
        (0..k).for_each(|i| sum[i * k + i] = factor.n_levels as f64);
        if f == 0 {
            for block in inverse.m11.chunks_exact(k * k) {
                sum.iter_mut().zip(block).for_each(|(s, v)| *s -= v);
            }
            out.push(sum);
            continue;
        }
        let start = |level: usize| system.schur.offset[system.schur.node_of[f][level] as usize];
        let mut known = true;
        let mut less = |j: usize, l: usize, weight: f64| {
            for c in 0..k {
                for i in 0..k {
                    let (row, column) = (start(j) + i, start(l) + c);
                    match entry(system, inverse, row, column) {
                        Some(value) => sum[c * k + i] -= weight * value,
                        None => known = false,
                    }
                }
            }
        };
        if factor.prior.is_empty() {
            (0..factor.n_levels).for_each(|j| less(j, j, 1.0));
        } else {
            for_each_entry(moments, f, |j, l, q| less(l, j, q));
        }
        if !known {
            return None;
        }
        out.push(sum);
    }
    Some(out)
}

/// Entry of S^-1; `None` where it is not in the pattern of the factor.
fn entry(system: &System, inverse: &SelectedInverse, row: usize, column: usize) -> Option<f64> {
    match (&inverse.r, &system.schur.storage) {
        (SchurFactor::Dense(r), _) => Some(r.entry(row, column)),
        (SchurFactor::Sparse(values), Storage::Sparse(pattern)) => {
            pattern.entry(values, row, column)
        }
        (SchurFactor::Sparse(_), Storage::Dense) => None,
    }
}
