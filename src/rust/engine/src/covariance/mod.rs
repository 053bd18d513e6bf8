//! Covariance structures of random-effects terms: maps from parameters to the relative covariance factor T of one level
//! (k x k, lower triangular, T T' = G / sigma^2).
//!
//! A structure is *linear* where each parameter is an entry (or several) of T; the derivatives then never divide by T. The
//! others give G and its derivatives.

mod correlated;
mod diagonal;
mod unstructured;

use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::parallel::Workers;
use crate::random_basis::{FactorLayout, TermBasis};
use crate::terms::Structure;

pub use correlated::Correlated;
pub use diagonal::{Diagonal, Identity};
pub use unstructured::Unstructured;

/// A covariance structure.
pub trait Covariance: std::fmt::Debug + Send + Sync {
    /// Effects of a level.
    fn k(&self) -> usize;

    /// Number of parameters.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows and columns of T that each parameter is; `None` where T is not linear in the parameters.
    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>>;

    /// T at these parameters.
    fn factor(&self, theta: &[f64]) -> Vec<f64>;

    /// dG / d theta_a, k x k.
    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64>;

    /// d2G / d theta_a d theta_b, k x k.
    fn second(&self, theta: &[f64], a: usize, b: usize) -> Vec<f64>;

    /// Parameters at T = tau I or, for correlated effects, close to it.
    fn start(&self, tau: f64) -> Vec<f64>;

    /// Parameters with variances below `limit` exactly zero, and an orthonormal basis of the null space of G there; `None` if
    /// G has full rank.
    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)>;

    /// Smallest derivative of the criterion, whose score matrix is `score`, with respect to a variance in the null space of G,
    /// and its direction.
    fn multiplier(&self, _: &[f64], score: &[f64], null: &[Vec<f64>]) -> (f64, Vec<f64>) {
        linear::smallest_multiplier(score, self.k(), null)
    }

    /// x'Gy.
    fn between(&self, theta: &[f64], x: &[f64], y: &[f64]) -> f64 {
        let (k, t) = (self.k(), self.factor(theta));
        let along = |c: usize, v: &[f64]| -> f64 { (0..k).map(|i| t[c * k + i] * v[i]).sum() };
        (0..k).map(|c| along(c, x) * along(c, y)).sum()
    }

    /// Parameters with variance added to G along `direction`, as far as the structure allows.
    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64>;

    /// Number of standard deviations that [`Self::with_variance`] can enlarge one by one, along unit vectors.
    fn sizes(&self) -> usize {
        self.k()
    }

    /// Whether every covariance matrix is possible.
    fn is_free(&self) -> bool {
        let k = self.k();
        self.sizes() == k && self.len() == k * (k + 1) / 2
    }

    /// Parameters with the same overall size, but other correlations and ratios of standard deviations, where
    /// [`Self::with_variance`] does not lead to them.
    fn shapes(&self, _: &[f64]) -> Vec<Vec<f64>> {
        Vec::new()
    }

    /// Parameters of covariance matrices with one variance less, each of them zero in its turn where they are apart.
    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>>;

    /// Parameters with `variance` added to each variance.
    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64>;

    /// Size of each parameter, below which changes do not matter: at least `natural` for standard deviations.
    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64>;

    /// Whether a parameter is without effect at these parameters (that of a variance of zero).
    fn is_null(&self, theta: &[f64], a: usize) -> bool;

    /// Parameters as the user sees them, for effects whose columns were multiplied by `scale`: relative standard deviations,
    /// then correlations. Linear structures are their own natural scale and do not come here.
    fn natural(&self, theta: &[f64], scale: f64) -> Vec<f64> {
        theta.iter().map(|v| v * scale).collect()
    }

    /// Variance components as SAS has them, relative to sigma^2, with their derivatives: covariances where G is linear in them,
    /// else variances, then correlations. As many as parameters.
    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual>;

    /// How many of the components are variances or covariances; the others are correlations.
    fn variances(&self) -> usize {
        self.len()
    }

    /// The way back; `None` where the values are not possible.
    fn internal(&self, natural: &[f64], scale: f64) -> Option<Vec<f64>> {
        Some(natural.iter().map(|v| v / scale).collect())
    }
}

