//! Where each covariance parameter is, and T of each grouping factor.

use crate::basis::covariances::{Covariances, LevelClasses, Levels};
use crate::basis::internal_theta::InternalTheta;
use crate::basis::random::{FactorLayout, TermBasis};
use crate::linalg::small;
use crate::runtime::parallel::Workers;
use crate::structure::random::{covariance, Covariance};

/// Smallest diagonal entry of a T that is divided by. Below, G + `FLOOR`^2 I stands in for G, which moves the criterion
/// by `FLOOR`^2 tr(S) (the criterion is smooth in G), less than rounding does.
pub const FLOOR: f64 = 1e-7;

/// Smallest diagonal entry of a T that second derivatives divide by, relative to the standard deviation at which an effect weighs as much as the residuals
/// of its level: they divide by T twice, so that rounding in them is machine epsilon over `COARSE`^2, about the
/// `COARSE`^2 by which they move.
pub const COARSE: f64 = 5e-5;

/// One scalar parameter of one term, or of one class of its levels.
#[derive(Debug, Clone)]
pub struct TermParameter {
    /// Which basis: there is one for each term and class of its levels.
    pub basis: usize,
    /// Which of the basis' parameters.
    pub index: usize,
    /// Rows and columns of T that it is; empty where T is not linear in it.
    pub entries: Vec<(usize, usize)>,
}

