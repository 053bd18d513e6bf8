//! Fixed effects with a value for each level of a grouping factor: random effects whose precision is zero.

use crate::linalg::hyperdual::HyperDual;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::linear;

/// T = I, without parameters; the precision of the levels is that of [`crate::moments::fixed_levels`].
#[derive(Debug)]
pub struct FixedEffects {
    /// Effects of a level.
    pub k: usize,
}

impl Covariance for FixedEffects {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        0
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        Some(Vec::new())
    }

    fn factor(&self, _: &[f64]) -> Vec<f64> {
        let diagonal = (0..self.k).map(|i| vec![(i, i)]);
        linear::factor(self.k, &diagonal.collect::<Vec<_>>(), &vec![1.0; self.k])
    }

    fn derivative(&self, _: &[f64], _: usize) -> Vec<f64> {
        vec![0.0; self.k * self.k]
    }

    fn second(&self, _: &[f64], _: usize, _: usize) -> Vec<f64> {
        vec![0.0; self.k * self.k]
    }

    fn start(&self, _: f64) -> Vec<f64> {
        Vec::new()
    }

    fn reduced(&self, _: &[f64], _: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        None
    }

    fn with_variance(&self, _: &[f64], _: &[f64], _: f64) -> Vec<f64> {
        Vec::new()
    }

    fn sizes(&self) -> usize {
        0
    }

    fn is_free(&self) -> bool {
        false
    }

    fn smaller(&self, _: &[f64]) -> Vec<Vec<f64>> {
        Vec::new()
    }

    fn inflated(&self, _: &[f64], _: f64) -> Vec<f64> {
        Vec::new()
    }

    fn scale(&self, _: &[f64], _: f64) -> Vec<f64> {
        Vec::new()
    }

    fn components(&self, _: &[HyperDual]) -> Vec<HyperDual> {
        Vec::new()
    }

    fn is_null(&self, _: &[f64], _: usize) -> bool {
        false
    }
}