/// The structure of a term.
#[must_use]
pub fn covariance(structure: Structure, k: usize) -> Box<dyn Covariance> {
    match structure {
        _ if k == 1 => Box::new(Unstructured { k }),
        Structure::Unstructured => Box::new(Unstructured { k }),
        Structure::Diagonal => Box::new(Diagonal { k }),
        Structure::Identity => Box::new(Identity { k }),
        Structure::Correlated {
            correlation,
            homogeneous,
        } => Box::new(Correlated {
            k,
            correlation,
            homogeneous,
        }),
    }
}

/// Smallest diagonal entry of a T that is divided by. Below, G + `FLOOR`^2 I stands in for G, which moves the criterion
/// by `FLOOR`^2 tr(S) (the criterion is smooth in G), less than rounding does.
pub const FLOOR: f64 = 1e-7;

/// The same for second derivatives, relative to the standard deviation at which an effect weighs as much as the residuals
/// of its level: they divide by T twice, so that rounding in them is machine epsilon over `COARSE`^2, about the
/// `COARSE`^2 by which they move.
pub const COARSE: f64 = 5e-5;

/// One scalar parameter of one term.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Term.
    pub term: usize,
    /// Which of the term's parameters.
    pub index: usize,
    /// Rows and columns of T that it is; empty where T is not linear in it.
    pub entries: Vec<(usize, usize)>,
}

/// The parameters of all terms, and how many residual ones there are.
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
    /// Number of residual parameters, which follow those of the terms.
    pub residual: usize,
}

impl Parameters {
    /// Parameters of these terms.
    #[must_use]
    pub fn new(layout: &[FactorLayout], bases: &[TermBasis], residual: usize) -> Self {
        let structures: Vec<_> = bases.iter().map(|b| covariance(b.structure, b.k)).collect();
        let mut start = vec![0];
        let mut list = Vec::new();
        for (term, structure) in structures.iter().enumerate() {
            let entries = structure.linear().unwrap_or_default();
            list.extend((0..structure.len()).map(|index| Parameter {
                term,
                index,
                entries: entries.get(index).cloned().unwrap_or_default(),
            }));
            start.push(list.len());
        }
        Self {
            structures,
            place: bases.iter().map(|b| (b.factor, b.offset, b.k)).collect(),
            start,
            list,
            factor_k: layout.iter().map(|f| f.k).collect(),
            residual,
        }
    }

