//! Independent effects.

use super::Covariance;

/// Parameters are the diagonal of T: relative standard deviations.
#[derive(Debug)]
pub struct Diagonal {
    /// Effects of a level.
    pub k: usize,
}

impl Covariance for Diagonal {
    fn k(&self) -> usize {
        self.k
    }

    fn entries(&self) -> Vec<(usize, usize)> {
        (0..self.k).map(|i| (i, i)).collect()
    }
}
