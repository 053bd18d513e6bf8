//! Clusters, and what one of them adds to a sandwich estimate (see [`crate::inference::sandwich`]).

use crate::api::error::EngineError;
use crate::linalg::small;
use crate::runtime::memory;

/// 1 less an eigenvalue of h_j up to which it is mere rounding: the cluster alone determines a combination of the fixed effects.
const ALONE: f64 = 1e-10;

/// Clusters of rows.
#[derive(Debug, Clone, Copy)]
pub struct Clusters<'a> {
    /// Cluster of each row, from 1; each of them has rows, and independent clusters are assumed.
    pub codes: &'a [i32],
    /// Number of clusters.
    pub count: usize,
}

impl Clusters<'_> {
    pub(super) fn validate(&self, n: usize) -> Result<(), EngineError> {
        let mut seen = vec![false; self.count];
        let known = self.codes.len() == n
            && self.codes.iter().all(|&code| {
                let own = usize::try_from(code - 1).ok().and_then(|j| seen.get_mut(j));
                own.map(|own| *own = true).is_some()
            });
        if known && !seen.contains(&false) {
            Ok(())
        } else {
            Err(EngineError::Dimension(
                "clusters need a code from 1 for each row, and rows for each code".to_owned(),
            ))
        }
    }
}

/// What one cluster adds.
pub(super) struct Part {
    pub score: Vec<f64>,
    pub spread: Vec<f64>,
    pub cross: Vec<f64>,
}

/// h_j by its eigenvectors.
pub(super) struct Leverage {
    pub r: usize,
    /// Ascending, between 0 and 1.
    pub values: Vec<f64>,
    /// Columns.
    pub vectors: Vec<f64>,
}

impl Leverage {
    pub fn new(h: &[f64], r: usize) -> Self {
        let (values, vectors) = small::symmetric_eigen(h, r);
        let values = values.into_iter().map(|v| v.clamp(0.0, 1.0)).collect();
        Self { r, values, vectors }
    }

    /// 1 - the eigenvalue; `None` where that is mere rounding.
    pub fn left(&self, a: usize) -> Option<f64> {
        let left = 1.0 - self.values[a];
        (left > ALONE).then_some(left)
    }

    /// The function of h_j whose eigenvalues are f(eigenvalue, 1 - eigenvalue), r x r.
    pub fn function(&self, f: impl Fn(f64, Option<f64>) -> f64) -> Vec<f64> {
        let r = self.r;
        let mut scaled = self.vectors.clone();
        for (a, column) in scaled.chunks_exact_mut(r.max(1)).enumerate() {
            let value = f(self.values[a], self.left(a));
            column.iter_mut().for_each(|v| *v *= value);
        }
        let mut out = memory::zeros(r * r);
        small::mul_nt(&scaled, &self.vectors, r, r, r, &mut out);
        out
    }

    /// What a cluster adds with F = f(1 - h_j), which is 0 where nothing is left.
    pub fn part(&self, g: &[f64], f: impl Fn(f64) -> f64) -> Part {
        let r = self.r;
        let f = |left: Option<f64>| left.map_or(0.0, &f);
        let adjustment = self.function(|_, left| f(left));
        let mut score = memory::zeros(r);
        small::mul_nn(&adjustment, g, r, r, 1, &mut score);
        Part {
            score,
            spread: self.function(|h, left| h * f(left) * f(left)),
            cross: self.function(|h, left| h * f(left)),
        }
    }
}
