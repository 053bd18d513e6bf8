//! Covariance matrices of reduced rank: G = Lambda Lambda' with d factors, d no more than there are effects.
//!
//! T = [Lambda 0] is that of an unstructured matrix with columns of zeros from the d-th on, and changes of coordinates lead from
//! one such matrix to another. Where the rank is d the matrices are a smooth surface: that the gradient is zero and the Hessian
//! positive definite in Lambda makes an optimum. Where it is less, one more column v may be added, and S has to be positive
//! semidefinite on all of the null space of G, as for an unstructured matrix.

use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::{linear, loadings};

/// Variance, relative to the largest, that counts as zero.
const ZERO: f64 = 1e-12;

/// Parameters are the lower triangle of the first columns of T, column by column.
#[derive(Debug)]
pub struct ReducedRank {
    /// Effects of a level.
    pub k: usize,
    /// Factors: the largest rank.
    pub factors: usize,
}

impl ReducedRank {
    fn entries(&self) -> Vec<Vec<(usize, usize)>> {
        let places = loadings::places(self.k, self.factors);
        places.map(|place| vec![place]).collect()
    }

    fn matrix(&self, theta: &[f64]) -> Vec<f64> {
        loadings::square(&loadings::matrix(theta, self.k, self.factors), self.k)
    }
}

impl Covariance for ReducedRank {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        loadings::count(self.k, self.factors)
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        Some(self.entries())
    }

    fn is_linear_in_components(&self) -> bool {
        self.factors == self.k
    }

    fn largest_rank(&self) -> usize {
        self.factors
    }

    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        linear::factor(self.k, &self.entries(), theta)
    }

    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64> {
        linear::derivative(self.k, &self.entries()[a], &self.factor(theta))
    }

    fn second(&self, _: &[f64], a: usize, b: usize) -> Vec<f64> {
        let entries = self.entries();
        linear::second(self.k, &entries[a], &entries[b])
    }

    /// No factor: those that lower the criterion most come one after the other, as steps off this boundary.
    fn start(&self, _: f64) -> Vec<f64> {
        vec![0.0; self.len()]
    }

    fn steps_from_start(&self) -> usize {
        self.factors
    }

    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let (m, rank, null) = loadings::nearest(&self.matrix(theta), self.k, self.factors, limit);
        (rank < self.factors).then(|| (loadings::parameters(&m, self.k), null))
    }

    /// The nearest matrix of the largest rank.
    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64> {
        let k = self.k;
        let mut g = self.matrix(theta);
        for c in 0..k {
            (0..k).for_each(|r| g[c * k + r] += variance * direction[r] * direction[c]);
        }
        loadings::parameters(&loadings::nearest(&g, k, self.factors, 0.0).0, k)
    }

    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let g = self.matrix(theta);
        let (values, _) = small::symmetric_eigen(&g, self.k);
        let zero = ZERO * values[self.k - 1];
        let smallest = values.into_iter().find(|v| *v > zero);
        let reduced = smallest.and_then(|v| self.reduced(theta, v * (1.0 + 1e-9)));
        reduced.into_iter().map(|(without, _)| without).collect()
    }

    /// There is no matrix of full rank: they are what they are.
    fn inflated(&self, theta: &[f64], _: f64) -> Vec<f64> {
        theta.to_vec()
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        linear::scale(self.k, theta, natural)
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        theta.to_vec()
    }

    fn variances(&self) -> usize {
        0
    }

    fn is_null(&self, theta: &[f64], a: usize) -> bool {
        let entries = self.entries();
        let column = entries[a][0].1;
        let own = entries.iter().zip(theta).filter(|(e, _)| e[0].1 == column);
        own.into_iter().all(|(_, value)| *value == 0.0)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn variance_is_added_up_to_the_largest_rank() {
        let structure = ReducedRank { k: 3, factors: 2 };
        let none = structure.start(1.0);
        let (_, null) = structure.reduced(&none, 1e-10).expect("of rank 0");
        assert_eq!(null.len(), 3);
        let (a, b) = ([0.6, -0.2, 0.9], [0.1, 0.8, 0.3]);
        let one = structure.with_variance(&none, &a, 4.0);
        assert_eq!(
            structure.reduced(&one, 1e-10).expect("of rank 1").1.len(),
            2
        );
        assert!((0..5).all(|i| structure.is_null(&one, i) == (i > 2)));
        let two = structure.with_variance(&one, &b, 1.0);
        assert!(structure.reduced(&two, 1e-10).is_none());
        let g = structure.matrix(&two);
        for e in 0..9 {
            let (i, j) = (e % 3, e / 3);
            assert!((g[e] - 4.0 * a[i] * a[j] - b[i] * b[j]).abs() < 1e-12);
        }
        // a third direction leaves the rank
        let three = structure.with_variance(&two, &[0.0, 0.0, 1.0], 1.0);
        let (values, _) = small::symmetric_eigen(&structure.matrix(&three), 3);
        assert!(values[0].abs() < 1e-12 && values[1] > 0.1);
        let (less, _) = structure
            .reduced(&structure.smaller(&two)[0], 1e-10)
            .expect("of rank 1");
        assert!((3..5).all(|i| structure.is_null(&less, i)));
    }
}
