//! Between the internal (whitened) basis of a term and the user's: G = B T T' B' sigma^2.

use crate::covariance::Parameters;
use crate::linalg::small;
use crate::random_basis::TermBasis;
use crate::terms::Structure;

/// Relative covariance factor of one term in the user's basis.
#[derive(Debug, Clone)]
pub(crate) struct RawFactor {
    k: usize,
    /// Lower triangular, non-negative diagonal, zero columns where G is rank deficient.
    pub t: Vec<f64>,
}

/// Lower factor of B T T' B'.
pub(crate) fn raw_factor(basis: &TermBasis, t: &[f64]) -> RawFactor {
    let k = basis.k;
    let mut product = vec![0.0; k * k];
    small::mul_nn(&basis.change, t, k, k, k, &mut product);
    if basis.structure == Structure::Diagonal {
        product.iter_mut().for_each(|v| *v = v.abs());
        return RawFactor { k, t: product };
    }
    let deficient = (0..k).any(|i| t[i * k + i] == 0.0);
    let t = if deficient {
        let mut g = vec![0.0; k * k];
        small::mul_nt(&product, &product, k, k, k, &mut g);
        small::semidefinite_cholesky(&g, k, 1e-12)
    } else {
        lower_factor(&product, k)
    };
    RawFactor { k, t }
}

/// L with L L' = M M' and positive diagonal: transposed R of the QR decomposition of M' (Gram-Schmidt on the rows of M, twice).
fn lower_factor(m: &[f64], k: usize) -> Vec<f64> {
    let mut l = vec![0.0; k * k];
    let mut q: Vec<Vec<f64>> = Vec::with_capacity(k);
    for i in 0..k {
        let mut row: Vec<f64> = (0..k).map(|c| m[c * k + i]).collect();
        for _ in 0..2 {
            for (j, direction) in q.iter().enumerate() {
                let s: f64 = row.iter().zip(direction).map(|(a, b)| a * b).sum();
                l[j * k + i] += s;
                row.iter_mut().zip(direction).for_each(|(a, b)| *a -= s * b);
            }
        }
        let length = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        l[i * k + i] = length;
        if length > 0.0 {
            row.iter_mut().for_each(|v| *v /= length);
        }
        q.push(row);
    }
    l
}

impl RawFactor {
    /// theta of this term.
    pub fn parameters(&self, basis: &TermBasis) -> Vec<f64> {
        crate::covariance::covariance(basis.structure, self.k).parameters(&self.t)
    }

    /// u with T u = b, zero in the null space.
    pub fn spherical(&self, b: &[f64]) -> Vec<f64> {
        let k = self.k;
        let mut u = b.to_vec();
        for i in 0..k {
            for m in 0..i {
                u[i] -= self.t[m * k + i] * u[m];
            }
            let d = self.t[i * k + i];
            u[i] = if d == 0.0 { 0.0 } else { u[i] / d };
        }
        u
    }

    /// Sets effects whose variance is exactly zero to exactly zero.
    pub fn remove_null(&self, b: &mut [f64]) {
        let k = self.k;
        for (i, value) in b.iter_mut().enumerate() {
            if (0..=i).all(|c| self.t[c * k + i] == 0.0) {
                *value = 0.0;
            }
        }
    }
}

/// Internal parameters from the user's theta: T_internal = factor of B^-1 T T' B^-T.
pub(crate) fn theta_from_raw(raw: &[f64], bases: &[TermBasis], parameters: &Parameters) -> Vec<f64> {
    let mut out = Vec::with_capacity(raw.len());
    for (term, basis) in bases.iter().enumerate() {
        let k = basis.k;
        let structure = &parameters.structures[term];
        let t = structure.factor(&raw[parameters.start[term]..parameters.start[term + 1]]);
        // columns of B^-1 T by back substitution in the upper triangular B
        let mut product = t;
        for c in 0..k {
            for i in (0..k).rev() {
                for m in i + 1..k {
                    product[c * k + i] -= basis.change[m * k + i] * product[c * k + m];
                }
                product[c * k + i] /= basis.change[i * k + i];
            }
        }
        let t = if basis.structure == Structure::Diagonal { product } else { lower_factor(&product, k) };
        out.extend(structure.parameters(&t));
    }
    out
}