    /// Number of parameters m.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len() + self.residual
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The residual parameters.
    #[must_use]
    pub fn of_residual<'a>(&self, theta: &'a [f64]) -> &'a [f64] {
        &theta[self.list.len()..]
    }

    /// Parameters of one term.
    #[must_use]
    pub fn of_term<'a>(&self, theta: &'a [f64], term: usize) -> &'a [f64] {
        &theta[self.start[term]..self.start[term + 1]]
    }

    /// T of one term.
    #[must_use]
    pub fn term_factor(&self, theta: &[f64], term: usize) -> Vec<f64> {
        self.structures[term].factor(self.of_term(theta, term))
    }

    /// x'Gy of one term.
    #[must_use]
    pub fn between(&self, theta: &[f64], term: usize, x: &[f64], y: &[f64]) -> f64 {
        self.structures[term].between(self.of_term(theta, term), x, y)
    }

    /// dG / d theta_a of the term that parameter `a` belongs to, k x k.
    #[must_use]
    pub fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64> {
        let Parameter { term, index, .. } = self.list[a];
        self.structures[term].derivative(self.of_term(theta, term), index)
    }

    /// d2G / d theta_a d theta_b, k x k; `None` for parameters of different terms.
    #[must_use]
    pub fn second(&self, theta: &[f64], a: usize, b: usize) -> Option<Vec<f64>> {
        let (x, y) = (&self.list[a], &self.list[b]);
        (x.term == y.term)
            .then(|| self.structures[x.term].second(self.of_term(theta, x.term), x.index, y.index))
    }

    /// Whether a parameter of a term is in units of sigma, as a standard deviation is and a correlation is not.
    #[must_use]
    pub fn is_deviation(&self, a: usize) -> bool {
        !self.list[a].entries.is_empty() || self.list[a].index == 0
    }

    /// Block-diagonal T of each grouping factor, in the room of `out`.
    #[must_use]
    pub fn factors(&self, theta: &[f64], mut out: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        out.resize_with(self.factor_k.len(), Vec::new);
        for (t, k) in out.iter_mut().zip(&self.factor_k) {
            t.clear();
            t.resize(k * k, 0.0);
        }
        for term in 0..self.structures.len() {
            let (f, offset, k) = self.place[term];
            let at = |i: usize, j: usize| (offset + j) * self.factor_k[f] + offset + i;
            let own = self.start[term]..self.start[term + 1];
            if self.list[own.clone()].iter().any(|a| a.entries.is_empty()) {
                let t = self.term_factor(theta, term);
                for c in 0..k {
                    (c..k).for_each(|r| out[f][at(r, c)] = t[c * k + r]);
                }
                continue;
            }
            for (parameter, value) in self.list[own.clone()].iter().zip(&theta[own]) {
                for &(i, j) in &parameter.entries {
                    out[f][at(i, j)] = *value;
                }
            }
        }
        // the empty factor has no term, but its T is divided by
        for (f, t) in out.iter_mut().enumerate() {
            if self.place.iter().all(|place| place.0 != f) {
                t[0] = 1.0;
            }
        }
        out
    }

    /// Block-diagonal T of each grouping factor, safe to divide by (see [`FLOOR`]), where the rows' mean standard deviation
    /// relative to sigma is `unit`; and whether any of it is not T itself.
    #[must_use]
    pub fn regular_factors(
        &self,
        theta: &[f64],
        unit: f64,
        workers: &Workers,
        out: Vec<Vec<f64>>,
    ) -> (Vec<Vec<f64>>, bool) {
        self.factors_above(theta, |_| FLOOR * unit, workers, out)
    }

    /// The same with T of G + floor^2 I wherever T^-1 of a term has entries above 1 / floor.
    #[must_use]
    pub fn factors_above(
        &self,
        theta: &[f64],
        floor: impl Fn(usize) -> f64,
        workers: &Workers,
        out: Vec<Vec<f64>>,
    ) -> (Vec<Vec<f64>>, bool) {
        let mut out = self.factors(theta, out);
        let mut changed = false;
        for (term, &(f, offset, k)) in self.place.iter().enumerate() {
            let kf = self.factor_k[f];
            let floor = floor(term);
            let [mut t, mut other] = std::array::from_fn(|_| workers.room(k * k));
            for (c, column) in t.chunks_exact_mut(k).enumerate() {
                let at = (offset + c) * kf + offset;
                column.copy_from_slice(&out[f][at..at + k]);
            }
            if (0..k).all(|i| t[i * k + i].abs() >= FLOOR.min(floor)) {
                small::write_inverse_of_lower(&t, k, &mut other);
                if other.iter().all(|v| v.abs() * floor <= 1.0) {
                    continue;
                }
            }
            add_to_variances(&t, k, floor, &mut workers.room(k), &mut other);
            changed |= *t != *other;
            for (c, column) in other.chunks_exact(k).enumerate() {
                let at = (offset + c) * kf + offset;
                out[f][at..at + k].copy_from_slice(column);
            }
        }
        (out, changed)
    }
}

