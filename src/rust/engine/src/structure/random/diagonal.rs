//! Independent effects, with variances of their own or with a common one.

use crate::linalg::hyperdual::HyperDual;
use crate::structure::random::covariance::Covariance;
use crate::structure::random::linear;

/// Parameters are the diagonal of T: relative standard deviations.
#[derive(Debug)]
pub struct Diagonal {
    /// Effects of a level.
    pub k: usize,
}

/// T = tau I; the parameter is tau.
#[derive(Debug)]
pub struct Identity {
    /// Effects of a level.
    pub k: usize,
}

impl Diagonal {
    fn entries(&self) -> Vec<Vec<(usize, usize)>> {
        (0..self.k).map(|i| vec![(i, i)]).collect()
    }
}

impl Identity {
    fn entries(&self) -> Vec<Vec<(usize, usize)>> {
        vec![(0..self.k).map(|i| (i, i)).collect()]
    }
}

impl Covariance for Diagonal {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        self.k
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        Some(self.entries())
    }

    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        linear::factor(self.k, &self.entries(), theta)
    }

    fn derivative(&self, theta: &[f64], a: usize) -> Vec<f64> {
        linear::derivative(self.k, &[(a, a)], &self.factor(theta))
    }

    fn second(&self, _: &[f64], a: usize, b: usize) -> Vec<f64> {
        linear::second(self.k, &[(a, a)], &[(b, b)])
    }

    fn start(&self, tau: f64) -> Vec<f64> {
        vec![tau; self.k]
    }

    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        let zero: Vec<usize> = (0..self.k).filter(|&i| theta[i].powi(2) < limit).collect();
        if zero.is_empty() {
            return None;
        }
        let mut reduced = theta.to_vec();
        zero.iter().for_each(|&i| reduced[i] = 0.0);
        let null = zero.into_iter().map(|i| linear::unit(self.k, i)).collect();
        Some((reduced, null))
    }

    fn with_variance(&self, theta: &[f64], direction: &[f64], variance: f64) -> Vec<f64> {
        theta
            .iter()
            .zip(direction)
            .map(|(t, d)| (t * t + variance * d * d).sqrt())
            .collect()
    }

    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        (0..self.k)
            .filter(|&i| theta[i] != 0.0)
            .map(|i| {
                let mut without = theta.to_vec();
                without[i] = 0.0;
                without
            })
            .collect()
    }

    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64> {
        theta.iter().map(|t| (t * t + variance).sqrt()).collect()
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        linear::scale(self.k, theta, natural)
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        theta.iter().map(|t| *t * *t).collect()
    }

    fn is_null(&self, theta: &[f64], a: usize) -> bool {
        theta[a] == 0.0
    }
}

impl Covariance for Identity {
    fn k(&self) -> usize {
        self.k
    }

    fn len(&self) -> usize {
        1
    }

    fn linear(&self) -> Option<Vec<Vec<(usize, usize)>>> {
        Some(self.entries())
    }

    fn factor(&self, theta: &[f64]) -> Vec<f64> {
        linear::factor(self.k, &self.entries(), theta)
    }

    fn derivative(&self, theta: &[f64], _: usize) -> Vec<f64> {
        linear::derivative(self.k, &self.entries()[0], &self.factor(theta))
    }

    fn second(&self, _: &[f64], _: usize, _: usize) -> Vec<f64> {
        let entries = &self.entries()[0];
        linear::second(self.k, entries, entries)
    }

    fn start(&self, tau: f64) -> Vec<f64> {
        vec![tau]
    }

    fn reduced(&self, theta: &[f64], limit: f64) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        (theta[0].powi(2) < limit).then(|| {
            let null = (0..self.k).map(|i| linear::unit(self.k, i)).collect();
            (vec![0.0], null)
        })
    }

    fn multiplier(&self, _: &[f64], score: &[f64], _: &[Vec<f64>]) -> (f64, Vec<f64>) {
        let k = self.k;
        let mean = (0..k).map(|i| score[i * k + i]).sum::<f64>() / k as f64;
        (mean, vec![1.0; k])
    }

    fn with_variance(&self, theta: &[f64], _: &[f64], variance: f64) -> Vec<f64> {
        vec![(theta[0].powi(2) + variance).sqrt()]
    }

    fn sizes(&self) -> usize {
        1
    }

    fn smaller(&self, theta: &[f64]) -> Vec<Vec<f64>> {
        Vec::from_iter((theta[0] != 0.0).then(|| vec![0.0]))
    }

    fn inflated(&self, theta: &[f64], variance: f64) -> Vec<f64> {
        vec![(theta[0].powi(2) + variance).sqrt()]
    }

    fn scale(&self, theta: &[f64], natural: f64) -> Vec<f64> {
        vec![theta[0].abs().max(natural)]
    }

    fn components(&self, theta: &[HyperDual]) -> Vec<HyperDual> {
        vec![theta[0] * theta[0]]
    }

    fn is_null(&self, theta: &[f64], _: usize) -> bool {
        theta[0] == 0.0
    }
}
