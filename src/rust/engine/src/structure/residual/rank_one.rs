//! C^-1 under compound symmetry ([`Exchangeable`]): alpha I - beta 11' with alpha = 1 / (1 - rho) and
//! beta = rho / ((1 - rho)(1 + (m - 1) rho)). Everything costs O(rows).

use crate::runtime::memory;
use crate::structure::correlation::law::Exchangeable;

/// C^-1 of a group of m rows.
#[derive(Debug, Clone)]
pub(super) struct RankOne {
    law: Exchangeable<f64>,
    pub m: usize,
    pub alpha: f64,
    pub beta: f64,
    pub log_det: f64,
}

impl RankOne {
    /// `None` where C is singular.
    pub fn new(law: Exchangeable<f64>, m: usize) -> Option<Self> {
        let (alpha, beta) = law.precision(m);
        let log_det = law.log_det(m);
        let usable = law.complement > 0.0 && law.growth(m) > 0.0;
        (usable && alpha.is_finite() && beta.is_finite() && log_det.is_finite()).then_some(Self {
            law,
            m,
            alpha,
            beta,
            log_det,
        })
    }

    /// x <- within (x - mean) + between mean for rows x: the matrix with these eigenvalues, the latter for 11'. Deviations from
    /// the mean are those of deviations from the first row: where all are equal nothing is left of them, which `within` may be
    /// large enough to show.
    pub fn by_mean(within: f64, between: f64, x: &mut [f64], c: usize) {
        let Some(first) = x.get(..c).map(memory::copy) else {
            return;
        };
        let rows = (x.len() / c) as f64;
        let mut mean = memory::zeros(c);
        for row in x.chunks_exact(c) {
            let values = row.iter().zip(&first);
            mean.iter_mut()
                .zip(values)
                .for_each(|(m, (v, f))| *m += v - f);
        }
        mean.iter_mut().for_each(|m| *m /= rows);
        for row in x.chunks_exact_mut(c) {
            let values = row.iter_mut().zip(first.iter().zip(&mean));
            values.for_each(|(v, (f, m))| *v = within * ((*v - f) - m) + between * (f + m));
        }
    }

    pub fn inverse_times(&self, x: &mut [f64], c: usize) {
        Self::by_mean(self.alpha, self.law.growth(self.m).recip(), x, c);
    }

    pub fn times(&self, x: &mut [f64], c: usize) {
        Self::by_mean(self.law.complement, self.law.growth(self.m), x, c);
    }

    /// Weight of the sum of the `i` rows before in the mean of the next, and its standard deviation given them.
    fn step(&self, i: usize) -> (f64, f64) {
        let before = self.law.growth(i);
        let variance = self.law.complement * self.law.growth(i + 1) / before;
        (self.law.rho / before, variance.sqrt())
    }

    /// x <- U x, U'U = C^-1.
    pub fn whiten(&self, x: &mut [f64], c: usize) {
        let mut sum = memory::zeros(c);
        for (i, row) in x.chunks_exact_mut(c).enumerate() {
            let (weight, sd) = self.step(i);
            for (v, s) in row.iter_mut().zip(&mut sum) {
                let own = *v;
                *v = (own - weight * *s) / sd;
                *s += own;
            }
        }
    }

    /// x <- U^-1 x.
    pub fn color(&self, x: &mut [f64], c: usize) {
        let mut sum = memory::zeros(c);
        for (i, row) in x.chunks_exact_mut(c).enumerate() {
            let (weight, sd) = self.step(i);
            for (v, s) in row.iter_mut().zip(&mut sum) {
                *v = weight * *s + sd * *v;
                *s += *v;
            }
        }
    }
}

/// Takes the mean of rows with c columns away from each.
pub(crate) fn take_mean_away(x: &mut [f64], c: usize) {
    RankOne::by_mean(1.0, 0.0, x, c);
}
