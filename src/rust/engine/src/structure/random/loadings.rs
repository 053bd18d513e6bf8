//! Loadings of k effects on d factors, Lambda (k x d): what covariance matrices Lambda Lambda' of rank d, alone or beside
//! specific variances, have in common.
//!
//! Lambda Lambda' does not change when Lambda is multiplied by an orthogonal matrix. The parameters are those of the one turned so that
//! all above the diagonal is zero and nothing on it negative: the first d columns of the Cholesky factor of a matrix of rank d
//! (Anderson & Rubin 1956, Proc. Third Berkeley Symp. 5, 5.2). They are k d - d (d - 1) / 2.

use crate::linalg::small;
use crate::runtime::memory;

/// Eigenvalues, relative to the largest, that are rounding errors.
const ROUNDING: f64 = 1e-14;

/// Rows and columns of the parameters, column by column.
pub fn places(k: usize, factors: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..factors).flat_map(move |j| (j..k).map(move |i| (i, j)))
}

/// Number of parameters.
pub fn count(k: usize, factors: usize) -> usize {
    (k * factors + factors) - factors * (factors + 1) / 2
}

/// Turns the columns of a k x d matrix so that all above the diagonal is zero and nothing on it negative, by Givens' rotations.
/// Columns of zeros at the end stay what they are.
pub fn turn(m: &mut [f64], k: usize) {
    let d = m.len() / k.max(1);
    for i in 0..d.min(k) {
        for j in i + 1..d {
            let (x, y) = (m[i * k + i], m[j * k + i]);
            if y == 0.0 {
                continue;
            }
            let length = x.hypot(y);
            let (c, s) = (x / length, y / length);
            for r in i..k {
                let (x, y) = (m[i * k + r], m[j * k + r]);
                m[i * k + r] = c * x + s * y;
                m[j * k + r] = c * y - s * x;
            }
            m[j * k + i] = 0.0;
        }
        if m[i * k + i] < 0.0 {
            m[i * k + i..(i + 1) * k].iter_mut().for_each(|v| *v = -*v);
        }
    }
}

/// Loadings, k x d and turned, of the part of a covariance matrix along its d largest eigenvectors, those of eigenvalues below
/// `limit` left out; how many columns they have that are not zero; and the eigenvectors that are left out.
pub fn nearest(
    g: &[f64],
    k: usize,
    factors: usize,
    limit: f64,
) -> (Vec<f64>, usize, Vec<Vec<f64>>) {
    let (values, vectors) = small::symmetric_eigen(g, k);
    let largest = values.last().map_or(0.0, |v| v.max(0.0));
    let least = limit.max(ROUNDING * largest);
    let kept = (0..k).rev().take(factors);
    let kept: Vec<usize> = kept
        .filter(|&i| values[i] > 0.0 && values[i] >= least)
        .collect();
    let rank = kept.len();
    let mut m = memory::zeros(k * factors);
    for (column, &i) in m.chunks_exact_mut(k).zip(&kept) {
        let (length, vector) = (values[i].max(0.0).sqrt(), &vectors[i * k..(i + 1) * k]);
        column
            .iter_mut()
            .zip(vector)
            .for_each(|(x, v)| *x = length * v);
    }
    turn(&mut m, k);
    let null = (0..k - rank).map(|i| vectors[i * k..(i + 1) * k].to_vec());
    (m, rank, null.collect())
}

/// The parameters of turned loadings.
pub fn parameters(m: &[f64], k: usize) -> Vec<f64> {
    let factors = m.len() / k.max(1);
    places(k, factors).map(|(i, j)| m[j * k + i]).collect()
}

/// k x d loadings of parameters.
pub fn matrix(theta: &[f64], k: usize, factors: usize) -> Vec<f64> {
    let mut m = memory::zeros(k * factors);
    for ((i, j), value) in places(k, factors).zip(theta) {
        m[j * k + i] = *value;
    }
    m
}

/// M M' of a k x d matrix.
pub fn square(m: &[f64], k: usize) -> Vec<f64> {
    let mut g = memory::zeros(k * k);
    small::mul_nt(m, m, k, m.len() / k.max(1), k, &mut g);
    g
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turned_loadings_have_the_same_square() {
        let k = 4;
        let m = [
            0.3, -0.7, 0.2, 1.1, -0.4, 0.6, 0.9, -0.5, 0.8, 0.1, -0.2, 0.4,
        ];
        for factors in 1..=3 {
            let mut turned = m[..k * factors].to_vec();
            turn(&mut turned, k);
            let (a, b) = (square(&m[..k * factors], k), square(&turned, k));
            assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-14));
            for j in 0..factors {
                assert!((0..j).all(|i| turned[j * k + i] == 0.0) && turned[j * k + j] >= 0.0);
            }
            let theta = parameters(&turned, k);
            assert_eq!(theta.len(), count(k, factors));
            assert_eq!(matrix(&theta, k, factors), turned);
            // a matrix of this rank is its own nearest, and what is below the limit goes
            let (same, rank, null) = nearest(&a, k, factors, 1e-10);
            assert_eq!((rank, null.len()), (factors, k - factors));
            assert!(same.iter().zip(&turned).all(|(x, y)| (x - y).abs() < 1e-12));
            let (none, rank, null) = nearest(&a, k, factors, 1e10);
            assert!(rank == 0 && null.len() == k && none.iter().all(|v| *v == 0.0));
        }
    }
}
