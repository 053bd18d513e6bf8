//! Any positive semidefinite covariance matrix.

use super::Covariance;

/// Parameters are the lower triangle of T, column by column (lme4's theta).
#[derive(Debug)]
pub struct Unstructured {
    /// Effects of a level.
    pub k: usize,
}

impl Covariance for Unstructured {
    fn k(&self) -> usize {
        self.k
    }

    fn entries(&self) -> Vec<(usize, usize)> {
        (0..self.k)
            .flat_map(|j| (j..self.k).map(move |i| (i, j)))
            .collect()
    }
}
