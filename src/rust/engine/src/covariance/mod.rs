//! Covariance structures of random-effects terms: maps from parameters to the relative covariance factor T of one level
//! (k x k, lower triangular, T T' = G / sigma^2).

mod diagonal;
mod unstructured;

use crate::linalg::small;
use crate::random_basis::{FactorLayout, TermBasis};
use crate::terms::Structure;

pub use diagonal::Diagonal;
pub use unstructured::Unstructured;

/// A covariance structure whose factor is linear in its parameters.
pub trait Covariance: std::fmt::Debug + Send + Sync {
    /// Effects of a level.
    fn k(&self) -> usize;
    /// Row and column of T that each parameter is.
    fn entries(&self) -> Vec<(usize, usize)>;

    /// T at these parameters.
    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        let k = self.k();
        let mut t = vec![0.0; k * k];
        for ((i, j), value) in self.entries().into_iter().zip(theta) {
            t[j * k + i] = *value;
        }
        t
    }

    /// Parameters of T.
    fn parameters(&self, t: &[f64]) -> Vec<f64> {
        let k = self.k();
        self.entries()
            .into_iter()
            .map(|(i, j)| t[j * k + i])
            .collect()
    }
}

/// The structure of a term.
#[must_use]
pub fn covariance(structure: Structure, k: usize) -> Box<dyn Covariance> {
    match structure {
        Structure::Unstructured => Box::new(Unstructured { k }),
        Structure::Diagonal => Box::new(Diagonal { k }),
    }
}

/// Smallest diagonal entry of a T that is divided by. Below, G + `FLOOR`^2 I stands in for G, which moves the criterion
/// by `FLOOR`^2 tr(S) (the criterion is smooth in G), less than rounding does.
pub const FLOOR: f64 = 1e-7;

/// The same for second derivatives, relative to the standard deviation at which an effect weighs as much as the residuals
/// of its level: they divide by T twice, so that rounding in them is machine epsilon over `COARSE`^2, about the
/// `COARSE`^2 by which they move.
pub const COARSE: f64 = 5e-5;

/// One scalar parameter: an entry of one term's T.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Term.
    pub term: usize,
    /// Row of T.
    pub row: usize,
    /// Column of T.
    pub column: usize,
}

/// The parameters of all terms.
#[derive(Debug)]
pub struct Parameters {
    /// Structure of each term.
    pub structures: Vec<Box<dyn Covariance>>,
    /// Factor of each term, its first column there, its k.
    pub place: Vec<(usize, usize, usize)>,
    /// First parameter of each term, and the end.
    pub start: Vec<usize>,
    /// Every parameter.
    pub list: Vec<Parameter>,
    /// Effects of a level of each factor.
    pub factor_k: Vec<usize>,
}

impl Parameters {
    /// Parameters of these terms.
    #[must_use]
    pub fn new(layout: &[FactorLayout], bases: &[TermBasis]) -> Self {
        let structures: Vec<_> = bases.iter().map(|b| covariance(b.structure, b.k)).collect();
        let mut start = vec![0];
        let mut list = Vec::new();
        for (term, structure) in structures.iter().enumerate() {
            list.extend(
                structure
                    .entries()
                    .into_iter()
                    .map(|(row, column)| Parameter { term, row, column }),
            );
            start.push(list.len());
        }
        Self {
            structures,
            place: bases.iter().map(|b| (b.factor, b.offset, b.k)).collect(),
            start,
            list,
            factor_k: layout.iter().map(|f| f.k).collect(),
        }
    }

    /// Number of parameters m.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// T of one term.
    #[must_use]
    pub fn term_factor(&self, theta: &[f64], term: usize) -> Vec<f64> {
        self.structures[term].factor(&theta[self.start[term]..self.start[term + 1]])
    }

    /// T of each term, safe to divide by (see [`FLOOR`]).
    #[must_use]
    pub fn regular_factors(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        self.factors_above(theta, |_| FLOOR)
    }

    /// T of each term, or that of G + floor^2 I where T^-1 has entries above 1 / floor.
    #[must_use]
    pub fn factors_above(&self, theta: &[f64], floor: impl Fn(usize) -> f64) -> Vec<Vec<f64>> {
        (0..self.structures.len())
            .map(|term| {
                let k = self.place[term].2;
                let (t, floor) = (self.term_factor(theta, term), floor(term));
                let safe = (0..k).all(|i| t[i * k + i].abs() >= FLOOR)
                    && small::invert_lower(&t, k)
                        .iter()
                        .all(|v| v.abs() * floor <= 1.0);
                if safe {
                    t
                } else {
                    add_to_variances(&t, k, floor)
                }
            })
            .collect()
    }

    /// Block-diagonal T of each grouping factor.
    #[must_use]
    pub fn by_factor(&self, terms: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let mut out: Vec<Vec<f64>> = self.factor_k.iter().map(|k| vec![0.0; k * k]).collect();
        for (t, &(factor, offset, k)) in terms.iter().zip(&self.place) {
            let kf = self.factor_k[factor];
            for c in 0..k {
                for r in c..k {
                    out[factor][(offset + c) * kf + offset + r] = t[c * k + r];
                }
            }
        }
        out
    }
}

/// Factor of T T' + floor^2 I.
fn add_to_variances(t: &[f64], k: usize, floor: f64) -> Vec<f64> {
    let mut g = vec![0.0; k * k];
    small::mul_nt(t, t, k, k, k, &mut g);
    (0..k).for_each(|i| g[i * k + i] += floor * floor);
    let mut l = small::semidefinite_cholesky(&g, k, 0.0);
    for i in 0..k {
        // cancellation may still have left less than was added
        if l[i * k + i] < 0.5 * floor {
            l[i * k + i] = floor;
        }
    }
    l
}