/// The parameters of all terms, and how many residual ones there are. A term whose levels have classes stands here once for each
/// class, as among the bases.
#[derive(Debug)]
pub struct Parameters {
    /// Structure of each term.
    pub structures: Vec<Box<dyn Covariance>>,
    /// Factor of each term, its first column there, its k.
    pub place: Vec<(usize, usize, usize)>,
    /// The levels that each term belongs to.
    pub levels: Vec<Levels>,
    /// Classes of the levels of each factor.
    pub classes: Vec<Option<LevelClasses>>,
    /// First parameter of each term, and the end.
    pub start: Vec<usize>,
    /// Every parameter.
    pub list: Vec<TermParameter>,
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
        for (basis, structure) in structures.iter().enumerate() {
            let entries = structure.linear().unwrap_or_default();
            list.extend((0..structure.len()).map(|index| TermParameter {
                basis,
                index,
                entries: entries.get(index).cloned().unwrap_or_default(),
            }));
            start.push(list.len());
        }
        Self {
            structures,
            place: bases.iter().map(|b| (b.factor, b.offset, b.k)).collect(),
            levels: bases.iter().map(|b| b.levels.clone()).collect(),
            classes: layout.iter().map(|f| f.classes.clone()).collect(),
            start,
            list,
            factor_k: layout.iter().map(|f| f.k).collect(),
            residual,
        }
    }

    /// The rank of each term's covariance matrix that is not on a boundary.
    #[must_use]
    pub fn largest_ranks(&self) -> Vec<usize> {
        let structures = self.structures.iter();
        structures
            .map(|structure| structure.largest_rank())
            .collect()
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
    pub fn of_residual<'a>(&self, theta: &'a InternalTheta) -> &'a [f64] {
        &theta.values()[self.list.len()..]
    }

    /// Parameters of one term.
    #[must_use]
    pub fn of_term<'a>(&self, theta: &'a InternalTheta, term: usize) -> &'a [f64] {
        &theta.values()[self.start[term]..self.start[term + 1]]
    }

    /// The parameters of all terms.
    #[must_use]
    pub fn of_terms<'a>(&self, theta: &'a InternalTheta) -> &'a [f64] {
        &theta.values()[..self.list.len()]
    }

    /// Gives the terms these parameters.
    pub fn set_terms(&self, theta: &mut InternalTheta, of_terms: &[f64]) {
        theta.values_mut()[..self.list.len()].copy_from_slice(of_terms);
    }

    /// Gives one term these parameters.
    pub fn set_term(&self, theta: &mut InternalTheta, term: usize, own: &[f64]) {
        theta.values_mut()[self.start[term]..self.start[term + 1]].copy_from_slice(own);
    }

    /// T of one term.
    #[must_use]
    pub fn term_factor(&self, theta: &InternalTheta, term: usize) -> Vec<f64> {
        self.structures[term].factor(self.of_term(theta, term))
    }

    /// x'Gy of one term.
    #[must_use]
    pub fn between(&self, theta: &InternalTheta, term: usize, x: &[f64], y: &[f64]) -> f64 {
        self.structures[term].between(self.of_term(theta, term), x, y)
    }

    /// dG / d theta_a of the term that parameter `a` belongs to, k x k.
    #[must_use]
    pub fn derivative(&self, theta: &InternalTheta, a: usize) -> Vec<f64> {
        let TermParameter { basis, index, .. } = self.list[a];
        self.structures[basis].derivative(self.of_term(theta, basis), index)
    }

    /// d2G / d theta_a d theta_b, k x k; `None` for parameters of different terms.
    #[must_use]
    pub fn second(&self, theta: &InternalTheta, a: usize, b: usize) -> Option<Vec<f64>> {
        let (x, y) = (&self.list[a], &self.list[b]);
        (x.basis == y.basis).then(|| {
            self.structures[x.basis].second(self.of_term(theta, x.basis), x.index, y.index)
        })
    }

    /// Whether a parameter of a term is in units of sigma, as a standard deviation is and a correlation is not.
    #[must_use]
    pub fn is_deviation(&self, a: usize) -> bool {
        let TermParameter { basis, index, .. } = self.list[a];
        self.structures[basis].is_deviation(index)
    }

    /// Whether V is not linear in the covariances that a parameter of a term belongs to.
    #[must_use]
    pub fn is_bent(&self, a: usize) -> bool {
        !self.structures[self.list[a].basis].is_linear_in_components()
    }

    /// Whether some covariance matrix has no full rank whatever its parameters.
    #[must_use]
    pub fn is_of_reduced_rank(&self) -> bool {
        let mut structures = self.structures.iter();
        structures.any(|structure| structure.largest_rank() < structure.k())
    }

    /// These parameters with all standard deviations of effects times a factor.
    #[must_use]
    pub fn with_deviations_times(&self, theta: &InternalTheta, factor: f64) -> InternalTheta {
        let mut out = theta.clone();
        let of_terms = out.values_mut()[..self.list.len()].iter_mut().enumerate();
        of_terms
            .filter(|(a, _)| self.is_deviation(*a))
            .for_each(|(_, value)| *value *= factor);
        out
    }

    /// Block-diagonal T of the levels of each grouping factor, in the workspace of `out`.
    #[must_use]
    pub fn factors(&self, theta: &InternalTheta, mut out: Covariances) -> Covariances {
        out.clear(&self.factor_k, &self.classes);
        for term in 0..self.structures.len() {
            let (f, offset, k) = self.place[term];
            let at = |i: usize, j: usize| (offset + j) * self.factor_k[f] + offset + i;
            let own = self.start[term]..self.start[term + 1];
            let one = out.of_class_mut(f, self.levels[term].class());
            if own.is_empty() || self.list[own.clone()].iter().any(|a| a.entries.is_empty()) {
                let t = self.term_factor(theta, term);
                for c in 0..k {
                    (c..k).for_each(|r| one[at(r, c)] = t[c * k + r]);
                }
            } else {
                for (parameter, value) in self.list[own.clone()].iter().zip(&theta.values()[own]) {
                    for &(i, j) in &parameter.entries {
                        one[at(i, j)] = *value;
                    }
                }
            }
            out.share(f, &self.levels[term], (offset, k));
        }
        // the empty factor has no term, but its T is divided by
        for f in 0..out.n_factors() {
            if self.place.iter().all(|place| place.0 != f) {
                out.of_class_mut(f, 0)[0] = 1.0;
            }
        }
        out
    }

    /// Block-diagonal T of each grouping factor, safe to divide by (see [`FLOOR`]), where the rows' mean standard deviation
    /// relative to sigma is `unit`; and whether any of it is not T itself.
    #[must_use]
    pub fn regular_factors(
        &self,
        theta: &InternalTheta,
        unit: f64,
        workers: &Workers,
        out: Covariances,
    ) -> (Covariances, bool) {
        self.factors_above(theta, |_| FLOOR * unit, workers, out)
    }

    /// Like [`Self::factors`], but with T of G + floor^2 I wherever T^-1 of a term has entries above 1 / floor.
    #[must_use]
    pub fn factors_above(
        &self,
        theta: &InternalTheta,
        floor: impl Fn(usize) -> f64,
        workers: &Workers,
        out: Covariances,
    ) -> (Covariances, bool) {
        let mut out = self.factors(theta, out);
        let mut changed = false;
        for (term, &(f, offset, k)) in self.place.iter().enumerate() {
            let kf = self.factor_k[f];
            let own = out.of_class_mut(f, self.levels[term].class());
            let floor = floor(term);
            let [mut t, mut other] = std::array::from_fn(|_| workers.buffer(k * k));
            for (c, column) in t.chunks_exact_mut(k).enumerate() {
                let at = (offset + c) * kf + offset;
                column.copy_from_slice(&own[at..at + k]);
            }
            if (0..k).all(|i| t[i * k + i].abs() >= FLOOR.min(floor)) {
                small::write_inverse_of_lower(&t, k, &mut other);
                if other.iter().all(|v| v.abs() * floor <= 1.0) {
                    continue;
                }
            }
            add_to_variances(&t, k, floor, &mut workers.buffer(k), &mut other);
            changed |= *t != *other;
            for (c, column) in other.chunks_exact(k).enumerate() {
                let at = (offset + c) * kf + offset;
                own[at..at + k].copy_from_slice(column);
            }
            out.share(f, &self.levels[term], (offset, k));
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
