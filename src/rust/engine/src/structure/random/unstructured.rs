//! Any positive semidefinite covariance matrix.

use crate::linalg::hyperdual::HyperDual;
use crate::linalg::small;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::linear;

/// Variance, relative to the largest, that counts as zero.
const ZERO: f64 = 1e-12;

/// Parameters are the lower triangle of T, column by column (lme4's theta).
#[derive(Debug)]
pub struct Unstructured {
    /// Effects of a level.
    pub k: usize,
}

impl Unstructured {
    fn entries(&self) -> Vec<Vec<(usize, usize)>> {
        (0..self.k)
            .flat_map(|j| (j..self.k).map(move |i| vec![(i, j)]))
            .collect()
    }

    /// Parameters of T.
    #[must_use]
    pub fn parameters(&self, t: &[f64]) -> Vec<f64> {
        let k = self.k;
        self.entries()
            .iter()
            .map(|e| t[e[0].1 * k + e[0].0])
            .collect()
    }
}

impl Covariance for Unstructured {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        self.k * (self.k + 1) / 2
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        Some(self.entries())
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

    fn start(&self, tau: f64) -> Vec<f64> {
        self.entries()
            .iter()
            .map(|e| if e[0].0 == e[0].1 { tau } else { 0.0 })
            .collect()
    }

    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let k = self.k;
        let t = self.factor(theta);
        let mut g = vec![0.0; k * k];
        small::mul_nt(&t, &t, k, k, k, &mut g);
        // an effect whose variance is zero has no covariances
        for zero in 0..k {
            if g[zero * k + zero] < limit {
                for i in 0..k {
                    g[zero * k + i] = 0.0;
                    g[i * k + zero] = 0.0;
                }
            }
        }
        let (values, vectors) = small::symmetric_eigen(&g, k);
        let count = values.iter().filter(|v| **v < limit).count();
        if count == 0 {
            return None;
        }
        let mut kept = vec![0.0; k * k];
        for i in count..k {
            let v = &vectors[i * k..(i + 1) * k];
            for c in 0..k {
                for r in 0..k {
                    kept[c * k + r] += values[i] * v[r] * v[c];
                }
            }
        }
        let null = (0..count)
            .map(|i| vectors[i * k..(i + 1) * k].to_vec())
            .collect();
        Some((
            self.parameters(&small::semidefinite_cholesky(&kept, k, 1e-11)),
            null,
        ))
    }

    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64> {
        let t = linear::with_variance(&self.factor(theta), self.k, direction, variance);
        self.parameters(&t)
    }

    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        let k = self.k;
        let t = self.factor(theta);
        let mut g = vec![0.0; k * k];
        small::mul_nt(&t, &t, k, k, k, &mut g);
        let (values, _) = small::symmetric_eigen(&g, k);
        let zero = ZERO * values[k - 1];
        let smallest = values.into_iter().find(|v| *v > zero);
        let reduced = smallest.and_then(|v| self.reduced(theta, v * (1.0 + 1e-9)));
        reduced.into_iter().map(|(without, _)| without).collect()
    }

    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64> {
        let k = self.k;
        let t = self.factor(theta);
        let mut g = vec![0.0; k * k];
        small::mul_nt(&t, &t, k, k, k, &mut g);
        (0..k).for_each(|i| g[i * k + i] += variance);
        self.parameters(&small::semidefinite_cholesky(&g, k, 0.0))
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        linear::scale(self.k, theta, natural)
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        let entries = self.entries();
        entries
            .iter()
            .map(|e| linear::component(self.k, &entries, theta, e[0].0, e[0].1))
            .collect()
    }

    fn is_null(&self, theta: &[f64], a: usize) -> bool {
        let k = self.k;
        let column = self.entries()[a][0].1;
        self.factor(theta)[column * k + column] == 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::Unstructured;
    use crate::structure::random::covariance::Covariance;

    #[test]
    fn a_variance_that_is_zero_takes_its_covariances_along() {
        let structure = Unstructured { k: 2 };
        // T of G = [1e-18, -1e-9; -1e-9, 4]
        let theta = structure.parameters(&[1e-9, -1.0, 0.0, 3f64.sqrt()]);
        let (reduced, null) = structure.reduced(&theta, 1e-10).unwrap();
        assert_eq!(structure.factor(&reduced)[..2], [0.0, 0.0]);
        assert!((structure.factor(&reduced)[3] - 2.0).abs() < 1e-12);
        assert_eq!(null.len(), 1);
        assert!((null[0][0].abs() - 1.0).abs() < 1e-12 && null[0][1].abs() < 1e-12);
        // nothing to reduce
        assert!(structure.reduced(&theta, 1e-20).is_none());
    }
}
