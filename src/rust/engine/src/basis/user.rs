//! Between the internal (whitened) basis of a term and the user's: G = B T T' B' sigma^2.

use crate::api::model::Structure;
use crate::api::theta::UserTheta;
use crate::basis::internal_theta::InternalTheta;
use crate::basis::parameters::{Parameters, TermParameter};
use crate::basis::random::TermBasis;
use crate::linalg::small;
use crate::runtime::memory;
use crate::structure::random::loadings;

/// Share of a row that is nothing but rounding.
const ROUNDING: f64 = 1e-13;

/// Relative covariance factor of one term in the user's basis.
#[derive(Debug, Clone)]
pub(crate) struct UserFactor {
    k: usize,
    /// Lower triangular, non-negative diagonal, zero columns where G is rank deficient.
    pub t: Vec<f64>,
}

/// Lower factor of B T T' B'.
pub(crate) fn user_factor(basis: &TermBasis, t: &[f64]) -> UserFactor {
    let k = basis.k;
    let mut product = memory::zeros(k * k);
    small::mul_nn(&basis.change, t, k, k, k, &mut product);
    if basis.structure == Structure::Diagonal {
        product.iter_mut().for_each(|v| *v = v.abs());
        return UserFactor { k, t: product };
    }
    if !basis.structure.is_given_by_entries() && k > 1 {
        // rows of T times positive numbers, but for signs
        for (c, column) in product.chunks_exact_mut(k).enumerate() {
            if column[c] < 0.0 {
                column.iter_mut().for_each(|v| *v = -*v);
            }
        }
        return UserFactor { k, t: product };
    }
    let size = row_sizes(&basis.change, t, k);
    let t = entries_factor(basis.structure, &mut product, k, &size);
    UserFactor { k, t }
}

/// T of T T' = M M' for a structure that is given by entries of T, not diagonal.
fn entries_factor(structure: Structure, m: &mut [f64], k: usize, size: &[f64]) -> Vec<f64> {
    match structure {
        Structure::ReducedRank { factors } if k > 1 => {
            loadings::turn(&mut m[..k * factors], k);
            m.to_vec()
        }
        _ => lower_factor(m, k, size),
    }
}

/// Lengths of the rows of |A| |B|: what rounding in the rows of A B is relative to.
fn row_sizes(a: &[f64], b: &[f64], k: usize) -> Vec<f64> {
    let absolute = |m: &[f64]| m.iter().map(|v| v.abs()).collect::<Vec<f64>>();
    let mut product = memory::zeros(k * k);
    small::mul_nn(&absolute(a), &absolute(b), k, k, k, &mut product);
    (0..k)
        .map(|i| {
            (0..k)
                .map(|c| product[c * k + i].powi(2))
                .sum::<f64>()
                .sqrt()
        })
        .collect()
}

/// L with L L' = M M' and non-negative diagonal: transposed R of the QR decomposition of M' (Gram-Schmidt on the rows of
/// M, twice). What is left of a row after the rows before it and is no more than rounding relative to `size` is nothing:
/// a zero column of L, never a direction made of rounding errors.
fn lower_factor(m: &[f64], k: usize, size: &[f64]) -> Vec<f64> {
    let mut l = memory::zeros(k * k);
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
        if length > ROUNDING * size[i] {
            l[i * k + i] = length;
            row.iter_mut().for_each(|v| *v /= length);
        } else {
            row.fill(0.0);
        }
        q.push(row);
    }
    l
}

/// Parameters of one term as the user sees them.
pub(crate) fn user_parameters(
    basis: &TermBasis,
    parameters: &Parameters,
    theta: &InternalTheta,
    term: usize,
) -> Vec<f64> {
    let structure = &parameters.structures[term];
    if !basis.structure.is_given_by_entries() && basis.k > 1 {
        return structure.natural(parameters.of_term(theta, term), &basis.scales());
    }
    let t = user_factor(basis, &parameters.term_factor(theta, term)).t;
    entries_of(
        &parameters.list[parameters.start[term]..parameters.start[term + 1]],
        &t,
        basis.k,
    )
}

/// The entries of T that the parameters of a linear structure are.
fn entries_of(list: &[TermParameter], t: &[f64], k: usize) -> Vec<f64> {
    list.iter()
        .map(|parameter| {
            parameter
                .entries
                .first()
                .map_or(f64::NAN, |&(i, j)| t[j * k + i])
        })
        .collect()
}

impl UserFactor {
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

/// Internal parameters of the terms from the user's theta: T_internal = factor of B^-1 T T' B^-T. `None` where there is no such
/// covariance matrix.
pub(crate) fn internal_of_terms(
    theta: &UserTheta,
    bases: &[TermBasis],
    parameters: &Parameters,
) -> Option<Vec<f64>> {
    let theta = theta.values();
    let mut out = Vec::with_capacity(theta.len());
    for (term, basis) in bases.iter().enumerate() {
        let k = basis.k;
        let structure = &parameters.structures[term];
        let of_term = &theta[parameters.start[term]..parameters.start[term + 1]];
        if !basis.structure.is_given_by_entries() && k > 1 {
            out.extend(structure.internal(of_term, &basis.scales())?);
            continue;
        }
        let t = structure.factor(of_term);
        let inverse = basis.inverse();
        let mut product = memory::zeros(k * k);
        small::mul_nn(&inverse, &t, k, k, k, &mut product);
        let t = if basis.structure == Structure::Diagonal {
            product
        } else {
            let size = row_sizes(&inverse, &t, k);
            entries_factor(basis.structure, &mut product, k, &size)
        };
        let own = &parameters.list[parameters.start[term]..parameters.start[term + 1]];
        out.extend(entries_of(own, &t, k));
    }
    Some(out)
}