/// Factor of G + floor^2 I, G = T T', with room for one column: each column of floor I is rotated into T. The factor of the sum
/// itself would leave rounding of G, of which the root may be much more than the floor.
fn add_to_variances(t: &[f64], k: usize, floor: f64, column: &mut [f64], l: &mut [f64]) {
    l.copy_from_slice(t);
    for j in 0..k {
        column.fill(0.0);
        column[j] = floor;
        for i in j..k {
            let own = &mut l[i * k..(i + 1) * k];
            let length = own[i].hypot(column[i]);
            if column[i] == 0.0 || length == 0.0 {
                continue;
            }
            let (c, s) = (own[i] / length, column[i] / length);
            for (x, y) in own[i..].iter_mut().zip(&mut column[i..]) {
                (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
            }
        }
    }
}

/// What linear structures share: everything follows from which entries of T the parameters are.
pub(crate) mod linear {
    use super::small;
    use crate::linalg::hyperdual::Scalar;

    /// T of a linear structure.
    pub fn factor(k: usize, entries: &[Vec<(usize, usize)>], theta: &[f64]) -> Vec<f64> {
        let mut t = vec![0.0; k * k];
        for (places, value) in entries.iter().zip(theta) {
            places.iter().for_each(|&(i, j)| t[j * k + i] = *value);
        }
        t
    }

    /// dG = E T' + T E'.
    pub fn derivative(k: usize, entries: &[(usize, usize)], t: &[f64]) -> Vec<f64> {
        let mut g = vec![0.0; k * k];
        for &(row, column) in entries {
            for i in 0..k {
                g[i * k + row] += t[column * k + i];
                g[row * k + i] += t[column * k + i];
            }
        }
        g
    }

    /// Entry (i, j) of T T'.
    pub fn component<S: Scalar>(
        k: usize,
        entries: &[Vec<(usize, usize)>],
        theta: &[S],
        i: usize,
        j: usize,
    ) -> S {
        let entry = |row: usize, column: usize| {
            let mut found = S::constant(0.0);
            for (places, value) in entries.iter().zip(theta) {
                if places.contains(&(row, column)) {
                    found = *value;
                }
            }
            found
        };
        let mut sum = S::constant(0.0);
        for c in 0..k {
            sum += entry(i, c) * entry(j, c);
        }
        sum
    }

    /// d2G = E_a E_b' + E_b E_a'.
    pub fn second(k: usize, a: &[(usize, usize)], b: &[(usize, usize)]) -> Vec<f64> {
        let mut g = vec![0.0; k * k];
        for x in a {
            for y in b.iter().filter(|y| y.1 == x.1) {
                g[y.0 * k + x.0] += 1.0;
                g[x.0 * k + y.0] += 1.0;
            }
        }
        g
    }

    /// All parameters of a term are as large as its standard deviations.
    pub fn scale(k: usize, theta: &[f64], natural: f64) -> Vec<f64> {
        let size = (theta.iter().map(|v| v * v).sum::<f64>() / k as f64).sqrt();
        vec![size.max(natural); theta.len()]
    }

    /// T + tau^2 v v' for any T.
    pub fn with_variance(t: &[f64], k: usize, direction: &[f64], variance: f64) -> Vec<f64> {
        let mut g = vec![0.0; k * k];
        small::mul_nt(t, t, k, k, k, &mut g);
        for c in 0..k {
            for r in 0..k {
                g[c * k + r] += variance * direction[r] * direction[c];
            }
        }
        small::semidefinite_cholesky(&g, k, 1e-14)
    }

    /// Smallest eigenvalue of N'SN and the direction N v.
    pub fn smallest_multiplier(score: &[f64], k: usize, null: &[Vec<f64>]) -> (f64, Vec<f64>) {
        let d = null.len();
        let mut projected = vec![0.0; d * d];
        for (a, x) in null.iter().enumerate() {
            for (b, y) in null.iter().enumerate() {
                projected[b * d + a] = (0..k)
                    .map(|c| y[c] * (0..k).map(|r| x[r] * score[c * k + r]).sum::<f64>())
                    .sum();
            }
        }
        let (values, vectors) = small::symmetric_eigen(&projected, d);
        let direction = (0..k)
            .map(|r| (0..d).map(|a| null[a][r] * vectors[a]).sum())
            .collect();
        (values[0], direction)
    }

    /// The i-th unit vector.
    pub fn unit(k: usize, i: usize) -> Vec<f64> {
        (0..k).map(|r| f64::from(u8::from(r == i))).collect()
    }
}
